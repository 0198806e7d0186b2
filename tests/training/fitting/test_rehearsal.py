from training.command_line import main
from training.data.splits import split_data


def test_a_dry_run_shows_the_recipe_the_scans_and_the_costs_and_writes_nothing(
    data_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    arguments = ["fit", str(data_folder), "--recipe", "efficientnet_b0_scratch", "--architecture", "test_efficientnet"]
    values = ["--stages", "[{epochs=2, image_size=32}, {epochs=3, image_size=48}]", "--batch-size", "8"]
    assert main([*arguments, *values, "--num-workers", "0", "--dry-run"]) == 0
    assert not list(tmp_path.iterdir())
    shown = capsys.readouterr().out
    assert "stages = [{epochs = 2, image_size = 32}, {epochs = 3, image_size = 48}]" in shown
    rows = [line.split() for line in shown.partition("[augmentation]")[2].splitlines() if line]
    splits = split_data(data_folder, "official", None, seed=0)
    parts = (splits.train, splits.validation, splits.calibration, *(test.scans for test in splits.tests))
    for label, name in enumerate(splits.classes):
        assert [name, *(str(sum(scan.label == label for scan in part)) for part in parts)] in rows
    assert ["all", *(str(len(part)) for part in parts)] in rows
    costs = [row for row in rows if row[2:4] in (["32", "px"], ["48", "px"])]
    assert [row[:2] for row in costs] == [["1", "2"], ["2", "3"]]
    assert all(float(row[4]) >= 0 and 100 < float(row[5]) < 100_000 for row in costs)
    assert "nothing was written" in shown
