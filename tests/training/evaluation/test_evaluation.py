import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.errors import CheckpointError
from tests.samples.phantoms import CLASSES, create_card, create_tiny_network, save_tiny_checkpoint, write_data_folder
from training.errors import DataError, UsageError
from training.evaluation.evaluation import EvaluationOptions, evaluate
from training.evaluation.evaluation_file import describe_evaluation
from training.evaluation.model_card import ModelCardOptions, write_model_card
from training.evaluation.report import render_report
from training.evaluation.summary import format_evaluation
from training.metrics.metrics import confusion_matrix
from training.metrics.reviews import LEVELS


def _by_name(evaluation):
    return {split.name: split for split in evaluation.splits}


def test_three_splits_are_measured_side_by_side(evaluation):
    splits = _by_name(evaluation)
    assert list(splits) == ["official_test", "copy_free_test", "grouped_test"]
    assert splits["official_test"].metrics.images == 18
    assert splits["grouped_test"].metrics.images == 18  # Training 6, 7 and Testing 2 to 5 of each class
    for split in splits.values():
        classified = split.classified
        assert np.array_equal(split.confusion, confusion_matrix(classified.labels, classified.probabilities))
        assert split.confusion.sum() == split.metrics.images
        assert len(split.per_class) == len(CLASSES)


def test_no_scan_without_copies_shares_a_group_with_training(evaluation, grouped_folder):
    groups = set(_by_name(evaluation)["copy_free_test"].classified.groups)
    assert groups == {f"{name} 4" for name in CLASSES}


def test_both_engines_measure_the_same(evaluation, tiny_pair):
    other = evaluate(replace(evaluation.options, checkpoint=tiny_pair[1]))
    for ours, theirs in zip(evaluation.splits, other.splits, strict=True):
        assert np.array_equal(ours.confusion, theirs.confusion)
        values = [split.metrics.__pydantic_extra__["nll"].value for split in (ours, theirs)]
        assert values[0] == pytest.approx(values[1], abs=1e-5)


def test_without_groups_in_the_data_there_is_no_grouped_test(tiny_pair, grouped_folder):
    names = [split.name for split in evaluate(EvaluationOptions(grouped_folder, tiny_pair[0])).splits]
    assert "grouped_test" not in names
    assert names[0] == "official_test"


def test_the_official_weights_are_measured_on_the_testing_folder(evaluation, tmp_path):
    other = save_tiny_checkpoint(tmp_path / "official.pth", temperature=3.0)
    splits = _by_name(evaluate(replace(evaluation.options, official_checkpoint=other)))
    ours = evaluation.classifier.identity
    assert splits["grouped_test"].classifier.identity == ours
    for name in ("official_test", "copy_free_test"):
        assert splits[name].classifier.card.temperature == 3.0
        assert splits[name].classifier.identity != ours


def test_official_weights_of_other_classes_are_refused(evaluation, tmp_path):
    network = create_tiny_network()
    assert create_card(network).classes == CLASSES
    other = save_tiny_checkpoint(tmp_path / "other.pth", classes=("glioma", "notumor", "meningioma"))
    with pytest.raises(CheckpointError, match="pituitary"):
        evaluate(replace(evaluation.options, official_checkpoint=other))


@pytest.mark.parametrize(
    ("trained_on", "seen"),
    [
        ("grouped", ["official_test", "copy_free_test"]),
        ("official", ["grouped_test"]),
        ("common", []),
        (None, ["grouped_test"]),
    ],
)
def test_a_column_whose_scans_may_have_been_trained_on_is_marked(evaluation, tmp_path, trained_on, seen):
    weights = save_tiny_checkpoint(tmp_path / "tiny.pth", training={"split": trained_on} if trained_on else {})
    classified = evaluate(replace(evaluation.options, checkpoint=weights))
    assert [split.name for split in classified.splits if split.seen] == seen


def test_reviews_are_measured_where_they_are_given(evaluation, calibrated_pair, tiny_pair):
    assert evaluation.splits[0].reviews is None
    options = replace(evaluation.options, checkpoint=calibrated_pair[1])
    reviews = evaluate(options).splits[0].reviews
    assert reviews is not None
    shares = [reviews.intervals[f"share_{level}"].value for level in LEVELS]
    assert sum(shares) == pytest.approx(1)
    assert reviews.intervals["set_size"].value >= 1
    assert "outlier_rate" in reviews.intervals


