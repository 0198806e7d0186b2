from pathlib import Path

import pytest

from tests.soak.options import Options


@pytest.fixture(scope="session")
def short_options(tiny_pair: tuple[Path, Path]) -> Options:
    """Everything small: the same scenarios in seconds. The queue is small too, so that less load fills it."""
    return Options(
        model_path=tiny_pair[1],
        threads=1,
        load=2.0,
        seconds=5.0,
        rounds=1,
        images=400,
        requests=600,
        idle_connections=60,
        stream_bytes=8 * 2**20,
        max_queue=16,
        max_upload_bytes=2**20,
        head_timeout_seconds=1.0,
        upload_timeout_seconds=1.0,
        drain_seconds=0.3,
        capacity_seconds=1.0,
    )
