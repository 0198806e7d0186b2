import logging

import pytest
from starlette.testclient import TestClient

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
    assert "abc: ZeroDivisionError at" in caplog.text
