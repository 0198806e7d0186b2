import asyncio
import json
from typing import Any

import pytest

from tests.load.service import ServiceError
from tests.soak import __main__ as command
from tests.soak.options import Options
from tests.soak.report import Report, at_most, none_of

_SHORT: dict[str, Any] = {
    **{"load": 2.0, "seconds": 3.0, "rounds": 1, "images": 200, "requests": 300, "idle_connections": 60},
    **{"max_queue": 16, "max_upload_bytes": 2**20, "stream_bytes": 8 * 2**20, "threads": 1, "capacity_seconds": 0.5},
    **{"head_timeout_seconds": 1.0, "upload_timeout_seconds": 1.0, "drain_seconds": 0.3},
}
_PROOFS = {  # outcomes without which the scenario has not done what it is for
    "mixed": ("200", "422"),
    "overload": ("200", "503 queue_full"),
    "terminate": ("200", "503 stopping"),
    "kill": ("200",),
    "hang": ("200",),
    "mutations": ("200", "422"),
    "abuse": ("200", "408 upload_timeout", "413 body_too_large", "413 too_many_pixels"),
    "parallel": ("200",),
}


@pytest.mark.parametrize(
    "scenario", [pytest.param(name, marks=[pytest.mark.slow] * (name == "hang")) for name in command.SCENARIOS]
)
def test_a_short_run_meets_every_requirement_but_those_on_speed(scenario, tiny_pair):
    report = asyncio.run(command.SCENARIOS[scenario](Options(model_path=tiny_pair[1], **_SHORT)))
    assert report.list_failures() == [], report.format()
    assert all(report.tally.count(label) for label in _PROOFS[scenario]), report.format()


def test_the_exit_status_and_the_file_say_whether_every_requirement_is_met(tmp_path, monkeypatch, capsys):
    async def meet(options: Options) -> Report:
        return Report("meet", [f"{options.seconds} s"], [at_most("time", 1, 2, "s")])

    async def fail(_options: Options) -> Report:
        return Report("fail", [], [none_of("hangs", 0), at_most("never measured", float("nan"), 2, "s", timed=True)])

    async def stumble(_options: Options) -> Report:
        raise ServiceError("the service did not become ready")

    scenarios = {"mixed": meet, "kill": fail, "abuse": stumble}
    monkeypatch.setattr(command, "SCENARIOS", scenarios)
    assert [command.main([name]) for name in scenarios] == [0, 1, 1]
    assert command.main(["all", "--json", str(tmp_path / "soak.json"), "--minutes", "2"]) == 1
    assert [report["passed"] for report in json.loads((tmp_path / "soak.json").read_text())] == [True, False]
    assert "\n120.0 s\n" in capsys.readouterr().out
