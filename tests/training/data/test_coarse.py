import pytest

from tests.samples.phantoms import draw_scan, encode
from training.data.boxes import Box
from training.data.coarse import load_coarse
from training.errors import DataError

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")
HEALTHY = 2


@pytest.fixture
def write(tmp_path):
    for name in "abcde":
        (tmp_path / f"{name}.png").write_bytes(encode(draw_scan(seed=ord(name))))

    def _write(*lines):
        table = tmp_path / "coarse.csv"
        table.write_text("\n".join(lines), encoding="utf-8")
        return table

    return _write


def test_labels_and_sequences_say_what_is_possible(write):
    table = write(
        "path,source,patient,label,sequence,split,x0,y0,x1,y1",
        "a.png,lgg,1,tumour,t1c,train,0.1,0.2,0.3,0.4",
        "b.png,lgg,1,lesion_free,flair,train,,,,",
        "c.png,teaching,2,mri_head,unknown,validation,,,,",
        "d.png,ct,3,not_mri_head,ct,calibration,,,,",
        "e.png,lgg,9,tumour,t1,test,,,,",
    )
    scans = load_coarse(table, CLASSES, HEALTHY)
    assert [scan.possible for scan in scans] == [(0, 1, 3), (2,), (), ()]
    assert [scan.kinds for scan in scans] == [(0,), (1,), (0, 1), (2,)]
    assert [scan.split for scan in scans] == ["train", "train", "validation", "calibration"]
    assert [scan.box for scan in scans] == [Box(0.1, 0.2, 0.3, 0.4), None, None, None]
    assert scans[0].group == scans[1].group != scans[2].group
    assert [scan.name_classes(CLASSES) for scan in scans] == ["glioma|meningioma|pituitary", "notumor", "", ""]


def test_classes_may_be_listed_instead(write):
    scans = load_coarse(write("path,classes,split", "a.png,pituitary|glioma,train", "b.png,,train"), CLASSES, HEALTHY)
    assert [scan.possible for scan in scans] == [(0, 3), ()]
    assert scans[0].kinds == (0, 1)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (("path,classes,split", "a.png,gliom,train"), "row 2: expected classes out of glioma, .*; found 'gliom'"),
        (("path,label,split", "a.png,tumor,train"), "row 2: expected .* a label out of tumour, .*; found 'tumor'"),
        (("path,split", "a.png,train"), "expected a column classes, or a label"),
        (("path,label,split", "z.png,tumour,train"), r"row 2: there is no file 'z\.png'"),
        (("path,label,split,patient", "a.png,tumour,train,7", "b.png,tumour,validation,7"), "two parts of the split"),
        (("path,label,split,patient", "a.png,tumour,train,7", "b.png,tumour,Test,7"), "row 3: /7 is in two parts"),
    ],
)
def test_what_is_not_understood_is_an_error_that_names_it(write, lines, problem):
    with pytest.raises(DataError, match=problem):
        load_coarse(write(*lines), CLASSES, HEALTHY)
