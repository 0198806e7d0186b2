"""The same network behind LitServe, where that is installed: `python -m tests.benchmark.litserve_server PORT FILE.pth`.

It forks its worker, with the settings it has by default; images come as base64, since its queues take no files.
"""

import base64
import io
import sys
from pathlib import Path
from typing import Any

import litserve
import torch
from PIL import Image

from model.checkpoints.checkpoint import load_checkpoint
from tests.benchmark.torch_inputs import transform_image


class Api(litserve.LitAPI):  # type: ignore[misc]  # it has no types
    """What LitServe asks of a model."""

    def __init__(self, path: Path) -> None:
        """Serve the checkpoint at `path`."""
        super().__init__()
        self._path = path

    def setup(self, _device: str) -> None:
        """Load, in the worker."""
        checkpoint = load_checkpoint(self._path)
        self._network, self._card = checkpoint.network.eval(), checkpoint.card

    def decode_request(self, request: dict[str, str]) -> torch.Tensor:
        """Turn a request into inputs (1, 3, S, S)."""
        picture = Image.open(io.BytesIO(base64.b64decode(request["image"]))).convert("RGB")
        return transform_image(picture, self._card.preprocessing)

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        """Compute probabilities (K,)."""
        with torch.no_grad():
            return torch.softmax(self._network(inputs)[0], dim=0)

    def encode_response(self, probabilities: torch.Tensor) -> dict[str, Any]:
        """Write the answer."""
        best = int(probabilities.argmax())
        return {
            "prediction": self._card.classes[best],
            "probabilities": dict(zip(self._card.classes, probabilities.tolist(), strict=True)),
        }


if __name__ == "__main__":
    server = litserve.LitServer(Api(Path(sys.argv[2])), accelerator="cpu", healthcheck_path="/readyz")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
