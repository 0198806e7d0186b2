"""The options of the soak; the comments are their help."""

from dataclasses import dataclass
from pathlib import Path

_SETTINGS = (
    *("workers", "threads", "max_queue", "max_upload_bytes", "drain_seconds"),
    *("head_timeout_seconds", "upload_timeout_seconds", "request_timeout_seconds"),
)


@dataclass(frozen=True)
class Options:
    """How the soak is run."""

    model_path: Path | None = None  # weights; by default the shipped ones
    workers: int = 1  # processes that serve (BRAIN_MRI_WORKERS)
    threads: int | None = None  # BRAIN_MRI_THREADS; by default the service's own
    seed: int = 0  # of images, mutations and the order of requests
    load: float = 5.0  # requests sent, as a multiple of the measured capacity
    seconds: float | None = None  # length of mixed (600), overload (60), kill and hang (20)
    rounds: int = 50  # terminate: starts and SIGTERMs
    images: int = 100_000  # mutations: damaged images
    requests: int = 10_000  # parallel: requests sent
    idle_connections: int = 1000  # abuse: connections that send nothing
    stream_bytes: int = 2**30  # abuse: size of the upload without a length
    max_queue: int = 64  # BRAIN_MRI_MAX_QUEUE
    max_upload_bytes: int = 20 * 2**20  # BRAIN_MRI_MAX_UPLOAD_BYTES
    head_timeout_seconds: float = 5.0  # BRAIN_MRI_HEAD_TIMEOUT_SECONDS
    upload_timeout_seconds: float = 5.0  # BRAIN_MRI_UPLOAD_TIMEOUT_SECONDS
    request_timeout_seconds: float = 30.0  # BRAIN_MRI_REQUEST_TIMEOUT_SECONDS
    drain_seconds: float = 0.5  # BRAIN_MRI_DRAIN_SECONDS
    capacity_seconds: float = 5.0  # how long the capacity is measured

    @property
    def limit_seconds(self) -> float:
        """How long a client waits before it calls that a hang."""
        return self.request_timeout_seconds + self.upload_timeout_seconds + 10

    def settings(self, **changes: object) -> dict[str, object]:
        """The service's settings, by their names without the prefix."""
        settings = {name.upper(): getattr(self, name) for name in _SETTINGS}
        settings["MODEL_PATH"] = None if self.model_path is None else self.model_path.resolve()
        return {name: value for name, value in {**settings, **changes}.items() if value is not None}
