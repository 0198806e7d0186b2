"""SIGTERM in the middle of load, and what became of the requests that were under way."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.soak.exchange import ClosedLoop, End, Outcome
from tests.soak.load import OpenLoop
from tests.soak.options import Options
from tests.soak.report import Requirement, none_of
from tests.soak.request import Request
from tests.soak.server import Server
from tests.soak.tally import Tally

_EDGE_SECONDS = 0.02  # what the service needs to take a request that has reached it
_AFTER_SECONDS = 0.5
_NUM_KEPT_CONNECTIONS = 8
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Stop:
    """How the server stopped.

    Attributes:
        status: Of the process; None if it had to be killed.
        seconds: From the signal to its end.
        num_under_way: Requests that had begun and were not answered when the signal was sent.
        num_lost: Accepted requests that got no complete answer.
        num_cut: Requests that came as the server stopped reading, and got none either.
        labels: How the requests ended that were answered after the signal, or not at all.
    """

    status: int | None
    seconds: float
    num_under_way: int
    num_lost: int
    num_cut: int
    labels: Counter[str]

    def describe(self) -> str:
        """Write what happened in a line."""
        told = ", ".join(f"{label} {number}" for label, number in sorted(self.labels.items()))
        return (
            f"SIGTERM with {self.num_under_way} requests under way: ended after {self.seconds:.1f} s "
            f"with {self.status}; {told}; {self.num_cut} of the lost came as it stopped reading"
        )

    def require(self) -> list[Requirement]:
        """Require that nothing was lost and the status is 0."""
        return [
            Requirement("exit status after SIGTERM", str(self.status), self.status == 0),
            none_of("accepted requests lost at SIGTERM", self.num_lost),
        ]


async def stop_under_load(
    server: Server, load: OpenLoop, options: Options, tally: Tally, before_seconds: float = 1.0
) -> Stop:
    """Load the server, on new and on kept connections, send SIGTERM, and go on until it takes no more.

    Args:
        tally: Counts all that is sent meanwhile.
    """
    outcomes: list[Outcome] = []

    def observe(outcome: Outcome) -> None:
        outcomes.append(outcome)
        tally.add(outcome)

    seconds = before_seconds + options.drain_seconds + _AFTER_SECONDS
    async with asyncio.TaskGroup() as clients:
        clients.create_task(load.run(seconds, options.seed + 1, observe, "SIGTERM"))
        clients.create_task(_run_kept_connections(server, load, seconds, observe))
        await asyncio.sleep(before_seconds)
        signalled = server.ask_to_stop()
        status = await server.wait_until_ended(options.limit_seconds)
        ended = time.monotonic()
    return judge_stop(outcomes, status, signalled, ended, options.drain_seconds)


def judge_stop(
    outcomes: Sequence[Outcome], status: int | None, signalled: float, ended: float, drain_seconds: float
) -> Stop:
    """Tell accepted requests that were lost from those that came too late; times are of `time.monotonic`.

    A request is accepted if all of it was sent before the server might stop reading, or if it had begun before the
    signal.
    """
    lost = [outcome for outcome in outcomes if outcome.end is End.LOST]
    accepted = [
        outcome
        for outcome in lost
        if outcome.sent <= signalled + drain_seconds - _EDGE_SECONDS or outcome.begun <= signalled - _EDGE_SECONDS
    ]
    return Stop(
        status,
        ended - signalled,
        num_under_way=sum(outcome.begun < signalled < outcome.ended for outcome in outcomes),
        num_lost=len(accepted),
        num_cut=len(lost) - len(accepted),
        labels=Counter(outcome.label for outcome in outcomes if outcome.ended > signalled),
    )


async def _run_kept_connections(
    server: Server, load: OpenLoop, seconds: float, observe: Callable[[Outcome], None]
) -> None:
    generator, deadline = random.Random(0), time.monotonic() + seconds

    def choose() -> Request | None:
        return load.choose(generator) if time.monotonic() < deadline else None

    async def observe_and_rest(outcome: Outcome) -> None:
        observe(outcome)
        if outcome.label != "200":
            await asyncio.sleep(_PAUSE_SECONDS)

    await ClosedLoop(server.port, load.limit_seconds, observe_and_rest).run(_NUM_KEPT_CONNECTIONS, choose)
