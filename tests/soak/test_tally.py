import json

import numpy as np
import pytest

from tests.samples.phantoms import draw_scan, encode
from tests.soak.client import Answer
from tests.soak.exchange import End, Outcome
from tests.soak.reference import Reference
from tests.soak.request import Request
from tests.soak.tally import Tally

_SCAN = draw_scan(64)
_SAID = {"prediction": "glioma", "probabilities": {"glioma": 0.9, "notumor": 0.1}}


def _json(said: object, status: int = 200, kind: str = "application/json") -> Answer:
    return Answer(status, {"content-type": kind}, json.dumps(said).encode())


def _problem(status: int, code: str) -> Answer:
    return _json({"code": code}, status, "application/problem+json")


def _picture(levels_off: int = 0, size: int = 64) -> Answer:
    image = np.clip(_SCAN.astype(int) + levels_off, 0, 255).astype(np.uint8)[:size]
    return Answer(200, {"content-type": "image/png"}, encode(image))


_REFERENCE = Reference({"predict": _json(_SAID), "visualize": _picture()})


def _count(
    answer: Answer | None, end: End = End.ANSWERED, *, reference: str | None = None, kind: str = "good"
) -> Tally:
    tally = Tally(_REFERENCE)
    request = Request("good", (b"",), frozenset({200, 422}), reference)
    tally.add(Outcome(request, end, 0.0, 0.1, 0.25, 0, answer))
    return tally


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        (_json({**_SAID, "probabilities": {"glioma": 0.90005, "notumor": 0.09995}}), "predict"),
        (_picture(1), "visualize"),
        (_problem(422, "damaged_image"), "predict"),
        (_problem(503, "queue_full"), "predict"),
        (_problem(504, "deadline_passed"), None),
    ],
)
def test_right_answers_and_refusals_under_load_are_not_wrong(answer, reference):
    assert _count(answer, reference=reference).num_wrong == 0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        (_json({**_SAID, "prediction": "notumor"}), "predict"),
        (_json({**_SAID, "probabilities": {"glioma": 0.8998, "notumor": 0.1002}}), "predict"),
        (_json({**_SAID, "probabilities": {"glioma": 0.9}}), "predict"),
        (_picture(2), "visualize"),
        (_picture(size=63), "visualize"),
        (_json(_SAID), "visualize"),
        (_problem(500, "internal_error"), None),
        (_problem(415, "unsupported_format"), None),
        (_json({}, 422, "text/plain"), None),
        (_json({}, 503, "text/plain"), None),
    ],
)
def test_other_answers_are_wrong_and_shown(answer, reference):
    tally = _count(answer, reference=reference)
    assert tally.num_wrong == 1
    assert tally.examples[0].startswith("good ")


def test_outcomes_are_counted_by_status_and_end():
    tally = _count(_problem(503, "queue_full"))
    tally.add(Outcome(Request("good", ()), End.LOST, 0.0, 0.1, 0.2, 0))
    assert tally.count("503 queue_full") == tally.count_status(503) == tally.count(End.LOST) == 1
    assert tally.num_sent == 2
    assert tally.longest_seconds == 0.25
    assert list(tally.seconds_of("503 queue_full")) == [0.25]
