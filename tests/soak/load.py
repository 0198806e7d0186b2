"""Load: so many requests a second, whether the service keeps up or not."""

import asyncio
import random
import time
from array import array
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass, field

from tqdm import tqdm

from tests.soak.exchange import ClosedLoop, Outcome, exchange
from tests.soak.request import Request
from tests.soak.server import ServerError
from tests.soak.tally import quantile

_WAKE_SECONDS = 0.002
_NUM_CAPACITY_CLIENTS = 8  # enough for every core to have work, too few to be refused
_MAX_OPEN = 2000  # requests under way at once; what would be one more is not sent, and told


@dataclass
class Pace:
    """How well the generator kept its own pace: seconds that requests began late, and how many never did."""

    late_seconds: MutableSequence[float] = field(default_factory=lambda: array("d"))
    num_skipped: int = 0
    num_under_way: int = 0


@dataclass(frozen=True)
class OpenLoop:
    """Requests that come at random moments, as those of independent clients do.

    Attributes:
        rate: Requests a second, on average.
        limit_seconds: How long a client waits before it calls that a hang.
    """

    port: int
    rate: float
    limit_seconds: float
    choose: Callable[[random.Random], Request]

    async def run(self, seconds: float, seed: int, observe: Callable[[Outcome], None], name: str) -> Pace:
        """Send for so long, and wait for all that is under way; `observe` is told each outcome."""
        generator, pace = random.Random(seed), Pace()
        begin = due = time.monotonic()
        with tqdm(total=round(seconds), desc=name, unit="s", disable=None, leave=False) as progress:
            async with asyncio.TaskGroup() as clients:
                while (now := time.monotonic()) < begin + seconds:
                    while due <= now:
                        self._send(clients, self.choose(generator), observe, pace, now - due)
                        due += generator.expovariate(self.rate)
                    progress.update(int(now - begin) - progress.n)
                    await asyncio.sleep(max(_WAKE_SECONDS, due - now))
        return pace

    def _send(
        self,
        clients: asyncio.TaskGroup,
        request: Request,
        observe: Callable[[Outcome], None],
        pace: Pace,
        late_seconds: float,
    ) -> None:
        if pace.num_under_way >= _MAX_OPEN:
            pace.num_skipped += 1
            return
        pace.num_under_way += 1
        pace.late_seconds.append(late_seconds)
        clients.create_task(self._exchange(request, observe, pace))

    async def _exchange(self, request: Request, observe: Callable[[Outcome], None], pace: Pace) -> None:
        observe(await exchange(self.port, request, self.limit_seconds))
        pace.num_under_way -= 1


async def measure_capacity(port: int, choose: Callable[[random.Random], Request], seconds: float) -> float:
    """Measure how many requests a second the service answers while it has just enough to do.

    Raises:
        ServerError: If one is not answered with 200.
    """
    labels: list[str] = []
    begin, generator = time.monotonic(), random.Random(0)

    def choose_until_end() -> Request | None:
        return choose(generator) if time.monotonic() < begin + seconds else None

    await ClosedLoop(port, seconds + 60, lambda outcome: labels.append(outcome.label)).run(
        _NUM_CAPACITY_CLIENTS, choose_until_end
    )
    duration = time.monotonic() - begin
    failed = [label for label in labels if label != "200"]
    if failed:
        raise ServerError(f"cannot measure the capacity: got {failed[0]!r}, expected 200")
    return len(labels) / duration


def describe_load(capacity: float, rate: float, seconds: float, pace: Pace) -> str:
    """Write what was sent, and how punctually."""
    late = quantile(pace.late_seconds, 0.99) * 1000
    return (
        f"capacity {capacity:.1f} requests/s; sent {rate:.1f} requests/s for {seconds:g} s, "
        f"99 of 100 begun at most {late:.1f} ms late, {pace.num_skipped} not sent because {_MAX_OPEN} were under way"
    )
