import json

import numpy as np
import pytest
import yaml

from model.card import PackedArray
from model.checkpoints.file_hash import hash_file
from tests.samples.phantoms import save_tiny_checkpoint
from training.errors import DataError
from training.evaluation.evaluation import EvaluationOptions, evaluate
from training.evaluation.evaluation_file import describe_evaluation
from training.evaluation.model_card import ModelCardOptions, excludes_commerce, format_value, write_model_card
from training.recipe_files import load_recipe

SCORE = {"value": 0.8125, "low": 0.7, "high": 0.9}
BOX_SCORE = {"pointing_game": SCORE, "pointing_game_correct": None, "energy_inside": SCORE}
SHIFT_SCORE = {
    "shift": "gamma",
    "severity": 0.5,
    "unit": "exponent",
    "shortcut": False,
    "accuracy": SCORE,
    "agreement": SCORE,
    "ece": 0.0321,
    "review": {"none": 0.75, "consider": 0.05, "required": 0.2},
    "outliers": None,
    "missed_tumor_rate": SCORE,
    "missed_tumors": 3,
    "missed_and_flagged": SCORE,
}
SHIFT = {
    "split": "grouped_test",
    "images": 100,
    "groups": 40,
    "reference": {**SHIFT_SCORE, "shift": "none", "severity": 0.0, "unit": "", "missed_and_flagged": None},
    "scores": [SHIFT_SCORE, {**SHIFT_SCORE, "shift": "border_masked", "shortcut": True}],
}
ELSEWHERE = {
    "table_sha256": "0b5e",
    "sources": [
        {"name": "lgg", "licence": "CC BY-NC-SA 4.0", "num_images": {"train": 5, "validation": 2, "calibration": 1}},
        {"name": "ct", "licence": "", "num_images": {"train": 7, "validation": 0, "calibration": 2}},
    ],
    "rows": [
        {"name": "all", "num_images": 5, "num_patients": 4, "numbers": {"called_tumor": SCORE, "reviewed": SCORE}},
        {"name": "ct", "num_images": 2, "num_patients": 2, "numbers": {"reviewed": SCORE}},
    ],
}
RECIPE = load_recipe("efficientnet_b0_coarse", {}).model_dump(mode="json")
FACTS = {
    "localization": {
        "part": "test",
        "groups": 45,
        "images": {"glioma": 30, "notumor": 0, "pituitary": 20},
        "selected_layer": "bn2",
        "rows": [
            {"method": "grad_cam", "layer": "bn2", "mean": BOX_SCORE, "classes": {"glioma": BOX_SCORE}},
            {"method": "image_center", "layer": None, "mean": BOX_SCORE, "classes": {"glioma": BOX_SCORE}},
        ],
    },
    "audit": {"images": 7023, "testing_images": 1311, "testing_with_copy_in_training": 999, "sources": {"br35h": 1}},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory, grouped_folder):
    folder = tmp_path_factory.mktemp("card")
    training = {
        "recipe": load_recipe("efficientnet_b0", {"teacher": "/somewhere/teacher.pth"}).model_dump(mode="json"),
        "split": "grouped",
        "sources": {"pretrained_file_sha256": "ab12", "groups_sha256": "ef56", "teacher_0_sha256": "cd34"},
        "num_scans": {"train": 30, "validation": 6, "calibration": 4},
        "best_epoch": 7,
        "validation_loss": 0.25,
        "validation_accuracy": 0.9,
        "versions": {"torch": "2.13"},
    }
    checkpoint = save_tiny_checkpoint(folder / "tiny.pth", training=training)
    measured = evaluate(EvaluationOptions(grouped_folder, checkpoint, grouped_folder / "groups.csv", prevalence=0.05))
    for name, content in {**FACTS, "evaluation": {**describe_evaluation(measured), "shift": SHIFT}}.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page(files):
    sections = {name: files / f"{name}.json" for name in FACTS}
    return write_model_card(ModelCardOptions(files / "evaluation.json", files / "tiny.pth", **sections))


def _metadata(page):
    return yaml.safe_load(page.split("---\n")[1])


