"""Damaged images by the ten thousand: none may be a 500, an end of the process, or a long wait."""

import random
from collections.abc import Sequence
from dataclasses import replace

from tqdm import tqdm

from tests.load.clients import run_clients
from tests.load.request import Request, post
from tests.load.scans import PNG_SIGNATURE, draw_variants, write_chunk
from tests.load.service import run_service
from tests.load.tally import Tally
from tests.soak.options import Options
from tests.soak.report import Report, Requirement, at_most, require_clean_log, require_responses
from tests.soak.watch import run_probe, watch_memory

DAMAGED = (200, 400, 413, 415, 422)  # may be the status of a damaged image, of which nothing may be left
_SIZES = (40, 64, 96)  # pixels a side: most of a small file is its structure
_NUM_CLIENTS = 4
_PICTURE_EVERY = 8
_WARM_SECONDS = 10.0
_HEADER_BYTES = 64  # damaged more often than chance would have it
_EXTREMES = (0x00, 0x01, 0x7F, 0x80, 0xFF)  # as sizes and offsets have them
_WAYS = ("flip", "flip header", "extremes", "truncate", "splice", "remove", "repeat", "overwrite")


async def send_mutations(options: Options) -> Report:
    """Send `options.images` damaged images, each once."""
    corpus = list(draw_variants(options.seed, _SIZES).values())
    indices = iter(tqdm(range(options.images), "mutations", unit="image", disable=None))
    tally = Tally()

    def choose() -> Request | None:
        index = next(indices, None)
        return None if index is None else _create_request(corpus, options.seed, index)

    async with run_service(options.settings()) as service:
        async with watch_memory(lambda: service.memory_bytes) as memory, run_probe(service.port) as probe:
            await run_clients(service.port, _NUM_CLIENTS, options.limit_seconds, choose, tally.add)
        longest = max(map(max, tally.seconds_by_label.values()), default=float("nan"))
        lines = service.read_log().splitlines()
        requirements = [
            *require_responses(tally),
            Requirement("images sent", str(tally.num_sent), tally.num_sent == options.images),
            at_most("longest response", longest, options.request_timeout_seconds, "s"),
            *probe.require(),
            *memory.require(_WARM_SECONDS),
            require_clean_log(service),
        ]
    foreign = sum(not line.startswith("{") for line in lines)  # libraries that write on standard error
    facts = [memory.describe(_WARM_SECONDS), f"log: {len(lines)} lines, {foreign} of them no JSON"]
    return Report("mutations", facts, requirements, tally)


def mutate(corpus: Sequence[bytes], generator: random.Random) -> bytes:
    """Damage one of some good images: flipped bits, cuts, splices."""
    data = generator.choice(corpus)
    for _ in range(generator.randint(1, 3)):
        data = _damage(data, generator.choice(corpus), generator)
    mends = generator.random() < 0.5  # else nearly every damaged PNG ends at its first checksum
    return _mend_checksums(data) if mends and data.startswith(PNG_SIGNATURE) else data


def _create_request(corpus: list[bytes], seed: int, index: int) -> Request:
    """Create the `index`-th request: the same arguments give the same."""
    path, kind = ("/predict", "predict") if index % _PICTURE_EVERY else ("/predict/visualize", "visualize")
    data = mutate(corpus, random.Random(f"{seed} {index}"))
    return replace(post(path, data, f"mutated, {kind}", *DAMAGED), name=f"image {index} of seed {seed}")


def _damage(data: bytes, other: bytes, generator: random.Random) -> bytes:
    way = generator.choice(_WAYS)
    if way.startswith("flip"):
        return _flip_bits(data, _HEADER_BYTES if way == "flip header" else len(data), generator)
    start = generator.randrange(_HEADER_BYTES if way == "extremes" else len(data) + 1)
    end = min(len(data), start + generator.randint(1, 256))
    match way:
        case "extremes":
            changed = bytes([generator.choice(_EXTREMES)] * generator.randint(1, 4))
            end = start + len(changed)
        case "truncate":
            changed, end = b"", len(data)
        case "splice":  # go on with another image, of another format perhaps
            changed, end = other[generator.randrange(len(other) + 1) :], len(data)
        case "remove":
            changed = b""
        case "repeat":
            changed = 2 * data[start:end]
        case _:
            changed = generator.randbytes(end - start)
    return data[:start] + changed + data[end:]


def _flip_bits(data: bytes, num_first: int, generator: random.Random) -> bytes:
    damaged, end = bytearray(data), min(num_first, len(data))
    for _ in range(generator.randint(1, 16) if end else 0):
        damaged[generator.randrange(end)] ^= 1 << generator.randrange(8)
    return bytes(damaged)


def _mend_checksums(data: bytes) -> bytes:
    """Give every chunk of a PNG, as far as they can be followed, the checksum of what it holds now."""
    mended, place = PNG_SIGNATURE, len(PNG_SIGNATURE)
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4])
        if end > len(data):
            break
        mended += write_chunk(data[place + 4 : place + 8], data[place + 8 : end - 4])
        place = end
    return mended + data[place:]
