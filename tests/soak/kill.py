"""SIGKILL of a worker under load: what was inside it is lost, nothing else, and another takes its place."""

import asyncio
import math
import os
import signal
import time
from dataclasses import dataclass, replace

from tests.soak.client import Connection
from tests.soak.demands import require_clean_log
from tests.soak.exchange import End, exchange
from tests.soak.images import draw_scans
from tests.soak.load import OpenLoop, describe_load, measure_capacity
from tests.soak.options import Options
from tests.soak.processes import count_connections, find_owner
from tests.soak.reference import ask_idle
from tests.soak.report import Report, Requirement, at_most, none_of
from tests.soak.request import get
from tests.soak.server import Server, run_server
from tests.soak.tally import Tally
from tests.soak.traffic import create_traffic

_DEFAULT_SECONDS = 20.0
_NUM_WORKERS = 2
_WARM_SECONDS = 2.0
_MAX_RECOVERY_SECONDS = 15.0
_GIVE_UP_SECONDS = 60.0
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Kill:
    """A worker's end.

    Attributes:
        num_inside: Connections it held, or that waited for it.
        moment: When it was killed, by `time.monotonic`.
        recovery_seconds: Until as many workers as before answered again; infinite if they did not.
    """

    num_inside: int
    moment: float
    recovery_seconds: float


async def kill(options: Options) -> Report:
    """Kill one of the workers while requests come, and see what is lost and who answers afterwards."""
    seconds, options = options.seconds or _DEFAULT_SECONDS, replace(options, workers=max(_NUM_WORKERS, options.workers))
    traffic = create_traffic(draw_scans(options.seed), options)
    async with run_server(options.settings()) as server:
        num_found = await _count_workers(server, options.workers)
        if num_found < options.workers:
            return Report("kill", [], [Requirement("workers", f"{num_found} of {options.workers}", met=False)])
        reference = await ask_idle(server.port, traffic.good, options.limit_seconds)
        capacity = await measure_capacity(server.port, traffic.choose_good, options.capacity_seconds)
        load = OpenLoop(server.port, options.load * capacity, options.limit_seconds, traffic.choose)
        tally = Tally(reference)
        loading = asyncio.create_task(load.run(seconds, options.seed, tally.add, "kill"))
        await asyncio.sleep(_WARM_SECONDS)
        killed = await _kill_one(server, options.workers)
        pace = await loading
        await ask_idle(server.port, traffic.good, options.limit_seconds)
        log = require_clean_log(server)
    return Report("kill", [describe_load(capacity, load.rate, seconds, pace)], [*_require(killed, tally), log], tally)


async def _count_workers(server: Server, num_expected: int) -> int:
    """Count the workers, once all have started or patience ends."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(server.workers) < num_expected and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return len(server.workers)


async def _kill_one(server: Server, num_workers: int) -> Kill:
    victim = server.workers[0]
    os.kill(victim, signal.SIGSTOP)  # so that the count is of the moment of its death
    num_inside = count_connections(victim, server.port)
    os.kill(victim, signal.SIGKILL)
    moment = time.monotonic()
    try:
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            await _wait_until_all_answer(server, victim, num_workers)
    except TimeoutError:
        return Kill(num_inside, moment, float("inf"))
    return Kill(num_inside, moment, time.monotonic() - moment)


async def _wait_until_all_answer(server: Server, victim: int, num_workers: int) -> None:
    """Ask until each of the workers, none of them the victim, has answered."""
    answered: set[int] = set()
    while len(answered) < num_workers:
        workers = [pid for pid in server.workers if pid not in (victim, server.pid)]
        owner = await _find_answering(server, workers)
        answered &= set(workers)
        if owner is not None:
            answered.add(owner)
        await asyncio.sleep(0.02)


async def _find_answering(server: Server, workers: list[int]) -> int | None:
    """Ask once, and tell which process answered."""
    try:
        connection = await Connection.open(server.port)
    except ConnectionError:
        return None
    try:
        outcome = await exchange(server.port, get("/readyz", "ready"), _PATIENCE_SECONDS, connection)
        if outcome.answer is None or outcome.answer.status != 200:
            return None
        return find_owner(workers, server.port, connection.local_port)
    finally:
        connection.close()


def _require(killed: Kill, tally: Tally) -> list[Requirement]:
    inside, lost = killed.num_inside, tally.count(End.LOST, End.REFUSED)
    return [
        Requirement("lost requests", f"{lost} (at most the {inside} inside the killed worker)", lost <= inside),
        none_of("status 500", tally.count_status(500)),
        none_of("wrong answers", tally.num_wrong),
        none_of("hangs", tally.count(End.HUNG)),
        Requirement("all workers answer again", *_recovery(killed)),
        at_most("recovery", killed.recovery_seconds, _MAX_RECOVERY_SECONDS, "s", timed=True),
    ]


def _recovery(killed: Kill) -> tuple[str, bool]:
    recovered = math.isfinite(killed.recovery_seconds)
    return ("yes" if recovered else f"not within {_GIVE_UP_SECONDS:g} s"), recovered
