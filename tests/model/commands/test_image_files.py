import io
from pathlib import Path

import pytest

from model.commands.image_files import find_images, read_listing
from model.errors import ImagesNotFoundError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.PNG", "a.jpg", "deep/er/c.tiff", "deep/notes.txt", ".hidden.png", ".cache/d.png"):
        path = Path("scans", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path("scans")


def found(*names, listing=()):
    return [str(file.path) for file in find_images(names, listing)]


def test_a_folder_stands_for_the_images_in_it(folder):
    assert found("scans") == ["scans/a.jpg", "scans/b.PNG", "scans/deep/er/c.tiff"]


def test_other_kinds_of_scans_are_recognised_by_name_or_bytes(folder):
    dicom = bytes(128) + b"DICM"
    files = {
        **{"IM0001": dicom, "1.2.840.113619.2": dicom, "x.DCM": b"", "v.nii": b"", "w.NII.gz": b""},
        **{"README": b"text", "notes.1": b"text", "x.gz": b"", "DICOMDIR": dicom, "no-scan.txt": dicom},
    }
    Path("mixed").mkdir()
    for name, data in files.items():
        Path("mixed", name).write_bytes(data)
    assert found("mixed") == [f"mixed/{name}" for name in ("1.2.840.113619.2", "IM0001", "v.nii", "w.NII.gz", "x.DCM")]


def test_a_named_file_is_included_under_any_name_and_in_its_order(folder):
    assert found("scans/deep/notes.txt", "missing", "scans/a.jpg") == ["scans/deep/notes.txt", "missing", "scans/a.jpg"]


def test_a_pattern_stands_for_its_matches(folder):
    assert found("scans/*.jpg", "scans/**/*.tiff") == ["scans/a.jpg", "scans/deep/er/c.tiff"]
    assert found(str(folder.resolve() / "?.jpg")) == [str(folder.resolve() / "a.jpg")]


def test_a_file_that_is_called_like_a_pattern_is_that_file(folder):
    Path("scan[1].png").touch()
    Path("scan1.png").touch()
    assert found("scan[1].png") == ["scan[1].png"]


def test_a_list_holds_names_and_no_patterns(folder):
    assert found("x.png", "-", listing=["scans/*.jpg", "scans/deep"]) == [
        *("x.png", "scans/*.jpg", "scans/deep/er/c.tiff")
    ]


@pytest.mark.parametrize(
    ("data", "separator", "names"),
    [
        (b"a.png\nb c.png\n\n", b"\n", ["a.png", "b c.png"]),
        (b"a.png\nb.png", b"\n", ["a.png", "b.png"]),
        (b"two\nlines.png\0b.png\0", b"\0", ["two\nlines.png", "b.png"]),
        (b"\xff.png\n", b"\n", ["\udcff.png"]),
        (b"", b"\n", []),
        (b"a.png\r\n\r\nb c.png\r\n", b"\n", ["a.png", "b c.png"]),
        (b"\xef\xbb\xbfa.png\nb.png", b"\n", ["a.png", "b.png"]),
        ("ä.png\r\nb.png\r\n".encode("utf-16"), b"\n", ["ä.png", "b.png"]),
        (b"\xfe\xff" + "ä.png\nb.png".encode("utf-16-be"), b"\n", ["ä.png", "b.png"]),
        (b"a.png\r\0", b"\0", ["a.png\r"]),
    ],
)
def test_a_list_is_read_to_its_end(data, separator, names):
    assert read_listing(io.BytesIO(data), separator) == names


def test_a_name_that_ends_with_a_carriage_return_is_that_file(folder):
    Path("a\r").touch()
    assert read_listing(io.BytesIO(b"a\r\nb\r\n")) == ["a\r", "b"]


def test_damaged_utf_16_is_an_error():
    with pytest.raises(ImagesNotFoundError, match="UTF-16"):
        read_listing(io.BytesIO("a.png".encode("utf-16")[:-1]))


def test_a_list_with_another_separator_is_an_error():
    with pytest.raises(ImagesNotFoundError, match="--null"):
        read_listing(io.BytesIO(b"a.png\0b.png\0"))


def test_a_name_that_no_file_can_have_is_a_file_that_cannot_be_read(folder):
    assert found("x" * 5000) == ["x" * 5000]


@pytest.mark.parametrize("names", [["scans/*.bmp"], ["empty"], ["-"]])
def test_names_without_a_match_are_an_error(folder, names):
    Path("empty").mkdir()
    with pytest.raises(ImagesNotFoundError):
        find_images(names)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("scans/deep", "er/c.tiff"),
        ("scans/deep/er/c.tiff", "scans/deep/er/c.tiff"),
        ("/data/x.png", "data/x.png"),
        ("../x.png", "x.png"),
    ],
)
def test_the_place_mirrors_the_folder_or_the_name(folder, name, place):
    (file,) = find_images([name])
    assert file.place == Path(place)
