"""Many requests at once, of every kind: does each get what it would get if it were alone?

Grad-CAM as it is usually served, by hooks and a backward pass through one shared network, mixes up concurrent requests.
"""

import base64
import io
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from tests.soak.client import Answer
from tests.soak.demands import require_answers, require_clean_log
from tests.soak.exchange import ClosedLoop, Outcome, exchange
from tests.soak.images import Scan, draw_scans
from tests.soak.options import Options
from tests.soak.report import Report, Requirement, at_most
from tests.soak.request import Request, get, post, post_form, post_json
from tests.soak.server import Server, ServerError, run_server
from tests.soak.tally import Tally

_NUM_CLIENTS = 48
_VIEWS = ("overlay", "heatmap", "side-by-side")
_MAX_PROBABILITY_DIFFERENCE = 1e-5
_MAX_MAP_DIFFERENCE = 1e-4
_MAX_PIXEL_DIFFERENCE = 1  # grey levels: where a map lies on the edge between two of them


@dataclass
class Differences:
    """The largest differences between answers to many and answers to one."""

    probability: float = 0.0
    heatmap: float = 0.0
    pixel: float = 0.0
    expected: dict[str, Answer] = field(default_factory=dict)

    def compare(self, outcome: Outcome) -> None:
        """Hold an answer against the one to the same request when it was alone."""
        answer, request = outcome.answer, outcome.request
        if answer is None or answer.status != 200 or request.reference is None:
            return
        first = self.expected[request.reference]
        if request.kind == "visualize":
            self.pixel = max(self.pixel, _difference(_read_pixels(first), _read_pixels(answer)))
        elif request.kind == "predict":
            self.probability = max(self.probability, _difference(_read_prediction(first), _read_prediction(answer)))
        else:
            one, other = _read_outputs(first), _read_outputs(answer)
            self.probability = max(self.probability, _difference(one["probabilities"], other["probabilities"]))
            self.heatmap = max(self.heatmap, _difference(one["cam"], other["cam"]))

    def require(self) -> list[Requirement]:
        """Require that concurrency changes nothing."""
        return [
            at_most("largest difference of a probability", self.probability, _MAX_PROBABILITY_DIFFERENCE, ""),
            at_most("largest difference of a map", self.heatmap, _MAX_MAP_DIFFERENCE, ""),
            at_most("largest difference of a pixel", self.pixel, _MAX_PIXEL_DIFFERENCE, "grey levels"),
        ]


async def ask_in_parallel(options: Options) -> Report:
    """Ask for everything one by one, then `options.requests` times in a mix from many clients at once."""
    async with run_server(options.settings(MAX_QUEUE=2 * _NUM_CLIENTS)) as server:
        requests = _create_requests(draw_scans(options.seed), await _read_card(server))
        differences, tally = Differences(), Tally()
        for request in requests:
            outcome = await exchange(server.port, request, options.limit_seconds)
            if outcome.answer is None or outcome.answer.status != 200 or request.reference is None:
                raise ServerError(f"the idle server answers {request.name} with {outcome.label}, expected 200")
            differences.expected[request.reference] = outcome.answer

        def observe(outcome: Outcome) -> None:
            tally.add(outcome)
            differences.compare(outcome)

        loop = ClosedLoop(server.port, options.limit_seconds, observe)
        await loop.run(_NUM_CLIENTS, _choose_in_turn(requests, options.requests))
        refused = tally.num_sent - tally.count("200")
        requirements = [
            *differences.require(),
            Requirement("answers other than 200", str(refused), refused == 0),
            *require_answers(tally),
            require_clean_log(server),
        ]
    facts = [f"{options.requests} requests of {len(requests)} kinds from {_NUM_CLIENTS} clients at once"]
    return Report("parallel", facts, requirements, tally)


def _create_requests(scans: Sequence[Scan], card: Mapping[str, Any]) -> list[Request]:
    requests = []
    for index, scan in enumerate(scans):
        target, view = card["classes"][index % len(card["classes"])], _VIEWS[index % len(_VIEWS)]
        question = {
            "inputs": [
                {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(scan.data).decode()]}
            ],
            "outputs": [{"name": "probabilities"}, {"name": "cam"}],
        }
        requests += [
            _name(post("/predict", scan.data, "predict"), f"predict {scan.name}"),
            _name(post_form("/predict", scan.data, "predict"), f"predict form {scan.name}"),
            _name(
                post(f"/predict/visualize?target={target}&view={view}", scan.data, "visualize"),
                f"visualize {scan.name} {target} {view}",
            ),
            _name(post_json(f"/v2/models/{card['name']}/infer", question, "map"), f"map {scan.name}"),
        ]
    return requests


def _name(request: Request, name: str) -> Request:
    return replace(request, name=name, reference=name)


def _choose_in_turn(requests: Sequence[Request], number: int) -> Callable[[], Request | None]:
    turns = itertools.islice(itertools.cycle(requests), number)
    return lambda: next(turns, None)


async def _read_card(server: Server) -> Mapping[str, Any]:
    outcome = await exchange(server.port, get("/model", "card"), 10)
    if outcome.answer is None or outcome.answer.status != 200:
        raise ServerError(f"the server answers /model with {outcome.label}")
    card: Mapping[str, Any] = json.loads(outcome.answer.body)
    return card


def _read_prediction(answer: Answer) -> np.ndarray:
    return np.array(list(json.loads(answer.body)["probabilities"].values()))


def _read_outputs(answer: Answer) -> dict[str, np.ndarray]:
    return {output["name"]: np.array(output["data"]) for output in json.loads(answer.body)["outputs"]}


def _read_pixels(answer: Answer) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(answer.body)), np.int16)


def _difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first - second).max()) if first.shape == second.shape else float("inf")
