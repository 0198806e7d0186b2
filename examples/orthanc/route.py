"""Classifies each new MR series of an Orthanc archive with this service and stores the results in the same study.

    Orthanc -- /changes: StableSeries --> MR? -- each instance --> POST /predict/visualize (multipart/related)
       ^                                                                      |
       +------------- POST /instances: Secondary Capture, structured report --+

Needs only Python. The position in Orthanc's list of changes is kept in a file and advances when everything listed is
done, so a stopped or killed run repeats what was not finished: repeated results are the same instances, and Orthanc
keeps one of each. An image that cannot be classified or stored, while both servers work, is logged and passed over.
With the position the file keeps two changes of the list: where neither is there, it is another database's list, which
is read from its beginning. Passwords and keys come from the environment: ORTHANC_CREDENTIALS (name:password) and
BRAIN_MRI_API_KEY.
"""

import argparse
import base64
import json
import logging
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 60
CHANGES_AT_ONCE = 100
_NOT_NOW = {401, 403, 408, 429, 502, 503, 504, 507}  # statuses that say nothing about the image
_BOUNDARY = re.compile(r'boundary="?([^";,]+)')

logger = logging.getLogger("route")


class RouteError(Exception):
    """Orthanc or the service cannot be reached or refuses to work; a later attempt may succeed."""


class FailedError(Exception):
    """One request failed; where both servers work, this is because of what was sent."""


class MissingError(FailedError):
    """What was asked for is not there."""


@dataclass(frozen=True)
class Orthanc:
    """The archive's REST API."""

    address: str
    headers: dict[str, str]

    def check(self) -> None:
        """Ask whether it works."""
        self._read("/system", "Version")

    def changes(self, since: int, limit: int = CHANGES_AT_ONCE) -> dict[str, Any]:
        """List the changes after a position in the list."""
        return self._read(f"/changes?since={since}&limit={limit}", "Changes", "Last", "Done")

    def has(self, mark: list[Any]) -> bool:
        """Return whether a change that was listed before is still there."""
        return [_mark(change) for change in self.changes(mark[0] - 1, 1)["Changes"]] == [mark]

    def series(self, identifier: str) -> dict[str, Any]:
        """Describe a series."""
        return self._read(f"/series/{identifier}", "MainDicomTags", "Instances")

    def file(self, instance: str) -> bytes:
        """Fetch an instance as DICOM Part 10."""
        return self._ask(f"/instances/{instance}/file")

    def store(self, data: bytes) -> None:
        """Store an instance; an existing one is left as it is."""
        status = self._read("/instances", "Status", data=data)["Status"]
        if status not in ("Success", "AlreadyStored"):
            raise FailedError(f"Orthanc does not store a result: {status}")

    def _read(self, path: str, *fields: str, data: bytes | None = None) -> dict[str, Any]:
        return _parse(self._ask(path, data), fields)

    def _ask(self, path: str, data: bytes | None = None) -> bytes:
        return _send(self.address + path, data, {**self.headers, "Content-Type": "application/dicom"})[0]


@dataclass(frozen=True)
class Service:
    """The service that classifies images."""

    address: str
    headers: dict[str, str]

    def check(self) -> None:
        """Ask whether it works."""
        _parse(_send(f"{self.address}/readyz", None, self.headers)[0], ("status",))

    def classify(self, image: bytes) -> tuple[bytes, ...]:
        """Get the results for one image, as DICOM Part 10 files."""
        headers = {**self.headers, "Accept": "multipart/related", "Content-Type": "application/dicom"}
        body, media_type = _send(f"{self.address}/predict/visualize", image, headers)
        found = _BOUNDARY.search(media_type)
        _, *pieces, end = body.split(f"--{found[1]}".encode()) if found else (b"", b"")
        if not pieces or not end.startswith(b"--"):
            raise FailedError("the service responded without DICOM results, or its response is cut")
        return tuple(piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for piece in pieces)


def main(arguments: Sequence[str] | None = None) -> int:
    """Classify new series, once or until stopped.

    Returns:
        0; with `--once` 1 if an image failed, or if Orthanc, the service or the state could not be used.
    """
    options = _read_options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    orthanc = Orthanc(options.orthanc, _basic(os.environ.get("ORTHANC_CREDENTIALS")))
    service = Service(options.service, _bearer(os.environ.get("BRAIN_MRI_API_KEY")))
    while True:
        try:
            num_failed = sum(_route_series(orthanc, service, series) for series in _new_series(orthanc, options.state))
        except (RouteError, FailedError) as error:
            logger.error("%s", error)
            num_failed = 1
        except OSError as error:
            logger.error("%s: %s", options.state, error.strerror)
            num_failed = 1
        if options.once:
            return 1 if num_failed else 0
        time.sleep(options.interval)


