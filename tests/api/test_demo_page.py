"""The page in a real browser: Chromium without a screen."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect, sync_playwright

from model.engine import DEFAULT_WEIGHTS
from model.phantom import draw_phantom
from tests.dicoms import make_dicom
from tests.phantoms import encode
from tests.server import ROOT, running_server

pytestmark = pytest.mark.browser

KEY = "key-of-the-tests-0123456789"
MAX_BYTES = 200_000
NO_SCAN = encode(np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8))


@dataclass
class Visit:
    """A page that was opened, and what became known of it meanwhile."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def upload(self, data: bytes, name: str = "scan.png") -> None:
        file: FilePayload = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        self.page.locator(".file").first.set_input_files(file)
        expect(self.page.locator(".busy")).to_be_hidden()

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def num_questions(self) -> int:
        return sum("/demo/judge" in request for request in self.requests)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A service with the page and the shipped weights."""
    with running_server(DEMO=True, THREADS=1, MAX_UPLOAD_BYTES=MAX_BYTES, MODEL_PATH=ROOT / DEFAULT_WEIGHTS) as served:
        yield f"http://127.0.0.1:{served[1]}"


def open_page(browser, address, **options) -> Visit:
    visit = Visit(browser.new_page(**options), address)
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("console", lambda message: visit.complaints.extend([message.text] if message.type == "error" else []))
    visit.page.goto(f"{address}/demo")
    expect(visit.page.locator(".examples button").last).to_be_visible()
    return visit


@pytest.fixture
def visit(browser, address) -> Iterator[Visit]:
    visit = open_page(browser, address)
    yield visit
    visit.page.close()
    elsewhere = [url for url in visit.requests if not url.startswith((f"{address}/", "data:", "blob:"))]
    assert not elsewhere


@pytest.fixture(scope="module")
def example(address) -> bytes:
    return httpx.get(f"{address}/demo/examples/mass.png").content


def test_a_file_gives_its_class_bars_advice_and_overlay(visit, example, address):
    visit.upload(example)
    expected = httpx.post(f"{address}/predict", content=example).json()
    assert visit.text(".class") == expected["prediction"]
    assert visit.text(".confidence") == f"{100 * expected['confidence']:.1f} %"
    names, parts = (visit.page.locator(f".bars {tag}").all_inner_texts() for tag in ("dt", "dd"))
    shown = dict(zip(names, parts, strict=True))
    assert shown == {name: f"{100 * part:.1f} %" for name, part in expected["probabilities"].items()}
    tracks = visit.page.locator(".bars span").all()
    bars = visit.page.locator(".bars i").all()
    lengths = [
        bar.bounding_box()["width"] / track.bounding_box()["width"] for bar, track in zip(bars, tracks, strict=True)
    ]
    assert lengths == pytest.approx(sorted(expected["probabilities"].values(), reverse=True), abs=0.01)
    assert visit.text(".advice b") in ("High confidence", "Consider review", "Expert review")
    assert visit.page.locator(".warning").is_hidden()
    assert "PNG, 384 \u00d7 384 pixels" in visit.text(".input")
    for layer in (".scan", ".evidence"):
        assert visit.page.locator(layer).evaluate("image => image.naturalWidth") == 384
    assert "Research use only" in visit.text("footer")
    assert visit.complaints == []


def test_the_opacity_changes_the_picture_without_another_question(visit, example):
    visit.upload(example)
    stage = visit.page.locator(".stage")
    pictures = []
    for opacity in ("0", "50", "100"):
        visit.page.locator(".opacity input").fill(opacity)
        assert visit.text(".opacity output") == f"{opacity} %"
        pictures.append(stage.screenshot())
    assert len(set(pictures)) == 3
    assert visit.num_questions() == 1


def test_the_evidence_for_another_class_is_asked_for_once(visit, example):
    visit.upload(example)
    predicted = visit.text(".class")
    names = visit.page.locator(".targets label").all_inner_texts()
    other = next(name for name in names if name != predicted)
    assert visit.page.locator(f".targets input[value={predicted}]").is_checked()
    sources = []
    for name in (predicted, other, predicted, other):
        visit.page.locator(".targets label", has_text=name).click()
        expect(visit.page.locator(".evidence")).to_have_attribute("data-target", name)
        sources.append(visit.page.locator(".evidence").get_attribute("src"))
    assert sources[0] == sources[2] != sources[1] == sources[3]
    assert visit.num_questions() == 2
    assert visit.text(".class") == predicted


def test_a_frame_of_several_is_chosen(visit):
    heads = [draw_phantom(96, seed=seed)[..., 0] for seed in range(5)]
    visit.upload(make_dicom(heads[0], raw=np.stack(heads).tobytes(), NumberOfFrames=5), "scan.dcm")
    assert visit.text(".frame output") == "3 of 5"
    middle = visit.page.locator(".scan").get_attribute("src")
    visit.page.locator(".frame input").fill("5")
    expect(visit.page.locator(".frame output")).to_have_text("5 of 5")
    assert visit.page.locator(".scan").get_attribute("src") != middle
    visit.page.locator(".targets label").first.click()
    expect(visit.page.locator(".busy")).to_be_hidden()
    assert visit.text(".frame output") == "5 of 5"
    assert "DICOM, 96 \u00d7 96 pixels" in visit.text(".input")
    visit.page.locator("[data-example=mass]").click()
    expect(visit.page.locator(".frame")).to_be_hidden()


def test_what_is_no_brain_is_marked(visit):
    visit.page.locator("[data-example=no-scan]").click()
    expect(visit.page.locator(".warning")).to_be_visible()
    assert "Does not look like a brain MRI" in visit.text(".warning")
    assert visit.text(".advice b") == "Expert review"
    visit.page.locator("[data-example=no-mass]").click()
    expect(visit.page.locator(".warning")).to_be_hidden()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"just some text", "The format is not accepted. Expected an image in one of the formats"),
        (NO_SCAN[: len(NO_SCAN) // 2], "The image is incomplete or damaged."),
        (bytes(MAX_BYTES + 1), "The file is too large: at most 0.2 MiB are accepted."),
        (encode(Image.new("L", (64, 64), 1)), "The image is blank."),
    ],
    ids=["text", "cut", "large", "blank"],
)
def test_garbage_gives_a_sentence_and_no_answer(visit, example, data, sentence):
    visit.upload(example)
    visit.upload(data)
    assert visit.text(".problem").startswith(sentence)
    assert visit.page.locator(".judged").is_hidden()
    assert visit.page.locator("figure").is_hidden()
    visit.upload(example)
    assert visit.page.locator(".problem").is_hidden()
    assert visit.page.locator(".judged").is_visible()


def test_a_full_queue_and_a_service_that_is_gone_are_told_in_a_sentence(visit, example):
    full = {"title": "The service is full", "detail": "All places are taken; try again in a moment."}
    visit.page.route("**/judge*", lambda route: route.fulfill(status=503, body=json.dumps(full)))
    visit.upload(example)
    assert visit.text(".problem") == "The service is full. All places are taken; try again in a moment."
    visit.page.unroute("**/judge*")
    visit.page.route("**/judge*", lambda route: route.abort())
    visit.upload(example)
    assert visit.text(".problem") == "The service cannot be reached. Try again in a moment."


def test_a_scan_can_be_dropped_anywhere(visit, example):
    dropped = visit.page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "scan.png"));
            return transfer;
        }""",
        list(example),
    )
    visit.page.dispatch_event("h1", "drop", {"dataTransfer": dropped})
    expect(visit.page.locator(".judged")).to_be_visible()