def test_the_head_is_metadata_that_hugging_face_reads(page, files):
    metadata = _metadata(page)
    assert metadata["license"] == "apache-2.0"
    assert metadata["pipeline_tag"] == "image-classification"
    results = metadata["model-index"][0]["results"]
    assert [result["dataset"]["type"] for result in results] == ["official_test", "copy_free_test", "grouped_test"]
    measured = json.loads((files / "evaluation.json").read_text(encoding="utf-8"))["splits"]
    for result in results:
        stated = {metric["type"]: metric["value"] for metric in result["metrics"]}
        expected = measured[result["dataset"]["type"]]["metrics"]
        assert stated == pytest.approx({name: interval["value"] for name, interval in expected.items()}, abs=5e-5)


def test_every_section_is_there(page):
    for heading in (
        "## Intended use",
        "## Data",
        "## How it was trained",
        "## What was measured",
        "## Calibration",
        "## Heat maps",
        "## Simulated shift",
        "## What it cannot do",
        "## Failure modes",
        "## At another hospital",
        "## Files and commands",
    ):
        assert heading in page


def test_it_says_what_the_files_say(page, files):
    for word in (
        "999\n(76 %) have a copy in Training",
        "0.81 (0.70 to 0.90)",
        "| gamma 0.5 exponent | 0.812 (0.700 to 0.900) |",
        "| 0.812 (0.700 to 0.900) of 3 | 0.25 | - |",
        "border masked 0.5 exponent *",
        "30 scans to train, 6 scans to validation",
        "| learning_rate | 0.001 |",
        '| stages | [{"epochs": 15, "image_size": 224}] |',
        "30 glioma, 20 pituitary",
        hash_file(files / "tiny.pth"),
        "fit DIR --recipe efficientnet_b0 --split grouped --groups groups.csv --pretrained-file imagenet.pth\n",
        "--prevalence 0.05",
    ):
        assert word in page
    assert "0 notumor" not in page
    assert "/somewhere" not in page


@pytest.fixture
def write_page(files, tmp_path):
    """Writes the page of weights with this `training`, from their evaluation with these changes."""

    def write(training, changes, card=(), **sections):
        checkpoint = save_tiny_checkpoint(tmp_path / "tiny.pth", training=training, **dict(card))
        measured = (files / "evaluation.json").read_text(encoding="utf-8")
        content = json.loads(measured.replace(hash_file(files / "tiny.pth"), hash_file(checkpoint)))
        evaluation = tmp_path / "evaluation.json"
        evaluation.write_text(json.dumps(content | changes), encoding="utf-8")
        return write_model_card(ModelCardOptions(evaluation, checkpoint, **sections))

    return write


@pytest.mark.parametrize("validation_loss", [None, 0.7])
def test_it_says_that_the_validation_part_was_trained_on(write_page, validation_loss):
    """There is a loss where scans from elsewhere validate."""
    counts = {"num_scans": {"train": 36, "validation": 0}, "best_epoch": 9, "validation_loss": validation_loss}
    page = write_page({"recipe": RECIPE, **counts}, {})
    assert "gave 36 scans to train; no group" in page
    assert "validation part was trained on too, and the last epoch, 9, was kept" in page


def test_it_names_the_sources_that_weights_learnt_from_and_their_licences(write_page):
    page = write_page({"sources": {"coarse_sha256": "0b5e"}}, {"elsewhere": ELSEWHERE})
    assert "| lgg | CC BY-NC-SA 4.0 | 5 | 2 | 1 |\n| ct | not stated | 7 | 0 | 2 |\n" in page
    assert "licence excludes commercial use: lgg (CC BY-NC-SA 4.0).\n" in page
    assert (_metadata(page)["license"], _metadata(page)["license_name"]) == ("other", "research-only")
    assert "sources that it learnt from" in page
    assert " --elsewhere elsewhere.csv " in page
    _check_tables(page)


@pytest.mark.parametrize("sources", [{}, {"coarse_sha256": "f00d"}])
def test_sources_of_a_table_that_weights_did_not_learn_from_are_only_measured(write_page, sources):
    page = write_page({"sources": sources}, {"elsewhere": ELSEWHERE})
    assert "NC-SA" not in page
    assert _metadata(page)["license"] == "apache-2.0"
    assert ("`f00d`.\n`python -m training evaluate --elsewhere` with that table" in page) == bool(sources)
    assert "5 images of 4 patients, with intervals" in page
    assert "| ct | 2, 2 | - | 0.81 (0.70 to 0.90) |\n" in page
    assert "Everything above, but for scans from elsewhere, was measured" in page


