"""Start, load, SIGTERM, again and again."""

import random
from collections import Counter
from dataclasses import replace

from tqdm import tqdm

from tests.soak.demands import require_clean_log
from tests.soak.exchange import End
from tests.soak.images import draw_scans
from tests.soak.load import OpenLoop, measure_capacity
from tests.soak.options import Options
from tests.soak.reference import Reference, ask_idle
from tests.soak.report import Report, Requirement, none_of
from tests.soak.server import run_server
from tests.soak.stop import Stop, stop_under_load
from tests.soak.tally import Tally
from tests.soak.traffic import Traffic, create_traffic

_UPLOAD_TIMEOUT_SECONDS = 2.0  # what stalls ends soon, and with it the round
_BEFORE_SECONDS = (0.2, 1.0)


async def terminate(options: Options) -> Report:
    """Stop the server under load `options.rounds` times."""
    options = replace(options, upload_timeout_seconds=min(options.upload_timeout_seconds, _UPLOAD_TIMEOUT_SECONDS))
    traffic = create_traffic(draw_scans(options.seed), options)
    reference, capacity = await _prepare(traffic, options)
    tally, stops, logs = Tally(reference), [], []
    for number in tqdm(range(options.rounds), "terminate", unit="round", disable=None):
        async with run_server(options.settings()) as server:
            load = OpenLoop(server.port, options.load * capacity, options.limit_seconds, traffic.choose)
            before_seconds = random.Random(number).uniform(*_BEFORE_SECONDS)
            stops.append(await stop_under_load(server, load, options, tally, before_seconds))
            logs.append(require_clean_log(server))
    return Report("terminate", _describe(stops, capacity), _require(stops, tally, logs), tally)


async def _prepare(traffic: Traffic, options: Options) -> tuple[Reference, float]:
    async with run_server(options.settings()) as server:
        reference = await ask_idle(server.port, traffic.good, options.limit_seconds)
        return reference, await measure_capacity(server.port, traffic.choose_good, options.capacity_seconds)


def _describe(stops: list[Stop], capacity: float) -> list[str]:
    under_way = sum(stop.num_under_way for stop in stops)
    return [
        f"capacity {capacity:.1f} requests/s; {len(stops)} times SIGTERM, {under_way} requests under way then, "
        f"{sum(stop.num_cut for stop in stops)} more came as the server stopped reading",
        f"longest stop {max(stop.seconds for stop in stops):.1f} s",
    ]


def _require(stops: list[Stop], tally: Tally, logs: list[Requirement]) -> list[Requirement]:
    statuses = Counter(str(stop.status) for stop in stops)
    told = ", ".join(f"{status}: {number} times" for status, number in statuses.items())
    return [
        Requirement("exit status after SIGTERM", told, set(statuses) == {"0"}),
        none_of("accepted requests lost", sum(stop.num_lost for stop in stops)),
        none_of("status 500", tally.count_status(500)),
        none_of("wrong answers", tally.num_wrong),
        none_of("hangs", tally.count(End.HUNG)),
        next((log for log in logs if not log.met), logs[0]),
    ]
