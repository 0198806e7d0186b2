"""SIGTERM in the middle of load, and what became of the requests that were under way."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tqdm import tqdm

from tests.load.clients import OpenLoop, run_clients
from tests.load.exchange import End, Outcome
from tests.load.request import Request
from tests.load.service import Service, run_service
from tests.load.tally import Tally
from tests.soak.options import Options
from tests.soak.report import Report, Requirement, none_of, require_clean_log, require_right_responses
from tests.soak.subject import run_subject
from tests.soak.traffic import create_traffic

_UPLOAD_TIMEOUT_SECONDS = 2.0  # what stalls ends soon, and with it the round
_BEFORE_SECONDS = (0.2, 1.0)
_EDGE_SECONDS = 0.02  # what the service needs to take a request that has reached it
_AFTER_SECONDS = 0.5
_NUM_KEPT_CONNECTIONS = 8
_REST_SECONDS = 0.02


@dataclass(frozen=True)
class Stop:
    """How the service stopped.

    Attributes:
        status: Of the process; None if it did not end.
        seconds: From the signal to its end.
        num_under_way: Requests that had begun and had no response when the signal was sent.
        num_lost: Accepted requests that got no complete response.
        num_cut: Requests that came as the service stopped reading, and got none either.
        labels: How the requests ended that ended after the signal.
    """

    status: int | None
    seconds: float
    num_under_way: int
    num_lost: int
    num_cut: int
    labels: Counter[str]

    def describe(self) -> str:
        ends = ", ".join(f"{label} {number}" for label, number in sorted(self.labels.items()))
        return (
            f"SIGTERM with {self.num_under_way} requests under way: ended after {self.seconds:.1f} s "
            f"with {self.status}; {ends}; {self.num_cut} of the lost came as it stopped reading"
        )

    def require(self) -> list[Requirement]:
        return [
            Requirement("exit status after SIGTERM", str(self.status), self.status == 0),
            none_of("accepted requests lost at SIGTERM", self.num_lost),
        ]


async def terminate(options: Options) -> Report:
    """Start, load, SIGTERM, `options.rounds` times."""
    options = replace(options, upload_timeout_seconds=min(options.upload_timeout_seconds, _UPLOAD_TIMEOUT_SECONDS))
    async with run_subject(options, create_traffic(options)) as subject:
        tally = Tally(subject.reference)
    stops: list[Stop] = []
    logs: list[Requirement] = []
    for number in tqdm(range(options.rounds), "terminate", unit="round", disable=None):
        async with run_service(options.settings()) as service:
            load = replace(subject.load, port=service.port)
            before_seconds = random.Random(number).uniform(*_BEFORE_SECONDS)
            stops.append(await stop_under_load(service, load, options, tally, before_seconds))
            logs.append(require_clean_log(service))
    statuses = Counter(str(stop.status) for stop in stops)
    measured = ", ".join(f"{status}: {number} times" for status, number in statuses.items())
    requirements = [
        Requirement("exit status after SIGTERM", measured, set(statuses) == {"0"}),
        none_of("accepted requests lost", sum(stop.num_lost for stop in stops)),
        *require_right_responses(tally),
        next((log for log in logs if not log.met), logs[0]),
    ]
    return Report("terminate", _describe(stops, subject.capacity), requirements, tally)


async def stop_under_load(
    service: Service, load: OpenLoop, options: Options, tally: Tally, before_seconds: float = 1.0
) -> Stop:
    """Load the service, on new and on kept connections, send SIGTERM, and go on until it takes no more.

    Args:
        tally: Counts all that is sent meanwhile.
    """
    outcomes: list[Outcome] = []

    def observe(outcome: Outcome) -> None:
        outcomes.append(outcome)
        tally.add(outcome)

    seconds = before_seconds + options.drain_seconds + _AFTER_SECONDS
    generator, deadline = random.Random(0), time.monotonic() + seconds

    def choose() -> Request | None:
        return load.choose(generator) if time.monotonic() < deadline else None

    async with asyncio.TaskGroup() as clients:
        clients.create_task(load.run(seconds, options.seed + 1, observe, "SIGTERM"))
        kept = run_clients(load.port, _NUM_KEPT_CONNECTIONS, load.limit_seconds, choose, observe, _REST_SECONDS)
        clients.create_task(kept)
        await asyncio.sleep(before_seconds)
        signalled = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        status = await service.wait_until_ended(options.limit_seconds)
        ended = time.monotonic()
    return assess_stop(outcomes, status, signalled, ended, options.drain_seconds)


def assess_stop(
    outcomes: Sequence[Outcome], status: int | None, signalled: float, ended: float, drain_seconds: float
) -> Stop:
    """Separate accepted requests that were lost from those that came too late; times are of `time.monotonic`.

    A request is accepted if all of it was sent before the service might stop reading, or if it had begun before the
    signal.
    """
    reading_ends, begun_by = signalled + drain_seconds - _EDGE_SECONDS, signalled - _EDGE_SECONDS
    lost = [outcome for outcome in outcomes if outcome.end is End.LOST]
    accepted = [outcome for outcome in lost if outcome.sent <= reading_ends or outcome.begun <= begun_by]
    return Stop(
        status,
        ended - signalled,
        num_under_way=sum(outcome.begun < signalled < outcome.ended for outcome in outcomes),
        num_lost=len(accepted),
        num_cut=len(lost) - len(accepted),
        labels=Counter(outcome.label for outcome in outcomes if outcome.ended > signalled),
    )


def _describe(stops: list[Stop], capacity: float) -> list[str]:
    under_way = sum(stop.num_under_way for stop in stops)
    return [
        f"capacity {capacity:.1f} requests/s; {len(stops)} times SIGTERM, {under_way} requests under way then, "
        f"{sum(stop.num_cut for stop in stops)} more came as the service stopped reading",
        f"longest stop {max(stop.seconds for stop in stops):.1f} s",
    ]
