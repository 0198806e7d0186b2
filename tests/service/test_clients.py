"""Every example in the README and in docs/ that calls the service is run as it stands there."""

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from model.engines.loading import DEFAULT_WEIGHTS
from tests.samples.dicoms import make_study
from tests.service.server import ROOT, running_server

ADDRESS = "localhost:8000"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PHANTOM = ROOT / "docs" / "images" / "phantom.jpg"
OVERLAY = ROOT / "docs" / "images" / "overlay.png"
SCAN = PHANTOM.read_bytes()
EXAMPLES = [
    pytest.param(language, text, id=f"{page.stem}-{language}-{index}")
    for page in PAGES
    for index, (language, text) in enumerate(
        re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    )
    if ADDRESS in text
]
COMMANDS = {
    "sh": ("client.sh", ["bash", "-eu"]),
    "python": ("client.py", [sys.executable, "-W", "error"]),
    "js": ("client.mjs", ["node"]),
    "java": ("Client.java", ["java"]),
}
PROGRAMS = [("python", "httpx"), ("js", "fetch"), ("java", "HttpClient")]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_server(MODEL_PATH=ROOT / DEFAULT_WEIGHTS, THREADS=1) as (_, port):
        yield f"127.0.0.1:{port}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "images").mkdir(parents=True)
    for name in ("scan.jpg", "a.jpg", "docs/images/phantom.jpg"):
        (tmp_path / name).write_bytes(SCAN)
    (tmp_path / "b.png").write_bytes(SCAN[:1000])
    with Image.open(PHANTOM) as phantom:
        (tmp_path / "scan.dcm").write_bytes(make_study(np.asarray(phantom)))
    return tmp_path


def run(language: str, text: str, address: str, folder: Path) -> str:
    """Run an example as its reader would; returns what it prints."""
    name, (program, *options) = COMMANDS[language]
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} on this machine")
    (folder / name).write_text(text.replace(ADDRESS, address), encoding="utf-8")
    command = [program, *options, name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def choose(language: str, word: str) -> str:
    (text,) = (str(each.values[1]) for each in EXAMPLES if each.values[0] == language and word in str(each.values[1]))
    return text


def test_every_language_has_an_example():
    assert {each.values[0] for each in EXAMPLES} == set(COMMANDS)


@pytest.mark.parametrize(("language", "text"), EXAMPLES)
def test_an_example_runs(language, text, address, folder):
    run(language, text, address, folder)


def test_curl_gets_the_prediction_and_the_picture(address, folder):
    printed = run("sh", choose("sh", "cam.png"), address, folder)
    assert json.loads(printed)["prediction"] == predict(address)["prediction"]
    check_picture(folder / "cam.png")


def test_curl_gets_dicom_results_of_a_dicom_image(address, folder):
    run("sh", choose("sh", "picture.dcm"), address, folder)
    assert (folder / "picture.dcm").read_bytes()[128:132] == b"DICM"
    assert (folder / "both.mime").read_bytes().count(b"DICM") == 2


def test_curl_gets_a_prediction_or_a_problem_for_each_file_of_a_batch(address, folder):
    printed = run("sh", choose("sh", "/predict/batch"), address, folder)
    first, second = json.loads(printed)["results"]
    assert first["prediction"]["prediction"] == predict(address)["prediction"]
    assert second["problem"]["code"] == "damaged_image"


@pytest.mark.parametrize(("language", "word"), PROGRAMS)
def test_a_program_gets_the_prediction_and_the_picture(language, word, address, folder):
    expected = predict(address)
    printed = run(language, choose(language, word), address, folder)
    if language == "java":
        body = json.loads(printed)
        prediction, confidence, level = body["prediction"], body["confidence"], body["review"]["level"]
    else:
        prediction, confidence, level = printed.split()
    assert (prediction, level) == (expected["prediction"], expected["review"]["level"])
    assert float(confidence) == pytest.approx(expected["confidence"], abs=1e-6)
    check_picture(folder / "cam.png")


def test_a_client_of_the_inference_protocol_gets_the_probabilities(address, folder):
    printed = run("python", choose("python", "tritonclient"), address, folder)
    values = [float(number) for number in re.findall(r"[\d.e+-]+", printed)]
    assert values == pytest.approx(list(predict(address)["probabilities"].values()), abs=1e-4)


@pytest.mark.parametrize(("language", "word"), PROGRAMS)
def test_a_program_shows_why_there_is_no_prediction(language, word, address, folder):
    (folder / "scan.jpg").write_bytes(b"just some text")
    with pytest.raises(AssertionError, match="Expected an image in one of the formats"):
        run(language, choose(language, word), address, folder)


def test_the_readme_shows_the_response_to_its_own_picture(address):
    (text,) = re.findall(r"^```json\n(.*?)^```$", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    shown, expected = json.loads(text), predict(address)
    assert list(shown) == list(expected)
    assert shown["input"].pop("kind") == pytest.approx(expected["input"].pop("kind"), abs=1e-3)
    for name in ("prediction", "prediction_set", "review", "input", "disclaimer"):
        assert shown[name] == expected[name]
    assert shown["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-3)
    assert shown["confidence"] == pytest.approx(expected["confidence"], abs=1e-3)
    assert shown["ood"] == pytest.approx(expected["ood"], abs=5e-3)
    assert expected["model"]["sha256"].startswith(shown["model"]["sha256"].rstrip("."))
    assert shown["model"]["version"] == expected["model"]["version"]


def test_the_picture_of_the_readme_is_what_the_service_draws(address):
    picture = httpx.post(f"http://{address}/predict/visualize?view=side-by-side", content=SCAN)
    with Image.open(OVERLAY) as shown, Image.open(io.BytesIO(picture.content)) as drawn:
        difference = np.abs(np.asarray(shown.convert("RGB"), np.int16) - np.asarray(drawn.convert("RGB"), np.int16))
    assert difference.mean() < 4  # of 255; its colours are those of a palette


def predict(address):
    return httpx.post(f"http://{address}/predict", content=SCAN).json()


def check_picture(path):
    with Image.open(path, formats=("PNG",)) as picture:
        assert picture.size == (320, 320)
