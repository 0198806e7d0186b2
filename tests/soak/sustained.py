"""Load for minutes or hours at several times the capacity: a mixed crowd, or good requests only."""

from tests.load.clients import measure_capacity
from tests.load.exchange import End
from tests.load.scans import draw_variants
from tests.load.tally import Tally, quantile
from tests.soak.options import Options
from tests.soak.report import Report, Requirement, at_most, none_of, require_clean_log, require_responses
from tests.soak.stop import stop_under_load
from tests.soak.subject import run_subject
from tests.soak.traffic import Traffic, create_good_requests, create_traffic
from tests.soak.watch import run_probe, watch_memory

_MIXED_SECONDS = 600.0
_WARM_PART = 0.1
_MAX_WARM_SECONDS = 60.0
_OVERLOAD_SECONDS = 60.0
_FORM = "jpeg"  # of about 20 KB, as most public scans are: times would be those of the network otherwise
_HOLD_SECONDS = 0.25  # before a refusal, where there are many; see docs/operations.md
_MAX_REFUSAL_SECONDS = _HOLD_SECONDS + 0.05
_SPARE = 1.2


async def soak_mixed(options: Options) -> Report:
    """Send good and hostile requests, compare every 200 with an idle service's, and stop the service at the end."""
    seconds = options.seconds or _MIXED_SECONDS
    warm_seconds = min(_MAX_WARM_SECONDS, _WARM_PART * seconds)
    async with run_subject(options, create_traffic(options)) as subject:
        service, tally = subject.service, Tally(subject.reference)
        async with watch_memory(lambda: service.memory_bytes) as memory, run_probe(service.port) as probe:
            pace = await subject.load.run(seconds, options.seed, tally.add, "mixed")
        last = Tally(subject.reference)  # of its own: at the end, being refused is no loss
        stop = await stop_under_load(service, subject.load, options, last)
        requirements = [
            *require_responses(tally),
            *probe.require(),
            *memory.require(warm_seconds),
            *stop.require(),
            none_of("wrong responses around SIGTERM", last.num_wrong),
            none_of("hangs around SIGTERM", last.count(End.HUNG)),
            require_clean_log(service),
        ]
    facts = [subject.describe_load(seconds, pace), memory.describe(warm_seconds), stop.describe()]
    return Report("mixed", facts, requirements, tally)


async def overload(options: Options) -> Report:
    """Send several times the good requests that can be completed: what is refused is refused at once.

    The load comes from a core of its own: what it takes from the service would be counted as the service's time. The
    capacity is measured before and after, as the speed of a shared machine drifts.
    """
    seconds = options.seconds or _OVERLOAD_SECONDS
    scans = {name: data for name, data in draw_variants(options.seed).items() if name.startswith(_FORM)}
    traffic = Traffic([request for request in create_good_requests(scans) if request.kind == "predict"])
    async with run_subject(options, traffic, apart=True) as subject:
        service, tally = subject.service, Tally(subject.reference)
        async with run_probe(service.port) as probe:
            pace = await subject.load.run(seconds, options.seed, tally.add, "overload")
        capacity_after = await measure_capacity(service.port, traffic.choose_good, options.capacity_seconds)
        service_seconds = (1 / subject.capacity + 1 / capacity_after) / 2
        requirements = [
            *require_responses(tally),
            *_require_speed(tally, options.max_queue * max(1, options.workers) * service_seconds),
            *probe.require(),
            require_clean_log(service),
        ]
    speed = (
        f"service time {1000 * service_seconds:.1f} ms (one over the capacity, before and after); "
        f"completed under overload {tally.count('200') / seconds:.1f} requests/s"
    )
    return Report("overload", [subject.describe_load(seconds, pace), speed], requirements, tally)


def _require_speed(tally: Tally, full_queue_seconds: float) -> list[Requirement]:
    refused, accepted = (tally.seconds_by_label.get(label, ()) for label in ("503 queue_full", "200"))
    refused_ms, accepted_ms = (1000 * quantile(seconds, 0.99) for seconds in (refused, accepted))
    limit = 1000 * (_SPARE * full_queue_seconds + _HOLD_SECONDS)
    return [
        Requirement("refused something", f"{len(refused)} times", len(refused) > 0, timed=True),
        at_most("503 queue_full, p99", refused_ms, 1000 * _MAX_REFUSAL_SECONDS, "ms", timed=True),
        at_most("200, p99, within a full queue + 20 % and the hold", accepted_ms, limit, "ms", timed=True),
    ]
