"""Prometheus metrics of requests and predictions.

Labels are bounded: paths are those of the routes, codes those of the problems, classes those of the card.
"""

import os
from functools import partial

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

from api.schemas import ServedPrediction
from model.prediction import ModelIdentity

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_CONFIDENCES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SCORES = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0, 8.0)


class Metrics:
    """The metrics of one service, in a registry of its own, or of several workers together."""

    def __init__(self, folder: str | None = None) -> None:
        """Start at zero, or where an earlier worker stopped; see `share_metrics`."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._folder, self._registry = folder, CollectorRegistry()
        counter, gauge = partial(Counter, registry=self._registry), partial(Gauge, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry)
        self._requests = counter("http_requests_total", "Requests answered.", ("method", "path", "status"))
        self._durations = histogram(
            "http_request_duration_seconds",
            "From the head of a request to the end of its response.",
            ("method", "path"),
            buckets=_SECONDS,
        )
        self._predictions = counter("brain_mri_predictions_total", "Images classified.", ("prediction", "review"))
        self._rejections = counter("brain_mri_rejections_total", "Requests refused.", ("code",))
        self._decode, self._queue, self._inference = (
            histogram(f"brain_mri_{name}_seconds", text, buckets=_SECONDS)
            for name, text in (
                ("decode", "Decoding and preparing an image."),
                ("queue", "Waiting for a free core."),
                ("inference", "The network."),
            )
        )
        self._confidences = histogram(
            "brain_mri_confidence", "Probability of the predicted class.", buckets=_CONFIDENCES
        )
        self._scores = histogram("brain_mri_ood_score", "Outlier score in units of its threshold.", buckets=_SCORES)
        self._batches = histogram("brain_mri_batch_size", "Images of a request that may hold several.", buckets=_SIZES)
        self._depth = gauge("brain_mri_queue_depth", "Requests waiting or running.", multiprocess_mode="sum")
        self._ready = gauge("brain_mri_ready", "Workers that answer predictions.", multiprocess_mode="sum")
        identity = ("name", "version", "sha256", "engine")
        self._model = gauge("brain_mri_model_info", "1 for the served weights.", identity, multiprocess_mode="max")
        self._depth.set(0)
        self._ready.set(0)

    def start(self, identity: ModelIdentity, engine: str) -> None:
        """Report that predictions are answered from now on, and by which weights."""
        self._model.labels(identity.name, identity.version, identity.sha256, engine).set(1)
        self._ready.set(1)

    def stop(self) -> None:
        """Report that no more predictions are answered."""
        self._ready.set(0)

    def observe_depth(self, depth: int) -> None:
        """Set how many requests are waiting or running."""
        self._depth.set(depth)

    def observe_request(self, method: str, path: str | None, status: int, seconds: float) -> None:
        """Count a response; `path` is that of the route, None where there is none."""
        labels = (method if method in _METHODS else _OTHER, path or _OTHER)
        self._requests.labels(*labels, str(status)).inc()
        self._durations.labels(*labels).observe(seconds)

    def observe_prediction(self, prediction: ServedPrediction) -> None:
        """Count a prediction and its times."""
        review = prediction.review.level.value if prediction.review else "unknown"
        self._predictions.labels(prediction.prediction, review).inc()
        self._confidences.observe(prediction.confidence)
        if prediction.ood:
            self._scores.observe(prediction.ood.score / prediction.ood.threshold)
        self._decode.observe(prediction.timing_ms.decode / 1000)
        self._queue.observe(prediction.timing_ms.queue / 1000)
        self._inference.observe(prediction.timing_ms.inference / 1000)

    def observe_batch(self, num_images: int) -> None:
        """Count the images of a request that may hold several."""
        self._batches.observe(num_images)

    def observe_rejection(self, code: str) -> None:
        """Count a refused request."""
        self._rejections.labels(code).inc()

    def render(self) -> bytes:
        """Render everything in Prometheus' text format."""
        if self._folder is None:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, self._folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def share_metrics(folder: str, index: int) -> Metrics:
    """Make the metrics of one of several workers, which share the files of a folder.

    The files are named by the worker's index instead of its process, so that a replacement goes on counting where its
    predecessor stopped: https://prometheus.github.io/client_python/multiprocess/
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    values.ValueClass = values.MultiProcessValue(lambda: index)  # type: ignore[no-untyped-call]
    return Metrics(folder)
