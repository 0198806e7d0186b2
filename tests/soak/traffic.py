"""The requests of a mixed crowd: four in five good, the rest bad, slow, oversized, or gone before the response."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tests.load.request import Request, announce, cut_off, get, post, post_chunks, post_form, slow_down
from tests.load.scans import draw_head, draw_variants, encode, write_gigapixels
from tests.soak.mutations import DAMAGED, mutate
from tests.soak.options import Options

PREDICT, VISUALIZE = "/predict", "/predict/visualize"
_CHUNK_BYTES = 2**16
_SLOW_PART = 0.2  # of the time that a body may take
_HOSTILE_PART = 0.2
_WEIGHTS = {"predict": 0.7, "visualize": 0.3}  # most clients want the prediction only
_Create = Callable[[random.Random], Request]


@dataclass(frozen=True)
class Traffic:
    """Chooses requests at random.

    Attributes:
        hostile: Ways to misbehave, with their weights.
    """

    good: Sequence[Request]
    hostile: Sequence[tuple[float, _Create]] = ()

    def choose(self, generator: random.Random) -> Request:
        if self.hostile and generator.random() < _HOSTILE_PART:
            ((_, create),) = generator.choices(self.hostile, [weight for weight, _ in self.hostile])
            return create(generator)
        return self.choose_good(generator)

    def choose_good(self, generator: random.Random) -> Request:
        (request,) = generator.choices(self.good, [_WEIGHTS[request.kind] for request in self.good])
        return request


def create_good_requests(scans: Mapping[str, bytes]) -> list[Request]:
    """Create requests for the prediction and the picture of every scan, as a body and as a form."""
    requests = []
    for path, kind in ((PREDICT, "predict"), (VISUALIZE, "visualize")):
        for index, (name, data) in enumerate(scans.items()):
            make = post_form if index % 2 else post
            requests.append(replace(make(path, data, kind), name=f"{kind} {name}"))
    return requests


def create_traffic(options: Options) -> Traffic:
    """Mix good and hostile requests; slow ones stay well within the time the service gives them."""
    scans = draw_variants(options.seed)
    good, corpus = create_good_requests(scans), list(scans.values())
    bad, oversized = _create_bad_requests(corpus[0]), _create_oversized_requests(options.max_upload_bytes)
    stalled = announce(PREDICT, len(corpus[0]), corpus[0][:-100], "stalled", 408)
    slow_seconds = _SLOW_PART * options.upload_timeout_seconds

    def slow(generator: random.Random) -> Request:
        return slow_down(generator.choice(good), "slow", 10, slow_seconds * generator.random())

    def leave_early(generator: random.Random) -> Request:
        return cut_off(generator.choice(good), "left in the body", generator.random(), 0.0)

    def leave_late(generator: random.Random) -> Request:
        return cut_off(generator.choice(good), "left waiting", 1.0, 0.1 * generator.random())

    def damage(generator: random.Random) -> Request:
        return post(PREDICT, mutate(corpus, generator), "mutated", *DAMAGED)

    hostile: tuple[tuple[float, _Create], ...] = (
        (len(bad), lambda generator: generator.choice(bad)),
        (0.5, lambda generator: generator.choice(oversized)),
        (1, lambda _: stalled),
        (3, slow),
        (2, leave_early),
        (2, leave_late),
        (4, damage),
    )
    return Traffic(good, hostile)


def _create_bad_requests(scan: bytes) -> list[Request]:
    blank, tiny = encode(np.full((128, 128), 70, np.uint8), "PNG"), encode(draw_head(16, 0), "PNG")
    return [
        post(PREDICT, b"This is no image. " * 50, "text", 415),
        post(VISUALIZE, scan[: len(scan) // 2], "truncated", 422),
        post_form(PREDICT, blank, "blank", 422),
        post(PREDICT, tiny, "tiny", 422),
        post(PREDICT, write_gigapixels(), "gigapixels", 413),
        post(PREDICT, b"", "empty", 400),
        post(f"{VISUALIZE}?target=nobody", scan, "unknown class", 400),
        post(f"{VISUALIZE}?alpha=7", scan, "bad parameter", 400),
        post("/nowhere", scan, "unknown path", 404),
        get(PREDICT, "wrong method", 405),
        Request("garbage", (b"\x16\x03\x01 no HTTP at all\r\n\r\n",), frozenset({400}), is_whole=False),
    ]


def _create_oversized_requests(max_upload_bytes: int) -> list[Request]:
    num_chunks = max_upload_bytes // _CHUNK_BYTES + 2
    return [
        announce(PREDICT, 2**30, b"x" * 1000, "oversized, announced", 413),
        post_chunks(PREDICT, bytes(_CHUNK_BYTES), num_chunks, "oversized, chunked", 413),
    ]
