"""The answers of an idle server, which those under load must equal."""

import io
import json
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

from tests.soak.client import Answer
from tests.soak.exchange import exchange
from tests.soak.request import Request
from tests.soak.server import ServerError

TOLERANCE = 1e-4
_GREY_LEVELS = 1


class Reference:
    """Answers by the name that a request carries."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        """Compare with `answers`."""
        self._answers = answers

    def equals(self, name: str, answer: Answer) -> bool:
        """Tell whether an answer says the same: class and probabilities, or pixels."""
        expected = self._answers[name]
        kind = expected.headers["content-type"]
        if answer.headers.get("content-type") != kind:
            return False
        return (_pictures_agree if kind == "image/png" else _predictions_agree)(expected, answer)


async def ask_idle(port: int, requests: Iterable[Request], limit_seconds: float) -> Reference:
    """Ask for everything once, one after the other.

    Raises:
        ServerError: If something that ought to be answered with 200 is not.
    """
    answers: dict[str, Answer] = {}
    for request in requests:
        if request.reference is not None and request.reference not in answers:
            outcome = await exchange(port, request, limit_seconds)
            if outcome.answer is None or outcome.answer.status != 200:
                raise ServerError(f"the idle server answers {request.reference} with {outcome.label}, expected 200")
            answers[request.reference] = outcome.answer
    return Reference(answers)


def _predictions_agree(expected: Answer, answer: Answer) -> bool:
    if answer.headers["content-type"] != "application/json":
        return False
    first, second = json.loads(expected.body), json.loads(answer.body)
    if first["prediction"] != second["prediction"] or first["probabilities"].keys() != second["probabilities"].keys():
        return False
    return all(abs(first["probabilities"][name] - p) <= TOLERANCE for name, p in second["probabilities"].items())


def _pictures_agree(expected: Answer, answer: Answer) -> bool:
    if expected.body == answer.body:
        return True
    first, second = (np.asarray(Image.open(io.BytesIO(picture.body)), np.int16) for picture in (expected, answer))
    return first.shape == second.shape and int(np.abs(first - second).max()) <= _GREY_LEVELS
