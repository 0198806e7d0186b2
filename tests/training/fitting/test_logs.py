from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.fitting.logs import RunLog
from training.fitting.run_state import EpochResult


def _result(epoch: int) -> EpochResult:
    return EpochResult(epoch, 1, 64, 1e-3, 1.0 / epoch, 0.5, 0.9 / epoch, 0.6, 1.5)


def test_a_continued_log_has_each_epoch_once(tmp_path):
    with RunLog(tmp_path, ()) as log:
        for epoch in (1, 2, 3):
            log.write(_result(epoch))
    with RunLog(tmp_path, [_result(1), _result(2)]) as log:  # killed before the state of epoch 3 was saved
        log.write(_result(3))
    lines = (tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3"]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("validation/loss")] == [1, 2, 3]
