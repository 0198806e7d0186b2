"""Rows of a file of results, as JSON Lines or CSV with the same fields: one row for an image.

A volume has a row for each slice and then one for itself, without other rows in between.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.commands.volume_summary import VolumeSummary
from model.errors import OutputError
from model.prediction import Prediction

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


class JsonLines:
    """A JSON object for each row: `file`, and the fields of a prediction, of a volume's summary, `note` or `error`."""

    header = b""  # before the first row

    def encode(self, row: Row) -> bytes:
        """Encode a row, with its end."""
        return json.dumps(_collect_fields(row), ensure_ascii=False).encode() + b"\n"

    def split(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield complete rows."""
        return (line for line in lines if line.endswith(b"\n"))

    def decode(self, record: bytes) -> WrittenRow:
        """Decode a row.

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
        """Encode a row, with its end."""
        fields = _flatten(_collect_fields(row))
        return _encode_record([fields.get(name) for name in self._columns])

    def split(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Join lines to complete rows, which do not end within quotes."""
        record = b""
        for line in lines:
            record += line
            if record.endswith(b"\n") and record.count(b'"') % 2 == 0:
                yield record
                record = b""

    def decode(self, record: bytes) -> WrittenRow:
        """Decode a row; the error is that of `JsonLines`."""
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


def _collect_fields(row: Row) -> dict[str, Any]:
    fields: dict[str, Any] = {"file": row.file}
    for part in (row.prediction, row.summary):
        fields |= asdict(part) if part is not None else {}
    return fields | {name: value for name in _TEXTS if (value := getattr(row, name)) is not None}


def _flatten(fields: dict[str, Any]) -> dict[str, Any]:
    """Turn the fields of a JSON object into columns."""
    image, review, ood = (fields.get(name) or {} for name in ("input", "review", "ood"))
    columns = fields | image | {f"ood_{name}": value for name, value in ood.items()}
    for prefix, name in (("p", "probabilities"), ("slices", "slices_by_class"), ("model", "model")):
        columns |= {f"{prefix}_{key}": value for key, value in (fields.get(name) or {}).items()}
    return {
        **columns,
        **{f"{name}_ms": value for name, value in fields.get("timing_ms", {}).items()},
        "prediction_set": " ".join(fields.get("prediction_set") or ()),
        "review": review.get("level"),
        "review_reasons": " ".join(review.get("reasons", ())),
        "ood_outlier": str(ood["outlier"]).lower() if ood else None,
        "warnings": "; ".join(image.get("warnings", ())),
    }


def _encode_record(values: Iterable[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
