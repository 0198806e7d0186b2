import asyncio

import pytest

from tests.soak.abuse import abuse

# uvicorn waits for ever for a head, and reads on after a refusal: strict, so that the tests tell when it does not.
_OPEN = ("closed, ", "bytes taken of a stream, deaf client")


@pytest.fixture(scope="module")
def report(short_options):
    return asyncio.run(abuse(short_options))


@pytest.mark.slow
def test_streams_promises_and_dripping_bodies_are_ended_and_take_no_memory(report):
    assert [failure for failure in report.list_failures() if not failure.startswith(_OPEN)] == [], report.format()
    assert report.tally.count("408 upload_timeout") > 0
    assert report.tally.count("413 body_too_large") == 3
    assert report.tally.count("413 too_many_pixels") == 1


@pytest.mark.slow
@pytest.mark.xfail(reason="the server sets no time for a head and reads on after a refusal")
def test_idle_connections_and_deaf_clients_are_cut_off(report):
    assert [failure for failure in report.list_failures() if failure.startswith(_OPEN)] == []
