import json

import matplotlib as mpl
import pytest

from tests.benchmark.__main__ import main
from tests.benchmark.load import Load
from tests.benchmark.measurements import name_load
from tests.benchmark.plot import plot_results
from tests.benchmark.results import Results


@pytest.mark.slow
def test_a_quick_run_measures_what_is_asked_for_and_gives_no_verdict(tiny_pair, tmp_path, capsys):
    wanted = ["--only", "/predict/JPEG 224/", "--weights", str(tiny_pair[1]), "--checkpoint", str(tiny_pair[0])]
    assert main(["--quick", *wanted, "--num-files", "2", "--out", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    assert [name.split("/")[1] for name in written["medians"]][:3] == ["ours", "lean", "usual"]  # take turns
    names = {f"http/{name}/predict/JPEG 224/{num} clients" for name in ("ours", "lean", "usual") for num in (1, 8, 32)}
    assert names <= written["medians"].keys()
    for values in written["medians"].values():
        assert values["p99_ms"] >= values["p50_ms"] > 1000 / values["rate"] / 32 > 0
        assert values["server_cpu_ms"] > 0
        assert values["memory_mib"] > 30
    assert written["ratios"]["32 clients: p99 / p50"] >= 1
    assert (tmp_path / "benchmark.png").stat().st_size > 1000
    printed = capsys.readouterr().out
    assert "quick look" in printed
    assert not {"ok", "MISSED", "WORSE"} & set(printed.split())


def test_a_profile_comes_instead_of_the_measurements(tiny_pair, tmp_path, capsys):
    assert main(["--profile", "--seconds", "0.05", "--weights", str(tiny_pair[1]), "--out", str(tmp_path)]) == 0
    assert "queue hand-over" in capsys.readouterr().out
    assert not any(tmp_path.iterdir())


def test_a_quick_look_is_never_stored(monkeypatch, capsys):
    monkeypatch.setattr("tests.benchmark.__main__.store", None)  # to call it would be an error
    assert main(["--quick", "--store", "--only", "decode/JPEG 224"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("title", ["quick look: one short round, no verdict", ""])
def test_the_picture_carries_what_the_run_was(tmp_path, title):
    results = Results()
    results.add(name_load("ours", "/predict", "JPEG 224", 8), Load(100, 4, 8, 7, 0.2, 150))
    with mpl.rc_context({"svg.fonttype": "none"}):
        plot_results(results, title, tmp_path / "benchmark.svg")
    assert (title or "JPEG 224") in (tmp_path / "benchmark.svg").read_text(encoding="utf-8")
    plot_results(Results(), title, tmp_path / "benchmark.svg")
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_measured_is_an_error_in_one_line(tmp_path, capsys):
    missing = tmp_path / "missing.onnx"
    assert main(["--quick", "--only", "http/ours/predict/JPEG 224/1 ", "--weights", str(missing)]) == 1
    assert "error: the service did not become ready" in capsys.readouterr().err
