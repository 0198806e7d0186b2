import json

from tests.soak.exchange import End, Outcome
from tests.soak.report import Report, Requirement, at_most, none_of
from tests.soak.request import Request
from tests.soak.tally import Tally


def _report(*requirements: Requirement) -> Report:
    tally = Tally()
    tally.add(Outcome(Request("good", ()), End.LOST, 0.0, 0.1, 0.2, 0))
    return Report("mixed", ["capacity 50 requests/s"], requirements, tally)


def test_one_requirement_that_is_not_met_fails_the_report():
    assert _report(none_of("hangs", 0), at_most("time", 1.0, 2.0, "s")).passed
    assert not _report(none_of("hangs", 0), none_of("lost requests", 1)).passed


def test_what_was_never_measured_does_not_pass():
    assert not at_most("/livez p99", float("nan"), 50, "ms").met


def test_only_what_depends_on_no_speed_is_a_failure_for_the_suite():
    assert _report(at_most("time", 3.0, 2.0, "s", timed=True)).list_failures() == []
    assert _report(none_of("lost requests", 1)).list_failures() == ["lost requests: 1"]


def test_the_report_shows_the_table_and_each_requirement():
    lines = _report(none_of("hangs", 0), none_of("lost requests", 1)).format().splitlines()
    assert lines[0] == "== mixed"
    assert any(line.split() == ["good", "1", "0", "1", "-", "-", "lost", "1"] for line in lines)
    assert [line.split()[0] for line in lines[-2:]] == ["ok", "FAILED"]


def test_the_description_is_json():
    described = json.loads(json.dumps(_report(none_of("hangs", 0)).describe(), allow_nan=False))
    assert described["passed"] is True
    assert described["kinds"]["good"] == {"sent": 1, "ends": {"lost": 1}, "wrong": 0} | {
        "p50_seconds": None,
        "p99_seconds": None,
    }
