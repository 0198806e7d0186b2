import logging

import pytest

from training.errors import DataError
from training.fitting.run_data import prepare_data
from training.recipe import load_recipe


@pytest.mark.parametrize("location_weight", [0, 1])
def test_boxes_of_no_scan_to_train_on_are_refused_where_they_would_be_learnt(
    data_folder, tmp_path, caplog, location_weight
):
    caplog.set_level(logging.INFO)
    recipe = load_recipe("efficientnet_b0", {"location_weight": location_weight})
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("path,x0,y0,x1,y1\nTesting/glioma/Testing-0.png,0.3,0.3,0.7,0.7\n", encoding="utf-8")
    if location_weight:
        with pytest.raises(DataError, match=r"boxes\.csv: no box is of a scan to train on"):
            prepare_data(recipe, data_folder, None, None, None, boxes)
    else:
        prepare_data(recipe, data_folder, None, None, None, boxes)
    assert "boxes of 0 of the scans to train on" in caplog.text
