"""The speed of a service under a fixed number of clients, and what that costs both sides."""

import asyncio
import itertools
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.load.clients import run_clients
from tests.load.exchange import Outcome
from tests.load.request import Request
from tests.load.service import Service, ServiceError
from tests.load.tally import quantile

_LIMIT_SECONDS = 600.0  # a machine may be busy with something else


@dataclass(frozen=True)
class Load:
    """How fast some clients were served.

    Attributes:
        rate: Requests a second.
        p50_ms, p99_ms: Time from sending to the last byte of the response.
        server_cpu_ms: Of the service and its children, a request.
        client_cpu_ms: Of this process, a request: it takes part of the same cores.
        memory_mib: Resident, of the service and its children, at the end.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    server_cpu_ms: float
    client_cpu_ms: float
    memory_mib: float


async def measure_load(service: Service, requests: Sequence[Request], num_clients: int, seconds: float) -> Load:
    """Let clients send requests in turn for `seconds`, after a third of that as a warm-up.

    Raises:
        ServiceError: If one does not succeed.
    """
    begin = time.monotonic() + seconds / 3
    window = _Window(itertools.cycle(requests), begin, begin + seconds)
    clients = run_clients(service.port, num_clients, _LIMIT_SECONDS, window.choose, window.observe)
    running = asyncio.create_task(clients)
    await asyncio.sleep(window.begin - time.monotonic())
    server, client = service.cpu_seconds, _own_cpu_seconds()
    await asyncio.sleep(window.end - time.monotonic())
    server, client = service.cpu_seconds - server, _own_cpu_seconds() - client
    memory_bytes = service.memory_bytes
    await running
    if window.failed:
        raise ServiceError(f"expected 200, got {window.failed}")
    num_requests = len(window.latencies)
    return Load(
        rate=num_requests / seconds,
        p50_ms=1000 * quantile(window.latencies, 0.5),
        p99_ms=1000 * quantile(window.latencies, 0.99),
        server_cpu_ms=1000 * server / num_requests,
        client_cpu_ms=1000 * client / num_requests,
        memory_mib=memory_bytes / 2**20,
    )


@dataclass
class _Window:
    """Counts the requests that end between `begin` and `end`, or the first one after that."""

    requests: Iterator[Request]
    begin: float
    end: float
    latencies: list[float] = field(default_factory=list)
    failed: str = ""

    def choose(self) -> Request | None:
        is_over = time.monotonic() > self.end and self.latencies
        return None if is_over or self.failed else next(self.requests)

    def observe(self, outcome: Outcome) -> None:
        if outcome.label != "200":
            self.failed = outcome.label
        elif self.begin <= outcome.ended <= self.end or (outcome.ended > self.end and not self.latencies):
            self.latencies.append(outcome.seconds)


def _own_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
