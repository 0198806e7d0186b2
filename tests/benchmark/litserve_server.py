"""The same network behind LitServe, where that is installed: `python -m tests.benchmark.litserve_server PORT FILE.pth`.

It forks its worker, with the settings it has by default; images come as base64, since its queues take no files.
"""

import base64
import sys
from pathlib import Path
from typing import Any

import litserve

from tests.benchmark.usual import UsualModel


class Api(litserve.LitAPI):  # type: ignore[misc]  # it has no types
    """The steps that LitServe wants of a model."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def setup(self, _device: str) -> None:
        self._model = UsualModel(self._path)

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["image"])

    def predict(self, data: bytes) -> dict[str, Any]:
        return self._model.classify(data)

    def encode_response(self, prediction: dict[str, Any]) -> dict[str, Any]:
        return prediction


if __name__ == "__main__":
    server = litserve.LitServer(Api(Path(sys.argv[2])), accelerator="cpu", healthcheck_path="/readyz")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
