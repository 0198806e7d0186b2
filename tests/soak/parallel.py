"""Many requests at once, of every kind: does each get the response that it would get alone?

Grad-CAM as it is usually served, by hooks and a backward pass through one shared network, mixes up concurrent requests.
"""

import base64
import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.load.clients import run_clients
from tests.load.reference import Difference, record_responses
from tests.load.request import Request, get, post, post_form, post_json
from tests.load.scans import draw_variants
from tests.load.service import run_service
from tests.load.tally import Tally
from tests.soak.options import Options
from tests.soak.report import Report, at_most, none_of, require_clean_log, require_responses

_NUM_CLIENTS = 48
_VIEWS = ("overlay", "heatmap", "side-by-side")
_TOLERANCE = Difference(probability=1e-5, map=1e-4, pixel=1)


async def request_in_parallel(options: Options) -> Report:
    """Send every request alone, then `options.requests` of them in turn from many clients at once."""
    async with run_service(options.settings(MAX_QUEUE=2 * _NUM_CLIENTS)) as service:
        (card,) = (await record_responses(service.port, [get("/model", "card")], options.limit_seconds)).values()
        requests = _create_requests(draw_variants(options.seed), json.loads(card.body))
        tally = Tally(await record_responses(service.port, requests, options.limit_seconds), _TOLERANCE)
        turns = itertools.islice(itertools.cycle(requests), options.requests)
        await run_clients(service.port, _NUM_CLIENTS, options.limit_seconds, lambda: next(turns, None), tally.add)
        found = tally.difference
        requirements = [
            at_most("largest difference of a probability", found.probability, _TOLERANCE.probability, ""),
            at_most("largest difference of a map", found.map, _TOLERANCE.map, ""),
            at_most("largest difference of a pixel", found.pixel, _TOLERANCE.pixel, "grey levels"),
            none_of("responses other than 200", tally.num_sent - tally.count("200")),
            *require_responses(tally),
            require_clean_log(service),
        ]
    facts = [f"{options.requests} requests of {len(requests)} kinds from {_NUM_CLIENTS} clients at once"]
    return Report("parallel", facts, requirements, tally)


def _create_requests(scans: Mapping[str, bytes], card: Mapping[str, Any]) -> list[Request]:
    requests = []
    for index, (name, data) in enumerate(scans.items()):
        target, view = card["classes"][index % len(card["classes"])], _VIEWS[index % len(_VIEWS)]
        image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(data).decode()]}
        content = {"inputs": [image], "outputs": [{"name": "probabilities"}, {"name": "cam"}]}
        of_scan = [
            post("/predict", data, "predict"),
            post_form("/predict", data, "predict"),
            post(f"/predict/visualize?target={target}&view={view}", data, "visualize"),
            post_json(f"/v2/models/{card['name']}/infer", content, "map"),
        ]
        requests += [replace(request, name=f"{name}, {way}") for way, request in enumerate(of_scan)]
    return requests
