import io
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, unquote

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID
from starlette.testclient import TestClient

from api.main import create_app
from tests.api.problems import check_problem
from tests.samples.corpus import GREY
from tests.samples.dicoms import bundled_files, make_dicom, make_study
from tests.samples.phantoms import AWKWARD_CLASSES, CLASSES, draw_scan, encode, save_tiny_checkpoint

RELIABILITY_FIELDS = {"prediction_set", "review", "ood"}
FIELDS = {
    *("prediction", "confidence", "probabilities", "input", "model", "timing_ms", "request_id", "disclaimer"),
    *RELIABILITY_FIELDS,
}
PATHS = ["/predict", "/predict/visualize"]


def test_a_form_field_and_a_raw_body_get_the_same_answer(client, scan):
    form = client.post("/predict", files={"file": ("scan.png", scan, "image/png")}).json()
    raw = client.post("/predict", content=scan, headers={"content-type": "image/png"}).json()
    assert set(form) == FIELDS
    assert form["probabilities"] == pytest.approx(raw["probabilities"], abs=1e-6)
    assert form["model"] == raw["model"]


def test_the_answer_is_consistent_with_itself(client, scan):
    answer = client.post("/predict", content=scan).json()
    assert list(answer["probabilities"]) == list(CLASSES)
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert answer["confidence"] == answer["probabilities"][answer["prediction"]]
    size = {"format": "PNG", "width": 120, "height": 100}
    assert answer["input"] == {**size, "warnings": [], "frame": None, "num_frames": None, "kind": None}
    assert set(answer["model"]) == {"name", "version", "sha256"}
    assert set(answer["timing_ms"]) == {"decode", "queue", "inference"}
    assert "Research use only" in answer["disclaimer"]


def test_each_file_of_pydicom_gets_an_answer_or_a_problem_with_a_name(calibrated_client):
    codes = {"damaged_image", "unsupported_pixels", "image_too_small", "blank_image", "body_too_large"}
    num_answers = 0
    for name, data in bundled_files().items():
        response = calibrated_client.post("/predict", content=data)
        if response.status_code != 200:
            assert response.json()["code"] in codes, name
            check_problem(response, response.status_code, response.json()["code"])
            continue
        told = response.json()["input"]
        assert (told["format"], 1 <= told["frame"] <= told["num_frames"]) == ("DICOM", True)
        assert "MR" in name or told["warnings"], name
        num_answers += 1
    assert num_answers > 20


@pytest.mark.parametrize("target", range(3))
def test_any_name_of_a_folder_is_a_class_in_every_response(settings, tmp_path, target):
    weights = save_tiny_checkpoint(tmp_path / "tiny.pth", classes=AWKWARD_CLASSES)
    scan = make_study(draw_scan(96)[:, :, 0], 1)
    path = f"/predict/visualize?target={quote(AWKWARD_CLASSES[target])}"
    with TestClient(create_app(settings.model_copy(update={"model_path": weights}))) as client:
        answer = client.post("/predict", content=scan).json()
        picture = client.post(path, content=scan)
        report = client.post(path, content=scan, headers={"Accept": "multipart/related"})
        assert client.get("/model").json()["classes"] == list(AWKWARD_CLASSES) == list(answer["probabilities"])
        assert client.get("/metrics").status_code == client.get("/openapi.json").status_code == 200
    assert picture.status_code == report.status_code == 200
    assert unquote(picture.headers["x-prediction"]) == answer["prediction"]
    instances = [
        pydicom.dcmread(io.BytesIO(b"\0" * 128 + b"DICM" + part.split(b"DICM", 1)[1]))
        for part in report.content.split(b"\r\n--")
        if b"DICM" in part
    ]
    assert "99BTMRI" in str(instances[1])


def test_without_calibration_the_reliability_is_null(client, scan):
    answer = client.post("/predict", content=scan).json()
    assert [answer[name] for name in RELIABILITY_FIELDS] == [None, None, None]


def test_the_answer_says_how_far_to_trust_it(calibrated_client):
    answer = calibrated_client.post("/predict", content=encode(draw_scan(96, (0.35, 0.5), seed=501))).json()
    assert answer["prediction"] in answer["prediction_set"]
    assert answer["ood"] == {"score": answer["ood"]["score"], "threshold": answer["ood"]["threshold"], "outlier": False}
    assert 0 <= answer["ood"]["score"] <= answer["ood"]["threshold"]
    assert set(answer["review"]) == {"level", "reasons"}


def test_a_picture_of_something_else_requires_review(calibrated_client):
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    answer = calibrated_client.post("/predict", content=encode(noise)).json()
    assert answer["ood"]["outlier"]
    assert answer["ood"]["score"] > answer["ood"]["threshold"]
    assert answer["review"]["level"] == "required"
    assert "out_of_distribution" in answer["review"]["reasons"]


def test_the_document_names_the_levels_and_reasons(client):
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["Level"]["enum"] == ["none", "consider", "required"]
    assert {"low_confidence", "ambiguous", "out_of_distribution"} <= set(schemas["Reason"]["enum"])
    for name in RELIABILITY_FIELDS:
        assert {"type": "null"} in schemas["PredictionResponse"]["properties"][name]["anyOf"]


@pytest.mark.parametrize("header", ["image/jpeg", "text/plain", "application/x-www-form-urlencoded", None])
def test_the_bytes_decide_not_the_header(client, scan, header):
    response = client.post("/predict", content=scan, headers={"content-type": header} if header else {})
    assert response.status_code == 200
    assert response.json()["input"]["format"] == "PNG"


