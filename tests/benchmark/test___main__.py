import json

import pytest

from tests.benchmark.__main__ import main


@pytest.mark.slow
def test_the_command_measures_what_is_asked_for_and_writes_it(tiny_pair, tmp_path, capsys):
    options = ["--quick", "--only", "http/ours/predict/JPEG 224/", "--out", str(tmp_path)]
    assert main([*options, "--weights", str(tiny_pair[1]), "--checkpoint", str(tiny_pair[0]), "--num-files", "2"]) == 0
    written = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    assert set(written["medians"]) == {f"http/ours/predict/JPEG 224/{clients} clients" for clients in (1, 8, 32)}
    for values in written["medians"].values():
        assert values["rate"] > 0
        assert values["p99_ms"] >= values["p50_ms"] > 0
    assert written["ratios"]["32 clients: p99 / p50"] >= 1
    assert (tmp_path / "benchmark.png").stat().st_size > 1000
    assert "http/ours/predict/JPEG 224/8 clients" in capsys.readouterr().out


def test_what_cannot_be_measured_is_told_in_one_line(tmp_path, capsys):
    missing = tmp_path / "missing.onnx"
    assert main(["--quick", "--only", "http/ours/predict/JPEG 224/1 ", "--weights", str(missing)]) == 1
    assert "ours did not become ready" in capsys.readouterr().err
