import asyncio
import base64
import importlib.metadata
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image
from pydantic import SecretStr
from starlette.testclient import TestClient

from api.demo import draw_examples
from api.errors import DeadlinePassedError
from api.main import create_app
from api.settings import Settings, SettingsError
from model.overlay import View
from tests.api.problems import check_problem
from tests.phantoms import CLASSES, encode
from tests.server import ROOT

KEY = "key-of-the-tests-0123456789"
OUR_PARTS = ("/demo/judge", "/demo/examples/mass.png", "/favicon.ico", "/demo/", "/demo/theme.css")


def create_in_loop(settings):
    """Make the service as the server does, in a running event loop; without one Gradio makes some and leaves them."""

    async def create():
        return create_app(settings)

    return asyncio.run(create())


@pytest.fixture(scope="module")
def demo_settings(settings: Settings, calibrated_pair: tuple[Path, Path]) -> Settings:
    return settings.model_copy(update={"model_path": calibrated_pair[1], "demo": True})


@pytest.fixture(scope="module")
def demo(demo_settings) -> Iterator[TestClient]:
    """A client of a service with the page."""
    with TestClient(create_in_loop(demo_settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def protected(demo_settings) -> Iterator[TestClient]:
    """The same of a service that has a key."""
    with TestClient(create_in_loop(demo_settings.model_copy(update={"api_keys": SecretStr(KEY)}))) as client:
        yield client


def open_url(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def test_the_page_says_what_predict_says(demo, scan):
    answer = demo.post("/demo/judge", content=scan).json()
    expected = demo.post("/predict", content=scan).json()
    assert answer["image"]["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
    for field in ("prediction", "prediction_set", "review", "input"):
        assert answer["image"][field] == expected[field]
    assert answer["model"] == expected["model"]
    assert answer["disclaimer"] == expected["disclaimer"]
    assert answer["explained"] == expected["prediction"]


@pytest.mark.parametrize("target", CLASSES)
def test_the_evidence_is_that_of_visualize(demo, scan, target):
    answer = demo.post("/demo/judge", params={"target": target}, content=scan).json()
    assert answer["explained"] == target
    params = {"target": target, "alpha": 1, "view": View.HEATMAP.value}
    drawn = np.asarray(Image.open(io.BytesIO(demo.post("/predict/visualize", params=params, content=scan).content)))
    evidence = open_url(answer["evidence"]).astype(float)
    over_black = evidence[..., :3] * evidence[..., 3:] / 255
    without_caption = slice(30, 80)
    assert np.abs(over_black - drawn)[without_caption].max() <= 3
    assert open_url(answer["scan"]).shape == drawn.shape


def test_a_form_is_taken_as_well(demo, scan):
    answer = demo.post("/demo/judge", files={"file": scan})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("request_parts", "status", "code"),
    [
        ({"content": b"just some text"}, 415, "unsupported_format"),
        ({"content": b""}, 400, "malformed_request"),
        ({"content": bytes(200_001)}, 413, "body_too_large"),
        ({"content": encode(Image.new("L", (64, 64), 1))}, 422, "blank_image"),
        ({"content": encode(Image.new("1", (30_000, 30_000)))}, 413, "too_many_pixels"),
        ({"params": {"target": "unicorn"}, "content": encode(Image.new("L", (64, 64), 1))}, 400, "unknown_class"),
    ],
)
def test_what_cannot_be_judged_is_the_problem_that_it_is_elsewhere(demo, request_parts, status, code):
    check_problem(demo.post("/demo/judge", **request_parts), status, code)


def test_a_late_or_failing_service_says_so(demo, scan, monkeypatch):
    for error, status, code in (
        (DeadlinePassedError("No core became free."), 504, "deadline_passed"),
        (ZeroDivisionError("secret"), 500, "internal_error"),
    ):

        async def fail(_call, _watch, error=error):
            raise error

        monkeypatch.setattr(demo.app.state.service.queue, "run", fail)
        response = demo.post("/demo/judge", content=scan)
        check_problem(response, status, code)
        assert "secret" not in response.text


def test_predictions_of_the_page_are_counted(demo, scan):
    before = count_predictions(demo)
    demo.post("/demo/judge", content=scan)
    assert count_predictions(demo) == before + 1


def count_predictions(client):
    found = re.findall(r"brain_mri_predictions_total\{.*\} (\S+)", client.get("/metrics").text)
    return sum(map(float, found))


def test_a_key_is_asked_for_where_there_are_keys(protected, scan):
    check_problem(protected.post("/demo/judge", content=scan), 401, "unauthorized")
    check_problem(protected.post("/demo/judge", content=scan, headers={"X-API-Key": KEY[:-1]}), 401, "unauthorized")
    assert protected.post("/demo/judge", content=scan, headers={"X-API-Key": KEY}).status_code == 200


def test_a_body_is_not_read_before_the_key(protected):
    check_problem(protected.post("/demo/judge", content=bytes(1_000_000)), 401, "unauthorized")  # and not 413


def test_the_page_asks_for_a_key_only_where_one_is_needed_and_shows_none(demo, protected):
    assert '"needs_key":false' in demo.get("/demo/").text
    page = protected.get("/demo/").text
    assert '"needs_key":true' in page
    assert KEY not in page


def test_the_page_is_found_without_its_last_slash(demo):
    assert demo.get("/demo").url.path == "/demo/"
    page = demo.get("/demo")
    assert page.headers["content-type"].startswith("text/html")
    assert "Brain MRI slice classifier" in page.text
    assert "Research use only" in page.text


def test_what_the_page_loads_is_there_and_from_here(demo):
    page = demo.get("/demo/").text
    links = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', page)
    files = [link for link in links if link != "/manifest.json"]  # which the policy forbids to load
    assert len(files) >= 2
    for link in files:
        assert link.startswith("./")
        assert demo.get(f"/demo/{link.removeprefix('./')}").status_code == 200
    for name in draw_examples():
        assert demo.get(f"/demo/examples/{name}.png").headers["content-type"] == "image/png"
    assert demo.get("/favicon.ico").status_code == 200
    check_problem(demo.get("/demo/examples/patient.png"), 404, "not_found")


def test_a_browser_may_load_from_and_send_to_this_service_alone(demo):
    response = demo.get("/demo/")
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["object-src"] == policy["form-action"] == "'none'"
    assert "http" not in str(policy)
    assert "connect-src" not in policy  # as default-src says
    assert response.headers["x-content-type-options"] == "nosniff"
    # Only the page needs scripts: nothing else has them because of it.
    for path in ("/demo/examples/mass.png", "/predict", "/livez"):
        assert "script-src" not in demo.get(path).headers["content-security-policy"]


def test_of_gradio_nothing_is_reachable_but_the_page(demo):
    import gradio.routes

    application = next(route for route in demo.app.routes if getattr(route, "path", "") == "/demo").app._app
    assert isinstance(application, gradio.routes.App)
    operations = application.openapi()["paths"]
    assert {"/gradio_api/upload", "/gradio_api/queue/join", "/monitoring", "/config"} <= set(operations)
    for method, path in ((method.upper(), path) for path, methods in operations.items() for method in methods):
        filled = re.sub(r"\{[^}]*\}", "x", path)
        if filled in ("/", "/theme.css") or filled.startswith(("/assets/", "/static/")):
            continue
        check_closed(demo.request(method, f"/demo{filled}"), method)


def check_closed(response, method):
    assert response.status_code in (404, 405), (method, response.url)
    if method != "HEAD":
        assert response.headers["content-type"] == "application/problem+json"


def test_gradio_does_nothing_while_nobody_asks(demo):
    tasks = demo.portal.call(asyncio.all_tasks)
    assert not [task for task in tasks if "gradio" in task.get_coro().cr_code.co_filename]


@pytest.mark.parametrize("path", ["/demo/gradio_api/upload", "/demo/gradio_api/run/predict", "/demo/", "/demo/x"])
def test_nothing_can_be_sent_to_gradio(demo, scan, path):
    check_closed(demo.post(path, files={"files": scan}), "POST")


@pytest.mark.parametrize(
    "path", ["/demo/assets/../../etc/passwd", "/demo/assets/%2e%2e/%2e%2e/config", "/demo/static/"]
)
def test_no_other_file_is_served(demo, path):
    assert demo.get(path).status_code in (400, 403, 404)


def test_the_query_does_not_reach_gradio(demo):
    page = demo.get("/demo/").text
    assert demo.get("/demo/?deep_link=../../secret").text == page


def test_labels_of_metrics_do_not_grow_with_what_is_asked_for(demo):
    for name in ("a", "b", "gradio_api/c", "assets/d", "examples/e.png"):
        demo.get(f"/demo/{name}")
        demo.post(f"/demo/{name}")
    paths = set(re.findall(r'http_requests_total\{method="\w+",path="([^"]+)"', demo.get("/metrics").text))
    assert {path for path in paths if "demo" in path} <= {"/demo/judge", "/demo/{file}", "/demo/examples/{name}.png"}


def test_the_openapi_document_is_the_same_with_the_page(demo, demo_settings):
    with TestClient(create_app(demo_settings.model_copy(update={"demo": False}))) as plain:
        assert demo.get("/openapi.json").json() == plain.get("/openapi.json").json()
        for path in OUR_PARTS:
            check_problem(plain.get(path), 404, "not_found")


def test_no_scan_is_written_to_a_disk(demo, scan, monkeypatch):
    written: list[str] = []

    def watch(event, arguments):
        if event == "open" and watching and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            written.append(arguments[0])

    watching = False
    sys.addaudithook(watch)
    before = set(Path(tempfile.gettempdir()).iterdir())
    watching = True
    try:
        for file in (scan, encode(Image.open(io.BytesIO(scan)).resize((1200, 1000)), "BMP")[:150_000], b"text"):
            demo.post("/demo/judge", content=file)
            demo.post("/demo/judge", files={"file": file})
            demo.post("/demo/gradio_api/upload", files={"files": file})
        demo.get("/demo/")
    finally:
        watching = False
    assert written == []
    assert set(Path(tempfile.gettempdir()).iterdir()) == before


ISOLATED = """
import os
import sys
reached = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        reached.append((event, str(arguments)))
sys.addaudithook(watch)
from pathlib import Path
from starlette.testclient import TestClient
from api.main import create_app
from api.settings import Settings
with TestClient(create_app(Settings(model_path=Path(sys.argv[1]), demo=True))) as client:
    assert client.get("/demo/").status_code == 200
assert not reached, reached
assert not Path(os.environ["GRADIO_TEMP_DIR"]).exists()
"""


def test_nobody_is_told_that_the_page_is_used(calibrated_pair, tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", ISOLATED, str(calibrated_pair[1])],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert not list(tmp_path.iterdir())


def test_the_page_without_gradio_stops_the_start_with_one_line(demo_settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "api.demo_page", raising=False)
    with pytest.raises(SettingsError, match=r"BRAIN_MRI_DEMO: .* requirements-demo\.txt$"):
        create_app(demo_settings)


def test_without_the_page_gradio_is_not_even_looked_for():
    script = (
        "import sys\n"
        "sys.modules['gradio'] = None\n"
        "from api.main import create_app\n"
        "from api.settings import Settings\n"
        "create_app(Settings(demo=False))\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_all_that_gradio_needs_is_pinned():
    lines = [
        line.partition("#")[0].strip()
        for name in ("requirements-serve.txt", "requirements-demo.txt")
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
    ]
    pins = {
        requirement.name.lower().replace("_", "-"): requirement for requirement in map(Requirement, filter(None, lines))
    }
    seen, waiting = set(), ["gradio"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        assert name in pins, f"requirements-demo.txt lacks {name}"
        (pin,) = pins[name].specifier
        for text in importlib.metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                waiting.append(needed.name.lower().replace("_", "-"))
                if (name, waiting[-1]) != ("gradio", "pillow"):  # Gradio says < 13; see requirements-demo.txt
                    (version,) = pins[waiting[-1]].specifier
                    assert needed.specifier.contains(version.version, prereleases=True), (name, text, str(version))
        assert pin.operator == "=="
