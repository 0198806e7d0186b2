"""SIGTERM in the middle of load, and what became of the requests that were under way."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.soak.exchange import ClosedLoop, End, Outcome
from tests.soak.load import OpenLoop
from tests.soak.options import Options
from tests.soak.reference import Reference
from tests.soak.report import Requirement, none_of
from tests.soak.request import Request
from tests.soak.server import Server
from tests.soak.tally import Tally

_EDGE_SECONDS = 0.05
_AFTER_SECONDS = 0.5
_NUM_KEPT_CONNECTIONS = 8
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Stop:
    """How the server stopped; times are those of `time.monotonic`.

    Attributes:
        status: Of the process; None if it had to be killed.
        signalled: When SIGTERM was sent.
        closed: Before when the server must not stop taking requests.
        tally: What was sent around the signal.
    """

    status: int | None
    signalled: float
    closed: float
    seconds: float
    outcomes: list[Outcome] = field(repr=False)
    tally: Tally = field(repr=False)

    @property
    def lost(self) -> list[Outcome]:
        """Accepted requests that got no complete answer."""
        return [outcome for outcome in self.outcomes if outcome.end is End.LOST and self._was_accepted(outcome)]

    @property
    def cut(self) -> list[Outcome]:
        """Requests that came as the server stopped reading, and got none either."""
        return [outcome for outcome in self.outcomes if outcome.end is End.LOST and not self._was_accepted(outcome)]

    @property
    def num_under_way(self) -> int:
        """Requests that had begun and were not answered when the signal was sent."""
        return sum(outcome.begun < self.signalled < outcome.ended for outcome in self.outcomes)

    def describe(self) -> str:
        """Write what happened in a line."""
        ends = Counter(outcome.label for outcome in self.outcomes if outcome.ended > self.signalled)
        told = ", ".join(f"{label} {number}" for label, number in sorted(ends.items()))
        return (
            f"SIGTERM with {self.num_under_way} requests under way: ended after {self.seconds:.1f} s "
            f"with {self.status}; {told}; {len(self.cut)} of the lost came as it stopped reading"
        )

    def require(self) -> list[Requirement]:
        """Require that nothing was lost and the status is 0."""
        return [
            Requirement("exit status after SIGTERM", str(self.status), self.status == 0),
            none_of("accepted requests lost at SIGTERM", len(self.lost)),
            none_of("wrong answers around SIGTERM", self.tally.num_wrong),
            none_of("hangs around SIGTERM", self.tally.count(End.HUNG)),
        ]

    def _was_accepted(self, outcome: Outcome) -> bool:
        """Tell whether all of it was sent before the server closed, or it had begun before the signal."""
        return min(outcome.sent - self.closed, outcome.begun - self.signalled) <= -_EDGE_SECONDS


async def stop_under_load(
    server: Server, load: OpenLoop, options: Options, reference: Reference, before_seconds: float = 1.0
) -> Stop:
    """Load the server, on new and on kept connections, send SIGTERM, and go on until it takes no more."""
    outcomes: list[Outcome] = []
    seconds = before_seconds + options.drain_seconds + _AFTER_SECONDS
    async with asyncio.TaskGroup() as clients:
        clients.create_task(load.run(seconds, options.seed + 1, outcomes.append, "SIGTERM"))
        clients.create_task(_run_kept_connections(server, load, seconds, outcomes))
        await asyncio.sleep(before_seconds)
        signalled = server.ask_to_stop()
        status = await server.wait_until_ended(options.limit_seconds)
        ended = time.monotonic()
    tally = Tally(reference)
    for outcome in outcomes:
        tally.add(outcome)
    return Stop(status, signalled, signalled + options.drain_seconds, ended - signalled, outcomes, tally)


async def _run_kept_connections(server: Server, load: OpenLoop, seconds: float, outcomes: list[Outcome]) -> None:
    generator, deadline = random.Random(0), time.monotonic() + seconds

    def choose() -> Request | None:
        return load.choose(generator) if time.monotonic() < deadline else None

    async def observe(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if outcome.label != "200":
            await asyncio.sleep(_PAUSE_SECONDS)

    await ClosedLoop(server.port, load.limit_seconds, observe).run(_NUM_KEPT_CONNECTIONS, choose)
