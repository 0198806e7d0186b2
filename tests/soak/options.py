"""What the command was asked to do; every number once, with its unit."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """How the soak is run; the command line is made from these."""

    model_path: Path | None = field(default=None, metadata={"help": "weights; by default the shipped ones"})
    workers: int = field(default=1, metadata={"help": "processes that serve (BRAIN_MRI_WORKERS)"})
    threads: int | None = field(default=None, metadata={"help": "BRAIN_MRI_THREADS; by default the service's own"})
    seed: int = field(default=0, metadata={"help": "of images, mutations and the order of requests"})
    load: float = field(default=5.0, metadata={"help": "requests sent, as a multiple of the measured capacity"})
    seconds: float | None = field(default=None, metadata={"help": "length of mixed (600), overload (60), kill (20)"})
    rounds: int = field(default=50, metadata={"help": "terminate: starts and SIGTERMs"})
    images: int = field(default=100_000, metadata={"help": "mutations: damaged images"})
    requests: int = field(default=10_000, metadata={"help": "parallel: requests sent"})
    idle_connections: int = field(default=1000, metadata={"help": "abuse: connections that send nothing"})
    stream_bytes: int = field(default=2**30, metadata={"help": "abuse: size of the upload without a length"})
    max_queue: int = field(default=64, metadata={"help": "BRAIN_MRI_MAX_QUEUE"})
    max_upload_bytes: int = field(default=20 * 2**20, metadata={"help": "BRAIN_MRI_MAX_UPLOAD_BYTES"})
    head_timeout_seconds: float = field(default=5.0, metadata={"help": "BRAIN_MRI_HEAD_TIMEOUT_SECONDS"})
    upload_timeout_seconds: float = field(default=5.0, metadata={"help": "BRAIN_MRI_UPLOAD_TIMEOUT_SECONDS"})
    request_timeout_seconds: float = field(default=30.0, metadata={"help": "BRAIN_MRI_REQUEST_TIMEOUT_SECONDS"})
    drain_seconds: float = field(default=0.5, metadata={"help": "BRAIN_MRI_DRAIN_SECONDS"})
    capacity_seconds: float = field(default=5.0, metadata={"help": "how long the capacity is measured"})

    @property
    def limit_seconds(self) -> float:
        """How long a client waits before it calls that a hang."""
        return self.request_timeout_seconds + self.upload_timeout_seconds + 10

    def settings(self, **changes: object) -> dict[str, str]:
        """The service's settings, by their names without the prefix."""
        settings: dict[str, object] = {
            "WORKERS": self.workers,
            "MAX_QUEUE": self.max_queue,
            "MAX_UPLOAD_BYTES": self.max_upload_bytes,
            "HEAD_TIMEOUT_SECONDS": self.head_timeout_seconds,
            "UPLOAD_TIMEOUT_SECONDS": self.upload_timeout_seconds,
            "REQUEST_TIMEOUT_SECONDS": self.request_timeout_seconds,
            "DRAIN_SECONDS": self.drain_seconds,
            **({} if self.threads is None else {"THREADS": self.threads}),
            **({} if self.model_path is None else {"MODEL_PATH": self.model_path.resolve()}),
            **changes,
        }
        return {name: str(value) for name, value in settings.items()}
