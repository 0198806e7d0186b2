"""Many clients at once: at a fixed rate, or each sending its next request when the last one is done."""

import asyncio
import random
import time
from array import array
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass, field

from tqdm import tqdm

from tests.load.connection import Connection
from tests.load.exchange import Outcome, exchange
from tests.load.request import Request
from tests.load.service import ServiceError

MAX_OPEN = 2000  # requests under way at once; one more is skipped, and counted
_WAKE_SECONDS = 0.002
_NUM_CAPACITY_CLIENTS = 8  # enough for every core to have work, too few to be refused
Observe = Callable[[Outcome], None]


async def run_clients(
    port: int,
    num_clients: int,
    limit_seconds: float,
    choose: Callable[[], Request | None],
    observe: Observe,
    rest_seconds: float = 0.0,
) -> None:
    """Let clients send what `choose` returns, until it returns None, each on a connection that it keeps.

    Args:
        rest_seconds: Pause of a client whose request did not succeed.
    """

    async def run_client() -> None:
        connection: Connection | None = None
        while (request := choose()) is not None:
            connection = connection or await _try_to_open(port)
            outcome = await exchange(port, request, limit_seconds, connection)
            if connection is not None and not outcome.keeps_connection:
                connection.close()
                connection = None
            observe(outcome)
            if rest_seconds and outcome.label != "200":
                await asyncio.sleep(rest_seconds)
        if connection is not None:
            connection.close()

    async with asyncio.TaskGroup() as clients:
        for _ in range(num_clients):
            clients.create_task(run_client())


async def measure_capacity(port: int, choose: Callable[[random.Random], Request], seconds: float) -> float:
    """Measure how many requests a second the service completes while it has just enough to do."""
    labels: list[str] = []
    begin, generator = time.monotonic(), random.Random(0)

    def choose_until_end() -> Request | None:
        return choose(generator) if time.monotonic() < begin + seconds else None

    def observe(outcome: Outcome) -> None:
        labels.append(outcome.label)

    await run_clients(port, _NUM_CAPACITY_CLIENTS, seconds + 60, choose_until_end, observe)
    if failed := [label for label in labels if label != "200"]:
        raise ServiceError(f"cannot measure the capacity: expected 200, got {failed[0]!r}")
    return len(labels) / (time.monotonic() - begin)


@dataclass
class Pace:
    """How well the generator kept its own pace: seconds that requests began late, and how many never did."""

    late_seconds: MutableSequence[float] = field(default_factory=lambda: array("d"))
    num_skipped: int = 0
    num_under_way: int = 0


@dataclass(frozen=True)
class OpenLoop:
    """Requests that come at random moments, as those of independent clients do, whether the service keeps up or not.

    Attributes:
        rate: Requests a second, on average.
        limit_seconds: How long a client waits before it calls that a hang.
    """

    port: int
    rate: float
    limit_seconds: float
    choose: Callable[[random.Random], Request]

    async def run(self, seconds: float, seed: int, observe: Observe, name: str) -> Pace:
        """Send for so long, and wait for all that is under way."""
        generator, pace = random.Random(seed), Pace()

        async def send(request: Request, late_seconds: float) -> None:
            pace.late_seconds.append(late_seconds)
            observe(await exchange(self.port, request, self.limit_seconds))
            pace.num_under_way -= 1

        begin = due = time.monotonic()
        with tqdm(total=round(seconds), desc=name, unit="s", disable=None, leave=False) as progress:
            async with asyncio.TaskGroup() as clients:
                while (now := time.monotonic()) < begin + seconds:
                    while due <= now:
                        if pace.num_under_way < MAX_OPEN:
                            pace.num_under_way += 1
                            clients.create_task(send(self.choose(generator), now - due))
                        else:
                            pace.num_skipped += 1
                        due += generator.expovariate(self.rate)
                    progress.update(int(now - begin) - progress.n)
                    await asyncio.sleep(max(_WAKE_SECONDS, due - now))
        return pace


async def _try_to_open(port: int) -> Connection | None:
    try:
        return await Connection.open(port)
    except ConnectionError:
        return None  # the exchange will fail likewise, and be counted
