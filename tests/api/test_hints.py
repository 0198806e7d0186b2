import pytest


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [
        ("GET", "/predict", "expected POST."),
        ("POST", "/readyz", "expected GET. Images go to POST /predict."),
        ("POST", "/prediction", "there is no such path; the closest one is POST /predict."),
        ("GET", "/models", "there is no such path; the closest one is GET /model."),
        ("GET", "/health/ready", "there is no such path; the closest one is GET /v2/health/ready."),
        ("GET", "/wp-login.php", "there is no such path."),
        ("POST", "/api/x", "there is no such path. Images go to POST /predict."),
    ],
)
def test_a_request_that_no_route_takes_is_told_the_right_one(client, method, path, hint):
    assert client.request(method, path).json()["detail"] == f"{method} {path}: {hint}"


@pytest.mark.parametrize("slashes", ["{}/", "{}//", "/{}"])
def test_nothing_is_redirected_and_a_slash_too_many_gets_a_404_that_names_the_right_path(client, slashes):
    """A redirect from behind TLS would lead to http://, and a client send its scan again in clear."""
    operations = {path: methods for path, methods in client.app.openapi()["paths"].items() if path != "/v2"}
    for path, methods in {**operations, "/docs": ["get"]}.items():
        right = path.format(name="tiny", version="1")
        for method in methods:
            wrong = f"http://testserver{slashes.format(right)}"
            response = client.request(method, wrong, content=b"scan", follow_redirects=False)
            assert (response.status_code, response.headers.get("location")) == (404, None)
            assert f"the closest one is {method.upper()} {right}." in response.text


def test_the_protocol_has_hints_in_its_own_form(client):
    assert client.get("/v2/model/x").json() == {
        "error": "GET /v2/model/x: there is no such path; the closest one is GET /v2/models/{name}."
    }


def test_a_long_path_costs_no_time(client):
    assert client.get("/" + "a" * 50_000).status_code == 404
