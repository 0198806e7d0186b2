"""A worker dies or hangs under load: what was inside it is lost, nothing else, and another takes its place."""

import asyncio
import math
import os
import signal
import time
from dataclasses import dataclass, replace

from tests.load.connection import Connection
from tests.load.exchange import End, exchange
from tests.load.processes import count_connections, find_owner
from tests.load.reference import record_responses
from tests.load.request import get
from tests.load.service import Service, ServiceError
from tests.load.tally import Tally
from tests.soak.options import Options
from tests.soak.report import Report, Requirement, at_most, require_clean_log, require_right_responses
from tests.soak.subject import run_subject
from tests.soak.traffic import create_traffic

_DEFAULT_SECONDS = 20.0
_NUM_WORKERS = 2
_WARM_SECONDS = 2.0
_MAX_RECOVERY_SECONDS = 15.0
_HANG_SECONDS = 10.0  # until the service takes a worker that is silent for one that hangs
_GIVE_UP_SECONDS = 60.0
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Failure:
    """The end of a worker.

    Attributes:
        num_inside: Connections it held, or that waited for it.
        recovery_seconds: Until as many workers as before served again; infinite if they did not.
    """

    num_inside: int
    recovery_seconds: float


async def kill(options: Options) -> Report:
    """Kill one of the workers while requests come, and see what is lost and who serves afterwards."""
    return await _fail_worker("kill", options, signal.SIGKILL, _MAX_RECOVERY_SECONDS)


async def hang(options: Options) -> Report:
    """Stop one of the workers for ever instead."""
    return await _fail_worker("hang", options, signal.SIGSTOP, _HANG_SECONDS + _MAX_RECOVERY_SECONDS)


async def _fail_worker(name: str, options: Options, number: signal.Signals, max_recovery_seconds: float) -> Report:
    seconds, options = options.seconds or _DEFAULT_SECONDS, replace(options, workers=max(_NUM_WORKERS, options.workers))
    traffic = create_traffic(options)
    async with run_subject(options, traffic) as subject:
        service, tally = subject.service, Tally(subject.reference)
        if math.isinf(await _measure_recovery(service, options.workers)):
            raise ServiceError(f"expected {options.workers} workers that serve, found {len(service.workers)}")
        loading = asyncio.create_task(subject.load.run(seconds, options.seed, tally.add, name))
        await asyncio.sleep(_WARM_SECONDS)
        failure = await _fail_one(service, options.workers, number)
        pace = await loading
        await record_responses(service.port, traffic.good, options.limit_seconds)
        requirements = [*_require(failure, tally, max_recovery_seconds), require_clean_log(service)]
    return Report(name, [subject.describe_load(seconds, pace)], requirements, tally)


async def _fail_one(service: Service, num_workers: int, number: signal.Signals) -> Failure:
    victim = service.workers[0]
    os.kill(victim, signal.SIGSTOP)  # so that the count is of the moment of its failure
    num_inside = count_connections(victim, service.port)
    os.kill(victim, number)
    return Failure(num_inside, await _measure_recovery(service, num_workers, victim))


async def _measure_recovery(service: Service, num_workers: int, victim: int | None = None) -> float:
    """Measure the seconds until each of the workers, none of them the victim, has responded."""
    begin, serving = time.monotonic(), set[int]()
    while len(serving) < num_workers:
        if time.monotonic() > begin + _GIVE_UP_SECONDS:
            return math.inf
        workers = [pid for pid in service.workers if pid not in (victim, service.process.pid)]
        owner = await _find_responding(service, workers)
        serving = serving & set(workers) | ({owner} if owner is not None else set())
        await asyncio.sleep(0.02)
    return time.monotonic() - begin


async def _find_responding(service: Service, workers: list[int]) -> int | None:
    """Send one request, and find the process that responded."""
    try:
        connection = await Connection.open(service.port)
    except ConnectionError:
        return None
    try:
        outcome = await exchange(service.port, get("/readyz", "ready"), _PATIENCE_SECONDS, connection)
        return find_owner(workers, service.port, connection.local_port) if outcome.label == "200" else None
    finally:
        connection.close()


def _require(failure: Failure, tally: Tally, max_recovery_seconds: float) -> list[Requirement]:
    inside, lost = failure.num_inside, tally.count(End.LOST, End.REFUSED)
    recovered = math.isfinite(failure.recovery_seconds)
    measured = "yes" if recovered else f"not within {_GIVE_UP_SECONDS:g} s"
    return [
        Requirement("lost requests", f"{lost} (at most the {inside} inside the failed worker)", lost <= inside),
        *require_right_responses(tally),
        Requirement("all workers serve again", measured, recovered),
        at_most("recovery", failure.recovery_seconds, max_recovery_seconds, "s", timed=True),
    ]
