import json

import pytest

from model.host.cores import available_cores
from tests.benchmark import ratios
from tests.benchmark.engines import Pace
from tests.benchmark.load import Load
from tests.benchmark.measurements import name_engine, name_load
from tests.benchmark.ratios import Ratio, compute_ratios, find_regressions
from tests.benchmark.results import Results

CORES = available_cores()


def _load(rate: float, p50_ms: float = 4.0) -> Load:
    return Load(rate, p50_ms, 2 * p50_ms, server_cpu_ms=7.0, client_cpu_ms=0.2, memory_mib=150.0)


def _results(*rates: float) -> Results:
    results = Results()
    for rate in rates:
        results.add(name_load("ours", "/predict", "JPEG", 224, 32), _load(rate))
        results.add(name_load("usual", "/predict", "JPEG", 224, 32), _load(40))
        results.add(name_engine("onnxruntime", 1, CORES), Pace(7.0, 300.0, 6.5))
    return results


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds():
    found = {ratio.name: ratio for ratio in compute_ratios(_results(100, 240, 280))}
    assert found["32 clients: rate / engine, a stream a core"].value == pytest.approx(0.8)
    assert not found["32 clients: rate / engine, a stream a core"].reached
    assert found["32 clients: times as fast as the usual service"].value == pytest.approx(6)
    assert found["32 clients: times as fast as the usual service"].reached
    assert found["32 clients: CPU / (engine + 1.5 ms)"].value == pytest.approx(7 / 8)


def test_what_was_not_measured_has_no_ratio():
    names = {ratio.name for ratio in compute_ratios(_results(100))}
    assert not any("picture" in name or "folder" in name or "one client" in name for name in names)


@pytest.mark.parametrize(
    ("value", "large_is_good", "worse"), [(4, True, True), (9, True, False), (11, False, False), (14, False, True)]
)
def test_only_what_is_clearly_worse_is_a_regression(value, large_is_good, worse):
    ratio = Ratio("rate", value, 5, large_is_good)
    assert bool(find_regressions([ratio], {"rate": 10})) is worse
    assert find_regressions([ratio], {"another": 10}) == []


def test_stored_ratios_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(ratios, "STORED", tmp_path / "ratios.json")
    assert ratios.load_stored() == {}
    ratios.store([Ratio("rate", 2 / 3, 1, True)])
    assert ratios.load_stored() == {"rate": 0.667}


def test_the_shipped_ratios_are_those_that_are_computed():
    stored = json.loads(ratios.STORED.read_text(encoding="utf-8"))
    assert set(stored) <= {rule.name for rule in ratios._list_rules()}
