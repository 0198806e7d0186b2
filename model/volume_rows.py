"""Predictions for the slices of a volume, as rows, and one row that sums them up."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model.classifier import Classifier, Prediction
from model.errors import InputError, UnsupportedFormatError
from model.volume_slices import SliceChoice

NO_HEAD = "shows no head; not judged"


def predict_volume(classifier: Classifier, path: Path, choice: SliceChoice) -> Iterator[dict[str, Any]]:
    """Classify slices of a NIfTI volume.

    Returns:
        A row for each slice, in order, and a last one for the volume; or a row with an error, after which none comes.
    """
    judged: list[Prediction] = []
    num_slices = 0
    try:
        for index, row, prediction in _predict_slices(classifier, path, choice):
            num_slices += 1
            judged += [] if prediction is None else [prediction]
            yield {"file": f"{path}#{choice.plane}:{index}", **row}
    except InputError as error:
        yield {"file": str(path), "error": str(error)}
    except OSError as error:
        yield {"file": str(path), "error": error.strerror or "cannot be read"}
    else:
        yield {"file": f"{path}#volume", **summarise(judged, num_slices, classifier.card.classes)}


def summarise(judged: Sequence[Prediction], num_slices: int, classes: Sequence[str]) -> dict[str, Any]:
    """Sum up the slices of a volume that show a head.

    Returns:
        The mean of their probabilities and its largest, and how many slices each class was predicted for; without
        slices to judge only the counts. A mean over slices is no probability that the patient has the disease: a
        tumour in few slices is outvoted, so look at `slices_by_class`.
    """
    counts = Counter(prediction.prediction for prediction in judged)
    summary: dict[str, Any] = {
        "num_slices": num_slices,
        "num_judged": len(judged),
        "slices_by_class": {name: counts[name] for name in classes},
    }
    if not judged:
        return {**summary, "note": NO_HEAD}
    means = np.mean([[prediction.probabilities[name] for name in classes] for prediction in judged], axis=0)
    best = int(means.argmax())
    probabilities = dict(zip(classes, means.tolist(), strict=True))
    return {"prediction": classes[best], "confidence": float(means[best]), "probabilities": probabilities, **summary}


def _predict_slices(
    classifier: Classifier, path: Path, choice: SliceChoice
) -> Iterator[tuple[int, dict[str, Any], Prediction | None]]:
    try:
        from model.volume import read_slices
    except ModuleNotFoundError as error:
        raise UnsupportedFormatError(
            "NIfTI is not read here: the packages of requirements-nifti.txt are not installed."
        ) from error
    for part in read_slices(path, choice):
        if part.shows_head:
            prediction = classifier.predict_decoded(part.decoded)
            yield part.index, asdict(prediction), prediction
        else:
            yield part.index, {"note": NO_HEAD}, None
