import asyncio
from dataclasses import replace

import pytest

from tests.soak.kill import kill


@pytest.mark.slow
def test_a_killed_worker_takes_only_its_own_requests_along(short_options):
    report = asyncio.run(kill(replace(short_options, seconds=4.0)))
    assert report.list_failures() == [], report.format()