def test_the_cards_temperature_counts(grouped_folder, tmp_path):
    sharp = save_tiny_checkpoint(tmp_path / "sharp.pth", temperature=0.1)
    soft = save_tiny_checkpoint(tmp_path / "soft.pth", temperature=10.0)
    values = [
        evaluate(EvaluationOptions(grouped_folder, path)).splits[0].metrics.__pydantic_extra__ for path in (sharp, soft)
    ]
    assert values[0]["accuracy"] == values[1]["accuracy"]
    assert values[0]["nll"] != values[1]["nll"]


def test_data_with_classes_the_weights_do_not_know_are_refused(tiny_pair, tmp_path):
    data = write_data_folder(tmp_path)
    (data / "Training" / "glioma").rename(data / "Training" / "unicorn")
    with pytest.raises(DataError, match="unicorn"):
        evaluate(EvaluationOptions(data, tiny_pair[0]))


@pytest.fixture
def external(grouped_folder, tmp_path):
    """One's own scans: two classes of three, outside Training and Testing."""
    for name in ("glioma", "notumor"):
        shutil.copytree(grouped_folder / "Testing" / name, tmp_path / "own" / name)
    return tmp_path / "own"


def test_external_scans_need_neither_splits_nor_all_classes(tiny_pair, external):
    named = evaluate(EvaluationOptions(images=external, checkpoint=tiny_pair[0], prevalence=0.05))
    (split,) = named.splits
    assert (split.name, split.metrics.images, split.seen) == ("external_test", 12, False)
    metrics = split.metrics.__pydantic_extra__
    present = [split.per_class[label].intervals["sensitivity"].value for label in (0, 1)]
    assert metrics["balanced_accuracy"].value == pytest.approx(np.mean(present))
    assert "sensitivity" not in split.per_class[2].intervals
    assert evaluate(EvaluationOptions(external, checkpoint=tiny_pair[0])).splits[0].metrics == split.metrics
    described = describe_evaluation(named)
    assert "nan" not in json.dumps(described).lower()
    examples = [
        example for pair in described["splits"]["external_test"]["confused_pairs"] for example in pair["examples"]
    ]
    assert all((external / example["path"]).is_file() for example in examples)
    assert "external scans" in format_evaluation(named)
    assert "external scans" in render_report(named)


def test_groups_of_a_table_make_the_intervals_of_external_scans_wider(tiny_pair, external):
    paths = sorted(external.glob("*/*.png"))
    widths = []
    for groups in (range(len(paths)), [index // 6 for index in range(len(paths))]):
        pairs = zip(paths, groups, strict=True)
        rows = [f"{path.relative_to(external)},{path.parent.name},{group}" for path, group in pairs]
        (external / "own.csv").write_text("\n".join(["path,class,group", *rows]), encoding="utf-8")
        (split,) = evaluate(EvaluationOptions(images=external / "own.csv", checkpoint=tiny_pair[0])).splits
        accuracy = split.metrics.__pydantic_extra__["nll"]
        widths.append(accuracy.high - accuracy.low)
        assert split.metrics.groups == len(set(groups))
    assert widths[1] > 1.3 * widths[0]


def test_external_scans_stand_beside_those_of_the_folder(evaluation, external, tmp_path):
    other = save_tiny_checkpoint(tmp_path / "official.pth", temperature=3.0)
    both = evaluate(replace(evaluation.options, images=external, official_checkpoint=other))
    assert list(_by_name(both)) == ["official_test", "copy_free_test", "grouped_test", "external_test"]
    assert _by_name(both)["external_test"].classifier.identity == evaluation.classifier.identity
    assert _by_name(both)["grouped_test"].metrics == _by_name(evaluation)["grouped_test"].metrics


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected DIR, --images or --elsewhere"),
        ({"images": Path("x"), "groups": Path("y")}, "--groups and --official-checkpoint are about the scans of DIR"),
        ({"images": Path("x"), "official_checkpoint": Path("y")}, "--groups and --official-checkpoint are about"),
    ],
)
def test_options_without_the_scans_that_they_are_about_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        evaluate(EvaluationOptions(**options))


def test_a_model_card_is_written_from_external_scans_alone(tiny_pair, external, tmp_path):
    described = describe_evaluation(evaluate(EvaluationOptions(images=external, checkpoint=tiny_pair[0])))
    (tmp_path / "evaluation.json").write_text(json.dumps(described), encoding="utf-8")
    assert "external scans" in write_model_card(ModelCardOptions(tmp_path / "evaluation.json", tiny_pair[0]))
