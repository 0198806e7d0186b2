"""The service under test: running, its idle responses recorded, its capacity measured."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.load.clients import MAX_OPEN, OpenLoop, Pace, measure_capacity
from tests.load.connection import Response
from tests.load.reference import record_responses
from tests.load.service import Service, run_service
from tests.load.tally import quantile
from tests.soak.options import Options
from tests.soak.traffic import Traffic


@dataclass(frozen=True)
class Subject:
    """A service and the load that it is put under.

    Attributes:
        reference: Its responses when idle, by the requests' names.
        capacity: Requests a second that it completes.
        load: `Options.load` times as many.
    """

    service: Service
    reference: Mapping[str, Response]
    capacity: float
    load: OpenLoop

    def describe_load(self, seconds: float, pace: Pace) -> str:
        late = quantile(pace.late_seconds, 0.99) * 1000
        return (
            f"capacity {self.capacity:.1f} requests/s; sent {self.load.rate:.1f} requests/s for {seconds:g} s, "
            f"99 of 100 begun at most {late:.1f} ms late, {pace.num_skipped} not sent because {MAX_OPEN} were under way"
        )


@asynccontextmanager
async def run_subject(options: Options, traffic: Traffic, *, apart: bool = False) -> AsyncIterator[Subject]:
    """Start the service, record its responses and measure its capacity."""
    async with run_service(options.settings(), apart=apart) as service:
        reference = await record_responses(service.port, traffic.good, options.limit_seconds)
        capacity = await measure_capacity(service.port, traffic.choose_good, options.capacity_seconds)
        load = OpenLoop(service.port, options.load * capacity, options.limit_seconds, traffic.choose)
        yield Subject(service, reference, capacity, load)
