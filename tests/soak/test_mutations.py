import asyncio

import pytest

from tests.soak.mutations import send_mutations


@pytest.mark.slow
def test_damaged_images_are_refused_or_judged_and_break_nothing(short_options):
    report = asyncio.run(send_mutations(short_options))
    assert report.list_failures() == [], report.format()
    assert report.tally.num_sent == short_options.images
    assert report.tally.count_status(422) > report.tally.num_sent / 4
    assert report.tally.count("200") > 0