@pytest.mark.parametrize(
    ("licence", "excluded"),
    [
        ("CC BY-NC-SA 4.0", True),
        ("cc-by-nc-4.0", True),
        ("for non-commercial research", True),
        ("not stated (README: for research purposes only)", True),
        ("CC BY 4.0", False),
        ("not stated", False),
        ("NCI terms", False),
        ("", False),
    ],
)
def test_licences_that_exclude_commerce_are_known_by_their_words(licence, excluded):
    assert excludes_commerce(licence) == excluded


def test_types_are_told_apart_only_where_they_were_learnt(write_page, page):
    assert "on other sequences than contrast T1" not in page
    kinds = {
        "not_head_mr": 0.5,
        "other_mr": 0.5,
        "tumor_probability": 0.1,
        "weights": PackedArray.encode(np.zeros((3, 8))),
        "bias": (0.0, 0.0, 0.0),
    }
    told = write_page({"recipe": RECIPE}, {}, {"kinds": kinds})
    assert "it learnt glioma, meningioma, pituitary there alone" in told


@pytest.mark.parametrize(
    ("changes", "said", "options"),
    [
        ({}, "efficientnet_b0_coarse (17 epochs), as the weights of this card were.\n", ""),
        (
            {"seed": 7},
            "efficientnet_b0_coarse (17 epochs), as the weights of this card were, but for `seed` 7.\n",
            " --seed 7",
        ),
        (
            {"class_kinds": {"glioma": "contrast_t1", "pituitary": "contrast_t1"}},
            "but for `class_kinds.meningioma` none.\n",
            """ --class-kinds '{glioma = "contrast_t1", pituitary = "contrast_t1"}'""",
        ),
        ({"name": "mine"}, "mine (17 epochs), as the weights of this card were not.\n", ""),
    ],
)
def test_folds_stand_at_the_head_with_the_recipe_that_trained_them(write_page, tmp_path, changes, said, options):
    folds = [{"images": 8, "accuracy": {**SCORE, "value": value}} for value in (0.75, 0.875)]
    pooled = {"images": 16, "groups": 9, "accuracy": SCORE}
    path = tmp_path / "cross_validation.json"
    content = {"recipe": {**RECIPE, **changes}, "sources": {"groups_sha256": "1"}, "folds": folds, "pooled": pooled}
    path.write_text(json.dumps(content), encoding="utf-8")
    page = write_page({"recipe": RECIPE, "sources": {"groups_sha256": "1"}}, {}, cross_validation=path)
    section = page.partition("## 2 folds by patient\n")[2].partition("## Intended use")[0]
    assert "Each of 16 scans of 9 groups was tested once" in section
    assert said in section
    assert "| accuracy | 0.812 (0.700 to 0.900) | 0.750 to 0.875 |\n" in section
    name = changes.get("name", RECIPE["name"])
    assert f"cross-validate DIR --recipe {name} --folds 2 --groups groups.csv{options}\n" in page
    _check_tables(page)


def test_it_says_that_others_learnt_from_no_scans_from_elsewhere(write_page, files, tmp_path):
    """Those of the folds and those of the official columns."""
    training = {"recipe": RECIPE, "sources": {}}
    folds, official = tmp_path / "folds.json", tmp_path / "official.json"
    folds.write_text(json.dumps({**training, "folds": [], "pooled": {"images": 16, "groups": 9}}), encoding="utf-8")
    measured = json.loads((files / "evaluation.json").read_text(encoding="utf-8"))
    for split in measured["splits"].values():
        split["training"] = training
    official.write_text(json.dumps(measured), encoding="utf-8")
    page = write_page(
        {"recipe": RECIPE, "sources": {"coarse_sha256": "0b5e"}},
        {},
        cross_validation=folds,
        official_evaluation=official,
    )
    assert "as the weights of this card were, and without scans from elsewhere.\n" in page
    assert page.count("as the weights of this card were on their split, and without scans from elsewhere.\n") == 2


def test_tables_have_as_many_cells_in_every_row(page):
    _check_tables(page)
    assert page.count("|---") > 20


def _check_tables(page):
    width = None
    for line in page.splitlines():
        if not line.startswith("|"):
            width = None
            continue
        cells = line.replace("\\|", "").count("|")
        assert width in (None, cells), line
        width = cells


def test_what_was_not_measured_is_left_out(files, tmp_path):
    measured = json.loads((files / "evaluation.json").read_text(encoding="utf-8"))
    evaluation = tmp_path / "evaluation.json"
    evaluation.write_text(json.dumps({**measured, "shift": None}), encoding="utf-8")
    page = write_model_card(ModelCardOptions(evaluation, files / "tiny.pth"))
    for heading in ("## Heat maps", "## Simulated shift", "audit", "folds", "from elsewhere", "less is known"):
        assert heading not in page