def _new_series(orthanc: Orthanc, state: Path) -> Iterator[str]:
    """Yield the series that have become stable; the position is saved when the caller asks for more."""
    since = _read_position(orthanc, state)
    while changes := (found := orthanc.changes(since))["Changes"]:
        yield from (change["ID"] for change in changes if change["ChangeType"] == "StableSeries")
        since = found["Last"]
        marks = [_mark(change) for change in (*orthanc.changes(0, 1)["Changes"], changes[-1])]
        part = state.with_name(state.name + ".part")
        part.write_text(json.dumps({"position": since, "marks": marks}), encoding="ascii")
        part.replace(state)
        if found["Done"]:
            break


def _read_position(orthanc: Orthanc, state: Path) -> int:
    """Read where to go on: 0, at the beginning, where the state is not that of this list."""
    if not state.exists():
        return 0
    try:
        kept = json.loads(state.read_bytes())
        position, marks = int(kept["position"]), [[int(number), *others] for number, *others in kept["marks"]]
    except (ValueError, LookupError, TypeError):
        logger.warning("%s: not a state of this version; beginning anew", state)
        return 0
    if any(map(orthanc.has, marks)):
        return position
    logger.warning("%s: the state of another database; beginning anew", state)
    return 0


def _mark(change: dict[str, Any]) -> list[Any]:
    """Tell a change from those of other databases: deleted series take theirs with them, so two are kept."""
    return [change["Seq"], change["ID"], change["Date"]]


def _route_series(orthanc: Orthanc, service: Service, identifier: str) -> int:
    """Classify the images of a series and store the results; return how many failed."""
    try:
        series = orthanc.series(identifier)
    except MissingError:  # it has been deleted
        return 0
    except FailedError as error:
        _pass_over(orthanc, service, f"series {identifier}", error)
        return 1
    if series["MainDicomTags"].get("Modality") != "MR":
        return 0
    num_failed = 0
    for instance in series["Instances"]:
        try:
            for result in service.classify(orthanc.file(instance)):
                orthanc.store(result)
        except FailedError as error:
            _pass_over(orthanc, service, f"instance {instance}", error)
            num_failed += 1
    logger.info("series %s: %d images, %d refused", identifier, len(series["Instances"]), num_failed)
    return num_failed


def _pass_over(orthanc: Orthanc, service: Service, what: str, error: FailedError) -> None:
    """Log a failure.

    Raises:
        RouteError: If it is because one of the servers does not work.
    """
    try:
        orthanc.check()
        service.check()
    except FailedError as reason:
        raise RouteError(str(reason)) from reason
    logger.warning("%s: %s", what, error)


def _parse(body: bytes, fields: Sequence[str]) -> dict[str, Any]:
    """Read an object of JSON that has all of `fields`."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found.keys() >= set(fields):
        raise FailedError(f"expected JSON with {', '.join(fields)}; found something else")
    return found


def _send(url: str, data: bytes | None, headers: dict[str, str]) -> tuple[bytes, str]:
    """Send a request; return the body and its media type."""
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            return response.read(), response.headers.get("Content-Type", "")
    except urllib.error.HTTPError as error:
        with error:
            kind = RouteError if error.code in _NOT_NOW else MissingError if error.code == 404 else FailedError
            raise kind(f"{request.host} responded with {error.code}") from error
    except (OSError, HTTPException) as error:
        raise FailedError(f"{request.host} cannot be reached, or its response is cut") from error


def _basic(credentials: str | None) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"} if credentials else {}


def _bearer(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Classify each new MR series of an Orthanc archive, and store the results."
    )
    for name, address in (("--orthanc", "http://127.0.0.1:8042"), ("--service", "http://127.0.0.1:8000")):
        parser.add_argument(name, type=_read_address, default=address, metavar="URL", help="default %(default)s")
    parser.add_argument("--state", type=Path, default=Path("route.state"), metavar="FILE", help="default %(default)s")
    parser.add_argument("--once", action="store_true", help="process what is new, then exit")
    parser.add_argument("--interval", type=float, default=5.0, metavar="SECONDS", help="default %(default)s")
    return parser.parse_args(arguments)


def _read_address(text: str) -> str:
    if not re.match("https?://[^/]", text):
        raise argparse.ArgumentTypeError(f"expected http:// or https:// and a host; found {text!r}")
    return text.rstrip("/")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
