"""What the page for people says about a scan, in words."""

import base64

from pydantic import BaseModel, Field

from api.schemas import DISCLAIMER, ImageAnswer, ModelAnswer, model_answer
from model.classifier import LayeredView, Prediction
from model.reliability import Level, Reason

_HIGH_CONFIDENCE, _SUFFICIENT_CONFIDENCE = 0.90, 0.80
_HEADLINES = {
    Level.NONE: "High confidence",
    Level.CONSIDER: "Consider review",
    Level.REQUIRED: "Expert review",
}
_CERTAIN = "No reason for doubt was found. The answer may be wrong all the same."


class Advice(BaseModel):
    """Whether a person should look at the scan, in words."""

    level: Level
    headline: str
    reasons: list[str] = Field(description="Sentences; at least one.")


class DemoAnswer(BaseModel):
    """All that the page shows of one scan."""

    image: ImageAnswer
    model: ModelAnswer
    advice: Advice
    explained: str = Field(description="The class whose evidence is drawn.")
    scan: str = Field(description="The scan as it was judged, `data:` URL of a PNG.")
    evidence: str = Field(description="The evidence, to be laid over the scan, `data:` URL of a PNG.")
    disclaimer: str = DISCLAIMER

    @classmethod
    def of(cls, view: LayeredView, queue_ms: float) -> "DemoAnswer":
        """Put what the classifier says and draws into the page's form."""
        return cls(
            image=ImageAnswer.of(view.prediction, queue_ms),
            model=model_answer(view.prediction.model),
            advice=advise(view.prediction),
            explained=view.explained,
            scan=_data_url(view.layers.scan),
            evidence=_data_url(view.layers.evidence),
        )


def advise(prediction: Prediction) -> Advice:
    """Tell in words whether a person should look: what the confidence says, or the card where it is stricter."""
    levels = [_level_of(prediction.confidence)]
    if prediction.review:
        levels.append(prediction.review.level)
    if prediction.ood and prediction.ood.outlier:
        levels.append(Level.REQUIRED)
    level = max(levels, key=list(Level).index)
    return Advice(level=level, headline=_HEADLINES[level], reasons=_tell_reasons(prediction) or [_CERTAIN])


def _level_of(confidence: float) -> Level:
    if confidence >= _HIGH_CONFIDENCE:
        return Level.NONE
    return Level.CONSIDER if confidence >= _SUFFICIENT_CONFIDENCE else Level.REQUIRED


def _tell_reasons(prediction: Prediction) -> list[str]:
    """Write a sentence for each reason, the gravest first."""
    given = set(prediction.review.reasons) if prediction.review else set()
    confidence, sentences = prediction.confidence, []
    if (ood := prediction.ood) and ood.outlier:
        sentences.append(
            f"The image is unlike those of training: its score {ood.score:.2f} exceeds the limit {ood.threshold:.2f}."
        )
    if Reason.AMBIGUOUS in given:
        possible = " and ".join(prediction.prediction_set or ())
        sentences.append(f"More than one class is possible: {possible}.")
    if confidence < _HIGH_CONFIDENCE or Reason.LOW_CONFIDENCE in given:
        sentences.append(f"The most probable class has only {_percent(confidence)}.")
    if Reason.TUMOR_NOT_EXCLUDED in given:
        sentences.append(f"A tumour is not excluded: all tumours together have {_percent(1 - confidence)}.")
    return sentences


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
