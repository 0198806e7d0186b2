import asyncio

import pytest

from tests.soak.terminate import terminate


@pytest.mark.slow
def test_no_accepted_request_is_lost_at_sigterm(short_options):
    report = asyncio.run(terminate(short_options))
    assert report.list_failures() == [], report.format()
    assert report.tally.count("503 stopping") > 0
