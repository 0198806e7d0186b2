import re

from starlette.testclient import TestClient

from api.main import create_app
from tests.api.problems import check_problem


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_script_in_itself(client):
    response = client.get("/docs")
    links = re.findall(r'(?:src|href)="([^"]+)"', response.text)
    assert len(links) == 4
    for link in links:
        assert link.startswith("./")
        assert client.get(link.removeprefix(".")).status_code == 200
    assert "<script>" not in response.text
    assert "script-src" not in response.headers["content-security-policy"]  # as default-src says
    assert "default-src 'self';" in response.headers["content-security-policy"]


def test_the_page_and_the_document_can_be_switched_off(settings):
    with TestClient(create_app(settings.model_copy(update={"docs": False}))) as client:
        for path in ("/docs", "/openapi.json", "/docs/assets/swagger-ui.css"):
            check_problem(client.get(path), 404, "not_found")
        assert client.get("/readyz").status_code == 200
