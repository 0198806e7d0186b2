"""Every piece of README.md that asks the service is run against it, as it stands there."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from model.drawing.phantom import Lesion, draw_phantom
from model.engines.loading import DEFAULT_WEIGHTS
from tests.samples.phantoms import encode
from tests.service.server import ROOT, running_server

ADDRESS = "localhost:8000"
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
ASKING = [(language, text) for language, text in BLOCKS if ADDRESS in text]
SCAN = encode(draw_phantom(256, Lesion(x=0.72, y=0.62, radius=0.07)), "JPEG")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_server(MODEL_PATH=ROOT / DEFAULT_WEIGHTS, THREADS=1) as (_, port):
        yield f"127.0.0.1:{port}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("scan.jpg", "a.jpg"):
        (tmp_path / name).write_bytes(SCAN)
    (tmp_path / "b.png").write_bytes(SCAN[:1000])
    return tmp_path


def run(language: str, text: str, folder: Path) -> str:
    """Run a piece as its reader would; what it prints."""
    name, command = {
        "sh": ("client.sh", ["bash", "-eu"]),
        "python": ("client.py", [sys.executable, "-W", "error"]),
        "js": ("client.mjs", [shutil.which("node") or "node"]),
    }[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]} on this machine")
    (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run([*command, name], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def choose(language: str, word: str) -> str:
    (text,) = (text for other, text in ASKING if other == language and word in text)
    return str(text)


def test_every_language_is_there():
    assert sorted({language for language, _ in ASKING}) == ["js", "python", "sh"]


@pytest.mark.parametrize(
    ("language", "text"), ASKING, ids=[f"{language}-{index}" for index, (language, _) in enumerate(ASKING)]
)
def test_what_the_readme_shows_runs(language, text, address, folder):
    run(language, text.replace(ADDRESS, address), folder)


def test_curl_gets_the_answer_and_the_picture(address, folder):
    printed = run("sh", choose("sh", "cam.png").replace(ADDRESS, address), folder)
    assert json.loads(printed)["prediction"] == ask(address)["prediction"]
    check_picture(folder / "cam.png")


def test_curl_gets_an_answer_or_a_problem_for_each_file_of_a_batch(address, folder):
    printed = run("sh", choose("sh", "/predict/batch").replace(ADDRESS, address), folder)
    first, second = json.loads(printed)["results"]
    assert first["prediction"]["prediction"] == ask(address)["prediction"]
    assert second["problem"]["code"] == "damaged_image"


@pytest.mark.parametrize(("language", "word"), [("python", "httpx"), ("js", "fetch")])
def test_a_program_gets_the_answer_and_the_picture(language, word, address, folder):
    expected = ask(address)
    prediction, confidence, level = run(language, choose(language, word).replace(ADDRESS, address), folder).split()
    assert (prediction, level) == (expected["prediction"], expected["review"]["level"])
    assert float(confidence) == pytest.approx(expected["confidence"], abs=1e-6)
    check_picture(folder / "cam.png")


@pytest.mark.parametrize(("language", "word"), [("python", "httpx"), ("js", "fetch")])
def test_a_program_says_why_there_is_no_answer(language, word, address, folder):
    (folder / "scan.jpg").write_bytes(b"just some text")
    with pytest.raises(AssertionError, match="Expected an image in one of the formats"):
        run(language, choose(language, word).replace(ADDRESS, address), folder)


def ask(address):
    return httpx.post(f"http://{address}/predict", content=SCAN).json()


def check_picture(path):
    with Image.open(path, formats=("PNG",)) as picture:
        assert picture.size == (256, 256)
