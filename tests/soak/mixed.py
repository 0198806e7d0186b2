"""The soak proper: a mixed crowd at several times the capacity, and SIGTERM at its end."""

from tests.soak.demands import require_answers, require_clean_log, require_probes
from tests.soak.exchange import End
from tests.soak.images import draw_scans
from tests.soak.load import OpenLoop, describe_load, measure_capacity
from tests.soak.memory import watch_memory
from tests.soak.options import Options
from tests.soak.probe import run_probe
from tests.soak.reference import ask_idle
from tests.soak.report import Report, none_of
from tests.soak.server import run_server
from tests.soak.stop import stop_under_load
from tests.soak.tally import Tally
from tests.soak.traffic import create_traffic

_DEFAULT_SECONDS = 600.0
_WARM_PART = 0.1
_MAX_WARM_SECONDS = 60.0


async def soak_mixed(options: Options) -> Report:
    """Send good and hostile requests, compare every 200 with an idle server's, and stop it in the middle of it."""
    seconds = options.seconds or _DEFAULT_SECONDS
    warm_seconds = min(_MAX_WARM_SECONDS, _WARM_PART * seconds)
    traffic = create_traffic(draw_scans(options.seed), options)
    async with run_server(options.settings()) as server:
        reference = await ask_idle(server.port, traffic.good, options.limit_seconds)
        capacity = await measure_capacity(server.port, traffic.choose_good, options.capacity_seconds)
        tally, rate = Tally(reference), options.load * capacity
        load = OpenLoop(server.port, rate, options.limit_seconds, traffic.choose)
        async with watch_memory(lambda: server.memory_bytes) as memory, run_probe(server.port) as probe:
            pace = await load.run(seconds, options.seed, tally.add, "mixed")
        last = Tally(reference)  # of its own: at the end, being refused is no loss
        stop = await stop_under_load(server, load, options, last)
        facts = [describe_load(capacity, rate, seconds, pace), memory.describe(warm_seconds), stop.describe()]
        requirements = [
            *require_answers(tally),
            *require_probes(probe),
            *memory.require(warm_seconds),
            *stop.require(),
            none_of("wrong answers around SIGTERM", last.num_wrong),
            none_of("hangs around SIGTERM", last.count(End.HUNG)),
            require_clean_log(server),
        ]
    return Report("mixed", facts, requirements, tally)
