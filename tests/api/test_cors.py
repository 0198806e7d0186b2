import pytest
from starlette.testclient import TestClient

from api.main import create_app

ORIGIN = "https://viewer.example"
# What a page may read of any response, and what no script may ever read; https://fetch.spec.whatwg.org/
SAFE = {"cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma"}
HIDDEN = {"connection"}


@pytest.fixture
def app(settings):
    return create_app(settings.model_copy(update={"cors_origins": f"http://localhost:3000,{ORIGIN}"}))


@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, True), ("https://other.example", False)])
def test_pages_of_the_named_origins_alone_may_ask(app, scan, origin, allowed):
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    with TestClient(app) as client:
        preflight = client.options("/predict", headers=asked)
        answer = client.post("/predict", content=scan, headers={"Origin": origin})
    assert (preflight.status_code == 200) == allowed
    assert answer.status_code == 200
    assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
    assert "X-Prediction" in answer.headers["access-control-expose-headers"]


def test_every_header_that_the_document_names_can_be_read(client):
    named = {
        header.lower()
        for methods in client.app.openapi()["paths"].values()
        for operation in methods.values()
        for response in operation["responses"].values()
        for header in response.get("headers", ())
    }
    exposed = client.get("/livez", headers={"Origin": ORIGIN}).headers["access-control-expose-headers"]
    assert named - SAFE - HIDDEN <= set(exposed.lower().split(", "))
    assert "retry-after" in named


def test_refusals_and_defects_can_be_read_too(app):
    @app.get("/defect", include_in_schema=False)
    async def defect():
        raise ZeroDivisionError

    with TestClient(app, raise_server_exceptions=False) as client:
        for method, path, status in (
            ("GET", "/defect", 500),
            ("GET", "/nowhere", 404),
            ("DELETE", "/predict", 405),
            ("HEAD", "/livez", 200),
            ("POST", "/predict", 400),
            ("POST", "/v2/models/tiny/infer", 400),
        ):
            response = client.request(method, path, headers={"Origin": ORIGIN})
            assert (response.status_code, response.headers["access-control-allow-origin"]) == (status, ORIGIN)
