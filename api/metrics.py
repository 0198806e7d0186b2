"""What operations watch: Prometheus metrics of the HTTP side and of the predictions.

Labels are bounded: paths are those of the routes, codes those of the problems, classes those of the card.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from model.classifier import ModelIdentity, Prediction

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_CONFIDENCES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_SCORES = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0, 8.0)


class Metrics:
    """The metrics of one service, in a registry of its own."""

    def __init__(self) -> None:
        """Start everything at nothing."""
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
        self._depth = Gauge("brain_mri_queue_depth", "Requests that wait or are judged.", registry=registry)
        self._ready = Gauge("brain_mri_ready", "1 while predictions are answered.", registry=registry)
        self._model = Info("brain_mri_model", "The weights that answer.", registry=registry)

    def start(self, identity: ModelIdentity, engine: str, depth: Callable[[], int]) -> None:
        """Say that predictions are answered from now on, and by what."""
        self._model.info(
            {"name": identity.name, "version": identity.version, "sha256": identity.sha256, "engine": engine}
        )
        self._depth.set_function(depth)
        self._ready.set(1)

    def stop(self) -> None:
        """Say that no more predictions are answered."""
        self._ready.set(0)

    def observe_request(self, method: str, path: str | None, status: int, seconds: float) -> None:
        """Count an answer; `path` is that of the route, None where there is none."""
        labels = (method if method in _METHODS else _OTHER, path or _OTHER)
        self._requests.labels(*labels, str(status)).inc()
        self._durations.labels(*labels).observe(seconds)

    def observe_prediction(self, prediction: Prediction, queue_ms: float) -> None:
        """Count a prediction and what it took."""
        review = prediction.review.level.value if prediction.review else "unknown"
        self._predictions.labels(prediction.prediction, review).inc()
        self._confidences.observe(prediction.confidence)
        if prediction.ood:
            self._scores.observe(prediction.ood.score / prediction.ood.threshold)
        self._decode.observe(prediction.timing_ms.decode / 1000)
        self._queue.observe(queue_ms / 1000)
        self._inference.observe(prediction.timing_ms.inference / 1000)

    def observe_rejection(self, code: str) -> None:
        """Count a request that was refused."""
        self._rejections.labels(code).inc()

    def render(self) -> bytes:
        """Write everything in Prometheus' text format."""
        return generate_latest(self._registry)
