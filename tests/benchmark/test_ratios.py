import pytest

from model.host.cores import available_cores
from tests.benchmark import ratios
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
        results.add(name_load("ours", "/predict", "JPEG", 224, 32), _load(rate))
        results.add(name_load("usual", "/predict", "JPEG", 224, 32), _load(40))
        results.add(name_engine("onnxruntime", 1, available_cores()), Pace(7.0, 300.0, 6.5))
    found = {ratio.rule.name: ratio.format(with_verdict=True) for ratio in compute_ratios(results)}
    assert found == {
        name: f"{verdict:<7} {name}: {shown}"
        for name, verdict, shown in (
            ("32 clients: rate / engine, a stream a core", "MISSED", "0.80 (at least 0.85)"),
            ("32 clients: times as fast as the usual service", "ok", "6.00 (at least 6)"),
            ("32 clients: p99 / p50", "ok", "2.00 (at most 2)"),
            ("32 clients: CPU / (engine + 1.5 ms)", "ok", "0.88 (at most 1)"),
            ("32 clients: memory / 300 MiB", "ok", "0.50 (at most 1)"),
        )
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
    assert load_stored().keys() == {rule.name for rule in ratios.list_rules()}
    monkeypatch.setattr(ratios, "STORED", tmp_path / "ratios.json")
    assert load_stored() == {}
    ratios.store([Ratio(Rule("rate", "at least", 1, ()), 2 / 3)])
    assert load_stored() == {"rate": 0.667}
