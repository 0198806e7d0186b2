from pathlib import Path

import pytest

from model.commands.image_files import ImageFile
from model.commands.result_files import plan_paths, save_dicom
from model.dicom_results.results import DicomResults
from model.errors import OutputError


def plan(folder, *files):
    return [str(path) for path in plan_paths(Path(folder), files, ".png")]


def test_the_folder_mirrors_the_files():
    files = [ImageFile(Path("scans/a.jpg"), Path("scans")), ImageFile(Path("scans/deep/a.jpg"), Path("scans"))]
    assert plan("out", *files, ImageFile(Path("other/b.png"))) == [
        *("out/a.jpg.png", "out/deep/a.jpg.png", "out/other/b.png.png")
    ]


def test_no_two_pictures_have_one_path():
    names = ["a.png", "a.jpg", "a.png-2", "a.png"]
    files = [ImageFile(Path(root, name), Path(root)) for root in ("x", "y") for name in names]
    paths = plan("out", *files)
    assert len(set(paths)) == len(files)
    assert paths == plan("out", *files)


def test_no_picture_replaces_a_scan():
    files = [ImageFile(Path("a.png")), ImageFile(Path("a.png.png"))]
    assert not {"a.png", "a.png.png"} & set(plan(".", *files))


@pytest.mark.parametrize("folder", ["scans", "scans/out", "scans/../scans/x"])
def test_a_folder_of_images_to_classify_is_refused(folder):
    with pytest.raises(OutputError, match="elsewhere"):
        plan(folder, ImageFile(Path("scans/a.png"), Path("scans")))


def test_the_report_is_beside_the_picture(tmp_path):
    report = save_dicom(DicomResults(b"capture", b"report"), tmp_path / "deep" / "a.dcm.sc.dcm")
    assert report == tmp_path / "deep" / "a.dcm.sr.dcm"
    assert (report.read_bytes(), report.with_name("a.dcm.sc.dcm").read_bytes()) == (b"report", b"capture")
    assert len(list(report.parent.iterdir())) == 2
