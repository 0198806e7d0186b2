import os

import pytest

from api.exceptions import SettingsError
from api.settings import load_settings


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BRAIN_MRI_")]:
        monkeypatch.delenv(name)


def test_the_environment_wins_over_the_env_file(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("BRAIN_MRI_PORT=1234\nBRAIN_MRI_MAX_QUEUE=7\nOTHER=1\n", encoding="utf-8")
    monkeypatch.setenv("BRAIN_MRI_PORT", "4321")
    settings = load_settings()
    assert (settings.port, settings.max_queue) == (4321, 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "x"),
        ("PORT", "70000"),
        ("THREADS", "0"),
        ("MAX_UPLOAD_BYTES", "1"),
        ("MAX_BATCH_BYTES", "1"),
        ("LOG_LEVEL", "loud"),
        ("REQUEST_TIMEOUT_SECONDS", "0"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "viewer.example"),
        ("MODEL_SHA256", "abc"),
        ("WORKERS", "0"),
        ("MAX_BATCH", "0"),
    ],
)
def test_a_value_out_of_bounds_is_named(monkeypatch, name, value):
    monkeypatch.setenv(f"BRAIN_MRI_{name}", value)
    with pytest.raises(SettingsError, match=f"BRAIN_MRI_{name}: "):
        load_settings()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BRAIN_MRI_API_KEY", "the nearest is BRAIN_MRI_API_KEYS"),
        ("BRAIN_MRI_APIKEYS", "the nearest is BRAIN_MRI_API_KEYS"),
        ("brain_mri_max_conections", "the nearest is BRAIN_MRI_MAX_CONNECTIONS"),
        ("BRAIN_MRI_KEYS_FILE", "the nearest is BRAIN_MRI_API_KEYS_FILE"),
        ("BRAIN_MRI_", "lists them"),
        ("BRAIN_MRI_SOMETHING_ELSE", "lists them"),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_an_unknown_name_is_refused_with_the_nearest_one(monkeypatch, tmp_path, name, hint, in_file):
    if in_file:
        (tmp_path / ".env").write_text(f"# ours\nexport {name}=x\n", encoding="ascii")
    else:
        monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError, match=f"^{name}: there is no such setting; .*{hint}"):
        load_settings()


def test_names_of_others_and_of_the_tests_are_passed_over(monkeypatch):
    for name in ("BRAIN_MRI_DATA", "BRAIN_MRIX", "BRAIN_TUMOR_MRI_PORT", "MY_BRAIN_MRI_PORT"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("brain_mri_port", "1234")
    assert load_settings().port == 1234


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_an_env_file_may_begin_with_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / ".env").write_text("BRAIN_MRI_PORT=1234\r\n", encoding=encoding)
    assert load_settings().port == 1234


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("BRAIN_MRI_PORT=1".encode("utf-16"), "UTF-8"),
        ("BRAIN_MRI_PORT=1".encode("utf-16-le"), "UTF-8"),
        ("BRAIN_MRI_PORT=1".encode("utf-32"), "UTF-8"),
        ("# für uns".encode("latin-1"), "UTF-8"),
        (b"A=1\nBRAIN_MRI_API_KEYS: 0123456789abcdef\n", "NAME=value in line 2"),
        (b"BRAIN_MRI_API_KEYS 0123456789abcdef", "NAME=value in line 1"),
        (b"BRAIN_MRI_API_KEYS\n", "NAME=value in line 1"),
        (b'BRAIN_MRI_API_KEYS="0123456789abcdef', "NAME=value in line 1"),
        (b'A="b\nBRAIN_MRI_API_KEYS="0123456789abcdef"', "NAME=value in line 1"),
    ],
)
def test_an_env_file_that_is_not_understood_is_refused_without_what_it_holds(tmp_path, data, message):
    (tmp_path / ".env").write_bytes(data)
    with pytest.raises(SettingsError, match=rf"^\.env: .*{message}") as caught:
        load_settings()
    assert "0123" not in str(caught.value)


def test_a_folder_and_lines_of_others_are_passed_over(tmp_path):
    (tmp_path / ".env").mkdir()
    assert load_settings().port == 8000
    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").write_text("a line: of another tool\nOTHER\n", encoding="ascii")
    assert load_settings().port == 8000
