import csv
import io
import json
from dataclasses import replace
from urllib.parse import unquote

import pytest

from model.classifier import Classifier
from model.commands.rows import CsvTable, JsonLines, Row, WrittenRow, name_file
from model.commands.volume_summary import summarise_volume
from model.errors import OutputError
from tests.samples.dicoms import make_dicom
from tests.samples.phantoms import AWKWARD_CLASSES, CLASSES, draw_scan

NAMES = ["a.png", 'quoted "name", with comma.png', "two\nlines.png", "ä.png", 'one " quote\nand a line.png']


@pytest.fixture(scope="module")
def prediction(calibrated_pair):
    return Classifier.load(calibrated_pair[1]).predict(make_dicom(draw_scan(96, (0.35, 0.5), seed=500)[:, :, 0]))


@pytest.fixture(params=[JsonLines(), CsvTable(CLASSES)], ids=["jsonl", "csv"])
def form(request):
    return request.param


@pytest.fixture
def rows(prediction):
    summaries = [summarise_volume(classified, 3, CLASSES, prediction.model) for classified in ([prediction] * 2, [])]
    return [
        *(Row(name, prediction, overlay=f"{name}.png") if name != "ä.png" else Row(name, error="x") for name in NAMES),
        Row("x.nii#axial:1", prediction, volume="x.nii"),
        Row("x.nii#axial:2", volume="x.nii", note="y"),
        Row("x.nii#volume", volume="x.nii", summary=summaries[0]),
        Row("x.nii#volume", volume="x.nii", summary=summaries[1], note="y"),
    ]


def test_both_formats_hold_the_same_facts(rows):
    table = CsvTable(CLASSES)
    lines = [json.loads(JsonLines().encode(row)) for row in rows]
    records = csv.DictReader(io.StringIO((table.header + b"".join(map(table.encode, rows))).decode(), newline=""))
    for line, record in zip(lines, records, strict=True):
        assert {name: text for name, text in record.items() if text} == {
            name: text for name, text in flatten(line).items() if text
        }


def test_names_of_classes_are_told_apart_in_a_set(prediction):
    table = CsvTable(AWKWARD_CLASSES)
    probabilities = dict(zip(AWKWARD_CLASSES, (0.5, 0.3, 0.2), strict=True))
    row = table.encode(Row("a", replace(prediction, prediction_set=AWKWARD_CLASSES, probabilities=probabilities)))
    (record,) = csv.DictReader(io.StringIO((table.header + row).decode(), newline=""))
    assert tuple(map(unquote, record["prediction_set"].split(" "))) == AWKWARD_CLASSES
    assert {name: float(record[f"p_{name}"]) for name in AWKWARD_CLASSES} == probabilities


NAMED = ("file", "prediction", "volume", "note", "overlay", "capture", "report", "error")


def flatten(line):
    """The facts of a JSON line under the names that the table has for them."""
    facts = {name: line.get(name) or "" for name in NAMED}
    if "model" not in line:
        return facts
    facts |= {f"model_{name}": value for name, value in line["model"].items()}
    if line["confidence"]:
        facts["confidence"] = repr(line["confidence"])
        facts |= {f"p_{name}": repr(value) for name, value in line["probabilities"].items()}
    if "num_slices" in line:
        counts = {f"slices_{name}": str(value) for name, value in line["slices_by_class"].items()}
        return facts | counts | {name: str(line[name]) for name in ("num_slices", "num_judged")}
    return {
        **facts,
        "prediction_set": " ".join(line["prediction_set"]),
        "review": line["review"]["level"],
        "review_reasons": " ".join(line["review"]["reasons"]),
        **{f"ood_{name}": json.dumps(value) for name, value in line["ood"].items()},
        **{name: str(line["input"][name]) for name in ("format", "width", "height", "frame", "num_frames")},
        "warnings": "; ".join(line["input"]["warnings"]),
        **{f"{name}_ms": repr(value) for name, value in line["timing_ms"].items()},
    }


def test_encoded_rows_are_decoded(form, rows):
    data = b"".join(map(form.encode, rows))
    found = [form.decode(record) for record in form.split(io.BytesIO(data))]
    assert found == [
        WrittenRow(row.volume or row.file, row.error is not None, hash_of(row), row.volume is None or bool(row.summary))
        for row in rows
    ]


def hash_of(row):
    """That of the weights whose prediction must not be mixed with others'."""
    result = row.prediction or row.summary
    return result.model.sha256 if result else None


def test_of_a_file_that_ends_anywhere_the_complete_rows_are_found(form, rows):
    records = [form.encode(row) for row in rows]
    data = b"".join(records)
    for num_bytes in range(len(data)):
        found = list(form.split(io.BytesIO(data[:num_bytes])))
        assert found == records[: len(found)]
        assert num_bytes - sum(map(len, found)) < len(records[len(found)])


@pytest.mark.parametrize("record", [b"\n", b"{}\n", b"[1]\n", b"a,b,c\n", b'{"file": 1, "model": 3}\n', b"\xff\n"])
def test_a_foreign_row_is_an_error(form, record):
    with pytest.raises(OutputError):
        form.decode(record)


def test_a_name_that_is_not_text_can_be_written(form, tmp_path):
    name = name_file(tmp_path / "\udcff.png")
    assert form.decode(form.encode(Row(name, error="x"))).file == name
