from typing import cast

import numpy as np
import pytest

from model.card import ReviewThresholds
from model.engines.engine import Engine
from model.engines.loading import load_engine
from tests.samples.phantoms import create_card, create_tiny_network
from training.calibration import review_thresholds
from training.calibration.review_thresholds import choose_tumor_probability, fit_review
from training.data.scans import find_scans
from training.robustness.shifted_verdicts import Verdicts

HEALTHY = 1
SURE = np.full(100, 1e-4)  # healthy scans without a doubt


def verdicts(doubts, levels="none"):
    """Verdicts on tumours; doubts above a half are not missed ones."""
    doubts = np.asarray(doubts, float)
    return Verdicts(np.stack([doubts, 1 - doubts], axis=1), np.broadcast_to(levels, doubts.shape))


def flagged(shifted, threshold):
    """The part of the missed tumours that is sent to review."""
    doubts = 1 - shifted.probabilities[:, HEALTHY]
    missed = doubts < 0.5
    return ((doubts > threshold) | (shifted.levels != "none"))[missed].mean()


@pytest.mark.parametrize("seed", range(5))
def test_nearly_all_missed_tumours_go_to_review_under_every_shift_and_no_larger_threshold_does_it(seed):
    generator = np.random.default_rng(seed)
    shifted = [verdicts(generator.beta(1, scale, 300)) for scale in (2, 5, 20)]
    chosen = choose_tumor_probability(shifted, SURE, HEALTHY)
    assert all(flagged(each, chosen) >= 0.97 for each in shifted)
    assert any(flagged(each, chosen * 1.5) < 0.97 for each in shifted)


def test_what_goes_to_review_anyway_needs_no_threshold():
    doubts = np.linspace(0.001, 0.4, 200)
    silent = doubts > 0.1
    shifted = verdicts(doubts, np.where(silent, "none", "required"))
    assert 0.1 < choose_tumor_probability([shifted], SURE, HEALTHY) < 0.12
    default = ReviewThresholds().tumor_probability
    assert choose_tumor_probability([verdicts(doubts, "required")], SURE, HEALTHY) == default


def test_a_few_missed_tumours_decide_nothing():
    default = ReviewThresholds().tumor_probability
    assert choose_tumor_probability([verdicts([0.001] * 9 + [0.9] * 91)], SURE, HEALTHY) == default
    assert choose_tumor_probability([], SURE, HEALTHY) == default


def test_shifts_with_few_missed_tumours_decide_together():
    few = verdicts([0.01, *[0.4] * 4, *[0.9] * 95])
    chosen = choose_tumor_probability([few] * 4, SURE, HEALTHY)
    assert flagged(few, chosen) == 1
    assert chosen > 0.009


def test_most_healthy_scans_stay_without_review_whatever_is_missed():
    doubts = np.linspace(0, 0.02, 100)
    chosen = choose_tumor_probability([verdicts([1e-9] * 50)], doubts, HEALTHY)
    assert (doubts > chosen).mean() == pytest.approx(0.15, abs=0.01)
    reviewed = np.arange(100) % 10 == 0
    chosen = choose_tumor_probability([verdicts([1e-9] * 50)], doubts, HEALTHY, reviewed)
    assert ((doubts > chosen) | reviewed).mean() == pytest.approx(0.15, abs=0.01)


def test_the_tumours_of_a_folder_are_shifted(grouped_folder, calibrated_pair):
    engine = load_engine(calibrated_pair[1], 1)
    scans = find_scans(grouped_folder, "Training", engine.card.classes).scans
    review = fit_review(engine, engine.card, scans)
    assert review.healthy_class == "notumor"
    assert 0 <= review.tumor_probability < 1
    assert review.required_confidence == ReviewThresholds().required_confidence


def test_without_a_healthy_class_there_is_nothing_to_choose(tiny_pair):
    engine = load_engine(tiny_pair[1], 1)
    card = engine.card.model_copy(update={"classes": ("a", "b", "c")})
    assert fit_review(engine, card, ()) == ReviewThresholds()


def test_images_are_counted_as_they_are_classified(data_folder, monkeypatch):
    scans = find_scans(data_folder, "Training").scans
    chosen, seen = (*scans[:2], *scans[-3:]), []

    def classify(images):
        seen.extend(images)
        return Verdicts(np.full((len(images), 3), 1 / 3))

    monkeypatch.setattr(review_thresholds, "create_classifier", lambda *_: classify)
    card = create_card(create_tiny_network())
    review_thresholds.fit_review(cast(Engine, None), card, chosen)
    assert len(seen) == review_thresholds.count_shifted(chosen, card.classes.index("notumor")) > 3 + 2 * 20
    assert review_thresholds.count_shifted(chosen, None) == 0
