import json
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from training.command_line import main, parse_command
from training.commands import CrossValidate, Fit
from training.errors import Terminated
from training.fitting.options import describe_options
from training.fitting.run_file import RunStart, save_start
from training.recipe import Augmentation, Recipe
from training.recipe_files import list_changes, load_recipe, recipe_names

SHIPPED_CARD = Path(__file__).parents[2] / "weights" / "README.md"

ROOT = Path.cwd()


def test_fit_and_evaluate(data_folder, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["fit", str(data_folder), "--recipe", "efficientnet_b0_scratch", "--out", str(out)]
    values = ["--architecture", "test_efficientnet", "--stages", "[{epochs=1, image_size=32}]", "--batch-size", "8"]
    assert main([*arguments, *values, "--augmentation.rotation", "5", "--version", "9.9", "--num-workers", "0"]) == 0
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["training"]["recipe"]["augmentation"]["rotation"] == 5
    result, page = tmp_path / "result.json", tmp_path / "card" / "README.md"
    checkpoint = str(out / "efficientnet_b0_scratch.pth")
    command = ["evaluate", str(data_folder), "--checkpoint", checkpoint, "--json", str(result), "--shift"]
    command += ["--shift-scans", "4"]
    assert main([*command, "--out", str(tmp_path / "evaluation"), "--prevalence", "0.1"]) == 0
    assert "balanced_accuracy" in capsys.readouterr().out
    measured = json.loads(result.read_text(encoding="utf-8"))
    assert measured == json.loads((tmp_path / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    assert (tmp_path / "evaluation" / "evaluation.html").stat().st_size > 5000
    stated = summary["metrics"]["official_test"]["accuracy"]
    assert measured["splits"]["official_test"]["metrics"]["accuracy"]["value"] == pytest.approx(stated["value"])
    write = ["model-card", "--evaluation", str(result), "--checkpoint", checkpoint]
    assert main([*write, "--out", str(page)]) == 0
    assert "## Intended use" in page.read_text(encoding="utf-8")
    shipped = SHIPPED_CARD.read_bytes()
    assert main(write) == 0
    assert (out / "efficientnet_b0_scratch.md").read_text(encoding="utf-8") == page.read_text(encoding="utf-8")
    assert SHIPPED_CARD.read_bytes() == shipped


def test_audit(data_folder, tmp_path, capsys):
    out = tmp_path / "new" / "audit"
    assert main(["audit", str(data_folder), "--out", str(out)]) == 0
    assert "test images have a copy in training" in capsys.readouterr().out
    assert json.loads((out / "summary.json").read_text(encoding="utf-8"))["images"] == 32
    assert (out / "groups.csv").read_text(encoding="utf-8").count("\n") == 33
    assert (out / "report.html").stat().st_size > 5000


def test_statistics(data_folder, tmp_path, capsys):
    assert main(["statistics", str(data_folder), "--out", str(tmp_path / "out")]) == 0
    assert "Training: 24 images, the largest class 1.00 times the smallest" in capsys.readouterr().out
    assert (tmp_path / "out" / "statistics.html").stat().st_size > 5000


@pytest.mark.parametrize(("command", "report"), [("audit", "summary.json"), ("statistics", "statistics.json")])
def test_what_cannot_be_read_is_reported_and_a_status(data_folder, tmp_path, caplog, command, report):
    shutil.copytree(data_folder / "Testing", tmp_path / "data" / "Testing")
    (tmp_path / "data" / "Testing" / "glioma" / "up").symlink_to(tmp_path / "data")
    assert main([command, str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 0
    (tmp_path / "data" / "Testing" / "glioma" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "data" / "other").symlink_to(tmp_path / "other")
    assert main([command, str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 1
    assert "2 files cannot be used" in caplog.text
    written = (tmp_path / "out" / report).read_text(encoding="utf-8")
    assert "Testing/glioma/gone" in written
    assert '"other"' in written


def test_compare(tiny_pair, grouped_folder, tmp_path, capsys):
    document = tmp_path / "systems.md"
    document.write_text("<!-- compare: begin --><!-- compare: end -->", encoding="utf-8")
    systems = [f"a={tiny_pair[0]}", f"b={tiny_pair[0]}"]
    assert main(["compare", str(grouped_folder), *systems, "--out", str(tmp_path), "--document", str(document)]) == 0
    assert "| a |" in capsys.readouterr().out
    assert "| b |" in document.read_text(encoding="utf-8")
    assert (tmp_path / "comparison.html").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["audit", "nowhere"], "nowhere"),
        (["statistics", "nowhere"], "nowhere"),
        (["compare", "nowhere", "missing.pth"], "missing.pth"),
        (["fit", "nowhere"], "nowhere"),
        (["fit", "nowhere", "--recipe", "unknown"], "unknown"),
        (["fit", "nowhere", "--learning-rate", "fast"], "learning_rate"),
        (["fit", "nowhere", "--stages", "[{"], "stages"),
        (["evaluate", "nowhere", "--checkpoint", "missing.pth"], "missing.pth"),
        (["localize", "nowhere", "--checkpoint", "missing.pth", "--boxes", "boxes.csv"], "missing.pth"),
        (["model-card", "--evaluation", "missing.json"], "missing.json"),
    ],
)
def test_an_error_is_one_line_and_status_1(arguments, named, caplog):
    assert main(arguments) == 1
    assert len(caplog.records) == 1
    assert named in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "nowhere", "--out", "FILE/run"],
        ["cross-validate", "nowhere", "--out", "FILE/run"],
        ["evaluate", "nowhere", "--out", "FILE/evaluation"],
        ["evaluate", "nowhere", "--json", "FILE/evaluation.json"],
        ["audit", "nowhere", "--out", "FILE/audit"],
        ["calibrate", "missing.pth", "nowhere", "--out", "FILE/calibrated"],
        ["statistics", "nowhere", "--out", "FILE"],
        ["compare", "nowhere", "missing.pth", "--out", "FILE/comparison"],
        ["compare", "nowhere", "missing.pth", "--document", "FILE/systems.md"],
        ["localize", "nowhere", "--boxes", "missing.csv", "--out", "FILE/localization"],
        ["model-card", "--evaluation", "missing.json", "--out", "FILE/card.md"],
    ],
)
def test_outputs_are_tried_before_anything_is_read(arguments, tmp_path, caplog):
    """An hour's work must not end with a folder that cannot be written to."""
    (tmp_path / "file").touch()
    assert main([word.replace("FILE", str(tmp_path / "file")) for word in arguments]) == 1
    assert [record.message for record in caplog.records] == [caplog.messages[0]]
    assert caplog.messages[0].startswith(f"error: {tmp_path}/file")
    assert "Not a directory" in caplog.messages[0]


def test_a_document_without_marks_is_refused_before_systems_are_measured(tmp_path, caplog):
    (tmp_path / "systems.md").write_text("# Systems\n")
    assert main(["compare", "nowhere", "missing.pth", "--document", str(tmp_path / "systems.md")]) == 1
    assert "expected the marks" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "cross-validate"),
        (["nonsense"], "nonsense"),
        (["fit"], "PATH"),
        (["fit", "x", "--out"], "--out"),
        (["fit", "x", "--recipe"], "--recipe"),
        (["fit", "x", "--device", "tpu"], "cuda"),
        (["fit", "x", "--num-workers", "-1"], "--num-workers: expected 0 or more"),
        (["fit", "x", "--learning-rat", "1"], "--learning-rate"),
        (["cross-validate", "x", "--folds", "1"], "--folds: expected 2 to 20"),
        (["compare", "x"], "FILE.pth"),
        (["localize", "x"], "--boxes"),
        (["localize", "x", "--boxes", "y", "--num-scans", "-1"], "--num-scans"),
        (["evaluate", "x", "--prevalence", "5"], "--prevalence"),
        (["evaluate", "x", "--prevalence", "much"], "'much'"),
        (["evaluate", "x", "--shift-scans", "-1"], "--shift-scans"),
        (["model-card"], "--evaluation"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, named, caplog, capsys):
    assert main(arguments) == 2
    (record,) = caplog.records
    assert named in record.message
    assert "\n" not in record.message
    assert capsys.readouterr() == ("", "")


