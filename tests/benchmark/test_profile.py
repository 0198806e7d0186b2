import asyncio

import pytest

from tests.benchmark.options import Options
from tests.benchmark.profile import measure_profile
from tests.benchmark.profiled_service import PARTS


def test_every_part_of_a_prediction_is_found_and_they_sum_to_the_whole(tiny_pair):
    profile = asyncio.run(measure_profile(Options(seconds=0.1, weights=tiny_pair[1])))
    assert profile.not_found == []
    assert tuple(profile.parts) == PARTS
    assert all(wall > 0 and cpu > 0 for wall, cpu in profile.parts.values())
    *_, total, outside = profile.format().splitlines()
    wall, cpu = (sum(times) for times in zip(*profile.parts.values(), strict=True))
    assert total.split() == ["total", f"{wall:.0f}", f"{cpu:.0f}"]
    assert cpu == pytest.approx(1000 * profile.load.server_cpu_ms, rel=0.5)
    assert "p50" in outside
