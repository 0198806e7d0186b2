"""What a file of results holds: one row an image, as JSON Lines or as CSV, both with the same facts."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from model.classifier import Prediction
from model.errors import OutputError

_FOREIGN = "it holds rows that this command did not write"


@dataclass(frozen=True)
class Row:
    """What came of one file: a prediction or the reason why there is none.

    Attributes:
        overlay: Where the picture was written, if one was asked for.
    """

    file: str
    prediction: Prediction | None = None
    overlay: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class WrittenRow:
    """What continuing needs to know of an earlier row; `sha256` is None where there is no prediction."""

    file: str
    failed: bool
    sha256: str | None


class RowFormat(Protocol):
    """A way to write rows, and to find them again in a file that may end in the middle of one."""

    @property
    def header(self) -> bytes:
        """What comes before the first row."""
        ...

    def encode(self, row: Row) -> bytes:
        """Write one row, its end included."""
        ...

    def split(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Put the lines after the header together to rows; one that is not complete is left out."""
        ...

    def decode(self, record: bytes) -> WrittenRow:
        """Read one row.

        Raises:
            OutputError: If it is not one of ours.
        """
        ...


class JsonLines:
    """A JSON object a line: `file`, and either the fields of a prediction or `error`."""

    header = b""

    def encode(self, row: Row) -> bytes:
        """Write one row, its end included."""
        facts: dict[str, Any] = {"file": row.file}
        if row.prediction is not None:
            facts |= asdict(row.prediction)
        facts |= {name: value for name in ("overlay", "error") if (value := getattr(row, name)) is not None}
        return json.dumps(facts, ensure_ascii=False).encode() + b"\n"

    def split(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Put lines together to rows; one that is not complete is left out."""
        return (line for line in lines if line.endswith(b"\n"))

    def decode(self, record: bytes) -> WrittenRow:
        """Read one row."""
        try:
            facts = json.loads(record)
            failed = "error" in facts
            return WrittenRow(str(facts["file"]), failed, None if failed else str(facts["model"]["sha256"]))
        except (ValueError, LookupError, TypeError) as error:
            raise OutputError(_FOREIGN) from error


class CsvTable:
    """A table whose columns are the facts of a JSON line; what has no value is empty, sets are separated by spaces."""

    def __init__(self, classes: Sequence[str]) -> None:
        """Make the columns for these classes."""
        self._columns = (
            *("file", "prediction", "confidence"),
            *(f"p_{name}" for name in classes),
            *("prediction_set", "review", "review_reasons", "ood_score", "ood_threshold", "ood_outlier"),
            *("format", "width", "height", "warnings"),
            *("model_name", "model_version", "model_sha256", "decode_ms", "inference_ms"),
            *("overlay", "error"),
        )

    @property
    def header(self) -> bytes:
        """The names of the columns."""
        return _encode_record(self._columns)

    def encode(self, row: Row) -> bytes:
        """Write one row, its end included."""
        facts: dict[str, Any] = {"file": row.file, "overlay": row.overlay, "error": row.error}
        if row.prediction is not None:
            facts |= _flatten(row.prediction)
        return _encode_record([facts.get(name) for name in self._columns])

    def split(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Put lines together to rows: a line break within quotes ends none."""
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
        return WrittenRow(facts["file"], bool(facts["error"]), facts["model_sha256"] or None)


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
        "model_name": prediction.model.name,
        "model_version": prediction.model.version,
        "model_sha256": prediction.model.sha256,
        "decode_ms": prediction.timing_ms.decode,
        "inference_ms": prediction.timing_ms.inference,
    }


def _encode_record(values: Iterable[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
