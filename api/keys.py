"""API keys, which clients need where access is not open to everyone."""

import hashlib
import hmac
import logging
import re
from collections.abc import Iterable
from pathlib import Path

from starlette.datastructures import Headers

from api.exceptions import SettingsError
from api.settings import Settings

KEY_HEADER = "X-API-Key"
# As the OpenAPI document has them: either will do.
SECURITY_SCHEMES = {
    "Bearer": {"type": "http", "scheme": "bearer"},
    "Header": {"type": "apiKey", "in": "header", "name": KEY_HEADER},
}
_KEY = re.compile(r"[!-~]{16,512}")  # visible ASCII, which a header carries unchanged

logger = logging.getLogger(__name__)


class KeyRing:
    """The keys of the settings, and those of a file that is read again whenever it changes.

    Keys are rotated by writing the new one beside the old one, informing the clients, and removing the old one. Only
    their hashes are kept, and a key is compared with all of them in constant time.
    """

    def __init__(self, settings: Settings) -> None:
        """Read all keys.

        Raises:
            SettingsError: If the file cannot be read, a setting holds no key, or a key is not 16 to 512 visible ASCII
                characters.
        """
        text = settings.api_keys.get_secret_value()
        self._fixed = _hash_keys(text.split(","), "BRAIN_MRI_API_KEYS")
        if text and not self._fixed:
            raise SettingsError("BRAIN_MRI_API_KEYS: holds no key")
        self._file = settings.api_keys_file
        self._version = self._file and _find_version(self._file)
        self._filed = _read_keys(self._file) if self._file else frozenset()

    @property
    def enabled(self) -> bool:
        """Whether a key is needed at all."""
        return self._file is not None or bool(self._fixed)

    def accepts(self, offered: str) -> bool:
        """Check a client's key against all of ours."""
        self._read_again_if_changed()
        digest = _hash(offered)
        matches = [hmac.compare_digest(digest, known) for known in (*self._fixed, *self._filed)]
        return any(matches)

    def _read_again_if_changed(self) -> None:
        """Read the keys of the file again; if it has none that can be read, the known ones stay."""
        if self._file is None or (version := _find_version(self._file)) == self._version:
            return
        self._version = version
        try:
            self._filed = _read_keys(self._file)
        except SettingsError as error:
            logger.error("the API keys stay as they were: %s", error)
        else:
            logger.info("read %d API keys", len(self._filed))


def read_offered_keys(headers: Headers) -> list[str]:
    """List the keys that a client sends."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    offered = (bearer.strip() if scheme.lower() == "bearer" else "", headers.get(KEY_HEADER, ""))
    return [key for key in offered if key]


def _read_keys(file: Path) -> frozenset[bytes]:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("BRAIN_MRI_API_KEYS_FILE: cannot be read as ASCII text") from error
    keys = _hash_keys(lines, "BRAIN_MRI_API_KEYS_FILE")
    if not keys:
        raise SettingsError("BRAIN_MRI_API_KEYS_FILE: holds no key")
    return keys


def _hash_keys(texts: Iterable[str], variable: str) -> frozenset[bytes]:
    keys = [text.strip() for text in texts if text.strip()]
    if not all(_KEY.fullmatch(key) for key in keys):
        raise SettingsError(f"{variable}: expected keys of 16 to 512 visible ASCII characters")
    return frozenset(map(_hash, keys))


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _find_version(file: Path) -> tuple[int, ...] | None:
    """Identify one version of a file; None where there is no file."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
