import email
import io
import subprocess
import sys
from email.message import Message

import numpy as np
import pydicom
import pytest
from PIL import Image

from api.pictures import PictureFormat, choose_format
from model.drawing.overlay import View
from model.errors import PictureFormatError, ResultViewError
from tests.api.problems import check_problem
from tests.api.telemetry.test_metrics import read, value
from tests.samples.corpus import GREY
from tests.samples.dicoms import make_dicom, make_study
from tests.samples.phantoms import encode

PATH = "/predict/visualize"
SOURCE = make_study(GREY)
BOTH = 'multipart/related; type="application/dicom"'


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", PictureFormat.PNG),
        ("*/*", PictureFormat.PNG),
        ("image/*", PictureFormat.PNG),
        ("text/html", PictureFormat.PNG),
        ("image/webp", PictureFormat.WEBP),
        ("Image/JPEG", PictureFormat.JPEG),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", PictureFormat.WEBP),
        ("*/*, image/webp", PictureFormat.PNG),
        ("image/webp;q=0.8, image/jpeg;q=0.9, image/png;q=0.1", PictureFormat.JPEG),
        ("image/png;q=0.1, image/*", PictureFormat.WEBP),
        ("image/png;q=0, */*;q=0.5", PictureFormat.WEBP),
        ("image/png;q=0, image/webp;q=0, image/*;q=0.5", PictureFormat.JPEG),
        ("image/*;q=0, */*", PictureFormat.PNG),
        ("image/webp;q=0.1, image/webp, image/png;q=0.5", PictureFormat.WEBP),
        ("application/dicom", PictureFormat.CAPTURE),
        ("Application/DICOM", PictureFormat.CAPTURE),
        (BOTH, PictureFormat.BOTH),
        ("application/dicom, */*;q=0.1", PictureFormat.CAPTURE),
        ("image/png;q=0.5, multipart/related;q=0.6, application/dicom;q=0.4", PictureFormat.BOTH),
        ("*/*, application/dicom;q=0.5", PictureFormat.PNG),
        ("application/dicom;q=0", PictureFormat.PNG),
        ("application/dicom;q=nan", PictureFormat.PNG),
        ("application/dicom;q=x", PictureFormat.PNG),
        ("application/dicom;q=inf", PictureFormat.PNG),
        (";,;;q=,", PictureFormat.PNG),
    ],
)
def test_the_format_is_the_one_that_is_wanted_most(accept, form):
    assert choose_format(accept, View.OVERLAY) is form


@pytest.mark.parametrize(
    ("accept", "view", "form"),
    [
        ("image/jpeg", View.SCAN, PictureFormat.JPEG),
        ("image/jpeg, */*;q=0.1", View.EVIDENCE, PictureFormat.PNG),
        ("image/jpeg, image/webp;q=0.2, image/png;q=0.1", View.EVIDENCE, PictureFormat.WEBP),
        ("application/dicom, image/png;q=0.1", View.SCAN, PictureFormat.PNG),
        ("text/html", View.EVIDENCE, PictureFormat.PNG),
    ],
)
def test_a_format_that_cannot_show_the_view_gives_way_to_the_next(accept, view, form):
    assert choose_format(accept, view) is form


@pytest.mark.parametrize(
    ("accept", "error"),
    [("image/jpeg", PictureFormatError), ("image/jpeg, image/png;q=0", PictureFormatError), (BOTH, ResultViewError)],
)
def test_without_a_next_format_the_view_is_refused(accept, error):
    with pytest.raises(error):
        choose_format(accept, View.EVIDENCE)


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize("form", ["WEBP", "JPEG"])
def test_the_picture_comes_as_webp_and_jpeg_in_the_size_of_the_png(client, scan, form, view):
    png = client.post(PATH, content=scan, params={"view": view})
    response = client.post(PATH, content=scan, params={"view": view}, headers={"accept": f"image/{form.lower()}"})
    if (form, view) == ("JPEG", View.EVIDENCE):
        check_problem(response, 406, "unfit_picture_format")
        assert "image/webp" in response.json()["detail"]
        return
    assert response.headers["content-type"] == f"image/{form.lower()}"
    assert response.headers["x-prediction"] == png.headers["x-prediction"]
    expected, found = (Image.open(io.BytesIO(answer.content)) for answer in (png, response))
    assert (found.format, found.mode, found.size) == (form, expected.mode, expected.size)
    difference = np.abs(np.asarray(found).astype(float) - np.asarray(expected))
    assert difference.max() == 0 if form == "WEBP" and view.is_layer else difference.mean() < 6


