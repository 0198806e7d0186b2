import json

import pytest

from tests.soak import __main__ as command
from tests.soak.options import Options
from tests.soak.report import Report, none_of
from tests.soak.server import ServerError


@pytest.fixture
def _scenarios(monkeypatch):
    async def pass_(options: Options) -> Report:
        return Report("pass", [f"seconds {options.seconds} seed {options.seed}"], [none_of("hangs", 0)])

    async def fail(_options: Options) -> Report:
        return Report("fail", [], [none_of("hangs", 1)])

    async def stumble(_options: Options) -> Report:
        raise ServerError("the server did not become ready")

    monkeypatch.setattr(command, "SCENARIOS", {"mixed": pass_, "fail": fail, "stumble": stumble})


@pytest.mark.usefixtures("_scenarios")
@pytest.mark.parametrize(("scenario", "status"), [("mixed", 0), ("fail", 1), ("stumble", 1)])
def test_the_exit_status_tells_whether_every_requirement_is_met(scenario, status):
    assert command.main([scenario]) == status


@pytest.mark.usefixtures("_scenarios")
def test_results_are_printed_and_written(tmp_path, capsys):
    file = tmp_path / "soak.json"
    assert command.main(["all", "--json", str(file), "--minutes", "2", "--seed", "7"]) == 1
    printed = capsys.readouterr()
    assert "seconds 120.0 seed 7" in printed.out
    assert "error: the server did not become ready" in printed.err
    assert [report["passed"] for report in json.loads(file.read_text())] == [True, False]


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"--{name.replace('_', '-')}" in shown for name in vars(Options()))
