import numpy as np
import pytest

from model.classifier import Classifier
from model.decoding import decode_image
from model.engines.loading import load_engine
from model.host.progress import Progress
from tests.samples.phantoms import draw_scan, encode
from training.data.scans import Scan, find_scans
from training.data.splits import TestSplit
from training.errors import DataError
from training.metrics.metrics import expected_calibration_error
from training.robustness.shift import choose_scans, measure_shift
from training.robustness.shift_catalogue import SHIFTS, Shift
from training.robustness.shifted_verdicts import Verdicts, create_classifier

CLASSES = ("glioma", "notumor")
HEALTHY = 1
DARKEN = Shift("darken", (2.0, 8.0), "divisor", lambda image, severity, _generator: (image / severity).astype(np.uint8))


@pytest.fixture
def split(data_folder):
    return TestSplit("official_test", find_scans(data_folder, "Training").scans)


def classify(images):
    """Bright pixels are tumour; a dark picture is unsure, and a very dark one an outlier."""
    brightest = np.array([np.percentile(image, 99.5) for image in images], float)
    tumor = np.where(brightest > 150, 0.95, 0.1)
    levels = np.where(brightest > 80, "none", "required")
    return Verdicts(np.stack([tumor, 1 - tumor], axis=1), levels, brightest < 40)


def value(interval):
    """The value of an interval; None where there is none."""
    return interval and interval.value


def test_a_planted_weakness_is_found_and_counted(split):
    measured = measure_shift(classify, split, HEALTHY, shifts=[DARKEN])
    assert (measured.images, measured.groups) == (24, 24)
    reference, dim, dark = measured.reference, *measured.scores
    assert reference.accuracy.value == reference.agreement.value == 1
    assert value(reference.missed_tumor_rate) == reference.missed_tumors == 0
    assert reference.missed_and_flagged is None
    assert (dim.severity, dim.unit) == (2.0, "divisor")
    assert dim.accuracy.value == dim.agreement.value == 0.5
    assert value(dim.missed_tumor_rate) == 1
    assert dim.missed_tumors == 12
    assert value(dim.missed_and_flagged) == 0  # still too bright to be unsure
    assert value(dark.missed_and_flagged) == 1
    assert dark.review == {"none": 0, "consider": 0, "required": 1}
    assert (dim.outliers, dark.outliers) == (0, 1)


def test_progress_moves_by_batches_and_names_the_shift(split, monkeypatch, caplog):
    caplog.set_level("INFO", Progress.__module__)
    monkeypatch.setattr("model.host.progress.SECONDS_BETWEEN_LINES", 1e-9)
    monkeypatch.setattr("training.robustness.shifted_verdicts._BATCH_SIZE", 16)
    measure_shift(classify, split, HEALTHY, shifts=[DARKEN])
    names = ("none 0", "darken 2 divisor", "darken 8 divisor")
    assert [line.split(";")[0] for line in caplog.messages] == [
        f"shifting: {name}: {count} of 72 scans"
        for name, count in zip(names * 2, (16, 32, 48, 56, 64, 72), strict=True)
    ]


def test_numbers_are_those_computed_by_hand_on_the_shifted_images(split):
    score = measure_shift(classify, split, HEALTHY, shifts=[DARKEN]).scores[0]
    verdicts = classify([decode_image(scan.path.read_bytes()).image / 2 for scan in split.scans])
    labels = np.array([scan.label for scan in split.scans])
    assert score.ece == pytest.approx(expected_calibration_error(labels, verdicts.probabilities))
    assert score.accuracy.value == (verdicts.probabilities.argmax(axis=1) == labels).mean()
    assert score.review is not None
    assert score.review["none"] == pytest.approx((verdicts.levels == "none").mean())
    assert score.accuracy.low <= score.accuracy.value <= score.accuracy.high


def test_a_model_that_looks_at_nothing_is_moved_by_no_shift(split):
    def stubborn(images):
        return Verdicts(np.tile([0.2, 0.8], (len(images), 1)), np.full(len(images), "consider"))

    measured = measure_shift(stubborn, split, HEALTHY, num_scans=6)
    assert len(measured.scores) == sum(len(shift.severities) for shift in SHIFTS)
    for score in (measured.reference, *measured.scores):
        assert score.agreement.value == 1
        assert value(score.missed_and_flagged) == 1
        assert score.outliers is None


def test_without_a_healthy_class_no_tumour_is_missed(split):
    measured = measure_shift(classify, split, None, shifts=[DARKEN])
    assert all(score.missed_tumor_rate is score.missed_and_flagged is None for score in measured.scores)


def test_scans_of_one_group_count_as_one_for_the_intervals(split):
    grouped = [Scan(scan.path, scan.label, str(index // 6)) for index, scan in enumerate(split.scans)]
    measured = measure_shift(classify, TestSplit("official_test", tuple(grouped)), HEALTHY, shifts=[DARKEN])
    alone = measure_shift(classify, split, HEALTHY, shifts=[DARKEN])
    assert measured.groups == 4
    widths = [each.scores[0].accuracy.high - each.scores[0].accuracy.low for each in (measured, alone)]
    assert widths[0] > 1.5 * widths[1]


def test_a_drawn_part_keeps_the_mixture_of_classes(tmp_path):
    scans = [Scan(tmp_path / str(index), 0 if index < 60 else 2) for index in range(80)]
    drawn = choose_scans(scans, 20, seed=0)
    assert [scan.label for scan in drawn].count(0) == 15
    assert drawn == choose_scans(scans, 20, seed=0) != choose_scans(scans, 20, seed=1)
    assert drawn == sorted(drawn, key=scans.index)
    assert choose_scans(scans, None, seed=0) == choose_scans(scans, 500, seed=0) == scans


def test_without_thresholds_there_are_no_reviews(split):
    measured = measure_shift(
        lambda images: Verdicts(classify(images).probabilities), split, HEALTHY, shifts=[DARKEN]
    ).scores[0]
    assert measured.missed_tumors == 12
    assert (measured.review, measured.missed_and_flagged, measured.outliers) == (None, None, None)


def test_verdicts_are_those_of_the_service(split, calibrated_pair, tiny_pair):
    engine = load_engine(calibrated_pair[1], 1)
    classifier = Classifier(engine)
    paths = [scan.path for scan in split.scans[:4]]
    verdicts = create_classifier(engine, engine.card)([decode_image(path.read_bytes()).image for path in paths])
    answers = [classifier.predict(path.read_bytes()) for path in paths]
    stated = [list(answer.probabilities.values()) for answer in answers]
    assert verdicts.probabilities == pytest.approx(np.array(stated), abs=1e-5)
    assert verdicts.levels is not None
    assert verdicts.outliers is not None
    assert verdicts.levels.tolist() == [answer.review and answer.review.level.value for answer in answers]
    assert verdicts.outliers.tolist() == [answer.ood and answer.ood.outlier for answer in answers]
    plain = load_engine(tiny_pair[1], 1)
    verdicts = create_classifier(plain, plain.card)([draw_scan(64)])
    assert verdicts.levels is None
    assert verdicts.outliers is None


def test_nothing_to_classify_and_damaged_scans_are_refused(tmp_path):
    with pytest.raises(DataError, match="no scans"):
        measure_shift(classify, TestSplit("official_test", ()), HEALTHY)
    broken = tmp_path / "broken.png"
    broken.write_bytes(encode(np.zeros((64, 64, 3), np.uint8))[:50])
    with pytest.raises(DataError, match=r"broken\.png"):
        measure_shift(classify, TestSplit("official_test", (Scan(broken, 0),)), HEALTHY)
