import re

import jsonschema_rs
import pytest

from tests.samples.phantoms import CLASSES


@pytest.fixture
def document(calibrated_client):
    return calibrated_client.get("/openapi.json").json()


def list_operations(document):
    return {path: operation for path, methods in document["paths"].items() for operation in methods.values()}


def test_summaries_are_written_for_people(document):
    summaries = {path: operation["summary"] for path, operation in list_operations(document).items()}
    assert summaries["/predict"] == "Classify a brain-MRI slice"
    assert summaries["/predict/batch"] == "Classify several brain-MRI slices"
    assert all(" " in summary and len(summary) < 80 for summary in summaries.values())


def test_the_protocol_comes_last(document):
    assert [tag["name"] for tag in document["tags"]] == ["prediction", "status", "Open Inference Protocol"]
    used = {tag for operation in list_operations(document).values() for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"]}


def test_every_json_response_has_an_example_that_its_schema_allows(document):
    checked = 0
    for operation in list_operations(document).values():
        content = operation["responses"]["200"]["content"].get("application/json")
        if content:
            schema = {**content["schema"], "components": document["components"]}
            jsonschema_rs.Draft202012Validator(schema).validate(content["example"])
            checked += 1
    assert checked >= 14


def test_examples_are_of_the_weights_that_are_loaded(document):
    example = list_operations(document)["/predict"]["responses"]["200"]["content"]["application/json"]["example"]
    assert list(example["probabilities"]) == list(CLASSES)
    assert sum(example["probabilities"].values()) == pytest.approx(1)
    assert example["review"] == {"level": "none", "reasons": []}


def test_without_calibration_examples_say_so(client):
    document = client.get("/openapi.json").json()
    example = list_operations(document)["/predict"]["responses"]["200"]["content"]["application/json"]["example"]
    assert [example[name] for name in ("prediction_set", "review", "ood")] == [None, None, None]


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


def test_the_formats_of_the_picture_are_documented(client):
    document = client.get("/openapi.json").json()
    found = list(document["paths"]["/predict/visualize"]["post"]["responses"]["200"]["content"])
    assert found == ["image/png", "image/webp", "image/jpeg", "application/dicom", "multipart/related"]


def test_every_reference_in_the_document_leads_somewhere(client):
    response = client.get("/openapi.json")
    schemas = response.json()["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/(\w+)", response.text):
        assert name in schemas
