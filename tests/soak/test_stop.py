from tests.soak.exchange import End, Outcome
from tests.soak.request import Request
from tests.soak.stop import Stop, judge_stop


def _lost(begun: float, sent: float) -> Outcome:
    return Outcome(Request("good", ()), End.LOST, begun, sent, 12.0, 0)


def _stop(*outcomes: Outcome, status: int | None = 0) -> Stop:
    """The signal at 10 s, the end of taking requests at 10.5 s."""
    return judge_stop(outcomes, status, signalled=10.0, ended=12.0, drain_seconds=0.5)


def test_what_was_sent_before_the_server_closed_is_lost_without_an_answer():
    stop = _stop(_lost(10.2, 10.3), _lost(9.0, float("inf")))
    assert (stop.num_lost, stop.num_cut, stop.num_under_way) == (2, 0, 1)
    assert not all(requirement.met for requirement in stop.require())


def test_what_came_as_it_closed_is_none_of_the_accepted():
    stop = _stop(_lost(10.48, 10.49), _lost(10.2, float("inf")))
    assert (stop.num_lost, stop.num_cut) == (0, 2)
    assert all(requirement.met for requirement in stop.require())


def test_another_exit_status_than_0_does_not_pass():
    for status in (1, -9, None):
        assert not _stop(status=status).require()[0].met
