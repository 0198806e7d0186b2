import base64
from dataclasses import replace

import pytest

from api.demo_answer import DemoAnswer, advise
from model.classifier import InputReport, LayeredView, ModelIdentity, Prediction, Timing
from model.picture_layers import PictureLayers
from model.reliability import Level, OutlierScore, Reason, Review

PREDICTION = Prediction(
    prediction="glioma",
    confidence=0.95,
    probabilities={"glioma": 0.95, "meningioma": 0.05},
    prediction_set=("glioma",),
    review=Review(Level.NONE, ()),
    ood=OutlierScore(0.3, 1.2, False),
    input=InputReport("PNG", 64, 64, ("16 bits were reduced to 8",), None, None),
    model=ModelIdentity("tiny", "0.0.1", "0" * 64),
    timing_ms=Timing(1.0, 2.0),
)


@pytest.mark.parametrize(
    ("confidence", "level", "headline"),
    [
        (1.0, Level.NONE, "High confidence"),
        (0.90, Level.NONE, "High confidence"),
        (0.8999, Level.CONSIDER, "Consider review"),
        (0.80, Level.CONSIDER, "Consider review"),
        (0.7999, Level.REQUIRED, "Expert review"),
        (0.3, Level.REQUIRED, "Expert review"),
    ],
)
@pytest.mark.parametrize("review", [None, PREDICTION.review])
def test_the_confidence_decides_where_the_card_says_nothing_stricter(confidence, level, headline, review):
    advice = advise(replace(PREDICTION, confidence=confidence, review=review))
    assert (advice.level, advice.headline) == (level, headline)


@pytest.mark.parametrize("confidence", [0.99, 0.85, 0.5])
@pytest.mark.parametrize("level", Level)
def test_the_stricter_one_of_card_and_confidence_wins(confidence, level):
    own = advise(replace(PREDICTION, confidence=confidence, review=None)).level
    both = advise(replace(PREDICTION, confidence=confidence, review=Review(level, ()))).level
    assert both == max(own, level, key=list(Level).index)


def test_an_outlier_is_for_an_expert_even_where_the_card_has_no_thresholds():
    advice = advise(replace(PREDICTION, review=None, ood=OutlierScore(8.154, 1.206, True)))
    assert advice.level is Level.REQUIRED
    assert advice.reasons == ["The image is unlike those of training: its score 8.15 exceeds the limit 1.21."]


def test_every_reason_is_a_sentence_and_none_is_missing():
    reasons = tuple(Reason)
    advice = advise(
        replace(
            PREDICTION,
            confidence=0.612,
            prediction_set=("glioma", "meningioma"),
            ood=OutlierScore(1.5, 1.2, True),
            review=Review(Level.REQUIRED, reasons),
        )
    )
    assert len(advice.reasons) == len(reasons)
    for words in ("glioma and meningioma", "61.2 %", "38.8 %", "1.50"):
        assert words in " ".join(advice.reasons)
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in advice.reasons)


@pytest.mark.parametrize("confidence", [0.95, 0.85])
def test_something_is_always_said(confidence):
    assert advise(replace(PREDICTION, confidence=confidence, review=None, ood=None)).reasons


def test_pictures_are_in_the_answer_itself():
    view = LayeredView(PREDICTION, "meningioma", PictureLayers(b"scan", b"evidence"))
    answer = DemoAnswer.of(view, 1.5)
    for url, data in ((answer.scan, b"scan"), (answer.evidence, b"evidence")):
        head, _, packed = url.partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(packed) == data
    assert answer.explained == "meningioma"
    assert answer.image.timing_ms.queue == 1.5
    assert answer.image.input.warnings == ["16 bits were reduced to 8"]
    assert "Research use only" in answer.disclaimer
