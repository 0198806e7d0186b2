import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoints.checkpoint import load_checkpoint, read_tensors
from model.checkpoints.file_hash import hash_file
from model.classifier import Classifier
from model.errors import CheckpointError
from model.host.progress import Progress
from model.networks.network import create_network
from tests.samples.phantoms import TINY, draw_scan, encode, save_tiny_checkpoint, write_data_folder
from training.errors import DataError, PretrainedError, RecipeError, RunError
from training.fitting.fit import fit
from training.fitting.options import FitOptions
from training.fitting.run_state import save_state
from training.learning import starting_weights
from training.learning.trainer import Trainer
from training.recipe import change_recipe
from training.recipe_files import load_recipe
from training.run import RunReport

ROOT = Path(__file__).parents[3]
TINY_RUN = {
    "architecture": TINY,
    "stages": [{"epochs": 2, "image_size": 32}, {"epochs": 2, "image_size": 64}],
    "batch_size": 8,
    "learning_rate": 0.01,
}


def _recipe(**changes):
    return load_recipe("efficientnet_b0_scratch", {**TINY_RUN, **changes})


@pytest.fixture(scope="module")
def run(data_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, fit(_recipe(), FitOptions(data_folder, out, num_workers=0))


def test_a_run_hands_over_weights_that_serve(run, data_folder):
    _, report = run
    scan = next((data_folder / "Testing" / "glioma").iterdir()).read_bytes()
    answers = [Classifier.load(path).predict(scan) for path in (report.checkpoint, report.exported)]
    assert answers[0].probabilities == pytest.approx(answers[1].probabilities, abs=1e-4)
    assert answers[0].model == answers[1].model
    assert answers[0].model.sha256 == hash_file(report.checkpoint)


def test_the_card_tells_how_the_weights_came_about(run):
    card = load_checkpoint(run[1].checkpoint).card
    assert card.classes == ("glioma", "notumor")
    assert card.preprocessing.input_size == 64
    assert card.training["recipe"]["learning_rate"] == 0.01
    assert len(card.training["manifest_sha256"]) == 64
    assert card.metrics["official_test"].images == 8


@pytest.mark.usefixtures("untraced")
def test_the_weights_of_the_best_epoch_are_kept_and_not_the_lasts(data_folder, tmp_path):
    """A second epoch at a ruinous rate must leave what a run of one epoch hands over."""
    good, ruinous = {"epochs": 1, "image_size": 32}, {"epochs": 1, "image_size": 32, "learning_rate": 1.0}
    reports = [
        fit(
            _recipe(schedule="constant", stages=stages),
            FitOptions(data_folder, tmp_path / str(len(stages)), num_workers=0),
        )
        for stages in ([good], [good, ruinous])
    ]
    first, second = (row["validation_loss"] for row in reports[1].summary["history"])
    assert second > first
    assert reports[1].summary["training"]["best_epoch"] == 1
    assert _same_weights(reports[0].checkpoint, reports[1].checkpoint)


def test_the_logs_hold_every_epoch(run):
    rows = _read_log(run[0])
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["image_size"] for row in rows] == ["32", "32", "64", "64"]
    assert list((run[0] / "tensorboard").glob("events.*"))


