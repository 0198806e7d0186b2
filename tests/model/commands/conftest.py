import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model import scan_files
from model.command_line import main

ROOT = Path(__file__).parents[3]
Predict = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def predict(tiny_pair, capsys) -> Predict:
    """Runs `python -m model predict`, and returns the rows of standard output."""

    def run(*arguments: object, status: int = 0, weights: Path = tiny_pair[1]) -> list[dict[str, Any]]:
        assert main(["predict", *map(str, arguments), "--weights", str(weights)]) == status
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.fixture
def files_read(monkeypatch) -> list[str]:
    """The names of the files that are read to be classified."""
    names: list[str] = []
    read = scan_files.read_file

    def read_and_record(path: Path) -> bytes:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(scan_files, "read_file", read_and_record)
    return names


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Starts a command in a process of its own, which heeds SIGINT even where the tests run in the background."""

    def run(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "model", *map(str, arguments)]
        options = {"stderr": subprocess.PIPE, "preexec_fn": _heed_interrupts, **options}
        return subprocess.Popen(command, cwd=ROOT, text=True, **options)

    return run


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
