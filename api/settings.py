"""The settings of the service: environment variables `BRAIN_MRI_...`, or a `.env` file."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Literal

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from api.exceptions import SettingsError
from model.engines.loading import DEFAULT_WEIGHTS
from model.host.cores import available_cores
from model.images.decoded import DEFAULT_MAX_IMAGE_PIXELS

LogFormat = Literal["json", "text"]

_PREFIX = "BRAIN_MRI_"
_OTHER_FIELDS = ("data",)  # the tests' data set
_ENV_FILE = Path(".env")
_ENCODING = "utf-8-sig"  # with or without a byte order mark
_MEBIBYTE = 2**20


class Settings(BaseSettings):
    """Every setting with its unit, bounds and reason."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_file=_ENV_FILE, env_file_encoding=_ENCODING, extra="ignore", frozen=True
    )

    model_path: Path = Field(
        DEFAULT_WEIGHTS,
        description="Weights to serve. ONNX Runtime runs a .onnx, PyTorch a .pth.",
    )
    model_sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="Required SHA-256 of the weight file, in addition to SHA256SUMS in its folder.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    workers: int = Field(
        1, ge=1, le=64, description="Processes that serve the address; the bounds below apply to each."
    )
    threads: int = Field(
        default_factory=lambda values: max(1, available_cores() // values.get("workers", 1)),
        ge=1,
        le=256,
        description="Cores to classify images with; default: a worker's share of the CPU quota.",
    )
    max_upload_bytes: int = Field(
        20 * _MEBIBYTE,
        ge=1024,
        le=1024 * _MEBIBYTE,
        description="Largest body with one image, and largest file of a batch, bytes.",
    )
    max_batch: int = Field(32, ge=1, le=1000, description="Most images in one request, to /predict/batch or under /v2.")
    max_batch_bytes: int = Field(
        32 * _MEBIBYTE,
        ge=1024,
        le=1024 * _MEBIBYTE,
        description="Largest body of /predict/batch, bytes; below MAX_BUFFERED_BYTES it leaves room for others.",
    )
    max_image_pixels: int = Field(
        DEFAULT_MAX_IMAGE_PIXELS,
        ge=1024,
        le=150_000_000,
        description="Most pixels in an image; each needs about 20 bytes of memory during classification and drawing.",
    )
    max_queue: int = Field(
        64, ge=1, le=100_000, description="Requests that may be waiting or running at once; the next one gets 503."
    )
    max_buffered_bytes: int = Field(
        40 * _MEBIBYTE,
        ge=1024,
        le=64 * 1024 * _MEBIBYTE,
        description="Memory for all bodies whose images are not classified yet, bytes; the next one gets 503.",
    )
    max_connections: int = Field(
        2000, ge=1, le=100_000, description="Clients connected at once; the next one gets 503."
    )
    head_timeout_seconds: float = Field(
        10.0, gt=0, le=3600, description="Longest time for a request's head to arrive, seconds; then 408."
    )
    request_timeout_seconds: float = Field(
        30.0, gt=0, le=3600, description="Longest wait for a free core, seconds; then 504."
    )
    upload_timeout_seconds: float = Field(
        30.0, gt=0, le=3600, description="Longest time for a request's body to arrive, seconds; then 408."
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys, separated by commas; a client must send one of them. Without keys, access is open.",
    )
    api_keys_file: Path | None = Field(
        None, description="File with one key per line, read again when it changes; in addition to API_KEYS."
    )
    cors_origins: str = Field(
        "",
        pattern=r"^(https?://[^\s,/]+(,https?://[^\s,/]+)*)?$",
        description="Origins, separated by commas, whose pages may send requests from a browser; default: our own.",
    )
    drain_seconds: float = Field(
        2.0,
        ge=0,
        le=600,
        description="Time after the signal to stop during which new requests get 503 before the port closes, seconds.",
    )
    docs: bool = Field(True, description="Serve /docs and /openapi.json.")
    page: bool = Field(True, description="Serve the page for people at /; without it, / leads to /docs.")
    log_format: LogFormat = Field("json", description="json: one object per line; text: for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity to log: debug, info, warning or error."
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
        SettingsError: If one is out of its bounds or not one of ours, or if the `.env` file cannot be read.
    """
    _check_names((*os.environ, *_read_env_file()))
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{_PREFIX}{name}: {first['msg']}") from error


def _check_names(names: Iterable[str]) -> None:
    """Refuse a misspelt name: left out of account, it could leave the service open."""
    for name in sorted(names):
        field = name.lower().removeprefix(_PREFIX.lower())
        if field != name.lower() and field not in (*Settings.model_fields, *_OTHER_FIELDS):
            near = get_close_matches(field, Settings.model_fields, n=1)
            hint = f"the nearest is {_PREFIX}{near[0].upper()}" if near else "`python -m api --help` lists them"
            raise SettingsError(f"{name}: there is no such setting; {hint}")


def _read_env_file() -> list[str]:
    """List the names in the `.env` file, if there is one."""
    try:
        text = _ENV_FILE.read_text(_ENCODING) if _ENV_FILE.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{_ENV_FILE}: cannot be read as text in UTF-8") from error
    if "\0" in text:  # UTF-16 without a byte order mark
        raise SettingsError(f"{_ENV_FILE}: cannot be read as text in UTF-8")
    bindings = list(parse_stream(StringIO(text)))
    for binding in bindings:
        if _PREFIX in binding.original.string.upper() and (binding.error or (binding.key and binding.value is None)):
            raise SettingsError(f"{_ENV_FILE}: expected NAME=value in line {binding.original.line}")
    return [binding.key for binding in bindings if binding.key]
