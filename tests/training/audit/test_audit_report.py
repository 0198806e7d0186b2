import csv
import hashlib
import html
import io
import json
import re
from base64 import b64decode

import pytest
from PIL import Image

from tests.samples.phantoms import draw_slice, encode
from tests.training.audit.test_audit import plant_tree
from training.audit.audit import audit, summarize
from training.audit.audit_report import format_groups, render_report, write_audit


def test_the_table_has_a_row_a_file(tmp_path):
    found = audit(plant_tree(tmp_path))
    rows = list(csv.DictReader(io.StringIO(format_groups(found))))
    assert list(rows[0]) == ["path", "sha256", "group", "source", "split"]
    assert [row["path"] for row in rows] == [file.name for file in found.files]
    assert [row["group"] for row in rows] == list(found.copies.groups)
    assert {row["split"] for row in rows} == {"Training", "Testing"}
    for row in rows:
        assert row["sha256"] == hashlib.sha256((tmp_path / row["path"]).read_bytes()).hexdigest()


def test_the_page_shows_every_pair_and_needs_nothing_else(tmp_path):
    page = render_report(audit(plant_tree(tmp_path)))
    text = html.unescape(re.sub(r"\s+", " ", page))
    assert "3 of 4 test images (75 %) have a copy" in text
    for pair in (
        ("glioma/same", "glioma/0"),
        ("glioma/mirrored", "glioma/1"),
        ("glioma/resized", "glioma/2"),
        ("notumor/conflict", "glioma/3"),
        ("notumor/jpeg", "notumor/6"),
    ):
        assert any(all(name in figure for name in pair) for figure in text.split('class="example"'))
    for title in ("One picture, two classes", "Mirrored copies in two splits", "Shortcuts", "Unreadable files"):
        assert title in text
    assert not re.search(r"(src|href)=.(?!data:)", page)
    assert "http" not in page


def test_pictures_in_the_page_are_those_of_the_pair_and_the_mirrored_one_is_turned_back(tmp_path):
    for name, pixels in (("a/1.png", draw_slice(0)), ("b/2.png", draw_slice(0)[:, ::-1])):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(encode(Image.fromarray(pixels)))
    page = render_report(audit(tmp_path))
    first, second, back = re.findall(r"base64,([^\"]+)", page.split('class="example"')[1])
    assert back == first or list(_pixels(back)) == pytest.approx(list(_pixels(first)), abs=12)
    assert list(_pixels(second, flip=True)) == pytest.approx(list(_pixels(first)), abs=12)
    assert list(_pixels(second)) != pytest.approx(list(_pixels(first)), abs=12)


def _pixels(encoded, flip=False):
    picture = Image.open(io.BytesIO(b64decode(encoded)))
    return (picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else picture).tobytes()


def test_names_are_text_in_the_page_never_markup(tmp_path):
    label = '<script>alert("1")<'
    for name in (f"{label}/<b>1&.png", f"{label}/2.png", "b/3.png", "b/<i>.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encode(Image.fromarray(draw_slice(0))))
    (tmp_path / "b" / "<i>.png").write_bytes(b"")
    page = render_report(audit(tmp_path))
    assert "<script" not in page
    assert "<i>.png" not in page
    assert "<b>1" not in page
    assert "&lt;b&gt;1&amp;.png" in page


def test_three_files_are_written_and_a_second_run_writes_the_same(tmp_path):
    tree, out = plant_tree(tmp_path / "tree"), tmp_path / "tree" / "audit"
    found = audit(tree, skip=out)
    write_audit(found, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {"groups.csv", "summary.json", "report.html"}
    assert json.loads(before["summary.json"]) == json.loads(json.dumps(summarize(found)))
    write_audit(audit(tree, skip=out), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
