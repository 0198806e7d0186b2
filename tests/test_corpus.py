"""No file, however odd, crashes the decoder, and none takes more time or memory than an image may."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from model.images.decoded import DEFAULT_MAX_IMAGE_PIXELS
from tests.samples.bombs import bomb_cases
from tests.samples.corpus import Case, odd_cases, ordinary_cases
from tests.samples.dicoms import dicom_cases

ROOT = Path(__file__).parent.parent
MAX_SECONDS = 5.0  # of a core
MAX_GROWTH_BYTES = 20 * DEFAULT_MAX_IMAGE_PIXELS + 100 * 2**20  # as the settings promise
REFUSED_GROWTH_BYTES = 32 * 2**20  # of what is refused by its header or structure

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory is read as Linux has it"
)


@dataclass(frozen=True)
class Outcome:
    """The result of a case: the name of its error, or "image"."""

    case: Case
    outcome: str
    seconds: float
    growth: int
    pixels: Path


@pytest.fixture(
    scope="module", params=[ordinary_cases, odd_cases, bomb_cases, dicom_cases], ids=lambda cases: cases.__name__
)
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    folder = tmp_path_factory.mktemp("corpus")
    return list(_decode_all(request.param, folder))


def test_every_case_has_a_name_of_its_own():
    names = [case.name for cases in (ordinary_cases, odd_cases, dicom_cases) for case in cases()]
    assert len(set(names)) == len(names) > 500


def test_pixels_and_refusals_are_those_expected(outcomes):
    wrong = [f"{found.case.name}: {complaint}" for found in outcomes if (complaint := _complain(found))]
    assert not wrong, "\n".join(wrong)


def test_time_and_memory_are_bounded(outcomes):
    costly = [
        f"{found.case.name}: {found.seconds:.1f} s, {found.growth / 2**20:.0f} MB"
        for found in outcomes
        if found.seconds > MAX_SECONDS or found.growth > _allowed_growth(found)
    ]
    assert not costly, "\n".join(costly)


def _decode_all(cases: Callable[[], Iterator[Case]], folder: Path) -> Iterator[Outcome]:
    known = {}
    for index, case in enumerate(cases()):
        (folder / f"{index:04}.bin").write_bytes(case.data)
        known[f"{index:04}"] = Case(case.name, b"", case.expected, case.tolerance)
    # Large blocks go back to the system at once, so that each file's memory is seen.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.samples.decoder", str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    for file in folder.glob("*.bin"):
        file.unlink()
    results = [json.loads(line) for line in done.stdout.splitlines()]
    if len(results) < len(known):
        culprit = known[f"{len(results):04}"].name
        pytest.fail(f"{culprit} ended the process with {done.returncode}: {done.stderr[-2000:]}")
    for found in results:
        case = known[found["file"]]
        pixels = folder / f"{found['file']}.npy"
        yield Outcome(case, found["outcome"], found["seconds"], found["growth"], pixels)


def _complain(found: Outcome) -> str:
    expected = found.case.expected
    if expected is None:
        return ""
    if isinstance(expected, type):
        return "" if found.outcome == expected.__name__ else f"{found.outcome} instead of {expected.__name__}"
    if found.outcome != "image":
        return f"{found.outcome} instead of an image"
    pixels = np.load(found.pixels)
    if pixels.shape != expected.shape:
        return f"{pixels.shape} instead of {expected.shape}"
    off = int(np.abs(pixels.astype(int) - expected).max())
    return f"pixels are off by {off}" if off > found.case.tolerance else ""


def _allowed_growth(found: Outcome) -> int:
    return REFUSED_GROWTH_BYTES if isinstance(found.case.expected, type) else MAX_GROWTH_BYTES