def _read_log(folder: Path) -> list[dict[str, str]]:
    if not (folder / "log.csv").exists():
        return []
    with (folder / "log.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_finished_run_is_not_overwritten_by_mistake(run, data_folder):
    with pytest.raises(RunError, match="--resume"):
        fit(_recipe(), FitOptions(data_folder, run[0]))


@pytest.mark.usefixtures("untraced")
def test_the_same_seed_gives_the_same_weights_and_another_one_others(run, data_folder, tmp_path):
    again = fit(_recipe(), FitOptions(data_folder, tmp_path / "again", num_workers=1))
    other = fit(_recipe(seed=1), FitOptions(data_folder, tmp_path / "other", num_workers=0))
    assert _same_weights(run[1].checkpoint, again.checkpoint)
    assert not _same_weights(run[1].checkpoint, other.checkpoint)


def _same_weights(one: Path, other: Path) -> bool:
    states = [load_checkpoint(path).network.state_dict() for path in (one, other)]
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.slow
def test_a_run_ended_by_any_signal_resumes_to_the_same_weights_without_typing_it_again(run, data_folder, tmp_path):
    out = tmp_path / "run"
    program = [sys.executable, "-m", "training", "fit"]
    start = [
        *(os.path.relpath(data_folder, ROOT), "--recipe", "efficientnet_b0_scratch", "--out", str(out)),
        *("--num-workers", "0", "--architecture", TINY, "--batch-size", "8", "--learning-rate", "0.01"),
        *("--stages", "[{epochs=2, image_size=32}, {epochs=2, image_size=64}]"),
    ]
    resume = ["--resume", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    for epoch, (number, arguments) in enumerate(
        [(signal.SIGKILL, start), (signal.SIGTERM, resume), (signal.SIGINT, resume)], start=1
    ):
        ended = subprocess.Popen([*program, *arguments], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while len(_read_log(out)) < epoch and ended.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        ended.send_signal(number)
        _, messages = ended.communicate()
        assert ended.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number], messages
        assert number == signal.SIGKILL or f"fit --resume {out}` goes on" in messages.splitlines()[-1]
        assert number != signal.SIGKILL or not (out / "efficientnet_b0_scratch.pth").exists()
    subprocess.run([*program, *resume], cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)}, check=True)
    assert _same_weights(run[1].checkpoint, out / "efficientnet_b0_scratch.pth")
    assert [row["epoch"] for row in _read_log(out)] == ["1", "2", "3", "4"]


@pytest.fixture
def only_epochs(monkeypatch):
    """Runs end after the last epoch: what follows takes seconds."""
    report = RunReport(Path(), Path(), {"training": {"best_epoch": 1}, "metrics": {}})
    monkeypatch.setattr("training.fitting.fit._release", lambda *_: None)
    monkeypatch.setattr("training.fitting.fit.read_report", lambda *_: report)


def _same_states(one: Path, other: Path) -> bool:
    content: Any = [read_tensors(folder / "last.pt") for folder in (one, other)]
    states = [each["trainer"]["learner"] for each in content]
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.usefixtures("only_epochs")
def test_a_run_stopped_in_its_first_epoch_starts_again(run, data_folder, tmp_path):
    options = FitOptions(data_folder, tmp_path, num_workers=0)
    with pytest.raises(RunError, match="nothing to resume"):
        fit(_recipe(), replace(options, resume=True))

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.fitting.epochs.save_state", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(_recipe(), options)
    fit(_recipe(), replace(options, resume=True))
    assert _same_states(run[0], tmp_path)


