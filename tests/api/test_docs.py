import re

import pytest
from starlette.testclient import TestClient

from api.main import create_app
from tests.api.problems import check_problem


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/docs").text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) >= 3
    for link in links:
        assert link.startswith("./")
        assert client.get(link.removeprefix(".")).status_code == 200


def test_both_ways_of_sending_an_image_are_documented(client):
    document = client.get("/openapi.json").json()
    for path in ("/predict", "/predict/visualize"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        assert next(iter(content)) == "multipart/form-data"
        assert content["multipart/form-data"]["schema"]["properties"]["file"]["format"] == "binary"
        assert "image/jpeg" in content


@pytest.mark.parametrize("status", ["400", "413", "415", "422", "500", "503", "504"])
def test_errors_are_documented_as_problems(client, status):
    document = client.get("/openapi.json").json()
    for path in ("/predict", "/predict/visualize"):
        content = document["paths"][path]["post"]["responses"][status]["content"]
        assert list(content) == ["application/problem+json"]
        assert content["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
        for example in content["application/problem+json"]["examples"].values():
            assert example["value"]["status"] == int(status)
    assert "request_id" in document["components"]["schemas"]["Problem"]["properties"]


def test_the_picture_is_documented_as_png_and_dicom(client):
    document = client.get("/openapi.json").json()
    found = list(document["paths"]["/predict/visualize"]["post"]["responses"]["200"]["content"])
    assert found == ["image/png", "application/dicom", "multipart/related"]


def test_every_reference_in_the_document_leads_somewhere(client):
    response = client.get("/openapi.json")
    schemas = response.json()["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/(\w+)", response.text):
        assert name in schemas


def test_the_page_and_the_document_can_be_switched_off(settings):
    with TestClient(create_app(settings.model_copy(update={"docs": False}))) as client:
        for path in ("/docs", "/openapi.json", "/docs/assets/swagger-ui.css"):
            check_problem(client.get(path), 404, "not_found")
        assert client.get("/readyz").status_code == 200
