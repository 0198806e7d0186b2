import pytest

from api.exceptions import SettingsError
from api.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BRAIN_MRI_{name.upper()}", raising=False)


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
