import os

import pytest

from model.host import cores as cores_module
from model.host.cores import available_cores


@pytest.mark.parametrize(("text", "limit"), [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1)])
def test_the_cpu_quota_of_a_container_bounds_the_cores(monkeypatch, tmp_path, text, limit):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    (tmp_path / "cpu.max").write_text(text, encoding="ascii")
    monkeypatch.setattr(cores_module, "_CPU_QUOTA", tmp_path / "cpu.max")
    assert available_cores() == limit


@pytest.mark.parametrize("text", ["max 100000", "", None])
def test_without_a_quota_all_cores_of_the_affinity_are_used(monkeypatch, tmp_path, text):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 9})
    if text is not None:
        (tmp_path / "cpu.max").write_text(text, encoding="ascii")
    monkeypatch.setattr(cores_module, "_CPU_QUOTA", tmp_path / "cpu.max")
    assert available_cores() == 3
