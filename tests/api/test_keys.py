import hashlib
import hmac
import logging
import os

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from api.exceptions import SettingsError
from api.keys import KeyRing
from api.main import create_app
from api.settings import Settings
from tests.api.problems import check_problem

OLD, NEW = "old-key-0123456789", "new-key-0123456789"


def ring(fixed="", file=None):
    return KeyRing(Settings(api_keys=SecretStr(fixed), api_keys_file=file))


@pytest.fixture
def protected(settings):
    """A client of a service that has two keys."""
    app = create_app(settings.model_copy(update={"api_keys": SecretStr(f"{OLD}, {NEW}")}))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("headers", [{"authorization": f"Bearer {OLD}"}, {"x-api-key": NEW}])
def test_either_header_and_any_key_opens(protected, scan, headers):
    assert protected.post("/predict", content=scan, headers=headers).status_code == 200
    assert protected.post("/predict/visualize", content=scan, headers=headers).status_code == 200
    assert protected.get("/model", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": OLD[:-1]},
        {"x-api-key": OLD + "x"},
        {"x-api-key": f"{OLD}, {NEW}"},
        {"authorization": OLD},
        {"authorization": f"Basic {OLD}"},
        {"authorization": "Bearer"},
        {"x-api-key": "\u00fc".encode("latin-1")},
    ],
)
def test_without_a_key_of_ours_nothing_is_answered(protected, scan, headers):
    for method, path in (("POST", "/predict"), ("POST", "/predict/visualize"), ("GET", "/model")):
        response = protected.request(method, path, content=scan, headers=headers)
        check_problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"
        assert OLD not in response.text


def test_a_body_is_not_read_before_the_key(protected):
    check_problem(protected.post("/predict", content=bytes(1_000_000)), 401, "unauthorized")  # and not 413


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/docs", "/openapi.json"])
def test_probes_and_the_page_need_no_key(protected, path):
    assert protected.get(path).status_code == 200


def test_without_keys_everyone_may_ask(client, scan):
    assert client.post("/predict", content=scan).status_code == 200


def test_keys_are_rotated_while_the_service_runs(tmp_path, caplog):
    file = tmp_path / "keys"
    file.write_text(f"{OLD}\n", encoding="ascii")
    keys = ring(file=file)
    assert (keys.accepts(OLD), keys.accepts(NEW)) == (True, False)
    with caplog.at_level(logging.INFO):
        file.write_text(f"{OLD}\n\n{NEW}\n", encoding="ascii")
        assert keys.accepts(OLD)
        assert keys.accepts(NEW)
        replacement = tmp_path / "other"
        replacement.write_text(NEW, encoding="ascii")
        os.replace(replacement, file)
        assert (keys.accepts(OLD), keys.accepts(NEW)) == (False, True)
    assert "key-0123456789" not in caplog.text


@pytest.mark.parametrize("content", [None, "", "short", "\u00fc" * 20])
def test_a_file_that_is_being_damaged_locks_nobody_out_and_lets_nobody_in(tmp_path, content, caplog):
    file = tmp_path / "keys"
    file.write_text(OLD, encoding="ascii")
    keys = ring(file=file)
    if content is None:
        file.unlink()
    else:
        file.write_text(content, encoding="utf-8")
    assert (keys.accepts(OLD), keys.accepts(""), keys.accepts("short")) == (True, False, False)
    assert caplog.text.count("stay as they were") == 1


@pytest.mark.parametrize("fixed", ["short", "with a space inside it", "tab\there-0123456789", "\u00fc" * 20])
def test_weak_and_unsendable_keys_stop_the_start(fixed):
    with pytest.raises(SettingsError, match="BRAIN_MRI_API_KEYS: ") as caught:
        ring(fixed)
    assert fixed not in str(caught.value)


@pytest.mark.parametrize("content", [None, "", "\n \n"])
def test_a_file_without_keys_stops_the_start(tmp_path, content):
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content, encoding="ascii")
    with pytest.raises(SettingsError, match="BRAIN_MRI_API_KEYS_FILE: "):
        ring(file=file)


def test_every_key_is_compared_in_constant_time_by_its_hash(monkeypatch):
    compared = []

    def compare(first, second):
        compared.append(second)
        return first == second

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert ring(f"{OLD},{NEW}").accepts(OLD)
    assert set(compared) == {hashlib.sha256(key.encode()).digest() for key in (OLD, NEW)}


def test_settings_show_no_key():
    assert OLD not in repr(Settings(api_keys=SecretStr(OLD)))


@pytest.mark.parametrize("text", [" ", ",", " , ,", "\n"])
def test_a_list_of_keys_without_a_key_does_not_leave_the_service_open(text):
    with pytest.raises(SettingsError, match="BRAIN_MRI_API_KEYS: holds no key"):
        ring(text)
