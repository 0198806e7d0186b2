"""From bytes to a prediction and its explanation: the one object that a service or a command needs."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Self

import numpy as np

from model.card import ModelCard
from model.checkpoints.file_hash import verify_file
from model.decoding import decode_opened, open_image
from model.drawing.overlay import Caption, View, render_png
from model.drawing.png import encode_png
from model.engines.engine import LOGIT_TOLERANCE, PREDICTED, Engine, Explanation, Outputs
from model.engines.loading import load_engine
from model.errors import CheckpointError, UnknownClassError
from model.images.codec_remarks import silence_codecs
from model.images.decoded import DEFAULT_MAX_IMAGE_PIXELS, DecodedImage, FloatArray
from model.prediction import (
    Inference,
    InputReport,
    ModelIdentity,
    Prediction,
    Timing,
    Visualization,
)
from model.preprocessing import preprocess_image, self_test_image, self_test_inputs
from model.reliability.appearance import NUM_APPEARANCE_VALUES, describe_appearance
from model.reliability.probabilities import softmax
from model.reliability.reliability import ReliabilityCheck

DEFAULT_ALPHA = 0.5
LARGE_IMAGE_PIXELS = 2**22  # more, and only one such image is decoded and drawn at a time


class Classifier:
    """A loaded network with everything around it; may be called from any number of threads at once."""

    def __init__(self, engine: Engine, max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS) -> None:
        """Serve `engine`, refusing images of more than `max_image_pixels`."""
        self._engine = engine
        self._max_image_pixels = max_image_pixels
        self._large_image = threading.Lock()
        self._check = ReliabilityCheck(engine.card)
        self._identity = ModelIdentity(engine.card.name, engine.card.version, engine.sha256)

    @classmethod
    def load(
        cls,
        path: Path,
        num_threads: int | None = None,
        max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS,
        sha256: str | None = None,
    ) -> Self:
        """Load a weight file, prove that it works, and warm everything up.

        Args:
            sha256: What the file's hash must be; see also `model.checkpoints.file_hash.verify_file`.

        Raises:
            CheckpointError: If it is another file than expected, cannot be loaded or fails `self_test`.
        """
        verify_file(path, sha256)
        silence_codecs()
        classifier = cls(load_engine(path, num_threads), max_image_pixels)
        try:
            classifier.self_test()
            # The first decoding and drawing load codecs and a font: not at the first client's cost.
            classifier.visualize(encode_png(self_test_image(classifier.card.preprocessing.input_size)))
        except CheckpointError as error:
            raise CheckpointError(f"cannot use {path}: {error}") from error
        return classifier

    @property
    def card(self) -> ModelCard:
        """What travels with the weights."""
        return self._engine.card

    @property
    def identity(self) -> ModelIdentity:
        """Which weights answer."""
        return self._identity

    @property
    def engine_name(self) -> str:
        """What computes; see `Engine.name`."""
        return self._engine.name

    def expect(self, num_images: int) -> None:
        """Learn how many images wait or are being judged: the engine adapts to it."""
        self._engine.expect(num_images)

    def predict(self, data: bytes, frame: int | None = None) -> Prediction:
        """Classify an encoded image.

        Args:
            frame: Which frame of a DICOM file, from 1; by default the middle one.

        Raises:
            InputError: If it cannot be judged; see `model.decoding.decode_image`.
        """
        return self.infer_image(data, frame).prediction

    def infer_image(self, data: bytes, frame: int | None = None, *, explain: bool = False) -> Inference:
        """Classify an encoded image as `predict` does, and keep what the network said.

        Args:
            explain: Whether the heatmap is wanted.

        Raises:
            InputError: If it cannot be judged; see `model.decoding.decode_image`.
        """
        start = time.perf_counter()
        with self._decode(data, frame) as decoded:
            return self._infer_decoded(decoded, start, explain)

    def predict_decoded(self, decoded: DecodedImage) -> Prediction:
        """Classify an image that was decoded elsewhere."""
        return self._infer_decoded(decoded, time.perf_counter(), explain=False).prediction

    def visualize(
        self,
        data: bytes,
        target: str | None = None,
        alpha: float = DEFAULT_ALPHA,
        view: View = View.OVERLAY,
        frame: int | None = None,
    ) -> Visualization:
        """Classify an encoded image and draw what speaks for a class over it.

        Args:
            target: The class to explain; by default the predicted one.
            alpha: Opacity of the strongest evidence, in [0, 1].
            view: What is drawn; see `View`.
            frame: Which frame of a DICOM file, from 1; by default the middle one.

        Raises:
            InputError: If the image cannot be judged, or `target` is no class of the network.
        """
        start, class_index = time.perf_counter(), self._find_class(target)
        with self._decode(data, frame) as decoded:
            return self._visualize(decoded, start, class_index, alpha, view)

    def visualize_decoded(self, decoded: DecodedImage) -> Visualization:
        """Classify an image that was decoded elsewhere, and draw what speaks for the class over it."""
        return self._visualize(decoded, time.perf_counter(), PREDICTED, DEFAULT_ALPHA, View.OVERLAY)

    def self_test(self) -> None:
        """Compare the logits for a known image with those the trainer stored.

        Raises:
            CheckpointError: If they differ: the file is damaged, or this machine computes something else.
        """
        inputs = self_test_inputs(self.card.preprocessing)
        expected = np.asarray(self.card.self_test_logits, np.float64)
        outputs = self._engine.predict(inputs)
        explained = self._engine.explain(inputs, np.array([PREDICTED], np.int64)).logits[0]
        for found in (outputs.logits[0], explained):
            if not np.allclose(found, expected, rtol=LOGIT_TOLERANCE, atol=LOGIT_TOLERANCE):
                raise CheckpointError("self-test failed: its logits differ from those stored when it was trained")
        self._check_detector(outputs.features.shape[1])

    def _check_detector(self, num_features: int) -> None:
        scorer = self._check.scorer
        expected = (num_features, NUM_APPEARANCE_VALUES)
        if scorer and (scorer.num_features, scorer.num_appearance_values) != expected:
            raise CheckpointError("the outlier detector in its card was fitted to another network")

    @contextmanager
    def _decode(self, data: bytes, frame: int | None) -> Iterator[DecodedImage]:
        """Decode an image; large ones, which take hundreds of megabytes, one after the other."""
        opened = open_image(data, self._max_image_pixels, frame)
        with self._large_image if opened.num_pixels > LARGE_IMAGE_PIXELS else nullcontext():
            yield decode_opened(opened)

    def _infer_decoded(self, decoded: DecodedImage, start: float, explain: bool) -> Inference:
        inputs = preprocess_image(decoded.image, self.card.preprocessing)
        prepared = time.perf_counter()
        outputs = self._compute(inputs, explain)
        timing = Timing(_milliseconds(start, prepared), _milliseconds(prepared, time.perf_counter()))
        heatmaps = outputs.heatmaps if isinstance(outputs, Explanation) else None
        return Inference(self._answer(decoded, inputs, outputs, timing), outputs.logits, heatmaps)

    def _visualize(
        self, decoded: DecodedImage, start: float, class_index: int, alpha: float, view: View
    ) -> Visualization:
        prediction, heatmap = self._explain(decoded, start, class_index)
        explained = prediction.prediction if class_index == PREDICTED else self.card.classes[class_index]
        caption = Caption(prediction.prediction, prediction.confidence, explained, prediction.probabilities[explained])
        png = render_png(decoded.image, heatmap, caption, alpha, view)
        return Visualization(prediction, explained, png)

    def _explain(self, decoded: DecodedImage, start: float, class_index: int) -> tuple[Prediction, FloatArray]:
        """Classify a decoded image; also its heatmap (h, w) for one class."""
        inputs = preprocess_image(decoded.image, self.card.preprocessing)
        prepared = time.perf_counter()
        explanation = self._engine.explain(inputs, np.array([class_index], np.int64))
        timing = Timing(_milliseconds(start, prepared), _milliseconds(prepared, time.perf_counter()))
        return self._answer(decoded, inputs, explanation, timing), explanation.heatmaps[0]

    def _compute(self, inputs: FloatArray, explain: bool) -> Outputs | Explanation:
        if not explain:
            return self._engine.predict(inputs)
        return self._engine.explain(inputs, np.full(len(inputs), PREDICTED, np.int64))

    def _find_class(self, target: str | None) -> int:
        if target is None:
            return PREDICTED
        if target not in self.card.classes:
            raise UnknownClassError(f"Expected one of the classes {', '.join(self.card.classes)} as the target.")
        return self.card.classes.index(target)

    def _answer(
        self, decoded: DecodedImage, inputs: FloatArray, outputs: Outputs | Explanation, timing: Timing
    ) -> Prediction:
        calibrated = softmax(outputs.logits, self.card.temperature)
        appearance = describe_appearance(inputs, self.card.preprocessing)
        (reliability,) = self._check.judge(calibrated, outputs.features, appearance)
        probabilities = calibrated[0]
        best = int(probabilities.argmax())
        return Prediction(
            prediction=self.card.classes[best],
            confidence=float(probabilities[best]),
            probabilities=dict(zip(self.card.classes, probabilities.tolist(), strict=True)),
            prediction_set=reliability.prediction_set,
            review=reliability.review,
            ood=reliability.ood,
            input=InputReport(
                decoded.format,
                decoded.width,
                decoded.height,
                decoded.warnings,
                decoded.frame,
                decoded.num_frames,
            ),
            model=self._identity,
            timing_ms=timing,
        )


def _milliseconds(start: float, end: float) -> float:
    return round((end - start) * 1000, 3)
