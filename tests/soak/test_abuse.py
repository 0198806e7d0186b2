import asyncio

import pytest

from tests.soak.abuse import abuse


@pytest.mark.slow
def test_streams_promises_dripping_and_idle_connections_are_ended_and_take_no_memory(short_options):
    report = asyncio.run(abuse(short_options))
    assert report.list_failures() == [], report.format()
    assert report.tally.count("408 upload_timeout") > 0
    assert report.tally.count("413 body_too_large") == 4
    assert report.tally.count("413 too_many_pixels") == 1
