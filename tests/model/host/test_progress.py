import io
import sys

import pytest

from model.host import progress
from model.host.progress import Progress


@pytest.fixture
def lines(caplog):
    caplog.set_level("INFO", progress.logger.name)
    return caplog


def test_off_a_terminal_work_writes_a_line_at_its_interval_and_no_bar(lines, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 1e-9)
    assert list(Progress(iter("abc"), "reading", 3, unit="scan")) == ["a", "b", "c"]
    with Progress(None, "shifting", 64, unit="scan") as counted:
        counted.set_description_str("shifting: blur 2", refresh=False)
        counted.update(32)
    assert [line.split("; ")[0] for line in lines.messages] == [
        *(f"reading: {count} of 3 scans" for count in (1, 2, 3)),
        "shifting: blur 2: 32 of 64 scans",
    ]
    assert capsys.readouterr() == ("", "")


def test_what_takes_less_than_the_interval_writes_nothing(lines, capsys):
    assert list(Progress(range(3), "reading", unit="scan")) == [0, 1, 2]
    assert list(Progress(range(3), "reading", unit="scan", disable=True)) == [0, 1, 2]
    assert not lines.messages
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar_and_no_line(lines, monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(Progress(range(3), "reading", unit="scan")) == [0, 1, 2]
    assert "3/3" in terminal.getvalue()
    assert not lines.messages
