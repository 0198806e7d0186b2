import logging

import pytest

from tests.samples.phantoms import write_data_folder
from training.errors import DataError
from training.fitting.run_data import prepare_data
from training.recipe_files import load_recipe


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


@pytest.mark.parametrize("part", ["train", "validation", "calibration"])
def test_a_scan_from_elsewhere_that_is_tested_on_is_refused(data_folder, tmp_path, part):
    """Under another name, and in any table: the bytes tell."""
    (tmp_path / "other.png").write_bytes((data_folder / "Testing" / "glioma" / "Testing-0.png").read_bytes())
    table = tmp_path / "coarse.csv"
    table.write_text(f"path,label,split\nother.png,tumour,{part}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"other\.png is to be learnt from, and is a scan of the official_test"):
        prepare_data(load_recipe("efficientnet_b0", {}), data_folder, None, None, None, None, table)


def test_test_scans_that_a_table_trains_on_under_another_name_are_mentioned(tmp_path, caplog):
    root = write_data_folder(tmp_path / "data")
    files = sorted(root.glob("*/*/*.png"))
    rows = [
        f"{path.relative_to(root)},{number},{('train', 'val', 'test')[number % 3]}" for number, path in enumerate(files)
    ]
    table = tmp_path / "groups.csv"
    table.write_text("path,group,split\n" + "\n".join(rows) + "\n", encoding="utf-8")
    recipe = load_recipe("efficientnet_b0", {})
    prepare_data(recipe, root, None, None, table, None)
    assert "are trained on too" not in caplog.text
    files[3].write_bytes(files[2].read_bytes())
    prepare_data(recipe, root, None, None, table, None)
    assert f"1 scans of the grouped_test are trained on too, such as {files[3]}" in caplog.text
