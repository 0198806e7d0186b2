"""Classifies each new MR series of an Orthanc archive with this service and stores the results in the same study.

    Orthanc -- /changes: StableSeries --> MR? -- each instance --> POST /predict/visualize (multipart/related)
       ^                                                                      |
       +------------- POST /instances: Secondary Capture, structured report --+

Needs only Python. The position in Orthanc's list of changes is kept in a file and advances when everything listed is
done, so a stopped or killed run repeats what was not finished: repeated results are the same instances, and Orthanc
keeps one of each. Passwords and keys come from the environment: ORTHANC_CREDENTIALS (name:password) and
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
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 60
CHANGES_AT_ONCE = 100
_BOUNDARY = re.compile(r'boundary="?([^";,]+)')

logger = logging.getLogger("route")


class RouteError(Exception):
    """Orthanc or the service cannot be reached or refuses to work; a later attempt may succeed."""


class RefusedError(Exception):
    """The service cannot classify this image, now or later."""


@dataclass(frozen=True)
class Orthanc:
    """The archive's REST API."""

    address: str
    headers: dict[str, str]

    def changes(self, since: int) -> dict[str, Any]:
        """List the changes after a position in the list."""
        changes: dict[str, Any] = json.loads(self._ask(f"/changes?since={since}&limit={CHANGES_AT_ONCE}"))
        return changes

    def series(self, identifier: str) -> dict[str, Any] | None:
        """Describe a series; None if it has been deleted."""
        try:
            series: dict[str, Any] = json.loads(self._ask(f"/series/{identifier}"))
        except RefusedError:
            return None
        return series

    def file(self, instance: str) -> bytes:
        """Fetch an instance as DICOM Part 10."""
        return self._ask(f"/instances/{instance}/file")

    def store(self, data: bytes) -> None:
        """Store an instance; an existing one is left as it is."""
        self._ask("/instances", data)

    def _ask(self, path: str, data: bytes | None = None) -> bytes:
        return _send(self.address + path, data, {**self.headers, "Content-Type": "application/dicom"})[0]


@dataclass(frozen=True)
class Service:
    """The service that classifies images."""

    address: str
    headers: dict[str, str]

    def classify(self, image: bytes) -> tuple[bytes, ...]:
        """Get the results for one image, as DICOM Part 10 files."""
        headers = {**self.headers, "Accept": "multipart/related", "Content-Type": "application/dicom"}
        body, media_type = _send(f"{self.address}/predict/visualize", image, headers)
        found = _BOUNDARY.search(media_type)
        if found is None:
            raise RouteError("the service responded without DICOM results")
        pieces = body.split(f"--{found[1]}".encode())[1:-1]
        return tuple(piece.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n") for piece in pieces)


def main(arguments: Sequence[str] | None = None) -> int:
    """Classify new series, once or until stopped.

    Returns:
        0; with `--once` 1 if an image was refused, or if Orthanc or the service could not be reached.
    """
    options = _read_options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    orthanc = Orthanc(options.orthanc.rstrip("/"), _basic(os.environ.get("ORTHANC_CREDENTIALS")))
    service = Service(options.service.rstrip("/"), _bearer(os.environ.get("BRAIN_MRI_API_KEY")))
    while True:
        try:
            num_refused = sum(_route_series(orthanc, service, series) for series in _new_series(orthanc, options.state))
        except RouteError as error:
            logger.error("%s", error)
            num_refused = 1
        if options.once:
            return 1 if num_refused else 0
        time.sleep(options.interval)


def _new_series(orthanc: Orthanc, state: Path) -> Iterator[str]:
    """Yield the series that have become stable; the position is saved when the caller asks for more."""
    done = False
    while not done:
        since = int(state.read_text(encoding="ascii")) if state.exists() else 0
        found = orthanc.changes(since)
        yield from (change["ID"] for change in found["Changes"] if change["ChangeType"] == "StableSeries")
        part = state.with_name(state.name + ".part")
        part.write_text(str(found["Last"]), encoding="ascii")
        part.replace(state)
        done = bool(found["Done"])


def _route_series(orthanc: Orthanc, service: Service, identifier: str) -> int:
    """Classify the images of a series and store the results; return how many were refused."""
    series = orthanc.series(identifier)
    if series is None or series["MainDicomTags"].get("Modality") != "MR":
        return 0
    num_refused = 0
    for instance in series["Instances"]:
        try:
            results = service.classify(orthanc.file(instance))
        except RefusedError as error:
            logger.warning("instance %s: %s", instance, error)
            num_refused += 1
            continue
        for result in results:
            orthanc.store(result)
    logger.info("series %s: %d images, %d refused", identifier, len(series["Instances"]), num_refused)
    return num_refused


def _send(url: str, data: bytes | None, headers: dict[str, str]) -> tuple[bytes, str]:
    """Send a request; return the body and its media type."""
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            return response.read(), response.headers.get("Content-Type", "")
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (400, 404, 406, 413, 415, 422):
                raise RefusedError(f"status {error.code}") from error
            raise RouteError(f"{request.host} responded with {error.code}") from error
    except OSError as error:
        raise RouteError(f"{request.host} cannot be reached") from error


def _basic(credentials: str | None) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"} if credentials else {}


def _bearer(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Classify each new MR series of an Orthanc archive, and store the results."
    )
    parser.add_argument("--orthanc", default="http://127.0.0.1:8042", metavar="URL", help="default %(default)s")
    parser.add_argument("--service", default="http://127.0.0.1:8000", metavar="URL", help="default %(default)s")
    parser.add_argument("--state", type=Path, default=Path("route.state"), metavar="FILE", help="default %(default)s")
    parser.add_argument("--once", action="store_true", help="process what is new, then exit")
    parser.add_argument("--interval", type=float, default=5.0, metavar="SECONDS", help="default %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