def _show_help(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    assert caught.value.code == 0
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


@pytest.mark.parametrize("name", ["efficientnet_b0", "binary_cnn"])
def test_help_shows_every_value_of_the_recipe_with_its_default(name, capsys):
    text, recipe = _show_help(capsys, "fit", "--recipe", name), load_recipe(name, {})
    for option in set(Recipe.model_fields) - {"name", "augmentation"}:
        assert f"--{option.replace('_', '-')} VALUE" in text
    for option in Augmentation.model_fields:
        assert f"--augmentation.{option.replace('_', '-')} VALUE" in text
    assert f"part of the side. (default: {recipe.augmentation.translation})" in text
    assert f"(default: '[{{epochs = {recipe.stages[0].epochs}, image_size = {recipe.stages[0].image_size}}}]')" in text
    assert f"(default: runs/{name})" in text


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ((), "Measure weights on labelled scans."),
        (("evaluate",), "(default: weights/efficientnet_b0.pth)"),
        (("cross-validate",), "(default: runs/cross-validation/efficientnet_b0)"),
    ],
)
def test_help_tells_what_a_command_does_and_its_defaults(command, shown, capsys):
    assert shown in _show_help(capsys, *command)


def test_values_written_as_in_toml_change_the_recipe():
    command = parse_command(
        [
            *("fit", "x", "--recipe", "efficientnet_b3", "--learning-rate", "3e-4", "--pretrained", "false"),
            *("--stages", "[{epochs=5, image_size=128}]", "--teacher", "a.pth", "--augmentation.shear", "2"),
        ]
    )
    stages = [{"epochs": 5, "image_size": 128}]
    changes = {"learning_rate": 3e-4, "pretrained": False, "stages": stages, "teacher": "a.pth"}
    assert isinstance(command, Fit)
    assert command.recipe == load_recipe("efficientnet_b3", {**changes, "augmentation.shear": 2})


