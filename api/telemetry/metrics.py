"""What operations watch: Prometheus metrics of the HTTP side and of the predictions.

Labels are bounded: paths are those of the routes, codes those of the problems, classes those of the card.
"""

import os

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
        """Start everything at nothing, or where an earlier worker left it; see `share_metrics`."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._folder = folder
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests_total", "Requests answered.", ("method", "path", "status"), registry=registry
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "From the head of a request to the end of its answer.",
            ("method", "path"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._predictions = Counter(
            "brain_mri_predictions_total", "Images classified.", ("prediction", "review"), registry=registry
        )
        self._rejections = Counter("brain_mri_rejections_total", "Requests refused.", ("code",), registry=registry)
        self._decode, self._queue, self._inference = (
            Histogram(f"brain_mri_{name}_seconds", text, buckets=_SECONDS, registry=registry)
            for name, text in (
                ("decode", "Decoding and preparing an image."),
                ("queue", "Waiting for a free core."),
                ("inference", "The network."),
            )
        )
        self._confidences = Histogram(
            "brain_mri_confidence", "Probability of the class predicted.", buckets=_CONFIDENCES, registry=registry
        )
        self._scores = Histogram(
            "brain_mri_ood_score", "Outlier score in units of its threshold.", buckets=_SCORES, registry=registry
        )
        self._batches = Histogram(
            "brain_mri_batch_size", "Images of a request that may hold several.", buckets=_SIZES, registry=registry
        )
        self._depth = Gauge(
            "brain_mri_queue_depth", "Requests that wait or are judged.", registry=registry, multiprocess_mode="sum"
        )
        self._ready = Gauge(
            "brain_mri_ready", "Workers that answer predictions.", registry=registry, multiprocess_mode="sum"
        )
        self._model = Gauge(
            "brain_mri_model_info",
            "1 for the weights that answer.",
            ("name", "version", "sha256", "engine"),
            registry=registry,
            multiprocess_mode="max",
        )
        self._depth.set(0)
        self._ready.set(0)

    def start(self, identity: ModelIdentity, engine: str) -> None:
        """Say that predictions are answered from now on, and by what."""
        self._model.labels(identity.name, identity.version, identity.sha256, engine).set(1)
        self._ready.set(1)

    def stop(self) -> None:
        """Say that no more predictions are answered."""
        self._ready.set(0)

    def observe_depth(self, depth: int) -> None:
        """Say how many requests wait or are judged."""
        self._depth.set(depth)

    def observe_request(self, method: str, path: str | None, status: int, seconds: float) -> None:
        """Count an answer; `path` is that of the route, None where there is none."""
        labels = (method if method in _METHODS else _OTHER, path or _OTHER)
        self._requests.labels(*labels, str(status)).inc()
        self._durations.labels(*labels).observe(seconds)

    def observe_prediction(self, prediction: ServedPrediction) -> None:
        """Count a prediction and what it took."""
        review = prediction.review.level.value if prediction.review else "unknown"
        self._predictions.labels(prediction.prediction, review).inc()
        self._confidences.observe(prediction.confidence)
        if prediction.ood:
            self._scores.observe(prediction.ood.score / prediction.ood.threshold)
        self._decode.observe(prediction.timing_ms.decode / 1000)
        self._queue.observe(prediction.timing_ms.queue / 1000)
        self._inference.observe(prediction.timing_ms.inference / 1000)

    def observe_batch(self, num_images: int) -> None:
        """Say how many images came in one request, of the kind that may hold several."""
        self._batches.observe(num_images)

    def observe_rejection(self, code: str) -> None:
        """Count a request that was refused."""
        self._rejections.labels(code).inc()

    def render(self) -> bytes:
        """Write everything in Prometheus' text format."""
        if self._folder is None:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, self._folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def share_metrics(folder: str, index: int) -> Metrics:
    """Make the metrics of one of several workers, which meet in the files of a folder.

    The files are named by the worker's index and not by its process, so that a worker that takes another one's place
    counts on from there: https://prometheus.github.io/client_python/multiprocess/
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    values.ValueClass = values.MultiProcessValue(lambda: index)  # type: ignore[no-untyped-call]
    return Metrics(folder)
