"""Clients that ask again as soon as they are answered, on open connections, and what that costs both sides."""

import asyncio
import itertools
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.soak.client import Connection
from tests.soak.processes import measure_cpu_seconds, measure_memory
from tests.soak.tally import quantile


class BenchmarkError(Exception):
    """Something did not answer as it must to be measured."""


@dataclass(frozen=True)
class Load:
    """What some clients got.

    Attributes:
        rate: Requests a second.
        p50_ms, p99_ms: Time from sending to the last byte of the answer.
        server_cpu_ms: Of the server and its children, a request.
        client_cpu_ms: Of this process, a request: it takes part of the same cores.
        memory_mib: Resident, of the server and its children, at the end.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    server_cpu_ms: float
    client_cpu_ms: float
    memory_mib: float


@dataclass
class _Run:
    """Requests under way; those count that are answered between `begin` and `end`, or the first one after that."""

    requests: Sequence[bytes]
    begin: float
    end: float
    latencies: list[float] = field(default_factory=list)

    async def ask(self, connection: Connection, offset: int) -> None:
        for request in itertools.cycle([*self.requests[offset:], *self.requests[:offset]]):
            sent = time.perf_counter()
            if sent > self.end and self.latencies:
                return
            await connection.send(request)
            answer = await connection.read_answer()
            if answer.status != 200:
                raise BenchmarkError(f"answered {answer.status}: {answer.body[:200]!r}")
            now = time.perf_counter()
            if self.begin <= now <= self.end or (now > self.end and not self.latencies):
                self.latencies.append(now - sent)


async def apply_load(port: int, pid: int, requests: Sequence[bytes], num_clients: int, seconds: float) -> Load:
    """Let `num_clients` send complete requests for `seconds`, after a third of that as a warm-up.

    Raises:
        BenchmarkError: If an answer is not 200.
    """
    connections = [await Connection.open(port) for _ in range(num_clients)]
    begin = time.perf_counter() + seconds / 3
    run = _Run(requests, begin, begin + seconds)
    try:
        async with asyncio.TaskGroup() as clients:
            for index, connection in enumerate(connections):
                clients.create_task(run.ask(connection, index % len(requests)))
            await asyncio.sleep(run.begin - time.perf_counter())
            server, client = measure_cpu_seconds(pid), _own_cpu_seconds()
            await asyncio.sleep(run.end - time.perf_counter())
            server, client = measure_cpu_seconds(pid) - server, _own_cpu_seconds() - client
    finally:
        for connection in connections:
            connection.close()
    count = len(run.latencies)
    return Load(
        rate=count / seconds,
        p50_ms=1000 * quantile(run.latencies, 0.5),
        p99_ms=1000 * quantile(run.latencies, 0.99),
        server_cpu_ms=1000 * server / count,
        client_cpu_ms=1000 * client / count,
        memory_mib=measure_memory(pid) / 2**20,
    )


def _own_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