@pytest.mark.usefixtures("only_epochs")
def test_an_epoch_counts_its_batches_and_no_more(data_folder, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", Progress.__module__)
    monkeypatch.setattr("model.host.progress.SECONDS_BETWEEN_LINES", 1e-9)
    fit(_recipe(epochs=2), FitOptions(data_folder, tmp_path, num_workers=0))
    messages = [record.getMessage() for record in caplog.records if record.name == Progress.__module__]
    lines = [line.split(",")[0].split(";")[0] for line in messages if line.startswith(("epoch", "validating"))]
    assert lines == [
        *("epoch 1/2 32 px: 1 of 2 batches", "epoch 1/2 32 px: 2 of 2 batches", "validating epoch 1: 1 of 1 batches"),
        *("epoch 2/2 64 px: 1 of 2 batches", "epoch 2/2 64 px: 2 of 2 batches", "validating epoch 2: 1 of 1 batches"),
    ]


@pytest.mark.usefixtures("only_epochs")
def test_a_run_of_fewer_epochs_is_extended_to_what_one_of_more_gives(data_folder, tmp_path):
    recipe = _recipe(schedule="reduce_on_plateau", plateau_patience=0, epochs=2)
    short, whole = (FitOptions(data_folder, tmp_path / name, num_workers=0) for name in ("short", "whole"))
    fit(recipe, short)
    fit(change_recipe(recipe, {"epochs": 4}), replace(short, resume=True))
    fit(change_recipe(recipe, {"epochs": 4}), whole)
    assert _same_states(short.out, whole.out)


@pytest.mark.usefixtures("untraced")
def test_a_run_stopped_before_a_plateau_lowers_its_rate_in_the_same_epoch(run, data_folder, tmp_path, monkeypatch):
    """At so low a rate the running statistics alone move, away from the validation scans."""
    changes = {"schedule": "reduce_on_plateau", "plateau_patience": 0, "learning_rate": 1e-5}
    recipe = _recipe(stages=[{"epochs": 3, "image_size": 32}], **changes)
    options = FitOptions(data_folder, tmp_path / "whole", num_workers=0, initial_weights=run[1].checkpoint)
    whole = fit(recipe, options)
    rates = [row["learning_rate"] for row in whole.summary["history"]]
    assert rates[2] < rates[1] == rates[0]

    def save_and_stop(path, state, *others):
        save_state(path, state, *others)
        raise KeyboardInterrupt

    options = replace(options, out=tmp_path / "stopped")
    monkeypatch.setattr("training.fitting.epochs.save_state", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, options)
    monkeypatch.undo()
    resumed = fit(recipe, replace(options, resume=True, initial_weights=None))
    assert [row["learning_rate"] for row in resumed.summary["history"]] == rates
    assert _same_weights(whole.checkpoint, resumed.checkpoint)
    sources = resumed.summary["training"]["sources"]
    assert sources == whole.summary["training"]["sources"] == {"initial_weights_sha256": hash_file(run[1].checkpoint)}


@pytest.mark.usefixtures("untraced")
def test_it_learns_what_can_be_learnt(tmp_path):
    data = write_data_folder(tmp_path / "data", num_scans=40)
    changes = {"stages": [{"epochs": 12, "image_size": 48}], "augmentation.erasing": 0, "augmentation.zoom": 0}
    report = fit(_recipe(**changes), FitOptions(data, tmp_path / "run", num_workers=0))
    assert report.summary["metrics"]["official_test"]["accuracy"]["value"] >= 0.9


@pytest.mark.usefixtures("untraced")
def test_without_a_testing_folder_there_are_no_test_metrics(tmp_path):
    data = write_data_folder(tmp_path / "data")
    (data / "Testing").rename(tmp_path / "elsewhere")
    report = fit(_recipe(stages=[{"epochs": 1, "image_size": 32}]), FitOptions(data, tmp_path / "run", num_workers=0))
    assert report.summary["metrics"] == {}


@pytest.mark.parametrize("split", ["Training", "Testing"])
def test_a_corrupt_image_is_named_before_the_first_epoch(tmp_path, split):
    data = write_data_folder(tmp_path / "data")
    (data / split / "glioma" / "bad.jpg").write_bytes(encode(draw_scan(48), "JPEG")[:600])
    with pytest.raises(DataError, match=r"bad\.jpg"):
        fit(_recipe(), FitOptions(data, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("version", ["2026/11", "", "x" * 201, "1\n2"])
def test_a_version_that_no_card_holds_is_named_before_a_scan_is_read(tmp_path, version):
    with pytest.raises(RunError, match="version"):
        fit(_recipe(), FitOptions(tmp_path / "missing", tmp_path / "run", version=version))


def test_a_class_folder_whose_name_is_no_text_is_named_before_the_first_epoch(tmp_path):
    data = write_data_folder(tmp_path / "data")
    for split in ("Training", "Testing"):
        (data / split / "glioma").rename(data / split / os.fsdecode(b"gliom\xe9"))
    with pytest.raises(RunError, match=r"classes.*gliom"):
        fit(_recipe(), FitOptions(data, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_run_whose_loss_is_not_finite_ends_at_once_and_keeps_what_it_had(data_folder, tmp_path, monkeypatch):
    train, losses = Trainer.train, [0.5, float("nan")]

    def diverge(self, *arguments):
        for score in train(self, *arguments):
            yield replace(score, loss=losses[0])
        del losses[0]

    monkeypatch.setattr(Trainer, "train", diverge)
    recipe = _recipe(stages=[{"epochs": 4, "image_size": 32}])
    with pytest.raises(RunError, match=r"epoch 2.*not finite"):
        fit(recipe, FitOptions(data_folder, tmp_path, num_workers=0))
    assert [row["epoch"] for row in _read_log(tmp_path)] == ["1"]
    assert (tmp_path / "last.pt").exists()


@pytest.mark.usefixtures("untraced")
def test_weights_that_a_run_started_from_may_be_gone_at_its_end(run, data_folder, tmp_path, monkeypatch):
    source = Path(shutil.copy(run[1].checkpoint, tmp_path / "source.pth"))
    train = Trainer.train

    def delete(self, *arguments):
        source.unlink(missing_ok=True)
        return train(self, *arguments)

    monkeypatch.setattr(Trainer, "train", delete)
    recipe = _recipe(stages=[{"epochs": 1, "image_size": 32}])
    report = fit(recipe, FitOptions(data_folder, tmp_path / "run", num_workers=0, initial_weights=source))
    assert report.summary["training"]["initial_weights"]["file"] == "source.pth"


@pytest.mark.parametrize("option", ["initial_weights", "pretrained_file", "groups", "boxes", "coarse", "teacher"])
def test_a_missing_file_is_named_before_a_scan_is_read(tmp_path, option):
    missing = tmp_path / "missing.file"
    recipe, others = (_recipe(teacher=str(missing)), {}) if option == "teacher" else (_recipe(), {option: missing})
    with pytest.raises(RunError, match=r"missing\.file"):
        fit(recipe, FitOptions(tmp_path / "no data", tmp_path / "run", **others))


def test_offline_the_two_ways_out_are_named(data_folder, tmp_path, monkeypatch):
    real = create_network

    def offline(*arguments, pretrained=False, **options):
        if pretrained:
            raise OSError("no route to host")
        return real(*arguments, **options)

    monkeypatch.setattr(starting_weights, "create_network", offline)
    with pytest.raises(PretrainedError, match=r"model hub.*--recipe efficientnet_b0_scratch"):
        fit(_recipe(pretrained=True), FitOptions(data_folder, tmp_path / "run"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(data_folder, tmp_path):
    with pytest.raises(RunError, match="no GPU"):
        fit(_recipe(), FitOptions(data_folder, tmp_path / "run", device="cuda"))


@pytest.mark.usefixtures("untraced")
def test_training_can_start_from_a_checkpoint_of_ours(run, data_folder, tmp_path):
    changes = {"stages": [{"epochs": 1, "image_size": 64}], "learning_rate": 1e-9, "pretrained": True}
    options = FitOptions(data_folder, tmp_path, num_workers=0, initial_weights=run[1].checkpoint)
    report = fit(_recipe(**changes), options)
    before, after = (load_checkpoint(path).network for path in (run[1].checkpoint, report.checkpoint))
    for ours, theirs in zip(before.parameters(), after.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    training, sha256 = report.summary["training"], hash_file(run[1].checkpoint)
    assert training["sources"]["initial_weights_sha256"] == training["initial_weights"]["sha256"] == sha256
    assert training["initial_weights"]["training"]["recipe"]["name"] == _recipe().name


@pytest.mark.usefixtures("untraced")
def test_for_other_classes_only_the_classifier_is_new(data_folder, tmp_path):
    source = save_tiny_checkpoint(tmp_path / "three_classes.pth")
    changes = {"stages": [{"epochs": 1, "image_size": 64}], "learning_rate": 1e-9}
    report = fit(_recipe(**changes), FitOptions(data_folder, tmp_path / "run", num_workers=0, initial_weights=source))
    before, after = (dict(load_checkpoint(path).network.named_parameters()) for path in (source, report.checkpoint))
    assert torch.allclose(before["conv_head.weight"], after["conv_head.weight"], atol=1e-6)
    assert after["classifier.weight"].shape[0] == 2


def test_initial_weights_of_another_architecture_are_refused(data_folder, tmp_path):
    source = save_tiny_checkpoint(tmp_path / "tiny.pth")
    recipe = _recipe(architecture="test_resnet", gradcam_layer="layer4")
    with pytest.raises(CheckpointError, match="test_resnet"):
        fit(recipe, FitOptions(data_folder, tmp_path / "run", initial_weights=source))


@pytest.mark.usefixtures("untraced")
def test_a_student_learns_from_a_teacher_and_from_boxes(run, data_folder, tmp_path):
    boxes = tmp_path / "boxes.csv"
    names = [path.relative_to(data_folder) for path in (data_folder / "Training" / "glioma").iterdir()]
    boxes.write_text("path,x0,y0,x1,y1\n" + "".join(f"{name},0.3,0.3,0.7,0.7\n" for name in names), encoding="utf-8")
    changes = {
        "teacher": str(run[1].checkpoint),
        "start_from_teacher": True,
        "feature_weight": 0.5,
        "feature_layers": ["blocks.0", "blocks.1"],
        "location_weight": 0.1,
        "average_decay": 0.5,
        "stages": [{"epochs": 2, "image_size": 64}],
    }
    options = FitOptions(data_folder, tmp_path / "run", num_workers=0, boxes=boxes)
    report = fit(_recipe(**changes), options)
    sources = report.summary["training"]["sources"]
    assert sources["teacher_0_sha256"] == hash_file(run[1].checkpoint)
    (teacher,) = load_checkpoint(report.checkpoint).card.training["teachers"]
    assert teacher["sha256"] == sources["teacher_0_sha256"]
    assert teacher["training"]["recipe"] == run[1].summary["training"]["recipe"]
    assert sources["boxes_sha256"] == hash_file(boxes)
    assert not any("projection" in name for name in load_checkpoint(report.checkpoint).network.state_dict())


@pytest.fixture
def coarse(tmp_path):
    """A table of scans from elsewhere: lesions, slices without one, and chests."""
    rows = ["path,label,sequence,split,x0,y0,x1,y1"]
    for index in range(12):
        label = ("tumour", "lesion_free", "not_mri_head")[index % 3]
        file = tmp_path / "elsewhere" / f"{index}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(encode(draw_scan(48, (0.5, 0.5) if label == "tumour" else None, seed=100 + index)))
        box = "0.3,0.3,0.7,0.7" if label == "tumour" else ",,,"
        rows.append(f"{file.name},{label},flair,{'validation' if index >= 9 else 'train'},{box}")
    table = tmp_path / "elsewhere" / "coarse.csv"
    table.write_text("\n".join(rows), encoding="utf-8")
    return table


@pytest.mark.usefixtures("untraced")
def test_scans_of_which_less_is_known_are_learnt_from_too(run, data_folder, tmp_path, coarse):
    recipe = _recipe(kind_weight=0.3, class_kinds={"glioma": "contrast_t1"})
    report = fit(recipe, FitOptions(data_folder, tmp_path / "run", num_workers=0, coarse=coarse))
    training, before = report.summary["training"], run[1].summary["training"]
    assert training["sources"]["coarse_sha256"] == hash_file(coarse)
    assert training["manifest_sha256"] != before["manifest_sha256"]
    assert training["num_scans"] == {
        part: num + added for (part, num), added in zip(before["num_scans"].items(), (9, 3, 0), strict=True)
    }
    checkpoint = load_checkpoint(report.checkpoint)
    assert not any("kinds" in name for name in checkpoint.network.state_dict())
    assert checkpoint.card.kinds is not None
    scan = next((data_folder / "Testing" / "glioma").iterdir()).read_bytes()
    kind = Classifier.load(report.checkpoint).predict(scan).input.kind
    assert kind is not None
    assert kind.contrast_t1 + kind.other_mr + kind.not_head_mr == pytest.approx(1)


def test_kinds_are_of_the_classes_and_not_learnt_without_scans_of_several(data_folder, tmp_path, coarse):
    with pytest.raises(RecipeError, match="--coarse"):
        fit(_recipe(kind_weight=0.3), FitOptions(data_folder, tmp_path / "run"))
    recipe = _recipe(kind_weight=0.3, class_kinds={"gliom": "contrast_t1"})
    with pytest.raises(RecipeError, match="class_kinds: expected classes out of glioma, notumor; found gliom"):
        fit(recipe, FitOptions(data_folder, tmp_path / "run", coarse=coarse))


def test_locations_are_not_learnt_without_a_table_of_boxes(data_folder, tmp_path):
    with pytest.raises(RecipeError, match="--boxes"):
        fit(_recipe(location_weight=0.1), FitOptions(data_folder, tmp_path / "run"))


@pytest.mark.usefixtures("untraced")
def test_the_validation_part_can_be_learnt_from_once_all_is_decided(run, data_folder, tmp_path):
    report = fit(_recipe(learn_validation=True), FitOptions(data_folder, tmp_path, num_workers=0))
    training, before = report.summary["training"], run[1].summary["training"]
    assert training["num_scans"]["train"] == before["num_scans"]["train"] + before["num_scans"]["validation"]
    assert training["num_scans"]["validation"] == 0
    assert training["num_scans"]["calibration"] == before["num_scans"]["calibration"]
    assert training["best_epoch"] == training["epochs"] == 4
    assert all(row["validation_loss"] is row["validation_accuracy"] is None for row in report.summary["history"])
    assert [row["validation_loss"] for row in _read_log(tmp_path)] == [""] * 4
    with pytest.raises(RunError, match="learn_validation is true there and false here"):
        fit(_recipe(), FitOptions(data_folder, tmp_path, num_workers=0, resume=True))
