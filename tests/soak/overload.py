"""Good requests only, several times as many as can be judged: what is refused is refused at once."""

from tests.soak.demands import require_answers, require_clean_log, require_probes
from tests.soak.images import draw_scans
from tests.soak.load import OpenLoop, describe_load, measure_capacity
from tests.soak.options import Options
from tests.soak.probe import run_probe
from tests.soak.reference import ask_idle
from tests.soak.report import Report, Requirement, at_most
from tests.soak.server import run_server
from tests.soak.tally import Tally, quantile
from tests.soak.traffic import Traffic, create_good_requests

_DEFAULT_SECONDS = 60.0
_FORM = "jpeg"  # of about 20 KB, as most public scans are: times would be those of the network otherwise
_MAX_REFUSAL_SECONDS = 0.02
_SPARE = 1.2


async def overload(options: Options) -> Report:
    """Send `options.load` times what the service can judge.

    The load comes from a core of its own: what it takes from the service would be counted as the service's time. The
    capacity is measured before and after, as the speed of a shared machine drifts.
    """
    seconds = options.seconds or _DEFAULT_SECONDS
    scans = [scan for scan in draw_scans(options.seed) if scan.name.startswith(_FORM)]
    good = [request for request in create_good_requests(scans) if request.kind == "predict"]
    traffic = Traffic(good, (), 0.0)
    async with run_server(options.settings(), apart=True) as server:
        reference = await ask_idle(server.port, good, options.limit_seconds)
        capacity = await measure_capacity(server.port, traffic.choose_good, options.capacity_seconds)
        tally, rate = Tally(reference), options.load * capacity
        load = OpenLoop(server.port, rate, options.limit_seconds, traffic.choose)
        async with run_probe(server.port) as probe:
            pace = await load.run(seconds, options.seed, tally.add, "overload")
        capacity_after = await measure_capacity(server.port, traffic.choose_good, options.capacity_seconds)
        service_seconds = (1 / capacity + 1 / capacity_after) / 2
        facts = [describe_load(capacity, rate, seconds, pace), _describe_service(tally, service_seconds, seconds)]
        requirements = [
            *require_answers(tally),
            *_require_speed(tally, options.max_queue * max(1, options.workers) * service_seconds),
            *require_probes(probe),
            require_clean_log(server),
        ]
    return Report("overload", facts, requirements, tally)


def _describe_service(tally: Tally, service_seconds: float, seconds: float) -> str:
    judged = tally.count("200") / seconds
    return (
        f"service time {1000 * service_seconds:.1f} ms (one over the capacity, before and after); "
        f"judged under overload {judged:.1f} requests/s"
    )


def _require_speed(tally: Tally, full_queue_seconds: float) -> list[Requirement]:
    refused, accepted = tally.seconds_of("503 queue_full"), tally.seconds_of("200")
    limit = _SPARE * full_queue_seconds * 1000
    return [
        Requirement("refused something", f"{len(refused)} times", len(refused) > 0, timed=True),
        at_most("503 queue_full, p99", quantile(refused, 0.99) * 1000, _MAX_REFUSAL_SECONDS * 1000, "ms", timed=True),
        at_most("200, p99, within a full queue + 20 %", quantile(accepted, 0.99) * 1000, limit, "ms", timed=True),
    ]
