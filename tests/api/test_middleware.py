import asyncio
import json
import logging
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.main import create_app
from tests.api.problems import check_problem


@pytest.mark.parametrize("offered", ["abc", "A-1_2.3", "x" * 128])
def test_a_harmless_request_id_is_kept(client, offered):
    assert client.get("/livez", headers={"x-request-id": offered}).headers["x-request-id"] == offered


@pytest.mark.parametrize("offered", ["", "a b", "x" * 129, "<script>", 'a"b', "a\tb"])
def test_another_one_is_replaced(client, offered):
    found = client.get("/livez", headers={"x-request-id": offered}).headers["x-request-id"]
    assert found != offered
    assert len(found) == 32


def test_a_body_is_counted_where_its_length_is_not_announced(client):
    chunks = (bytes(50_000) for _ in range(100))
    check_problem(client.post("/predict", content=chunks), 413, "body_too_large")


def test_a_body_of_the_largest_size_is_read(client, scan):
    assert client.post("/predict", content=scan + bytes(200_000 - len(scan))).status_code == 200


@pytest.mark.parametrize("length", ["-1", "x", "1e3"])
def test_a_length_that_is_no_number_is_a_400(client, length):
    response = client.post("/predict", content=b"x", headers={"content-length": length})
    check_problem(response, 400, "malformed_request")


async def post(app, receive, *headers) -> dict[str, Any]:
    """The response to a request to /predict whose body comes from `receive`."""
    scope = {"type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict", "query_string": b""}
    sent: list[dict[str, Any]] = []

    async def send(message):
        sent.append(message)

    await app({**scope, "headers": headers, "state": {}}, receive, send)
    return {**sent[0], "code": json.loads(sent[1]["body"])["code"]}


def test_a_body_that_does_not_arrive_in_time_is_a_408(settings):
    async def scenario():
        arrived = [{"type": "http.request", "body": b"x", "more_body": True}]

        async def receive():
            if not arrived:
                await asyncio.sleep(60)
            return arrived.pop()

        app = create_app(settings.model_copy(update={"upload_timeout_seconds": 0.05}))
        async with app.router.lifespan_context(app):
            return await post(app, receive, (b"content-length", b"100"))

    response = asyncio.run(scenario())
    assert (response["status"], response["code"]) == (408, "upload_timeout")
    assert (b"connection", b"close") in response["headers"]


def test_bodies_that_together_take_too_much_memory_are_a_503(settings):
    """Three requests of which 60 KB each have arrived: the third is one too many, and afterwards there is room."""

    async def scenario():
        app = create_app(settings.model_copy(update={"max_buffered_bytes": 150_000, "max_upload_bytes": 100_000}))
        release = asyncio.Event()

        async def ask():
            parts = [{"type": "http.request", "body": bytes(60_000), "more_body": True}]

            async def receive():
                if parts:
                    return parts.pop()
                await release.wait()
                return {"type": "http.request", "body": b"", "more_body": False}

            return (await post(app, receive))["status"]

        async with app.router.lifespan_context(app):
            tasks = [asyncio.create_task(ask()) for _ in range(3)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            release.set()
            return [*await asyncio.gather(*tasks), await ask()]

    *together, last = asyncio.run(scenario())
    assert (sorted(together), last) == ([415, 415, 503], 415)


@pytest.mark.parametrize("path", ["/livez", "/model", "/nowhere", "/docs", "/openapi.json"])
def test_a_browser_is_told_to_run_and_frame_nothing(client, path):
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert ("default-src 'none'" in headers["content-security-policy"]) == (path != "/docs")
    assert "access-control-allow-origin" not in headers


def test_head_is_answered_as_get_is_without_the_body(client):
    paths = [path for path, methods in client.app.openapi()["paths"].items() if "get" in methods]
    pages = ["/", "/docs", "/docs/start.js", "/docs/assets/swagger-ui.css", "/openapi.json", "/page/page.js", "/demo"]
    for path in (*(path.format(name="tiny", version="0.0.1") for path in paths), *pages, "/page/examples/mass.png"):
        get, head = (client.request(method, path, follow_redirects=False) for method in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (get.status_code, b""), path
        assert get.status_code in (200, 307)
        ignored = ("x-request-id", "content-length") if path == "/metrics" else ("x-request-id",)
        assert {k: v for k, v in head.headers.items() if k not in ignored} == {
            k: v for k, v in get.headers.items() if k not in ignored
        }
    metrics = client.get("/metrics").text
    assert 'http_requests_total{method="HEAD",path="/livez",status="200"} 1.0' in metrics


@pytest.mark.parametrize(("path", "allowed"), [("/predict", "POST"), ("/livez", "GET, HEAD")])
def test_a_method_that_is_not_taken_is_told_which_are(client, path, allowed):
    response = client.delete(path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    assert client.head("/predict").status_code == 405


def test_a_defect_is_a_500_without_its_text_and_is_logged_without_it(app, settings, caplog):
    @app.get("/defect")
    async def defect():
        raise ZeroDivisionError("secret patient name")

    with TestClient(app) as client, caplog.at_level(logging.ERROR):
        response = client.get("/defect", headers={"x-request-id": "abc"})
    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert "secret" not in response.text
    assert "secret" not in caplog.text
    (record,) = (record for record in caplog.records if record.getMessage() == "defect")
    assert record.error == "ZeroDivisionError"
