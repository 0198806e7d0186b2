from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests.samples.phantoms import create_tiny_network
from training.fitting.logs import RunLog
from training.run import EpochResult, RunReport
from training.tracking.tracker import RunDescription


def _result(epoch: int) -> EpochResult:
    return EpochResult(epoch, 1, 64, 1e-3, 1.0 / epoch, 0.5, 0.9 / epoch, 0.6, 1.5)


def _describe(folder: Path) -> RunDescription:
    return RunDescription("recipe", folder, {"learning_rate": 1e-3, "pretrained": False, "schedule": "cosine"}, "ab12")


def _read_events(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return events


def test_a_continued_log_has_each_epoch_once(tmp_path):
    log = RunLog(_describe(tmp_path), ())
    for epoch in (1, 2, 3):
        log.write(_result(epoch))
    log.close(failed=True)
    log = RunLog(_describe(tmp_path), [_result(1), _result(2)])  # killed before the state of epoch 3 was saved
    log.write(_result(3))
    log.close(failed=False)
    lines = (tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3"]
    events = _read_events(tmp_path)
    assert [event.step for event in events.Scalars("validation/loss")] == [1, 2, 3]
    tags = {"train/loss", "train/accuracy", "validation/loss", "validation/accuracy"}
    assert set(events.Tags()["scalars"]) == tags | {"stage", "image_size", "learning_rate", "seconds"}


def test_the_graph_and_the_tests_metrics_are_there_too(tmp_path):
    network = create_tiny_network().train()
    log = RunLog(_describe(tmp_path), ())
    log.draw_graph(network, 64)
    summary = {"training": {"best_epoch": 2}, "metrics": {"official_test": {"images": 8, "accuracy": {"value": 0.75}}}}
    log.finish(RunReport(tmp_path, tmp_path, summary))
    log.close(failed=False)
    events = _read_events(tmp_path)
    assert any("conv_stem" in node.name for node in GraphDef.FromString(events.Graph().SerializeToString()).node)
    assert [(event.step, event.value) for event in events.Scalars("official_test/accuracy")] == [(2, 0.75)]
    assert network.training


def test_pictures_and_hyper_parameters_are_there_beside_the_metrics(tmp_path):
    picture = tmp_path / "roc.png"
    Image.new("RGB", (40, 30), "red").save(picture)
    log = RunLog(_describe(tmp_path), ())
    log.show("first_batch", picture, 1)
    log.write(_result(1))
    summary = {"training": {"best_epoch": 1}, "metrics": {"official_test": {"accuracy": {"value": 0.75}}}}
    log.finish(RunReport(tmp_path, tmp_path, summary))
    log.show("official_test/roc", picture, 1)
    log.close(failed=False)
    events = _read_events(tmp_path)
    for name in ("first_batch", "official_test/roc"):
        (event,) = events.Images(name)
        assert (event.width, event.height, event.step) == (40, 30, 1)
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    hparams = HParamsPluginData.FromString(content).session_start_info.hparams
    assert hparams["learning_rate"].number_value == 1e-3
    assert hparams["git_commit"].string_value == "ab12"
