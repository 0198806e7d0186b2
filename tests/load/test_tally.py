import json

import numpy as np
import pytest

from tests.load.connection import Response
from tests.load.exchange import End, Outcome
from tests.load.request import Request
from tests.load.scans import draw_head, encode
from tests.load.tally import Tally

_PREDICTION = {"prediction": "glioma", "probabilities": {"glioma": 0.9, "notumor": 0.1}}


def _json(content: object, status: int = 200, kind: str = "application/json") -> Response:
    return Response(status, {"content-type": kind}, json.dumps(content).encode())


def _problem(status: int, code: str) -> Response:
    return _json({"code": code}, status, "application/problem+json")


def _picture(levels_off: int = 0, size: int = 64) -> Response:
    pixels = np.clip(draw_head(64, 0).astype(int) + levels_off, 0, 255).astype(np.uint8)[:size]
    return Response(200, {"content-type": "image/png"}, encode(pixels, "PNG"))


def _outputs(probability: float, cell: float) -> Response:
    return _json({"outputs": [{"name": "probabilities", "data": [probability]}, {"name": "cam", "data": [0.0, cell]}]})


_REFERENCE = {"predict": _json(_PREDICTION), "visualize": _picture(), "map": _outputs(0.5, 0.25)}


def _count(name: str, response: Response | None, end: End = End.COMPLETE) -> Tally:
    tally = Tally(_REFERENCE)
    tally.add(Outcome(Request("good", (), frozenset({200, 422}), name), end, 0.0, 0.1, 0.25, 0, response))
    return tally


@pytest.mark.parametrize(
    ("name", "response"),
    [
        ("predict", _json({**_PREDICTION, "probabilities": {"glioma": 0.90005, "notumor": 0.09995}})),
        ("visualize", _picture(1)),
        ("map", _outputs(0.50005, 0.25005)),
        ("predict", _problem(422, "damaged_image")),
        ("predict", _problem(503, "queue_full")),
    ],
)
def test_right_responses_and_refusals_under_load_are_not_wrong(name, response):
    assert _count(name, response).num_wrong == 0


@pytest.mark.parametrize(
    ("name", "response"),
    [
        ("predict", _json({**_PREDICTION, "prediction": "notumor"})),
        ("predict", _json({**_PREDICTION, "probabilities": {"glioma": 0.8998, "notumor": 0.1002}})),
        ("predict", _json({**_PREDICTION, "probabilities": {"notumor": 0.9, "glioma": 0.1}})),
        ("predict", _json({})),
        ("visualize", _picture(2)),
        ("visualize", _picture(size=63)),
        ("visualize", _json(_PREDICTION)),
        ("map", _outputs(0.5002, 0.25)),
        ("map", _outputs(0.5, 0.2502)),
        ("", _problem(500, "internal_error")),
        ("", _problem(415, "unsupported_format")),
        ("", _json({}, 503, "text/plain")),
    ],
)
def test_other_responses_are_wrong_and_shown(name, response):
    tally = _count(name, response)
    assert tally.num_wrong == len(tally.examples) == 1


def test_requests_without_a_response_are_counted():
    tally = _count("predict", None, End.LOST)
    tally.add(Outcome(Request("good", ()), End.COMPLETE, 0.0, 0.1, 0.2, 0, _problem(503, "queue_full")))
    assert tally.num_sent == 2
    assert tally.count("503 queue_full") == tally.count("503") == tally.count(End.LOST) == 1
