from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from model.reliability.input_kind import KindClassifier
from training.calibration.kinds import KindSamples, choose_thresholds, fit_kinds, fit_regression

CONTRAST_T1, OTHER_MR, NOT_HEAD_MR = range(3)
HEALTHY = 1


def _draw(num_scans=300, seed=0, noise=0.7):
    generator = np.random.default_rng(seed)
    labels = np.arange(num_scans) % 3
    features = np.eye(3, 6)[labels] * 2 + generator.normal(0, noise, (num_scans, 6))
    return labels, features.astype(np.float32)


def _samples(labels, features, doubts=0.9):
    doubts = np.broadcast_to(doubts, len(labels))
    probabilities, everywhere = np.stack([doubts, 1 - doubts], axis=1), np.ones(len(labels), bool)
    return KindSamples(
        features, np.eye(3, dtype=bool)[labels], probabilities, everywhere, ~everywhere, labels == CONTRAST_T1
    )


def test_with_known_kinds_it_is_the_regression_of_the_reference_library():
    labels, features = _draw()
    inputs = StandardScaler().fit(features)
    reference = LogisticRegression(C=1 / (2 * len(labels) * 0.01), max_iter=5000, tol=1e-8)
    expected = reference.fit(inputs.transform(features), labels).predict_proba(inputs.transform(features))
    found = KindClassifier(fit_regression(features, np.eye(3, dtype=bool)[labels], 0.01)).classify(features)
    assert np.allclose(found, expected, atol=5e-3)


def test_scans_of_either_kind_of_mr_say_only_that_they_are_no_other():
    labels, features = _draw()
    possible = np.eye(3, dtype=bool)[labels]
    possible[(labels != NOT_HEAD_MR) & (np.arange(len(labels)) % 2 == 0), :2] = True
    found = KindClassifier(fit_regression(features, possible, 0.01)).classify(features)
    assert (found.argmax(axis=1) == labels).mean() > 0.95
    unknown = np.zeros_like(possible)
    both = np.concatenate([possible, unknown]), np.concatenate([features, features[::-1]])
    again = KindClassifier(fit_regression(both[1], both[0], 0.01)).classify(features)
    assert np.abs(again - found).max() < 0.05


def test_thresholds_keep_their_limits_on_unseen_scans():
    train, unseen = _draw(900, noise=0.4), _draw(900, seed=1, noise=0.4)
    doubts = np.random.default_rng(2).uniform(0, 1, 900)
    samples = _samples(unseen[0], unseen[1], doubts)
    head = fit_kinds(_samples(*train), samples, HEALTHY)
    kinds = KindClassifier(head).classify(unseen[1])
    home = samples.at_home
    heads = unseen[0] != NOT_HEAD_MR
    assert (kinds[heads, NOT_HEAD_MR] > head.not_head_mr).mean() <= 0.015
    assert (kinds[home, OTHER_MR] > head.other_mr).mean() <= 0.01
    lesions = ~home & (kinds[:, OTHER_MR] > head.other_mr)
    assert (doubts[lesions] <= head.tumor_probability).mean() <= 0.01
    assert (kinds[unseen[0] == NOT_HEAD_MR, NOT_HEAD_MR] > head.not_head_mr).mean() > 0.95


def test_without_lesions_on_other_sequences_no_healthy_scan_is_sent_to_review():
    labels, features = _draw()
    samples = _samples(labels, features)
    at_home = replace(samples, at_home=np.ones(len(labels), bool))
    head = fit_regression(features, samples.possible, 0.01)
    chosen = choose_thresholds(head, KindClassifier(head).classify(features), at_home, HEALTHY)
    assert chosen.tumor_probability == pytest.approx(1.0)
    assert chosen.set_threshold is None


def _choose_of_other_sequences(doubts, tumors, at_home):
    kinds = np.tile([0.0, 1.0, 0.0], (len(doubts), 1))
    samples = KindSamples(
        np.zeros((len(doubts), 2), np.float32),
        np.tile([False, True, False], (len(doubts), 1)),
        np.stack([doubts, 1 - doubts], axis=1),
        tumors,
        ~tumors,
        at_home,
    )
    labels, features = _draw()
    head = fit_regression(features, np.eye(3, dtype=bool)[labels], 0.01)
    return choose_thresholds(head, kinds, samples, HEALTHY)


def test_few_healthy_scans_of_the_data_folder_are_sent_to_review_for_their_sequence():
    generator = np.random.default_rng(0)
    doubts = np.concatenate([np.full(50, 1e-9), generator.uniform(0, 0.1, 1000)])
    is_lesion = np.arange(1050) < 50
    chosen = _choose_of_other_sequences(doubts, is_lesion, ~is_lesion)
    assert (doubts[~is_lesion] > chosen.tumor_probability).mean() == pytest.approx(0.08, abs=0.005)


def test_sets_of_other_sequences_hold_what_is_there_as_often_as_promised():
    generator = np.random.default_rng(1)
    tumors = generator.random(4000) < 0.5
    doubts = np.where(tumors, generator.beta(4, 1.5, 4000), generator.beta(1.5, 4, 4000))
    halves = np.arange(4000) < 2000, np.arange(4000) >= 2000
    chosen = _choose_of_other_sequences(doubts[halves[0]], tumors[halves[0]], np.zeros(2000, bool))
    right = np.where(tumors, doubts, 1 - doubts)[halves[1]]
    assert np.mean((1 - right <= chosen.set_threshold) | (right >= 0.5)) == pytest.approx(0.95, abs=0.015)
