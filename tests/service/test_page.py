"""The page at `/` in a real browser: Chromium without a screen."""

import csv
import io
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Download, FilePayload, Page, expect, sync_playwright

from model.commands.rows import CsvTable
from model.drawing.phantom import Lesion, draw_phantom
from model.engines.loading import DEFAULT_WEIGHTS
from tests.samples.dicoms import make_dicom
from tests.samples.phantoms import encode, save_tiny_checkpoint
from tests.service.server import ROOT, running_server

pytestmark = pytest.mark.browser

KEY = "key-of-the-tests-0123456789"
MAX_BYTES = 200_000
MASS = encode(draw_phantom(256, Lesion(x=0.72, y=0.62, radius=0.07)))
NOISE = encode(np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8))
FRAMES = np.stack([draw_phantom(96, seed=seed)[..., 0] for seed in range(5)])
VOLUME = make_dicom(FRAMES[0], raw=FRAMES.tobytes(), NumberOfFrames=5)
SEVERAL = {"mass.png": MASS, "cut.png": MASS[:20_000], "noise.png": NOISE, "IM0001": VOLUME, "text": b"just some text"}


@dataclass
class Visit:
    """A page that was opened, and what became known of it meanwhile."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def upload(self, **files: bytes) -> None:
        payloads: list[FilePayload] = [
            {"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files.items()
        ]
        self.page.locator(".files").first.set_input_files(payloads)
        if len(files) > 1:
            expect(self.page.locator(".progress output")).to_have_text(f"{len(files)} of {len(files)} classified")
        expect(self.page.locator(".busy")).to_be_hidden()

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def rows(self) -> list[str]:
        return [row.split("\n")[0].split("\t")[0] for row in self.page.locator("tbody th").all_inner_texts()]

    def transforms(self) -> set[str]:
        styles = "all => all.map(one => getComputedStyle(one).transform)"
        return set(self.page.locator(".layers").evaluate_all(styles))

    def picture(self) -> bytes:
        """What the panes show, once their images are there; they are decoded as they are painted."""
        for image in self.page.locator(".stage img").all():
            expect(image).to_have_js_property("complete", True)
        return self.page.locator(".stage").screenshot()

    def count(self, path: str) -> int:
        return sum(path in request for request in self.requests)


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
    """A service with the shipped weights."""
    with running_server(THREADS=1, MAX_UPLOAD_BYTES=MAX_BYTES, MODEL_PATH=ROOT / DEFAULT_WEIGHTS) as (_, port):
        yield f"http://127.0.0.1:{port}"


def open_page(browser, address, **options) -> Visit:
    visit = Visit(browser.new_page(**options), address)
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("console", lambda message: visit.complaints.append(message.text))
    visit.page.goto(address)
    return visit


@pytest.fixture
def visit(browser, address) -> Iterator[Visit]:
    visit = open_page(browser, address)
    expect(visit.page.locator(".card")).to_be_visible()
    yield visit
    visit.page.close()
    assert not [url for url in visit.requests if not url.startswith((f"{address}/", "data:", "blob:"))]


def test_a_scan_gives_its_class_bars_advice_and_evidence(visit, address):
    visit.upload(scan=MASS)
    expected = httpx.post(f"{address}/predict", content=MASS).json()
    assert visit.text(".class") == expected["prediction"]
    assert visit.text(".confidence") == f"{100 * expected['confidence']:.1f} %"
    names, parts = (visit.page.locator(f".bars {tag}:not(.track)").all_inner_texts() for tag in ("dt", "dd"))
    shown = dict(zip(names, parts, strict=True))
    assert shown == {name: f"{100 * part:.1f} %" for name, part in expected["probabilities"].items()}
    headlines = {"none": "High confidence", "consider": "Consider review", "required": "Expert review"}
    assert visit.text(".result .advice b") == headlines[expected["review"]["level"]]
    assert all(name in visit.text(".possible") for name in expected["prediction_set"])
    assert "PNG, 256 \u00d7 256 pixels" in visit.text(".input")
    for layer in (".pane:first-child .scan", ".evidence"):
        assert visit.page.locator(layer).evaluate("image => image.naturalWidth") == 256
    assert visit.page.locator(".evidence").get_attribute("data-target") == expected["prediction"]
    assert "Research use only" in visit.text("footer")
    assert visit.complaints == []


def test_what_the_weights_lack_is_shown(browser, tmp_path):
    weights = save_tiny_checkpoint(tmp_path / "tiny.pth")
    with running_server(THREADS=1, MODEL_PATH=weights) as (_, port):
        visit = open_page(browser, f"http://127.0.0.1:{port}")
        expect(visit.page.locator(".card summary")).to_have_text("Model tiny 0.0.1, not complete")
        gaps = httpx.get(f"http://127.0.0.1:{port}/model").json()["gaps"]
        assert visit.text(".gaps").splitlines() == [f"These weights lack {gap}." for gap in gaps]
        visit.page.close()


def test_the_evidence_for_another_class_is_asked_for_once(visit):
    visit.upload(scan=MASS)
    predicted = visit.text(".class")
    names = visit.page.locator(".targets label").all_inner_texts()
    other = next(name for name in names if name != predicted)
    pictures = []
    for name in (other, predicted, other):
        visit.page.locator(".targets label", has_text=name).click()
        expect(visit.page.locator(".evidence")).to_have_attribute("data-target", name)
        pictures.append(visit.picture())
    assert pictures[0] == pictures[2] != pictures[1]
    assert visit.count("view=evidence") == 2
    assert visit.text(".class") == predicted


def test_opacity_zoom_and_panes_change_the_picture_without_a_request(visit):
    visit.upload(scan=MASS)
    num_requests = visit.count("/predict")
    pictures = [visit.picture()]
    for opacity in ("0", "100"):
        visit.page.locator(".opacity input").fill(opacity)
        assert visit.text(".opacity output") == f"{opacity} %"
        pictures.append(visit.picture())
    visit.page.locator(".split").click()
    pictures.append(visit.picture())
    visit.page.locator(".view").focus()
    visit.page.keyboard.press("+")
    pictures.append(visit.picture())
    visit.page.keyboard.press("ArrowRight")
    pictures.append(visit.picture())
    assert len(set(pictures)) == len(pictures)
    visit.page.keyboard.press("0")
    assert visit.transforms() == {"matrix(1, 0, 0, 1, 0, 0)"}
    box = visit.page.locator(".stage").bounding_box()
    assert box
    visit.page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    visit.page.mouse.wheel(0, -300)
    (transform,) = visit.transforms()  # of both panes
    assert not transform.startswith("matrix(1,")
    assert visit.count("/predict") == num_requests


def test_a_frame_of_several_is_chosen(visit):
    visit.upload(scan=VOLUME)
    assert visit.text(".frame output") == "3 of 5"
    visit.page.locator(".frame input").fill("5")
    expect(visit.page.locator(".frame output")).to_have_text("5 of 5")
    expect(visit.page.locator(".busy")).to_be_hidden()
    visit.page.locator(".targets label").first.click()
    expect(visit.page.locator(".busy")).to_be_hidden()
    assert visit.text(".frame output") == "5 of 5"
    assert {request.partition("frame=")[2] for request in visit.requests if "view=scan" in request} == {"3", "5"}
    assert "predict?frame=5" in (visit.page.locator(".command pre").text_content() or "")


def test_a_drawing_that_is_no_scan_is_marked(visit):
    visit.page.locator("[data-example=no-scan]").click()
    expect(visit.page.locator(".result .advice b")).to_have_text("Expert review")
    assert "unlike those of training" in visit.text(".result .advice")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"just some text", "The format is not accepted."),
        (NOISE[: len(NOISE) // 2], "The image is incomplete or damaged."),
        (bytes(MAX_BYTES + 1), "The body has too many bytes."),
        (encode(Image.new("L", (64, 64), 1)), "The image is blank."),
    ],
    ids=["text", "cut", "large", "blank"],
)
def test_what_cannot_be_classified_gives_a_sentence_and_no_result(visit, data, sentence):
    visit.upload(scan=MASS)
    visit.upload(scan=data)
    assert visit.text(".problem").startswith(sentence)
    assert visit.page.locator(".result").is_hidden()
    assert visit.page.locator(".view").is_hidden()
    visit.upload(scan=MASS)
    assert visit.page.locator(".problem").is_hidden()
    assert visit.page.locator(".result").is_visible()


def test_a_full_queue_is_asked_again_and_a_service_that_is_gone_is_reported(visit):
    answers = iter([503, 503])

    def refuse(route):
        if status := next(answers, None):
            route.fulfill(status=status, headers={"Retry-After": "0"}, body="{}")
        else:
            route.continue_()

    visit.page.route("**/predict", refuse)
    visit.upload(scan=MASS)
    assert visit.page.locator(".result").is_visible()
    visit.page.route("**/predict", lambda route: route.abort())
    visit.upload(scan=MASS)
    assert visit.text(".problem").startswith("The service cannot be reached")


def test_several_scans_fill_a_table_that_is_sorted_gone_through_and_saved(visit, address, tmp_path):
    visit.upload(**SEVERAL)
    assert visit.rows() == list(SEVERAL)
    visit.page.locator("[data-sort=review]").click()
    levels = visit.page.locator("td:last-child").evaluate_all("cells => cells.map(cell => cell.dataset.level)")
    assert levels == sorted(levels, key=["required", "consider", "none"].index)
    failed = visit.page.locator("tbody tr", has_text="Failed").all_inner_texts()
    assert ["cut.png" in failed[0], "text" in failed[1]] == [True, True]
    assert "The image is incomplete or damaged." in failed[0]

    visit.page.locator("tbody button", has_text="cut.png").click()
    assert "The image is incomplete or damaged." in visit.text(".failure")
    visit.page.keyboard.press("ArrowDown")
    visit.page.keyboard.press("ArrowDown")
    expect(visit.page.locator(".name")).to_have_text(visit.rows()[2])
    assert visit.page.evaluate("document.activeElement.textContent") == visit.rows()[2]
    visit.page.locator("[data-step='1']").click()
    expect(visit.page.locator(".name")).to_have_text(visit.rows()[3])
    expect(visit.page.locator(".busy")).to_be_hidden()
    assert visit.complaints == []

    with visit.page.expect_download() as download:
        visit.page.locator(".save").click()
    check_table(download.value, address, tmp_path / "saved.csv")


def check_table(download: Download, address: str, path) -> None:
    download.save_as(path)
    text = path.read_text(encoding="utf-8")
    card = httpx.get(f"{address}/model").json()
    assert text.splitlines()[0].encode() == CsvTable(card["classes"]).header.rstrip()
    rows = {row["file"]: row for row in csv.DictReader(io.StringIO(text))}
    assert list(rows) == list(SEVERAL)
    expected = httpx.post(f"{address}/predict", content=MASS).json()
    found = rows["mass.png"]
    assert (found["prediction"], found["review"]) == (expected["prediction"], expected["review"]["level"])
    assert {name: float(found[f"p_{name}"]) for name in card["classes"]} == pytest.approx(expected["probabilities"])
    assert (rows["IM0001"]["frame"], rows["IM0001"]["num_frames"]) == ("3", "5")
    empty = {name for name, value in rows["IM0001"].items() if not value}
    of_volumes = {"volume", "num_slices", "num_judged", *(f"slices_{name}" for name in card["classes"])}
    assert empty - {"review_reasons"} == {*of_volumes, "note", "overlay", "capture", "report", "error"}
    assert rows["text"]["error"].startswith("The format is not accepted.")
    assert {row["model_sha256"] for row in rows.values()} == {card["sha256"], ""}


@pytest.mark.parametrize(
    ("data", "outcome"),
    [("new Uint8Array(" + str(list(MASS)) + ")", ".result"), ("new Uint8Array(30_000_000)", ".problem")],
    ids=["scan", "huge"],
)
def test_a_file_can_be_dropped_anywhere(visit, data, outcome):
    dropped = visit.page.evaluate_handle(
        f"""() => {{
            const transfer = new DataTransfer();
            transfer.items.add(new File([{data}], "scan.png"));
            return transfer;
        }}"""
    )
    visit.page.dispatch_event("h1", "drop", {"dataTransfer": dropped})
    expect(visit.page.locator(outcome)).to_be_visible()
    assert "The body has too many bytes." in visit.text(outcome) or visit.text(".name") == "scan.png"


def test_of_a_folder_what_looks_like_a_scan_is_taken(visit, tmp_path):
    for name, data in {**SEVERAL, ".hidden.png": MASS, "notes.txt": b"text", "DICOMDIR": VOLUME}.items():
        folder = tmp_path / "study" / ("deep" if name == "IM0001" else ".")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    visit.page.locator("[webkitdirectory]").first.set_input_files(tmp_path / "study")
    expect(visit.page.locator(".progress output")).to_have_text("4 of 4 classified")
    assert visit.rows() == ["study/cut.png", "study/deep/IM0001", "study/mass.png", "study/noise.png"]


def test_the_page_keeps_nothing(visit):
    visit.upload(scan=MASS)
    kept = "[document.cookie, localStorage.length, sessionStorage.length, (await indexedDB.databases()).length]"
    assert visit.page.evaluate(f"async () => {kept}") == ["", 0, 0, 0]


def test_the_card_shows_how_good_the_model_is(visit, address):
    card = httpx.get(f"{address}/model").json()
    visit.page.locator(".card summary").click()
    accuracy = next(iter(card["metrics"].values()))["accuracy"]["value"]
    assert f"{100 * accuracy:.1f} %" in visit.text(".card dl")
    assert card["version"] in visit.text(".card summary")
    assert card["intended_use"] in visit.text(".card")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [2560, 1280, 390])
def test_the_page_fits_its_window_in_the_colours_that_are_wanted(browser, address, scheme, width, tmp_path):
    visit = open_page(browser, address, viewport={"width": width, "height": 844}, color_scheme=scheme)
    visit.upload(**SEVERAL)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    picture = tmp_path / "page.png"
    visit.page.screenshot(path=picture)
    edge = np.asarray(Image.open(picture).convert("L"))[:, :4]
    assert (edge.mean() < 60) == (scheme == "dark")
    visit.page.close()


class PrefixProxy(BaseHTTPRequestHandler):
    """A reverse proxy that serves another address below `/brain/`."""

    address = ""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.startswith(("Content-T", "X-"))}
        path = self.path.removeprefix("/brain")
        assert path != self.path
        response = httpx.request(self.command, self.address + path, content=body, headers=headers)
        self.send_response(response.status_code)
        for name in ("Content-Type", "Content-Length", "Content-Security-Policy", "Location"):
            if name in response.headers:
                self.send_header(name, response.headers[name])
        self.end_headers()
        self.wfile.write(response.content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


def test_it_works_behind_a_proxy_below_a_prefix(browser, address):
    handler = type("Proxy", (PrefixProxy,), {"address": address})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        visit = open_page(browser, f"http://127.0.0.1:{proxy.server_port}/brain/demo")
        visit.upload(**{"mass.png": MASS, "IM0001": VOLUME})
        visit.page.locator("tbody button", has_text="IM0001").click()
        expect(visit.page.locator(".evidence")).to_have_attribute("src", re.compile("blob:"))
        expect(visit.page.locator(".card")).to_be_visible()
        assert visit.page.url.endswith("/brain/")
        assert "/brain/predict?frame=3" in (visit.page.locator(".command pre").text_content() or "")
        assert visit.complaints == []
        visit.page.close()
        proxy.shutdown()


def test_swagger_ui_asks_below_the_prefix_too(browser, address):
    handler = type("Proxy", (PrefixProxy,), {"address": address})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{proxy.server_port}/brain"
        visit = open_page(browser, f"{base}/docs")
        operation = visit.page.locator("#operations-prediction-predict_predict_post")
        operation.locator(".opblock-summary-control").click()
        scan: FilePayload = {"name": "mass.png", "mimeType": "image/png", "buffer": MASS}
        operation.locator("input[type=file]").set_input_files(scan)
        operation.locator("button.execute").click()
        expect(operation.locator(".live-responses-table .response .response-col_status")).to_have_text(
            re.compile("200")
        )
        assert f"{base}/predict" in visit.requests
        assert all(url.startswith((f"{base}/", "data:", "blob:")) for url in visit.requests)
        visit.page.close()
        proxy.shutdown()


def test_a_key_is_asked_for_and_used(browser):
    with running_server(THREADS=1, API_KEYS=KEY, MODEL_PATH=ROOT / DEFAULT_WEIGHTS) as (_, port):
        visit = open_page(browser, f"http://127.0.0.1:{port}")
        expect(visit.page.locator(".key")).to_be_visible()
        assert visit.complaints == []
        visit.upload(scan=MASS)
        assert visit.text(".problem") == "This service needs an API key. Enter a valid one above."
        visit.page.locator(".key label input").fill(KEY)
        visit.page.locator(".key button").click()
        expect(visit.page.locator(".result")).to_be_visible()  # what waited is classified now
        expect(visit.page.locator(".card")).to_be_visible()
        assert re.search(r'curl -H "X-API-Key: \$KEY"', visit.page.locator(".command pre").text_content() or "")
        assert KEY not in visit.page.content()
        visit.page.close()
