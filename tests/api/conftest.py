from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.main import create_app
from api.settings import Settings
from tests.samples.phantoms import draw_scan, encode


@pytest.fixture(scope="session")
def scan() -> bytes:
    return encode(draw_scan(120, (0.4, 0.5))[:100])


@pytest.fixture(scope="session")
def settings(tiny_pair) -> Settings:
    return Settings(model_path=tiny_pair[1], threads=2, max_upload_bytes=200_000, max_image_pixels=1_000_000)


@pytest.fixture
def app(settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def calibrated_client(settings, calibrated_pair) -> Iterator[TestClient]:
    """A client of a service whose weights say how far to trust them."""
    calibrated = settings.model_copy(update={"model_path": calibrated_pair[1]})
    with TestClient(create_app(calibrated), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(app) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
