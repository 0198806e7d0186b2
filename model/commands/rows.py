"""The rows of a result file, one for each image, as JSON Lines or CSV with the same facts.

A volume has a row for each slice and a last one for itself; they follow each other with nothing between them.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.commands.volume_summary import VolumeSummary
from model.errors import OutputError
from model.prediction import ModelIdentity, Prediction

_TEXTS = ("volume", "note", "overlay", "capture", "report", "error")
_NUM_SLICES = "num_slices"  # in the rows of whole volumes alone
_FOREIGN = "it holds rows that this command did not write"


@dataclass(frozen=True)
class Row:
    """The result for one image: a prediction or the reason why there is none.

    Attributes:
        file: The file; of a volume, with the slice: `scan.nii#axial:12`, or `scan.nii#volume`.
        summary: Of a volume.
        volume: The file, of a volume and its slices; None for other images.
        note: Why there is no prediction though nothing is wrong.
        overlay: The file of the picture, if one was requested.
        capture: The picture's DICOM file, if one was requested.
        report: The file of the DICOM report.
    """

    file: str
    prediction: Prediction | None = None
    summary: VolumeSummary | None = None
    volume: str | None = None
    note: str | None = None
    overlay: str | None = None
    capture: str | None = None
    report: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class WrittenRow:
    """The facts of an earlier row that a resumed run needs.

    Attributes:
        file: The classified file; for a slice the volume.
        sha256: Of the weights; None where there is no prediction.
        is_last: False for a slice: more rows of its file follow.
    """

    file: str
    failed: bool
    sha256: str | None
    is_last: bool = True


class JsonLines:
    """A JSON object a line: `file`, and the fields of a prediction, of a volume's summary, `note` or `error`."""

    header = b""

    def encode(self, row: Row) -> bytes:
        """Write one row, its end included."""
        facts: dict[str, Any] = {"file": row.file}
        for part in (row.prediction, row.summary):
            facts |= asdict(part) if part is not None else {}
        facts |= {name: value for name in _TEXTS if (value := getattr(row, name)) is not None}
        return json.dumps(facts, ensure_ascii=False).encode() + b"\n"

    def split(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Join lines to rows; an incomplete one is left out."""
        return (line for line in lines if line.endswith(b"\n"))

    def decode(self, record: bytes) -> WrittenRow:
        """Read one row.

        Raises:
            OutputError: If this command did not write it.
        """
        try:
            facts = json.loads(record)
            file, failed, volume = str(facts["file"]), "error" in facts, facts.get("volume")
            sha256 = str(facts["model"]["sha256"]) if "model" in facts else None
            if sha256 is None and not failed and "note" not in facts:
                raise OutputError(_FOREIGN)
            return WrittenRow(str(volume or file), failed, sha256, volume is None or _NUM_SLICES in facts)
        except (ValueError, LookupError, TypeError) as error:
            raise OutputError(_FOREIGN) from error


class CsvTable:
    """A table with the facts of a JSON line as columns; missing values are empty, sets are separated by spaces."""

    def __init__(self, classes: Sequence[str]) -> None:
        """Make the columns for these classes."""
        self._columns = (
            *("file", "prediction", "confidence"),
            *(f"p_{name}" for name in classes),
            *("prediction_set", "review", "review_reasons", "ood_score", "ood_threshold", "ood_outlier"),
            *("format", "width", "height", "warnings", "frame", "num_frames"),
            *("model_name", "model_version", "model_sha256", "decode_ms", "inference_ms"),
            *("volume", _NUM_SLICES, "num_judged"),
            *(f"slices_{name}" for name in classes),
            *("note", "overlay", "capture", "report", "error"),
        )

    @property
    def header(self) -> bytes:
        """The names of the columns."""
        return _encode_record(self._columns)

    def encode(self, row: Row) -> bytes:
        """Write one row, its end included."""
        facts: dict[str, Any] = {name: getattr(row, name) for name in ("file", *_TEXTS)}
        facts |= _flatten(row.prediction) if row.prediction is not None else {}
        facts |= _flatten_summary(row.summary) if row.summary is not None else {}
        return _encode_record([facts.get(name) for name in self._columns])

    def split(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Join lines to rows: a line break within quotes ends none."""
        record = b""
        for line in lines:
            record += line
            if record.endswith(b"\n") and record.count(b'"') % 2 == 0:
                yield record
                record = b""

    def decode(self, record: bytes) -> WrittenRow:
        """Read one row."""
        try:
            (values,) = csv.reader(io.StringIO(record.decode(), newline=""), strict=True)
            facts = dict(zip(self._columns, values, strict=True))
        except (ValueError, csv.Error) as error:
            raise OutputError(_FOREIGN) from error
        is_last = not facts["volume"] or bool(facts[_NUM_SLICES])
        file = facts["volume"] or facts["file"]
        return WrittenRow(file, bool(facts["error"]), facts["model_sha256"] or None, is_last)


RowFormat = JsonLines | CsvTable


def name_file(path: Path) -> str:
    r"""Write a path as text; bytes of it that are no UTF-8 become `\udc80` to `\udcff`."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _flatten(prediction: Prediction) -> Mapping[str, Any]:
    review, ood = prediction.review, prediction.ood
    return {
        "prediction": prediction.prediction,
        "confidence": prediction.confidence,
        **{f"p_{name}": value for name, value in prediction.probabilities.items()},
        "prediction_set": " ".join(prediction.prediction_set or ()),
        "review": review and review.level,
        "review_reasons": " ".join(review.reasons) if review else None,
        "ood_score": ood and ood.score,
        "ood_threshold": ood and ood.threshold,
        "ood_outlier": ood and str(ood.outlier).lower(),
        "format": prediction.input.format,
        "width": prediction.input.width,
        "height": prediction.input.height,
        "warnings": "; ".join(prediction.input.warnings),
        "frame": prediction.input.frame,
        "num_frames": prediction.input.num_frames,
        **_flatten_identity(prediction.model),
        "decode_ms": prediction.timing_ms.decode,
        "inference_ms": prediction.timing_ms.inference,
    }


def _flatten_summary(summary: VolumeSummary) -> Mapping[str, Any]:
    return {
        "prediction": summary.prediction,
        "confidence": summary.confidence,
        **{f"p_{name}": value for name, value in (summary.probabilities or {}).items()},
        _NUM_SLICES: summary.num_slices,
        "num_judged": summary.num_judged,
        **{f"slices_{name}": value for name, value in summary.slices_by_class.items()},
        **_flatten_identity(summary.model),
    }


def _flatten_identity(identity: ModelIdentity) -> Mapping[str, str]:
    return {f"model_{name}": value for name, value in asdict(identity).items()}


def _encode_record(values: Iterable[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