def test_answers_about_a_patient_are_not_to_be_stored(client, scan):
    for path in PATHS:
        assert client.post(path, content=scan).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("view", "mode", "width"),
    [
        ("overlay", "RGB", 120),
        ("heatmap", "RGB", 120),
        ("side-by-side", "RGB", 240),
        ("evidence", "RGBA", 120),
        ("scan", "RGB", 120),
    ],
)
def test_the_picture_has_the_scans_size(client, scan, view, mode, width):
    response = client.post(f"/predict/visualize?view={view}", files={"file": scan})
    assert response.headers["content-type"] == "image/png"
    picture = Image.open(io.BytesIO(response.content))
    assert (picture.mode, picture.size) == (mode, (width, 100))


@pytest.mark.parametrize("target", CLASSES)
def test_the_evidence_over_black_is_the_heatmap(client, scan, target):
    pictures = {}
    for view in ("evidence", "heatmap"):
        response = client.post("/predict/visualize", params={"target": target, "view": view}, content=scan)
        pictures[view] = np.asarray(Image.open(io.BytesIO(response.content))).astype(float)
    over_black = pictures["evidence"][..., :3] * pictures["evidence"][..., 3:] / 255
    without_caption = slice(30, 80)
    assert np.abs(over_black - pictures["heatmap"])[without_caption].max() <= 3


def test_the_scan_is_shown_as_it_was_read(client):
    grey = np.random.default_rng(0).integers(0, 256, (60, 70), np.uint8)
    response = client.post("/predict/visualize?view=scan", content=make_dicom(grey))
    shown = np.asarray(Image.open(io.BytesIO(response.content)))
    assert (shown == shown[..., :1]).all()
    order = np.argsort(grey, axis=None)
    assert (np.diff(shown[..., 0].ravel()[order].astype(int)) >= 0).all()


def test_the_pictures_headers_are_those_of_the_prediction(client, scan):
    answer = client.post("/predict", content=scan).json()
    response = client.post("/predict/visualize", content=scan, headers={"x-request-id": "abc-1"})
    assert response.headers["x-prediction"] == answer["prediction"]
    assert float(response.headers["x-confidence"]) == pytest.approx(answer["confidence"], abs=1e-5)
    assert response.headers["x-request-id"] == "abc-1"


def test_target_and_alpha_change_the_picture(client, scan):
    pictures = {
        query: client.post(f"/predict/visualize?{query}", content=scan).content
        for query in ("", "alpha=0", "alpha=1", *(f"target={name}&alpha=1" for name in CLASSES))
    }
    assert len(set(pictures.values())) >= len(CLASSES) + 2  # one target is the default one


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_request"),
        (b"just some text", 415, "unsupported_format"),
        (encode(draw_scan(100))[:2000], 422, "damaged_image"),
        (encode(draw_scan(100), "JPEG")[:700], 422, "damaged_image"),
        (encode(Image.new("L", (8, 8), 1)), 422, "image_too_small"),
        (encode(Image.new("L", (64, 64), 1)), 422, "blank_image"),
        (encode(Image.new("1", (30_000, 30_000))), 413, "too_many_pixels"),
        (encode(Image.new("1", (1001, 1000))), 413, "too_many_pixels"),
        (bytes(200_001), 413, "body_too_large"),
    ],
    ids=lambda value: f"{len(value)}-bytes" if isinstance(value, bytes) else str(value),
)
def test_a_bad_image_is_told_and_the_service_lives_on(client, scan, path, body, status, code):
    check_problem(client.post(path, content=body), status, code)
    check_problem(client.post(path, files={"file": body}), status, code)
    assert client.post(path, content=scan).status_code == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("target=unicorn", "unknown_class"),
        ("alpha=2", "malformed_request"),
        ("alpha=x", "malformed_request"),
        ("alpha=nan", "malformed_request"),
        ("view=3d", "malformed_request"),
    ],
)
def test_a_bad_parameter_is_a_400(client, scan, query, code):
    check_problem(client.post(f"/predict/visualize?{query}", content=scan), 400, code)


def test_many_clients_at_once_get_what_one_gets(client):
    scans = [encode(draw_scan(80, (x, 0.5))) for x in (0.3, 0.4, 0.5, 0.6)] * 8
    expected = [client.post("/predict", content=scan).json()["probabilities"] for scan in scans[:4]] * 8
    pictures = [client.post("/predict/visualize", content=scan).content for scan in scans[:4]] * 8
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda scan: client.post("/predict", content=scan).json()["probabilities"], scans))
        drawn = list(pool.map(lambda scan: client.post("/predict/visualize", content=scan).content, scans))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    for ours, theirs in zip(drawn, pictures, strict=True):
        pixels = [np.asarray(Image.open(io.BytesIO(png))).astype(int) for png in (ours, theirs)]
        assert np.abs(pixels[0] - pixels[1]).max() <= 2


def test_a_frame_of_a_dicom_file_is_chosen_and_told(client):
    frames = np.stack([GREY, GREY[::-1]])
    data = make_dicom(GREY, raw=frames.tobytes(), NumberOfFrames=2)
    told = client.post("/predict", content=data, params={"frame": 2}).json()["input"]
    assert (told["format"], told["frame"], told["num_frames"]) == ("DICOM", 2, 2)
    assert client.post("/predict/visualize", content=data).headers["content-type"] == "image/png"
    for path in ("/predict", "/predict/visualize"):
        answer = client.post(path, content=data, params={"frame": 3})
        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_frame")
    video = make_dicom(GREY, UID("1.2.840.10008.1.2.4.100"), encapsulate([b"ab"]))
    answer = client.post("/predict", content=video)
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_pixels")
