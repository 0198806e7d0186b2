"""The service that most would write: FastAPI, torch as it comes, and Grad-CAM by hooks and a backward pass.

`python -m tests.benchmark.usual PORT FILE.pth`. The endpoints are coroutines that compute: two at once would read
each other's gradients. The map is drawn with Pillow, which spares it the time that matplotlib takes.
"""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, File, Response, UploadFile
from PIL import Image
from torch import Tensor, nn

from model.checkpoints.checkpoint import Checkpoint, load_checkpoint
from model.drawing.overlay import turbo_colors
from model.networks.network import find_layer
from tests.benchmark.torch_inputs import transform_image

_ALPHA = 0.5


class HookedGradCam:
    """Grad-CAM as tutorials have it."""

    def __init__(self, network: nn.Module, layer: str) -> None:
        """Place hooks that keep what the layer computes, and its gradient."""
        self._network = network.eval().requires_grad_()
        self._activations = self._gradients = torch.empty(0)
        find_layer(network, layer).register_forward_hook(self._keep_activations)
        find_layer(network, layer).register_full_backward_hook(self._keep_gradients)

    def explain(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits (1, K), and the map (h, w) of the class predicted."""
        self._network.zero_grad()
        logits = self._network(inputs)
        logits[0, logits.argmax()].backward()
        weights = self._gradients.mean(dim=(2, 3), keepdim=True)
        heatmap = torch.relu((weights * self._activations).sum(dim=1))[0]
        return logits.detach(), heatmap / heatmap.max().clamp_min(1e-9)

    def _keep_activations(self, _layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        self._activations = output.detach()

    def _keep_gradients(self, _layer: nn.Module, _inputs: Any, outputs: tuple[Tensor, ...]) -> None:
        self._gradients = outputs[0].detach()


def create_app(checkpoint: Checkpoint) -> FastAPI:
    """Make the service."""
    app, network, card = FastAPI(), checkpoint.network, checkpoint.card
    cam = HookedGradCam(network, card.gradcam_layer)

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/predict")
    async def predict(file: UploadFile = File()) -> dict[str, Any]:  # noqa: B008  # the way tutorials have it
        picture = Image.open(io.BytesIO(await file.read())).convert("RGB")
        with torch.no_grad():
            logits = network(transform_image(picture, card.preprocessing))
        return describe(logits)

    @app.post("/predict/visualize")
    async def visualize(file: UploadFile = File()) -> Response:  # noqa: B008
        picture = Image.open(io.BytesIO(await file.read())).convert("RGB")
        logits, heatmap = cam.explain(transform_image(picture, card.preprocessing))
        buffer = io.BytesIO()
        draw_overlay(picture, heatmap).save(buffer, "PNG")
        headers = {"X-Prediction": describe(logits)["prediction"]}
        return Response(buffer.getvalue(), media_type="image/png", headers=headers)

    def describe(logits: Tensor) -> dict[str, Any]:
        probabilities = torch.softmax(logits[0], dim=0).tolist()
        best = int(np.argmax(probabilities))
        return {
            "prediction": card.classes[best],
            "confidence": probabilities[best],
            "probabilities": dict(zip(card.classes, probabilities, strict=True)),
        }

    return app


def draw_overlay(picture: Image.Image, heatmap: Tensor) -> Image.Image:
    """Blend the map's colours with the scan."""
    levels = Image.fromarray((heatmap.numpy() * 255).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    return Image.blend(picture, Image.fromarray(turbo_colors()[np.asarray(levels)]), _ALPHA)


if __name__ == "__main__":
    uvicorn.run(create_app(load_checkpoint(Path(sys.argv[2]))), port=int(sys.argv[1]), log_level="warning")
