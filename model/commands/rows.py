"""Rows of a file of results, as JSON Lines or CSV with the same fields: one row for an image.

A volume has a row for each slice and then one for itself, without other rows in between.
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
_NUM_SLICES = "num_slices"  # only in the row of a whole volume
_FOREIGN = "expected rows of this command; found others"


@dataclass(frozen=True)
class Row:
    """The result of one image: a prediction, or the reason for none.

    Attributes:
        file: The file; of a volume, with the slice: `scan.nii#axial:12`, or `scan.nii#volume`.
        summary: Of a volume.
        volume: The file, of a volume and its slices; None for other images.
        note: The reason for a missing part that is no error.
        overlay: Path of the picture, if one was written.
        capture: Path of the picture as DICOM.
        report: Path of the DICOM report.
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
    """The fields of an earlier row that a resumed run needs.

    Attributes:
        file: The classified file, of a slice the volume.
        sha256: Of the weights; None without a prediction.
        is_last: False if a row of this file follows, as after a slice.
    """

    file: str
    failed: bool
    sha256: str | None
    is_last: bool = True


class RowFormat(Protocol):
    """Encodes rows, and finds them in a file that may end within one."""

    @property
    def header(self) -> bytes:
        """Bytes before the first row."""
        ...

    def encode(self, row: Row) -> bytes:
        """Write one row, its end included."""
        ...

    def split(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Join the lines after the header to rows, without an incomplete one at the end."""
        ...

    def decode(self, record: bytes) -> WrittenRow:
        """Read one row.

        Raises:
            OutputError: If this command did not write it.
        """
        ...


class JsonLines:
    """A JSON object a line: `file`, and the fields of a prediction, of a volume's summary, `note` or `error`."""

    header = b""

    def encode(self, row: Row) -> bytes:
        """Write one row, its end included."""
        fields: dict[str, Any] = {"file": row.file}
        for part in (row.prediction, row.summary):
            fields |= asdict(part) if part is not None else {}
        fields |= {name: value for name in _TEXTS if (value := getattr(row, name)) is not None}
        return json.dumps(fields, ensure_ascii=False).encode() + b"\n"

    def split(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield complete lines."""
        return (line for line in lines if line.endswith(b"\n"))

    def decode(self, record: bytes) -> WrittenRow:
        """Read one row.

        Raises:
            OutputError: If this command did not write it.
        """
        try:
            fields = json.loads(record)
            file, failed, volume = str(fields["file"]), "error" in fields, fields.get("volume")
            sha256 = str(fields["model"]["sha256"]) if "model" in fields else None
            if sha256 is None and not failed and "note" not in fields:
                raise OutputError(_FOREIGN)
            return WrittenRow(str(volume or file), failed, sha256, volume is None or _NUM_SLICES in fields)
        except (ValueError, LookupError, TypeError) as error:
            raise OutputError(_FOREIGN) from error


class CsvTable:
    """A table of the fields of a JSON line: missing values are empty, sets separated by spaces."""

    def __init__(self, classes: Sequence[str]) -> None:
        """Define the columns for these classes."""
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
        fields: dict[str, Any] = {name: getattr(row, name) for name in ("file", *_TEXTS)}
        fields |= _flatten(row.prediction) if row.prediction is not None else {}
        fields |= _flatten_summary(row.summary) if row.summary is not None else {}
        return _encode_record([fields.get(name) for name in self._columns])

    def split(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Join lines to rows, which do not end within quotes."""
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
            fields = dict(zip(self._columns, values, strict=True))
        except (ValueError, csv.Error) as error:
            raise OutputError(_FOREIGN) from error
        is_last = not fields["volume"] or bool(fields[_NUM_SLICES])
        file = fields["volume"] or fields["file"]
        return WrittenRow(file, bool(fields["error"]), fields["model_sha256"] or None, is_last)


RowFormat = JsonLines | CsvTable


def name_file(path: Path) -> str:
    r"""Format a path as text; bytes that are not UTF-8 become `\udc80` to `\udcff`."""
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
