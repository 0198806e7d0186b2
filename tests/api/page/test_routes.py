import re

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from api.main import create_app
from tests.api.problems import check_problem

KEY = "key-of-the-tests-0123456789"
EXAMPLES = ("mass", "ring", "no-mass", "no-scan")
ASSETS = ("page.css", "page.js", "csv.js", "files.js", "service.js", "table.js", "viewer.js", "words.js")


def create_client(settings, root_path="", **changes):
    return TestClient(create_app(settings.model_copy(update=changes)), root_path=root_path)


def test_the_page_is_at_the_front_door(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Brain MRI slice classifier" in page.text
    assert "Research use only" in page.text


def test_the_page_loads_files_of_this_service_alone_by_relative_addresses(client):
    page = client.get("/").text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert set(links) >= {"page/page.css", "page/page.js", "docs"}
    modules = re.findall(r'from "\./([^"]+)"', "".join(client.get(f"/page/{name}").text for name in ASSETS))
    assert {*modules, "page.css", "page.js"} == set(ASSETS)
    for link in (*links, *(f"page/{name}" for name in modules)):
        if not link.startswith("data:"):
            assert re.match(r"[a-z]", link)
            assert client.get(f"/{link}").status_code == 200


def test_the_page_is_small(client):
    assert sum(len(client.get(path).content) for path in ("/", *(f"/page/{name}" for name in ASSETS))) < 60_000


@pytest.mark.parametrize("path", ["/", "/page/page.js"])
def test_a_browser_that_has_a_file_is_not_sent_it_again(client, path):
    first = client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for tags in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(path, headers={"if-none-match": tags})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200


def test_another_content_has_another_tag(client, settings):
    tags = [client.get(path).headers["etag"] for path in ("/", "/page/page.js", "/page/page.css")]
    with create_client(settings, api_keys=SecretStr(KEY)) as other:
        tags.append(other.get("/").headers["etag"])
    assert len(set(tags)) == len(tags)


def test_a_head_has_the_length_and_no_body(client):
    response = client.head("/")
    assert response.content == b""
    assert int(response.headers["content-length"]) == len(client.get("/").content)


@pytest.mark.parametrize("name", ["routes.py", "index.html", "__init__.py", "..%2Fmain.py", "%2e%2e/main.py", "x.js"])
def test_no_other_file_is_served(client, name):
    check_problem(client.get(f"/page/{name}"), 404, "not_found")


def test_a_browser_may_load_from_and_send_to_this_service_alone(client):
    policy = dict(part.split(" ", 1) for part in client.get("/").headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert not re.search(r"unsafe|http|\*", str(policy))
    assert "script-src" not in client.get("/page/page.js").headers["content-security-policy"]


def test_the_page_asks_for_a_key_only_where_one_is_needed_and_holds_none(settings):
    for keys, classes in (("", "docs"), (KEY, "keys docs")):
        with create_client(settings, api_keys=SecretStr(keys)) as client:
            page = client.get("/").text
            assert f'<body class="{classes}">' in page
            assert KEY not in page


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_offers_drawings(client, name):
    assert f'data-example="{name}"' in client.get("/").text
    drawing = client.get(f"/page/examples/{name}.png")
    assert drawing.headers["content-type"] == "image/png"
    check_problem(client.get("/page/examples/patient.png"), 404, "not_found")


def test_its_former_address_leads_to_it(client):
    response = client.get("/demo", follow_redirects=False)
    assert response.headers["location"] == "./"
    assert client.get("/demo").url.path == "/"


def test_it_works_below_a_prefix(settings):
    with create_client(settings, root_path="/brain") as client:
        for path in ("/brain/", "/brain/page/page.js", "/brain/readyz"):
            assert client.get(path).status_code == 200
        assert client.get("/brain/demo").url.path == "/brain/"


def test_without_the_page_the_front_door_leads_to_the_documentation(settings):
    with create_client(settings, page=False) as client:
        assert client.get("/", follow_redirects=False).headers["location"] == "docs"
        for path in ("/demo", "/page/page.js"):
            check_problem(client.get(path), 404, "not_found")


def test_without_page_and_documentation_the_front_door_lists_what_there_is(settings):
    with create_client(settings, page=False, docs=False) as client:
        assert client.get("/").json()["paths"]["/predict"] == ["post"]
    with create_client(settings, docs=False) as client:
        assert '<body class="">' in client.get("/").text


def test_the_document_does_not_speak_of_the_page(client):
    assert not [path for path in client.get("/openapi.json").json()["paths"] if path == "/" or "page" in path]
