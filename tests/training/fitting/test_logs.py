from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef

from tests.samples.phantoms import create_tiny_network
from training.fitting.logs import RunLog
from training.run import EpochResult, RunReport


def _result(epoch: int) -> EpochResult:
    return EpochResult(epoch, 1, 64, 1e-3, 1.0 / epoch, 0.5, 0.9 / epoch, 0.6, 1.5)


def test_a_continued_log_has_each_epoch_once(tmp_path):
    log = RunLog(tmp_path, ())
    for epoch in (1, 2, 3):
        log.write(_result(epoch))
    log.close(failed=True)
    log = RunLog(tmp_path, [_result(1), _result(2)])  # killed before the state of epoch 3 was saved
    log.write(_result(3))
    log.close(failed=False)
    lines = (tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3"]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("validation/loss")] == [1, 2, 3]


def test_the_graph_and_the_tests_metrics_are_there_too(tmp_path):
    network = create_tiny_network().train()
    log = RunLog(tmp_path, ())
    log.draw_graph(network, 64)
    summary = {"training": {"best_epoch": 2}, "metrics": {"official_test": {"images": 8, "accuracy": {"value": 0.75}}}}
    log.finish(RunReport(tmp_path, tmp_path, summary))
    log.close(failed=False)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert any("conv_stem" in node.name for node in GraphDef.FromString(events.Graph().SerializeToString()).node)
    assert [(event.step, event.value) for event in events.Scalars("official_test/accuracy")] == [(2, 0.75)]
    assert network.training
