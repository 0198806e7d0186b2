import math

import pytest

from tests.load.exchange import End, Outcome
from tests.load.request import Request
from tests.soak.stop import assess_stop


@pytest.mark.parametrize(
    ("begun", "sent", "status", "lost", "cut", "met"),
    [
        (10.2, 10.3, 0, 1, 0, False),  # all sent before the service closed
        (9.0, math.inf, 0, 1, 0, False),  # begun before the signal
        (10.48, 10.49, 0, 0, 1, True),  # it came as the service closed
        (10.2, math.inf, 0, 0, 1, True),
        (10.2, math.inf, -9, 0, 1, False),
        (10.2, math.inf, None, 0, 1, False),
    ],
)
def test_a_request_is_lost_if_it_was_accepted(begun, sent, status, lost, cut, met):
    """The signal at 10 s, the end of taking requests at 10.5 s."""
    outcome = Outcome(Request("good", ()), End.LOST, begun, sent, 12.0)
    stop = assess_stop([outcome], status, signalled=10.0, ended=12.0, drain_seconds=0.5)
    assert (stop.num_lost, stop.num_cut) == (lost, cut)
    assert all(requirement.met for requirement in stop.require()) is met
