"""The responses of an idle service, which those under load must equal."""

import io
import json
import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass

import numpy as np
from PIL import Image

from tests.load.connection import Response
from tests.load.exchange import exchange
from tests.load.request import Request
from tests.load.service import ServiceError


@dataclass(frozen=True)
class Difference:
    """How far apart two responses are: probabilities, cells of a map, grey levels of a picture."""

    probability: float = 0.0
    map: float = 0.0
    pixel: float = 0.0

    def widen(self, other: "Difference") -> "Difference":
        """Take the larger one of each value."""
        return Difference(*map(max, astuple(self), astuple(other)))

    def is_within(self, tolerance: "Difference") -> bool:
        return self.widen(tolerance) == tolerance


SAME = Difference()
UNLIKE = Difference(math.inf, math.inf, math.inf)
TOLERANCE = Difference(probability=1e-4, map=1e-4, pixel=1)  # a map's edge may lie between two grey levels


def compare(expected: Response, response: Response) -> Difference:
    """Compare two predictions, pictures or responses of the inference protocol."""
    kind = expected.headers["content-type"]
    if response.headers.get("content-type") != kind:
        return UNLIKE
    if response.body == expected.body:
        return SAME
    if kind.startswith("image/"):
        return Difference(pixel=_subtract(_read_pixels(expected), _read_pixels(response)))
    try:
        (label, values), (other_label, other_values) = _read_json(expected), _read_json(response)
    except (ValueError, LookupError, TypeError):
        return UNLIKE
    if label != other_label or values.keys() != other_values.keys():
        return UNLIKE
    return Difference(**{name: _subtract(values[name], other_values[name]) for name in values})


async def record_responses(port: int, requests: Iterable[Request], limit_seconds: float) -> dict[str, Response]:
    """Send each request alone, and return the responses by the requests' names."""
    responses: dict[str, Response] = {}
    for request in requests:
        outcome = await exchange(port, request, limit_seconds)
        if outcome.response is None or outcome.response.status != 200:
            raise ServiceError(f"{request.kind} {request.name}: expected 200 of the idle service, got {outcome.label}")
        responses[request.name] = outcome.response
    return responses


def _read_json(response: Response) -> tuple[str, dict[str, np.ndarray]]:
    content = json.loads(response.body)
    if "outputs" in content:
        outputs = {output["name"]: np.array(output["data"]) for output in content["outputs"]}
        return "", {"probability": outputs["probabilities"], "map": outputs["cam"]}
    label = f"{content['prediction']} of {', '.join(content['probabilities'])}"
    return label, {"probability": np.array(list(content["probabilities"].values()))}


def _read_pixels(response: Response) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(response.body)), np.int16)


def _subtract(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first - second).max()) if first.shape == second.shape else math.inf
