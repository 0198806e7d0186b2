import json

import numpy as np
import pytest

from tests.samples.phantoms import CLASSES
from tests.training.comparison.conftest import save_system
from training.comparison.comparison import ComparisonOptions, NamedCheckpoint, compare, share_verdicts
from training.errors import DataError


def test_each_split_is_measured_with_weights_that_have_not_seen_it_where_there_are_such(comparison):
    assert [system.name for system in comparison.systems] == ["one", "other", "two"]
    seen = {
        system.name: {split.name: split.seen for split in system.evaluation.splits} for system in comparison.systems
    }
    assert not any(seen["one"].values())
    assert seen["other"] == {"official_test": False, "copy_free_test": False, "grouped_test": True}
    assert seen["two"] == {"official_test": True, "copy_free_test": True, "grouped_test": False}


@pytest.mark.parametrize(
    ("trained_on", "official", "grouped"),
    [
        (("common",), "common", "common"),
        (("common", "official"), "official", "common"),
        (("grouped", "common"), "common", "grouped"),
    ],
)
def test_weights_of_the_common_split_measure_what_no_others_do(grouped_folder, tmp_path, trained_on, official, grouped):
    paths = [save_system(tmp_path / f"{split}.pth", "one", split, seed) for seed, split in enumerate(trained_on)]
    checkpoints = tuple(NamedCheckpoint(path) for path in paths)
    (system,) = compare(ComparisonOptions(grouped_folder, checkpoints, grouped_folder / "groups.csv")).systems
    parts = {split.name: split.classifier.card.training["split"] for split in system.evaluation.splits}
    assert parts == {"official_test": official, "copy_free_test": official, "grouped_test": grouped}


def test_all_pairs_of_a_split_are_tested(comparison):
    names = [(pair.first, pair.second) for pair in comparison.pairs if pair.split == "official_test"]
    assert names == [("one", "other"), ("one", "two"), ("other", "two")]
    assert all(pair.test.p_value <= pair.adjusted <= 1 for pair in comparison.pairs)


def test_systems_of_other_classes_are_compared_by_the_coarser_ones(comparison):
    one, _, two = (system.split("official_test") for system in comparison.systems)
    assert one is not None
    assert two is not None
    for pair in ((one, two), (two, one)):
        found = share_verdicts(*pair)
        assert found is not None
        assert found.classes == ("no_tumor", "tumor")
    classified = one.classified
    tumor = 1 - classified.probabilities[:, CLASSES.index("notumor")]
    expected = (tumor > 0.5) == (classified.labels != CLASSES.index("notumor"))
    found = share_verdicts(one, two)
    assert found is not None
    assert np.array_equal(found.first_right, expected)


def test_it_can_be_written_as_json(comparison):
    described = json.loads(json.dumps(comparison.describe()))
    assert described["systems"]["one"]["costs"]["parameters"] > 50_000
    assert described["systems"]["one"]["epochs"] == 3
    assert described["systems"]["two"]["epochs"] is None
    assert {pair["split"] for pair in described["pairs"]} == set(comparison.split_names)


def test_two_runs_of_one_recipe_need_names(grouped_folder, tmp_path):
    paths = [save_system(tmp_path / f"{seed}.pth", "one", "official", seed) for seed in (0, 1)]
    with pytest.raises(DataError, match=r"NAME="):
        compare(ComparisonOptions(grouped_folder, tuple(NamedCheckpoint(path) for path in paths)))


def test_the_exported_file_beside_a_checkpoint_is_measured(tiny_pair):
    assert NamedCheckpoint(tiny_pair[0]).served == tiny_pair[1]