@pytest.mark.parametrize("name", recipe_names())
def test_without_options_the_recipe_is_that_of_its_file(name):
    command = parse_command(["fit", "x", "--recipe", name])
    assert isinstance(command, Fit)
    assert command.recipe == load_recipe(name, {})


@pytest.mark.parametrize("name", recipe_names())
def test_the_changes_of_a_recipe_are_options_that_make_them_again(name):
    stages = [{"epochs": 3, "image_size": 64}, {"epochs": 2, "image_size": 96}]
    changes = {
        "seed": 7,
        "stages": stages,
        "class_map": {"a b": "it's"},
        "output": "softmax",
        "learn_validation": False,
    }
    recipe = load_recipe(name, {**changes, "cpu_bfloat16": "teachers", "augmentation.low_resolution": 0.25})
    options = list_changes(recipe.model_dump(mode="json"))
    command = parse_command(["fit", "x", "--recipe", name, *shlex.split(" ".join(options))])
    assert isinstance(command, Fit)
    assert command.recipe == recipe


@pytest.fixture
def started(tmp_path):
    """A run folder as `fit` makes it."""
    words = ["fit", "data", "--out", str(tmp_path), "--lr", "3e-4", "--split", "common", "--groups", "groups.csv"]
    command = parse_command([*words, "--recipe", "efficientnet_b3", "--augmentation.shear", "2", "--seed", "5"])
    assert isinstance(command, Fit)
    save_start(tmp_path, RunStart("fit", command.recipe, describe_options(command)))
    return command


