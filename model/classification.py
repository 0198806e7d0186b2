"""From a decoded image to its prediction, in three steps that a thread may make in turn with those of other images.

decoded image -> preparation -> PreparedImage -> network -> outputs -> conclusion -> Prediction
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from model.engines.engine import Engine, Outputs
from model.errors import CheckpointError
from model.images.decoded import DecodedImage, FloatArray
from model.kinds import KindName
from model.prediction import InputReport, ModelIdentity, Prediction, Timing
from model.preprocessing import normalize_image, resize_image
from model.reliability.appearance import NUM_APPEARANCE_VALUES, describe_appearance
from model.reliability.probabilities import softmax
from model.reliability.reliability import ReliabilityCheck
from model.steps import Steps

SomeOutputs = TypeVar("SomeOutputs", bound=Outputs)


@dataclass(frozen=True)
class PreparedImage:
    """What is left of a decoded image, whose own pixels may take much memory.

    Attributes:
        inputs: (1, 3, S, S).
        appearance: (1, D), of `model.reliability.appearance.describe_appearance`.
        stated: The kind of picture that its header states, if it does.
        report: Without the kind.
        milliseconds: That decoding and preparation took.
    """

    inputs: FloatArray
    appearance: FloatArray
    stated: KindName | None
    report: InputReport
    milliseconds: float


class Classification:
    """The steps for images of one network; may be called from any number of threads at once."""

    def __init__(self, engine: Engine) -> None:
        """Prepare for `engine` and judge its outputs, as its card says."""
        self._card = engine.card
        self._check = ReliabilityCheck(engine.card)
        self.identity = ModelIdentity(name=engine.card.name, version=engine.card.version, sha256=engine.sha256)

    def check_fits(self, num_features: int) -> None:
        """Check that what judges the outputs was fitted to a network of so many features.

        Raises:
            CheckpointError: If it was fitted to another one.
        """
        scorer, kinds = self._check.scorer, self._check.kinds
        expected = (num_features, NUM_APPEARANCE_VALUES)
        if scorer and (scorer.num_features, scorer.num_appearance_values) != expected:
            raise CheckpointError("the outlier detector in its card was fitted to another network")
        if kinds and kinds.num_features != num_features:
            raise CheckpointError("the weights of kinds in its card were fitted to another network")

    def prepare(self, decoded: DecodedImage, start: float) -> PreparedImage:
        """Take from a decoded image what the network and its judgement need.

        Args:
            start: When its decoding began, in seconds of `time.perf_counter`.
        """
        resized = resize_image(decoded.image, self._card.preprocessing)
        appearance = describe_appearance(resized)[None]  # while the pixels are in the processor's cache
        inputs = normalize_image(resized, self._card.preprocessing)[None]
        milliseconds = _milliseconds(start, time.perf_counter())
        return PreparedImage(inputs, appearance, decoded.kind, _report(decoded), milliseconds)

    def classify(
        self, prepared: PreparedImage, run: Callable[[FloatArray], SomeOutputs]
    ) -> Steps[tuple[Prediction, SomeOutputs]]:
        """Make the two steps that are left.

        Args:
            run: From inputs (1, 3, S, S) to the network's outputs.
        """
        yield
        start = time.perf_counter()
        outputs = run(prepared.inputs)
        inference_ms = _milliseconds(start, time.perf_counter())
        yield
        probabilities = softmax(outputs.logits, self._card.temperature)
        (reliability,) = self._check.assess(probabilities, outputs.features, prepared.appearance, [prepared.stated])
        best = int(probabilities[0].argmax())
        prediction = Prediction(
            prediction=self._card.classes[best],
            confidence=float(probabilities[0, best]),
            probabilities=dict(zip(self._card.classes, probabilities[0].tolist(), strict=True)),
            prediction_set=reliability.prediction_set,
            review=reliability.review,
            ood=reliability.ood,
            input=replace(prepared.report, kind=reliability.kind),
            model=self.identity,
            timing_ms=Timing(decode=prepared.milliseconds, inference=inference_ms),
        )
        return prediction, outputs


def _report(decoded: DecodedImage) -> InputReport:
    return InputReport(
        format=decoded.format,
        width=decoded.width,
        height=decoded.height,
        warnings=decoded.warnings,
        frame=decoded.frame,
        num_frames=decoded.num_frames,
        kind=None,
    )


def _milliseconds(start: float, end: float) -> float:
    return round((end - start) * 1000, 3)
