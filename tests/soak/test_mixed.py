import asyncio

import pytest

from tests.soak.mixed import soak_mixed


@pytest.mark.slow
def test_a_mixed_crowd_gets_right_answers_and_nothing_is_lost_at_the_end(short_options):
    report = asyncio.run(soak_mixed(short_options))
    assert report.list_failures() == [], report.format()
    assert report.tally.num_sent > 100
    assert report.tally.count("200") > 10
    assert {"predict", "visualize", "slow", "stalled", "mutated", "left waiting"} <= report.tally.rows.keys()
