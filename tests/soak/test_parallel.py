import asyncio
import json
from dataclasses import replace

import pytest

from tests.soak.client import Answer
from tests.soak.exchange import End, Outcome
from tests.soak.parallel import Differences, ask_in_parallel
from tests.soak.request import Request


@pytest.mark.slow
@pytest.mark.parametrize("threads", [2, 4])
def test_many_at_once_get_what_each_gets_alone(short_options, threads):
    report = asyncio.run(ask_in_parallel(replace(short_options, threads=threads)))
    assert report.list_failures() == [], report.format()
    assert report.tally.count("200") == report.tally.num_sent == short_options.requests


def _answer(kind: str, content: object) -> Outcome:
    answer = Answer(200, {}, json.dumps(content).encode())
    return Outcome(Request(kind, (), reference="one"), End.ANSWERED, 0, 0, 0, 0, answer)


def test_a_wrong_map_and_a_wrong_probability_are_seen():
    def outputs(probability: float, cell: float) -> Outcome:
        named = [{"name": "probabilities", "data": [probability]}, {"name": "cam", "data": [0.0, cell]}]
        return _answer("map", {"outputs": named})

    first = outputs(0.5, 0.25).answer
    assert first is not None
    differences = Differences(expected={"one": first})
    differences.compare(outputs(0.5, 0.25))
    assert all(requirement.met for requirement in differences.require())
    differences.compare(outputs(0.5001, 0.5))
    assert differences.probability == pytest.approx(1e-4)
    assert differences.heatmap == pytest.approx(0.25)
    assert [requirement.met for requirement in differences.require()] == [False, False, True]
