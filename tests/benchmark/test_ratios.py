import pytest

from model.host.cores import available_cores
from tests.benchmark import ratios
from tests.benchmark.images import ORIGINAL
from tests.benchmark.load import Load
from tests.benchmark.measurements import name_engine, name_load
from tests.benchmark.parts import Pace
from tests.benchmark.ratios import Ratio, Rule, compute_ratios, find_regressions, load_stored
from tests.benchmark.results import Results


def _load(rate: float) -> Load:
    return Load(rate, p50_ms=4, p99_ms=8, server_cpu_ms=7, client_cpu_ms=0.2, memory_mib=150)


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds():
    results = Results()
    for rate in (100, 240, 280):
        results.add(name_load("ours", "/predict", ORIGINAL, 32), _load(rate))
        results.add(name_load("lean", "/predict", ORIGINAL, 32), _load(200))
        results.add(name_load("usual", "/predict", ORIGINAL, 32), _load(40))
        results.add(name_engine("onnxruntime", 1, available_cores()), Pace(7.0, 300.0, 5.0))
    found = {ratio.rule.name: ratio.format(with_verdict=True) for ratio in compute_ratios(results)}
    assert found == {
        name: f"{verdict:<7} {name}: {shown}"
        for name, verdict, shown in (
            ("original size, 32 clients: times as fast as the lean service", "ok", "1.20 (at least 1.15)"),
            ("original size, 32 clients: times as fast as the usual service", "ok", "6.00 (at least 4)"),
            ("original size, 32 clients: rate / engine, a stream a core", "ok", "0.80 (at least 0.75)"),
            ("original size, 32 clients: CPU / engine", "MISSED", "1.40 (at most 1.35)"),
        )
    }


def test_busy_cores_and_the_cost_of_a_picture_are_those_of_their_own_round():
    results, cores = Results(), available_cores()
    results.add(name_load("ours", "/predict", ORIGINAL, 8), Load(100 * cores, 4, 8, 9.5, 0.3, 150))
    for path, cpu_ms in (("/predict", 7), ("/predict/visualize", 12)):
        results.add(name_load("ours", path, "JPEG 512", 32), Load(100, 4, 8, cpu_ms, 0.2, 150))
    results.add(name_engine("onnxruntime", 1, cores), Pace(7.0, 300.0, 5.0))
    found = {ratio.rule.name: ratio.value for ratio in compute_ratios(results)}
    assert found == {
        "original size, 8 clients: part of the cores that is busy, client included": pytest.approx(0.98),
        "picture 512, 32 clients: CPU beyond that of a prediction / engine": pytest.approx(1),
    }


@pytest.mark.parametrize(
    ("value", "bound", "worse"),
    [(4, "at least", True), (9, "at least", False), (11, "at most", False), (14, "at most", True)],
)
def test_only_what_is_clearly_worse_is_a_regression(value, bound, worse):
    ratio = Ratio(Rule("rate", bound, 5, ()), value)
    assert bool(find_regressions([ratio], {"rate": 10})) is worse
    assert find_regressions([ratio], {"another": 10}) == []


def test_stored_ratios_are_read_again_and_the_shipped_ones_are_computed(tmp_path, monkeypatch):
    assert load_stored().keys() <= {rule.name for rule in ratios.list_rules()}
    monkeypatch.setattr(ratios, "STORED", tmp_path / "ratios.json")
    assert load_stored() == {}
    ratios.store([Ratio(Rule("rate", "at least", 1, ()), 2 / 3)])
    assert load_stored() == {"rate": 0.667}
