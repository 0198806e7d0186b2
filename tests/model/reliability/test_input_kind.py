import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from model.card import KindHead, PackedArray
from model.reliability.input_kind import InputKind, KindClassifier


def test_probabilities_are_those_of_the_reference_library():
    generator = np.random.default_rng(0)
    features, labels = generator.normal(size=(90, 8)).astype(np.float32), np.arange(90) % 3
    reference = LogisticRegression(max_iter=1000).fit(features, labels)
    weights = PackedArray.encode(reference.coef_)
    bias = tuple(reference.intercept_.tolist())
    head = KindHead(weights=weights, bias=bias, not_head_mr=0.5, other_mr=0.5, tumor_probability=0.1)
    assert np.allclose(KindClassifier(head).classify(features), reference.predict_proba(features), atol=2e-3)


def test_a_header_decides_before_the_guess():
    guess = InputKind(contrast_t1=0.7, other_mr=0.2, not_head_mr=0.1)
    assert guess.given(None) == guess
    assert guess.given("not_head_mr") == InputKind(contrast_t1=0.0, other_mr=0.0, not_head_mr=1.0)
    assert guess.given("other_mr").other_mr == pytest.approx(0.9)
    assert guess.given("contrast_t1").contrast_t1 == pytest.approx(0.9)
    assert guess.given("contrast_t1").not_head_mr == 0.1
