import numpy as np
import pytest

from model.classifier import Classifier
from model.engine import load_engine
from tests.phantoms import CLASSES
from training import judged as judged_module
from training.errors import DataError
from training.judged import judge_splits, run_batches
from training.scans import Scan, find_scans
from training.splits import TestSplit


@pytest.fixture(scope="module")
def engine(tiny_pair):
    return load_engine(tiny_pair[1], 1)


@pytest.fixture
def scans(grouped_folder):
    return find_scans(grouped_folder, "Testing", CLASSES).scans


def test_it_says_what_the_service_says(engine, scans, monkeypatch):
    monkeypatch.setattr(judged_module, "_BATCH_SIZE", 4)
    (judged,) = judge_splits(engine, [TestSplit("official_test", scans)])
    classifier = Classifier(engine)
    for scan, label, row in zip(scans, judged.labels, judged.probabilities, strict=True):
        expected = list(classifier.predict(scan.path.read_bytes()).probabilities.values())
        assert row == pytest.approx(expected, abs=1e-5)
        assert label == scan.label
    assert judged.logits.shape == (18, 3)
    assert len(judged.features) == 18


def test_a_scan_in_two_splits_is_computed_once(engine, scans, monkeypatch):
    seen, real = [], judged_module._run

    def count(engine, inputs):
        seen.append(len(inputs))
        return real(engine, inputs)

    monkeypatch.setattr(judged_module, "_run", count)
    both = judge_splits(engine, [TestSplit("official_test", scans), TestSplit("copy_free_test", scans[5:9])])
    assert sum(seen) == len(scans)
    assert np.array_equal(both[0].logits[5:9], both[1].logits)
    assert both[1].scans == scans[5:9]


def test_scans_of_which_nothing_is_known_are_groups_of_their_own(engine, scans):
    known = Scan(scans[0].path, 0, "patient")
    (judged,) = judge_splits(engine, [TestSplit("official_test", (known, *scans[1:]))])
    assert judged.groups[0] == "patient"
    assert len(set(judged.groups)) == len(scans)


def test_only_few_batches_are_decoded_ahead(engine, scans, monkeypatch):
    decoded, real = [], judged_module._read_inputs

    def count(scan, preprocessing):
        decoded.append(scan)
        return real(scan, preprocessing)

    monkeypatch.setattr(judged_module, "_BATCH_SIZE", 2)
    monkeypatch.setattr(judged_module, "_read_inputs", count)
    ahead = [len(decoded) for _ in run_batches(engine.predict, scans, engine.card.preprocessing)]
    assert ahead[0] <= 6
    assert len(ahead) == 9


def test_a_damaged_or_missing_scan_is_named(engine, scans, tmp_path):
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(scans[0].path.read_bytes()[:200])
    for path in (damaged, tmp_path / "missing.png"):
        with pytest.raises(DataError, match=path.name):
            judge_splits(engine, [TestSplit("official_test", (*scans, Scan(path, 0)))])
