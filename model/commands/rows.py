"""The rows of a result file, one for each image, as JSON Lines or CSV with the same facts.

A volume has a row for each slice and a last one for itself; they follow each other with nothing between them.
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
_NUM_SLICES = "num_slices"  # in the rows of whole volumes alone
_FOREIGN = "expected rows of this command; found others"


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
        return json.dumps(_collect(row), ensure_ascii=False).encode() + b"\n"

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
    """A table with the facts of a JSON line as columns; missing values are empty.

    Sets are separated by spaces; within a name a space is %20 and a percent sign %25.
    """

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
        columns = _flatten(_collect(row))
        return _encode_record([columns.get(name) for name in self._columns])

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


def _collect(row: Row) -> dict[str, Any]:
    facts: dict[str, Any] = {"file": row.file}
    for part in (row.prediction, row.summary):
        facts |= asdict(part) if part is not None else {}
    return facts | {name: value for name in _TEXTS if (value := getattr(row, name)) is not None}


def _flatten(facts: dict[str, Any]) -> dict[str, Any]:
    """Turn the facts of a JSON line into columns."""
    image, review, ood = (facts.get(name) or {} for name in ("input", "review", "ood"))
    columns = facts | image | {f"ood_{name}": value for name, value in ood.items()}
    for prefix, name in (("p", "probabilities"), ("slices", "slices_by_class"), ("model", "model")):
        columns |= {f"{prefix}_{key}": value for key, value in (facts.get(name) or {}).items()}
    return {
        **columns,
        **{f"{name}_ms": value for name, value in facts.get("timing_ms", {}).items()},
        "prediction_set": " ".join(map(_escape_spaces, facts.get("prediction_set") or ())),
        "review": review.get("level"),
        "review_reasons": " ".join(review.get("reasons", ())),
        "ood_outlier": str(ood["outlier"]).lower() if ood else None,
        "warnings": "; ".join(image.get("warnings", ())),
    }


def _escape_spaces(name: str) -> str:
    return name.replace("%", "%25").replace(" ", "%20")


def _encode_record(values: Iterable[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