@pytest.mark.parametrize(
    ("recipe", "changes", "expected", "options"),
    [
        ("compact_cnn", {}, "compact_cnn (10 epochs); the weights of this card by efficientnet_b0 (15 epochs).", ""),
        (
            "efficientnet_b0",
            {"teacher": "official/teacher.pth"},
            "efficientnet_b0 (15 epochs), as the weights of this card were on their split.",
            "",
        ),
        (
            "efficientnet_b0",
            {"seed": 7},
            "efficientnet_b0 (15 epochs), as the weights of this card were on their split, "
            "but for `seed` 7, `teacher` none.",
            " --seed 7",
        ),
    ],
)
def test_the_official_columns_come_from_the_official_run(
    files, tmp_path, grouped_folder, recipe, changes, expected, options
):
    training = {"recipe": load_recipe(recipe, changes).model_dump(mode="json"), "split": "official"}
    official = save_tiny_checkpoint(tmp_path / "official.pth", version="8.8.8", temperature=5.0, training=training)
    measured = evaluate(EvaluationOptions(grouped_folder, official, grouped_folder / "groups.csv"))
    path = tmp_path / "official.json"
    path.write_text(json.dumps(describe_evaluation(measured)), encoding="utf-8")
    page = write_model_card(ModelCardOptions(files / "evaluation.json", files / "tiny.pth", official_evaluation=path))
    assert page.count(f"`{hash_file(official)[:12]}`") == 2
    assert page.count(f"`{hash_file(files / 'tiny.pth')[:12]}`") == 1
    assert "Measured with tiny 8.8.8" in page
    names = [result["dataset"]["name"] for result in _metadata(page)["model-index"][0]["results"]]
    assert [name.endswith(", by weights trained on the official Training folder") for name in names] == [
        True,
        True,
        False,
    ]
    assert f"trained on the official Training folder by\n  {expected}\n" in page
    assert f"fit DIR --recipe {recipe} --split official{options} --out official/{recipe}\n" in page
    assert f"--official-checkpoint official/{recipe}/{recipe}.pth" in page
    assert "Flattered" not in page


def test_an_evaluation_of_other_weights_is_refused(files, tmp_path):
    other = save_tiny_checkpoint(tmp_path / "other.pth", temperature=2.0)
    with pytest.raises(DataError, match="other weights"):
        write_model_card(ModelCardOptions(files / "evaluation.json", other))


@pytest.mark.parametrize(("content", "named"), [("{", "expected JSON"), ("[]", "object"), ("{}", "no splits")])
def test_a_file_that_is_no_evaluation_is_named(files, tmp_path, content, named):
    path = tmp_path / "wrong.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=named) as caught:
        write_model_card(ModelCardOptions(path, files / "tiny.pth"))
    assert "wrong.json" in str(caught.value)


def test_folds_name_what_they_learnt_from_and_not_what_the_card_did(write_page, tmp_path):
    path = tmp_path / "cross_validation.json"
    pooled = {"images": 16, "groups": 9, "accuracy": SCORE}
    content = {"recipe": RECIPE, "sources": {"boxes_sha256": "2"}, "folds": [{"accuracy": SCORE}], "pooled": pooled}
    path.write_text(json.dumps(content), encoding="utf-8")
    training = {"recipe": RECIPE, "sources": {"groups_sha256": "1", "coarse_sha256": "3"}}
    page = write_page(training, {}, cross_validation=path)
    assert "as the weights of this card were, and without scans from elsewhere.\n" in page
    assert "cross-validate DIR --recipe efficientnet_b0_coarse --folds 1 --boxes boxes.csv\n" in page


@pytest.mark.parametrize("section", ["cross_validation", "localization", "audit"])
def test_a_file_of_another_command_is_named(files, section):
    other = files / "evaluation.json"
    with pytest.raises(DataError, match=r"evaluation\.json: expected what `[a-z-]+` writes"):
        write_model_card(ModelCardOptions(other, files / "tiny.pth", **{section: other}))


def test_cells_cannot_break_a_table():
    assert format_value("a|b\nc") == "a\\|b c"
    assert format_value(None) == "-"
    assert format_value(3) == "3"
