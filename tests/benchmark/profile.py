"""Where the time of one request goes: each part of `POST /predict`, in wall and processor time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from tests.benchmark.images import ORIGINAL, describe_originals, load_images
from tests.benchmark.load import Load, measure_load
from tests.benchmark.measurements import PREDICT
from tests.benchmark.options import Options
from tests.benchmark.profiled_service import HTTP, OTHER, PARTS
from tests.load.request import post_form
from tests.load.service import ServiceError, run_service

_MANY = 10  # times the length of a measurement: the parts are short
_WARM_UP = 1 / 4  # of the requests, as `measure_load` has it
_END_SECONDS = 30.0


@dataclass(frozen=True)
class Profile:
    """The parts of a request.

    Attributes:
        parts: Mean microseconds, (wall, CPU), by part. Wall time runs from the first bytes until the application has
            returned, CPU time without a pause.
        load: What the client saw at the same time.
        not_found: Functions that the profiler knows and the service no longer has.
    """

    parts: Mapping[str, tuple[float, float]]
    num_requests: int
    load: Load
    not_found: Sequence[str]

    def format(self) -> str:
        """Write the table."""
        total = tuple(map(sum, zip(*self.parts.values(), strict=True)))
        rows = [*self.parts.items(), ("total", total)]
        width = max(len(name) for name, _ in rows)
        lines = [
            f"POST {PREDICT}, 1 client, {self.num_requests} requests ({describe_originals()}), mean microseconds:",
            f"{'':<{width}}  {'wall':>8}  {'CPU':>8}",
            *(f"{name:<{width}}  {wall:8.0f}  {cpu:8.0f}" for name, (wall, cpu) in rows),
            f"from outside: p50 {1000 * self.load.p50_ms:.0f}, CPU {1000 * self.load.server_cpu_ms:.0f}",
            *(f"not found, so part of what calls it: {name}" for name in self.not_found),
        ]
        return "".join(f"{line}\n" for line in lines)


async def measure_profile(options: Options) -> Profile:
    """Send originals to a service with a clock in it, from one client.

    Raises:
        ServiceError: If it cannot be started or stopped, or its requests passed none of the clocks.
    """
    settings = {"MODEL_PATH": options.weights.resolve(), "WORKERS": 1, "DRAIN_SECONDS": 0}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "requests.json"
        async with run_service(settings, ("-m", "tests.benchmark.profiled_service", str(file))) as service:
            requests = [post_form(PREDICT, image, PREDICT) for image in load_images(ORIGINAL)]
            load = await measure_load(service, requests, 1, _MANY * options.seconds)
            service.process.terminate()
            if await service.wait_until_ended(_END_SECONDS) is None or not file.is_file():
                raise ServiceError(f"the profiled service did not end: {service.read_log()[-500:]}")
        content = json.loads(file.read_text(encoding="utf-8"))
    predictions = [request for request in content["requests"] if request.keys() - {HTTP, OTHER}]  # no probes
    predictions = predictions[round(_WARM_UP * len(predictions)) :]
    if not predictions:
        raise ServiceError(f"no request passed the profiler's clocks; not found: {', '.join(content['not_found'])}")
    parts = {part: _average([request.get(part, (0.0, 0.0)) for request in predictions]) for part in PARTS}
    return Profile(parts, len(predictions), load, content["not_found"])


def _average(spent: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Average seconds, (wall, CPU), in microseconds."""
    wall, cpu = (1e6 * fmean(seconds) for seconds in zip(*spent, strict=True))
    return wall, cpu
