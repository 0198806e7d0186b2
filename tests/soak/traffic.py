"""What a mixed crowd sends: four in five good, the rest bad, slow, oversized, or gone before the answer."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.soak.images import Scan, draw_blank, draw_tiny, write_gigapixels
from tests.soak.mutation import mutate
from tests.soak.options import Options
from tests.soak.request import Request, announce, cut_off, get, post, post_chunks, post_form, slow_down

PREDICT = "/predict"
VISUALIZE = "/predict/visualize"
JUDGED = (200, 413, 415, 422)  # what may be said of an image that is damaged in an unknown way
_CHUNK_BYTES = 2**16
_SLOW_PART = 0.2  # of the time that a body may take
_HOSTILE_PART = 0.2
_WEIGHTS = {"predict": 0.7, "visualize": 0.3}  # most clients want the answer only


@dataclass(frozen=True)
class Hostile:
    """One way not to behave, and how often it is met relative to others."""

    weight: float
    create: Callable[[random.Random], Request]


@dataclass(frozen=True)
class Traffic:
    """Chooses requests at random."""

    good: Sequence[Request]
    hostile: Sequence[Hostile]
    hostile_part: float

    def choose(self, generator: random.Random) -> Request:
        """Choose the next one."""
        if generator.random() < self.hostile_part:
            (way,) = generator.choices(self.hostile, [way.weight for way in self.hostile])
            return way.create(generator)
        return self.choose_good(generator)

    def choose_good(self, generator: random.Random) -> Request:
        """Choose a good one."""
        (request,) = generator.choices(self.good, [_WEIGHTS[request.kind] for request in self.good])
        return request


def create_good_requests(scans: Sequence[Scan]) -> list[Request]:
    """Ask for prediction and picture of every scan, as a body and as a form."""
    requests = []
    for path, kind in ((PREDICT, "predict"), (VISUALIZE, "visualize")):
        for index, scan in enumerate(scans):
            make = post_form if index % 2 else post
            requests.append(replace(make(path, scan.data, kind), reference=f"{kind} {scan.name}"))
    return requests


def create_traffic(scans: Sequence[Scan], options: Options) -> Traffic:
    """Mix good and hostile requests; slow ones stay well within the time the service gives them."""
    slow_seconds = _SLOW_PART * options.upload_timeout_seconds
    good = create_good_requests(scans)
    bad = _create_bad_requests(scans[0])
    oversized = _create_oversized_requests(options.max_upload_bytes)
    stalled = announce(PREDICT, len(scans[0].data), scans[0].data[:-100], "stalled", 408)
    hostile = (
        Hostile(1.0 * len(bad), lambda generator: generator.choice(bad)),
        Hostile(0.5, lambda generator: generator.choice(oversized)),
        Hostile(1.0, lambda _: stalled),
        Hostile(
            3.0, lambda generator: slow_down(generator.choice(good), "slow", 10, slow_seconds * generator.random())
        ),
        Hostile(2.0, lambda generator: cut_off(generator.choice(good), "left in the body", generator.random(), 0.0)),
        Hostile(2.0, lambda generator: cut_off(generator.choice(good), "left waiting", 1.0, 0.1 * generator.random())),
        Hostile(4.0, lambda generator: _create_mutated_request(scans, generator)),
    )
    return Traffic(good, hostile, _HOSTILE_PART)


def _create_bad_requests(scan: Scan) -> list[Request]:
    return [
        post(PREDICT, b"This is no image. " * 50, "text", 415),
        post(VISUALIZE, scan.data[: len(scan.data) // 2], "truncated", 422),
        post_form(PREDICT, draw_blank(), "blank", 422),
        post(PREDICT, draw_tiny(), "tiny", 422),
        post(PREDICT, write_gigapixels(), "gigapixels", 413),
        post(PREDICT, b"", "empty", 400),
        post(f"{VISUALIZE}?target=nobody", scan.data, "unknown class", 400),
        post(f"{VISUALIZE}?alpha=7", scan.data, "bad parameter", 400),
        post("/nowhere", scan.data, "unknown path", 404),
        get(PREDICT, "wrong method", 405),
        Request("garbage", (b"\x16\x03\x01 no HTTP at all\r\n\r\n",), frozenset({400}), is_whole=False),
    ]


def _create_oversized_requests(max_upload_bytes: int) -> list[Request]:
    chunk = bytes(_CHUNK_BYTES)
    num_chunks = max_upload_bytes // _CHUNK_BYTES + 2
    return [
        announce(PREDICT, 2**30, b"x" * 1000, "oversized, announced", 413),
        post_chunks(PREDICT, chunk, num_chunks, "oversized, chunked", 413),
    ]


def _create_mutated_request(scans: Sequence[Scan], generator: random.Random) -> Request:
    data = mutate([scan.data for scan in scans], generator.randrange(2**31), 0)
    return post(PREDICT, data, "mutated", 400, *JUDGED)
