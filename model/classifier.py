"""From bytes to a prediction and its explanation: the one object that a service or a command needs.

bytes -> decoding -> classification (preprocessing -> engines -> reliability) -> Prediction
                                                  |
                                                  +-> drawing -> picture
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from model.card import ModelCard
from model.checkpoints.file_hash import verify_file
from model.classification import Classification, SomeOutputs
from model.decoding import EncodedImage, decode_image, decode_opened, open_image
from model.drawing.caption import Caption
from model.drawing.encoding import FileFormat, encode_picture
from model.drawing.overlay import View, render
from model.drawing.png import encode_png
from model.engines.engine import LOGIT_TOLERANCE, PREDICTED, Engine, Explanation
from model.engines.loading import load_engine
from model.errors import CheckpointError, UnknownClassError
from model.images.decoded import DEFAULT_MAX_IMAGE_PIXELS, DecodedImage, FloatArray, ImageArray
from model.prediction import Inference, ModelIdentity, Prediction, Visualization
from model.preprocessing import self_test_image, self_test_inputs
from model.steps import Steps, complete

DEFAULT_ALPHA = 0.5
LARGE_IMAGE_PIXELS = 2**22  # more, and only one such image is decoded and drawn at a time


class Classifier:
    """A loaded network with everything around it; may be called from any number of threads at once."""

    def __init__(self, engine: Engine, max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS) -> None:
        """Serve `engine`, refusing images of more than `max_image_pixels`."""
        self._engine = engine
        self._max_image_pixels = max_image_pixels
        self._large_image = threading.Lock()
        self._classification = Classification(engine)

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
            sha256: The hash that the file must have; see also `model.checkpoints.file_hash.verify_file`.

        Raises:
            CheckpointError: If it is another file than expected, cannot be loaded or fails `self_test`.
        """
        verify_file(path, sha256)
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
        """The card that travels with the weights."""
        return self._engine.card

    @property
    def identity(self) -> ModelIdentity:
        """The weights."""
        return self._classification.identity

    @property
    def engine_name(self) -> str:
        """The library that computes; see `Engine.name`."""
        return self._engine.name

    def expect(self, num_images: int) -> None:
        """Learn how many images wait or are being classified: the engine adapts to it."""
        self._engine.expect(num_images)

    def predict(self, data: bytes, frame: int | None = None) -> Prediction:
        """Classify an encoded image.

        Args:
            frame: The frame of a DICOM file, from 1; by default the middle one.

        Raises:
            InputError: If it cannot be classified; see `model.decoding.decode_image`.
        """
        return complete(self.predict_in_steps(data, frame))

    def predict_in_steps(self, data: bytes, frame: int | None = None) -> Steps[Prediction]:
        """Classify as `predict` does, in three steps: preparation, network and conclusion."""
        start = time.perf_counter()
        with self._open(data, frame) as opened:
            prepared = self._classification.prepare(self._decode(opened), start)
        prediction, _ = yield from self._classification.classify(prepared, self._engine.predict)
        return prediction

    def infer(self, data: bytes, *, explain: bool = False) -> Inference:
        """Classify an encoded image as `predict` does, and keep the network's outputs.

        Args:
            explain: Whether the heatmap is wanted.

        Raises:
            InputError: If it cannot be classified; see `model.decoding.decode_image`.
        """
        start = time.perf_counter()
        with self._open(data, None) as opened:
            decoded = self._decode(opened)
            if explain:
                prediction, explanation = self._explain(decoded, start, PREDICTED)
                return Inference(prediction, explanation.logits, explanation.heatmaps)
            prediction, outputs = self._classify(decoded, start, self._engine.predict)
            return Inference(prediction, outputs.logits, None)

    def predict_decoded(self, decoded: DecodedImage) -> Prediction:
        """Classify an image that was decoded elsewhere."""
        return self._classify(decoded, time.perf_counter(), self._engine.predict)[0]

    def visualize(
        self,
        data: bytes,
        target: str | None = None,
        alpha: float = DEFAULT_ALPHA,
        view: View = View.OVERLAY,
        frame: int | None = None,
        form: FileFormat = FileFormat.PNG,
    ) -> Visualization:
        """Classify an encoded image and draw the evidence for a class over it.

        Args:
            target: The class to explain; by default the predicted one.
            alpha: Opacity of the strongest evidence, in [0, 1].
            view: The kind of picture; see `View`.
            frame: The frame of a DICOM file, from 1; by default the middle one.
            form: Of the picture; WebP is lossless of layers alone.

        Raises:
            InputError: If the image cannot be classified, `target` is no class of the network, or `form` cannot hold
                the picture.
        """
        start, class_index = time.perf_counter(), self._find_class(target)
        with self._open(data, frame) as opened:
            lacks_colors = opened.has_luma and self._sees_grey
            decoded = self._decode(opened)
            drawn = decode_image(data, self._max_image_pixels, frame) if lacks_colors else decoded
            return self._visualize(decoded, drawn.image, start, class_index, alpha, view, form)

    def visualize_decoded(self, decoded: DecodedImage) -> Visualization:
        """Classify an image that was decoded elsewhere, and draw the evidence for its class over it."""
        start, form = time.perf_counter(), FileFormat.PNG
        return self._visualize(decoded, decoded.image, start, PREDICTED, DEFAULT_ALPHA, View.OVERLAY, form)

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
        self._classification.check_fits(outputs.features.shape[1])

    def _find_class(self, target: str | None) -> int:
        if target is None:
            return PREDICTED
        if target not in self.card.classes:
            raise UnknownClassError(f"Expected one of the classes {', '.join(self.card.classes)} as the target.")
        return self.card.classes.index(target)

    @contextmanager
    def _open(self, data: bytes, frame: int | None) -> Iterator[EncodedImage]:
        """Open an image to be decoded; large ones, which take hundreds of megabytes, one after the other."""
        opened = open_image(data, self._max_image_pixels, frame)
        with self._large_image if opened.num_pixels > LARGE_IMAGE_PIXELS else nullcontext():
            yield opened

    @property
    def _sees_grey(self) -> bool:
        return self.card.preprocessing.color == "grey"

    def _decode(self, opened: EncodedImage) -> DecodedImage:
        """Decode what the network sees of an image."""
        return decode_opened(opened, grey=self._sees_grey)

    def _visualize(
        self,
        decoded: DecodedImage,
        image: ImageArray,
        start: float,
        class_index: int,
        alpha: float,
        view: View,
        form: FileFormat,
    ) -> Visualization:
        prediction, explanation = self._explain(decoded, start, class_index)
        explained = prediction.prediction if class_index == PREDICTED else self.card.classes[class_index]
        caption = Caption(prediction.prediction, prediction.confidence, explained, prediction.probabilities[explained])
        picture = render(image, explanation.heatmaps[0], caption, alpha, view)
        return Visualization(prediction, explained, encode_picture(picture, form, lossless=view.is_layer))

    def _explain(self, decoded: DecodedImage, start: float, class_index: int) -> tuple[Prediction, Explanation]:
        targets = np.array([class_index], np.int64)
        return self._classify(decoded, start, partial(self._engine.explain, targets=targets))

    def _classify(
        self, decoded: DecodedImage, start: float, run: Callable[[FloatArray], SomeOutputs]
    ) -> tuple[Prediction, SomeOutputs]:
        prepared = self._classification.prepare(decoded, start)
        return complete(self._classification.classify(prepared, run))