def test_the_page_keeps_nothing(visit, example):
    visit.upload(example)
    kept = "[document.cookie, localStorage.length, sessionStorage.length, (await indexedDB.databases()).length]"
    assert visit.page.evaluate(f"async () => {kept}") == ["", 0, 0, 0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_its_window_in_the_colours_that_are_wanted(browser, address, example, scheme, width, tmp_path):
    visit = open_page(browser, address, viewport={"width": width, "height": 844}, color_scheme=scheme)
    visit.upload(example)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    picture = tmp_path / "page.png"
    visit.page.screenshot(path=picture)
    edge = np.asarray(Image.open(picture).convert("L"))[:, :4]
    assert (edge.mean() < 60) == (scheme == "dark")
    visit.page.close()


def test_a_key_is_entered_on_the_page(browser, example):
    with running_server(DEMO=True, THREADS=1, API_KEYS=KEY, MODEL_PATH=ROOT / DEFAULT_WEIGHTS) as (_, port):
        visit = open_page(browser, f"http://127.0.0.1:{port}")
        visit.upload(example)
        assert visit.text(".problem") == "This service needs an API key. Enter a valid one above."
        visit.page.locator(".key input").fill(KEY)
        visit.upload(example)
        assert visit.page.locator(".judged").is_visible()
        assert KEY not in visit.page.content()
        visit.page.close()
