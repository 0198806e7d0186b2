"""The settings of the service: environment variables `BRAIN_MRI_...`, or a `.env` file."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from api.exceptions import SettingsError
from model.engines.loading import DEFAULT_WEIGHTS
from model.host.cores import available_cores
from model.images.decoded import DEFAULT_MAX_IMAGE_PIXELS

LogFormat = Literal["json", "text"]

_MEBIBYTE = 2**20


class Settings(BaseSettings):
    """Every setting with its unit, its bounds and its reason."""

    model_config = SettingsConfigDict(env_prefix="BRAIN_MRI_", env_file=".env", extra="ignore", frozen=True)

    model_path: Path = Field(
        DEFAULT_WEIGHTS,
        description="Weights to serve; the suffix, .onnx or .pth, chooses the engine.",
    )
    model_sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="What the weight file's SHA-256 must be, where SHA256SUMS is not enough.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    workers: int = Field(
        1, ge=1, le=64, description="Processes that serve the address; the bounds below are those of each."
    )
    threads: int = Field(
        default_factory=lambda values: max(1, available_cores() // values.get("workers", 1)),
        ge=1,
        le=256,
        description="Images judged at once, and cores that work on one; default: a worker's part of the CPU quota.",
    )
    max_upload_bytes: int = Field(
        20 * _MEBIBYTE, ge=1024, le=1024 * _MEBIBYTE, description="Largest request body, bytes."
    )
    max_batch: int = Field(32, ge=1, le=1000, description="Most images in one request.")
    max_batch_bytes: int = Field(
        32 * _MEBIBYTE,
        ge=1024,
        le=1024 * _MEBIBYTE,
        description="Largest body of /predict/batch, bytes; below MAX_BUFFERED_BYTES others find room beside it.",
    )
    max_image_pixels: int = Field(
        DEFAULT_MAX_IMAGE_PIXELS,
        ge=1024,
        le=150_000_000,
        description="Most pixels an image may have; one needs about 20 bytes while it is judged and drawn.",
    )
    max_queue: int = Field(
        64, ge=1, le=100_000, description="Requests that may be waiting or judged at once; one more is answered 503."
    )
    max_buffered_bytes: int = Field(
        40 * _MEBIBYTE,
        ge=1024,
        le=64 * 1024 * _MEBIBYTE,
        description="Bytes that bodies not yet judged may hold together; more, and further ones are answered 503.",
    )
    max_connections: int = Field(2000, ge=1, le=100_000, description="Clients connected at once; one more gets 503.")
    head_timeout_seconds: float = Field(
        10.0, gt=0, le=3600, description="Longest time a request's head may take to arrive, seconds; then 408."
    )
    request_timeout_seconds: float = Field(
        30.0, gt=0, le=3600, description="Longest wait for a free core, seconds; then the answer is 504."
    )
    upload_timeout_seconds: float = Field(
        30.0, gt=0, le=3600, description="Longest time a request's body may take to arrive, seconds; then 408."
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys, separated by commas, one of which a client must send; without any, all may ask.",
    )
    api_keys_file: Path | None = Field(
        None, description="File with one key a line, read again when it changes; beside or instead of API_KEYS."
    )
    cors_origins: str = Field(
        "",
        pattern=r"^(https?://[^\s,/]+(,https?://[^\s,/]+)*)?$",
        description="Origins, separated by commas, whose pages in a browser may ask; by default none but our own.",
    )
    drain_seconds: float = Field(
        2.0, ge=0, le=600, description="How long new requests are answered 503 after the signal to stop, seconds."
    )
    docs: bool = Field(True, description="Whether /docs and /openapi.json are there.")
    log_format: LogFormat = Field("json", description="One JSON object a line, or text for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )

    @property
    def has_keys(self) -> bool:
        """Whether clients need a key."""
        return self.api_keys_file is not None or bool(self.api_keys.get_secret_value())

    @property
    def is_public(self) -> bool:
        """Whether other machines can reach the address."""
        return self.host not in ("127.0.0.1", "::1", "localhost")


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: If one is out of its bounds.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"BRAIN_MRI_{name}: {first['msg']}") from error