def test_a_picture_that_is_too_wide_for_webp_is_a_406(client):
    strip = encode(np.random.default_rng(0).integers(0, 256, (32, 8192, 3), np.uint8), "JPEG", quality=20)
    wide = {"params": {"view": "side-by-side"}, "content": strip}
    check_problem(client.post(PATH, **wide, headers={"accept": "image/webp"}), 406, "unfit_picture_format")
    assert Image.open(io.BytesIO(client.post(PATH, **wide).content)).width == 16384


def test_the_picture_comes_as_dicom(client):
    png = client.post(PATH, content=SOURCE)
    response = client.post(PATH, content=SOURCE, headers={"accept": "application/dicom"})
    assert response.headers["content-type"] == "application/dicom"
    assert response.headers["x-prediction"] == png.headers["x-prediction"]
    capture = pydicom.dcmread(io.BytesIO(response.content))
    assert np.array_equal(capture.pixel_array, np.asarray(Image.open(io.BytesIO(png.content))))
    other = client.post(f"{PATH}?alpha=0.1", content=SOURCE, headers={"accept": "application/dicom"})
    assert pydicom.dcmread(io.BytesIO(other.content)).SOPInstanceUID != capture.SOPInstanceUID


def test_both_results_come_as_parts(client):
    response = client.post(PATH, content=SOURCE, headers={"accept": BOTH})
    capture, report = (pydicom.dcmread(io.BytesIO(part)) for part in read_parts(response))
    assert (capture.Modality, report.Modality) == ("OT", "SR")
    assert report.StudyInstanceUID == capture.StudyInstanceUID == pydicom.dcmread(io.BytesIO(SOURCE)).StudyInstanceUID


def read_parts(response):
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    message: Message = email.message_from_bytes(head + response.content)
    assert message.get_content_type() == "multipart/related"
    assert message.get_param("type") == "application/dicom"
    parts = [part for part in message.walk() if not part.is_multipart()]
    assert {part.get_content_type() for part in parts} == {"application/dicom"}
    # The package `email` changes line ends; the boundary is what matters here.
    boundary = message.get_boundary()
    pieces = response.content.split(f"--{boundary}".encode())[1:-1]
    assert len(pieces) == len(parts)
    return [piece.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n") for piece in pieces]


@pytest.mark.parametrize("accept", ["application/dicom", BOTH])
def test_without_a_dicom_image_that_is_a_406(client, scan, accept):
    for image in (scan, make_dicom(GREY)):
        check_problem(client.post(PATH, content=image, headers={"accept": accept}), 406, "no_dicom_source")
    assert value(read(client), "brain_mri_rejections_total", code="no_dicom_source") >= 2


@pytest.mark.parametrize("view", ["evidence", "scan"])
def test_a_layer_has_no_dicom_form(client, view):
    response = client.post(PATH, params={"view": view}, content=SOURCE, headers={"accept": "application/dicom"})
    check_problem(response, 406, "no_dicom_view")


def test_without_the_packages_that_is_a_406(client, monkeypatch):
    monkeypatch.setattr("model.dicom_results.results.find_spec", lambda _: None)
    response = client.post(PATH, content=SOURCE, headers={"accept": BOTH})
    check_problem(response, 406, "no_dicom_results")
    assert client.post(PATH, content=SOURCE).status_code == 200


def test_a_damaged_image_is_a_422(client):
    cut = SOURCE[:-100]
    check_problem(client.post(PATH, content=cut, headers={"accept": BOTH}), 422, "damaged_image")


def test_pictures_need_no_dicom_packages():
    script = "import sys, api.main; assert not {'pydicom', 'highdicom'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
