import json
import logging
import re

import numpy as np
import pytest

from model.checkpoints.checkpoint import load_checkpoint
from tests.samples.phantoms import TINY
from training.calibration import calibration, weight_files
from training.cross_validation.cross_validation import cross_validate
from training.cross_validation.cross_validation_report import RESULT, format_cross_validation, write_cross_validation
from training.data.carving import Fold
from training.data.splits import split_data
from training.errors import DataError
from training.fitting.options import FitOptions
from training.recipe_files import load_recipe

RECIPE = load_recipe(
    "efficientnet_b0_scratch",
    {"architecture": TINY, "stages": [{"epochs": 1, "image_size": 32}], "batch_size": 4, "gradcam_layer": "bn2"},
)


def test_every_group_is_tested_once_and_never_by_weights_that_saw_it(data_folder):
    tested = []
    for index in range(4):
        data = split_data(data_folder, "grouped", None, 0, Fold(index + 1, 4))
        (test,) = data.tests
        tested += [scan.path for scan in test.scans]
        others = {scan.group for part in (data.train, data.validation, data.calibration) for scan in part}
        assert not others & {scan.group for scan in test.scans}
    assert sorted(tested) == sorted(data_folder.glob("*/*/*.png"))


def test_the_fixed_test_part_of_a_table_is_left_alone(data_folder, tmp_path):
    names = [path.relative_to(data_folder).as_posix() for path in sorted(data_folder.glob("*/*/*.png"))]
    parts = ("test", "train", "train", "validation", "train")
    rows = [f"{name},g{index},{parts[index % 5]}\n" for index, name in enumerate(names)]
    table = tmp_path / "groups.csv"
    table.write_text("path,group,split\n" + "".join(rows), encoding="utf-8")
    for index in range(3):
        data = split_data(data_folder, "grouped", table, 0, Fold(index + 1, 3))
        used = {scan.group for part in (data.train, data.validation, data.tests[0].scans) for scan in part}
        assert not {int(group[1:]) % 5 for group in used} & {0}


@pytest.mark.usefixtures("untraced")
def test_folds_are_fitted_measured_pooled_and_shown(data_folder, tmp_path, caplog):
    caplog.set_level(logging.INFO, "training")
    result = cross_validate(RECIPE, FitOptions(data_folder, tmp_path, num_workers=0), 5)
    assert sum(fold.images for fold in result.folds) == result.pooled.images == 32
    weighted = [fold.images * fold.__pydantic_extra__["accuracy"].value for fold in result.folds]
    assert result.pooled.__pydantic_extra__["accuracy"].value == pytest.approx(np.sum(weighted) / 32)
    page = write_cross_validation(result, tmp_path)
    stored = json.loads((tmp_path / RESULT).read_text(encoding="utf-8"))
    assert stored["pooled"]["images"] == 32
    assert stored["sources"] == {}
    text = page.read_text(encoding="utf-8")
    logged = [record.message for record in caplog.records if record.message.startswith("fold ")]
    assert logged == [f"fold {number} of 5" for number in range(1, 6)]
    for number, fold in enumerate(result.folds, start=1):
        card = load_checkpoint(tmp_path / f"fold-{number}" / "efficientnet_b0_scratch.pth").card
        assert card.training["fold"] == {"number": number, "count": 5}
        assert f"<th>fold {number}</th>" in text
        assert f"{fold.__pydantic_extra__['accuracy'].value:.3f}" in text
    assert text.count("<svg") == 5
    assert not re.search('(href|src)="http', text)
    assert "5 folds, 32 images of 32 groups" in format_cross_validation(result)


@pytest.mark.usefixtures("untraced")
def test_networks_of_folds_are_calibrated_but_not_prepared_for_service(data_folder, tmp_path, monkeypatch):
    for name in ("MIN_SET_SCANS", "MIN_UNSEEN_SCANS"):
        monkeypatch.setattr(calibration, name, 1)
    monkeypatch.setattr(weight_files, "fit_review", None)  # to call it would be an error
    cross_validate(RECIPE, FitOptions(data_folder, tmp_path, num_workers=0), 2)
    card = load_checkpoint(tmp_path / "fold-1" / "efficientnet_b0_scratch.pth").card
    assert card.training["fold"] == {"number": 1, "count": 2}
    assert card.conformal is not None
    assert card.outlier_detector is not None


def test_more_folds_than_groups_are_an_error(data_folder):
    with pytest.raises(DataError, match="too few groups"):
        split_data(data_folder, "grouped", None, 0, Fold(1, 100))
