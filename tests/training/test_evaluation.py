import pytest

from model.errors import CheckpointError
from tests.phantoms import save_tiny_checkpoint, write_data_folder
from training.errors import DataError
from training.evaluation import evaluate, format_evaluation


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = write_data_folder(tmp_path_factory.mktemp("data"))
    (root / "Testing" / "glioma").rename(root / "Testing" / "pituitary")  # the tiny network knows three classes
    (root / "Testing" / "glioma").mkdir()
    for file in list((root / "Training" / "glioma").iterdir())[:3]:
        (root / "Testing" / "glioma" / file.name).write_bytes(file.read_bytes())
    return root


def test_both_engines_measure_the_same(tiny_pair, data):
    ours, theirs = (evaluate(path, data, "Testing", 1) for path in tiny_pair)
    assert ours.confusion.sum() == ours.metrics.images == 11
    assert (ours.confusion == theirs.confusion).all()
    assert ours.metrics.model_dump()["nll"]["value"] == pytest.approx(
        theirs.metrics.model_dump()["nll"]["value"], abs=1e-5
    )


def test_the_text_holds_every_metric_and_class(tiny_pair, data):
    text = format_evaluation(evaluate(tiny_pair[1], data, "Testing", 1))
    for word in ("11 images", "accuracy", "missed_tumor_rate", "glioma", "notumor", "pituitary"):
        assert word in text


def test_data_with_classes_the_weights_do_not_know_are_refused(tiny_pair, data):
    (data / "Other" / "unicorn").mkdir(parents=True)
    with pytest.raises(DataError, match="unicorn"):
        evaluate(tiny_pair[1], data, "Other", 1)


def test_missing_weights_are_named(data, tmp_path):
    with pytest.raises(CheckpointError, match="missing"):
        evaluate(tmp_path / "missing.pth", data, "Testing", 1)


def test_the_cards_temperature_counts(data, tmp_path):
    sharp = save_tiny_checkpoint(tmp_path / "sharp.pth", temperature=0.1)
    soft = save_tiny_checkpoint(tmp_path / "soft.pth", temperature=10.0)
    values = [evaluate(path, data, "Testing", 1).metrics.model_dump() for path in (sharp, soft)]
    assert values[0]["accuracy"] == values[1]["accuracy"]
    assert values[0]["nll"] != values[1]["nll"]