def test_resume_takes_from_the_run_what_is_not_typed(started, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)  # paths are found from anywhere
    resumed = [
        parse_command(["fit", *words])
        for words in (["--resume", str(tmp_path)], [f"--resume={tmp_path}"], ["--out", str(tmp_path), "--resume"])
    ]
    assert resumed[0] == resumed[1] == resumed[2]
    assert isinstance(resumed[0], Fit)
    assert resumed[0].recipe == started.recipe
    assert (resumed[0].data, resumed[0].groups) == (ROOT / "data", ROOT / "groups.csv")
    assert (resumed[0].out, resumed[0].resume, resumed[0].split) == (tmp_path, True, "common")
    typed = parse_command(["fit", "elsewhere", "--resume", str(tmp_path), "--num-workers", "0", "--seed", "7"])
    assert isinstance(typed, Fit)
    assert (str(typed.data), typed.num_workers) == ("elsewhere", 0)
    assert typed.recipe == started.recipe.model_copy(update={"seed": 7})


def test_a_cross_validation_resumes_with_its_folds(started, tmp_path, caplog):
    options = {**describe_options(started), "split": "grouped", "folds": 3}
    save_start(tmp_path, RunStart("cross-validate", started.recipe, options))
    resumed = parse_command(["cross-validate", "--resume", str(tmp_path)])
    assert isinstance(resumed, CrossValidate)
    assert (resumed.folds, resumed.recipe, resumed.groups) == (3, started.recipe, ROOT / "groups.csv")
    assert main(["fit", "--resume", str(tmp_path)]) == 1
    assert "it holds a run of cross-validate" in caplog.text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fit", "--resume", "nowhere"], "nothing to resume: nowhere"),
        (["fit", "x", "--resume"], "nothing to resume: runs/efficientnet_b0"),
        (["cross-validate", "--resume", "RUN"], "it holds a run of fit"),
        (["fit", "--resume", "RUN", "--out", "other"], "leave --out out"),
        (["fit", "--resume", "RUN/damaged"], "not the start of a run"),
    ],
)
@pytest.mark.usefixtures("started")
def test_what_cannot_be_resumed_is_said_in_one_line(words, expected, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text('{"command": "fit"}')
    assert main([word.replace("RUN", str(tmp_path)) for word in words]) in (1, 2)
    (record,) = caplog.records
    assert expected in record.message


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt, 130), (Terminated, 143)])
@pytest.mark.parametrize("is_fit", [True, False])
def test_a_stopped_command_says_how_it_goes_on_where_it_can(started, stop, status, is_fit, monkeypatch, caplog):
    def be_stopped(*_):
        raise stop

    monkeypatch.setattr(f"training.commands.{'fit' if is_fit else 'evaluate'}", be_stopped)
    assert main(["fit", "x", "--out", str(started.out)] if is_fit else ["evaluate", "x"]) == status
    (record,) = caplog.records
    assert record.message.startswith("stopped")
    assert (f"fit --resume {started.out}" in record.message) == ("resume" in record.message) == is_fit


def test_sigterm_stops_a_command_and_the_handler_before_it_is_back(monkeypatch):
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("training.commands.evaluate", lambda _: signal.raise_signal(signal.SIGTERM))
    assert main(["evaluate", "x"]) == 143
    assert signal.getsignal(signal.SIGTERM) is handler


def test_an_error_of_the_system_is_one_line(monkeypatch, caplog):
    monkeypatch.setattr("training.commands.evaluate", lambda _: Path("/nowhere/x").read_bytes())
    assert main(["evaluate", "x"]) == 1
    assert caplog.messages == ["error: /nowhere/x: No such file or directory"]


def test_localize_prints_a_table_and_writes_it(tiny_pair, data_folder, tmp_path, capsys):
    names = [path.relative_to(data_folder).as_posix() for path in (data_folder / "Training" / "glioma").iterdir()]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("path,x0,y0,x1,y1\n" + "".join(f"{name},0.3,0.3,0.7,0.7\n" for name in names), encoding="utf-8")
    arguments = ["localize", str(data_folder), "--checkpoint", str(tiny_pair[0]), "--boxes", str(boxes)]
    assert main([*arguments, "--layers", "bn2", "--num-scans", "4", "--out", str(tmp_path / "out")]) == 0
    assert "grad_cam bn2" in capsys.readouterr().out
    result = json.loads((tmp_path / "out" / "localization.json").read_text(encoding="utf-8"))
    assert (result["part"], result["images"]["glioma"], result["selected_layer"]) == ("all", 4, "bn2")
