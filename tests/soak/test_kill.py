import asyncio
import sys
from dataclasses import replace

import pytest

from tests.soak.kill import kill

# Another supervisor with two workers, so that the scenario is tested apart from ours.
UVICORN = (sys.executable, "-m", "uvicorn", "--factory", "api.main:create_app", "--workers", "2")


@pytest.mark.slow
def test_a_killed_worker_takes_only_its_own_requests_along(short_options):
    command = (*UVICORN, "--log-level", "warning", "--port", "{port}")
    report = asyncio.run(kill(replace(short_options, seconds=4.0), command))
    assert report.list_failures() == [], report.format()
