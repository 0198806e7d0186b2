"""Damaged images by the ten thousand: none may be a 500, an end of the process, or a long wait."""

from dataclasses import replace

from tqdm import tqdm

from tests.soak.demands import describe_log, require_answers, require_clean_log, require_probes
from tests.soak.exchange import ClosedLoop
from tests.soak.images import draw_scans
from tests.soak.memory import watch_memory
from tests.soak.mutation import mutate
from tests.soak.options import Options
from tests.soak.probe import run_probe
from tests.soak.report import Report, Requirement, at_most
from tests.soak.request import Request, post
from tests.soak.server import run_server
from tests.soak.tally import Tally
from tests.soak.traffic import JUDGED, PREDICT, VISUALIZE

_SIZES = (40, 64, 96)  # pixels a side: most of a small file is its structure
_NUM_CLIENTS = 4
_PICTURE_EVERY = 8
_EMPTY = 400  # nothing may be left of an image
_WARM_SECONDS = 10.0


async def send_mutations(options: Options) -> Report:
    """Send `options.images` damaged images, each once."""
    corpus = [scan.data for scan in draw_scans(options.seed, _SIZES)]
    indices = iter(tqdm(range(options.images), "mutations", unit="image", disable=None))
    tally = Tally()

    def choose() -> Request | None:
        index = next(indices, None)
        return None if index is None else _create_request(corpus, options.seed, index)

    async with run_server(options.settings()) as server:
        async with watch_memory(lambda: server.memory_bytes) as memory, run_probe(server.port) as probe:
            await ClosedLoop(server.port, options.limit_seconds, tally.add).run(_NUM_CLIENTS, choose)
        requirements = [
            *require_answers(tally),
            Requirement("images sent", str(tally.num_sent), tally.num_sent == options.images),
            at_most("longest answer", tally.longest_seconds, options.request_timeout_seconds, "s"),
            *require_probes(probe),
            *memory.require(_WARM_SECONDS),
            require_clean_log(server),
        ]
        facts = [memory.describe(_WARM_SECONDS), describe_log(server)]
    return Report("mutations", facts, requirements, tally)


def _create_request(corpus: list[bytes], seed: int, index: int) -> Request:
    """Make the `index`-th request; `mutate` with the same arguments makes its image again."""
    path, kind = (PREDICT, "predict") if index % _PICTURE_EVERY else (VISUALIZE, "visualize")
    request = post(path, mutate(corpus, seed, index), f"mutated, {kind}", _EMPTY, *JUDGED)
    return replace(request, name=f"image {index} of seed {seed}")
