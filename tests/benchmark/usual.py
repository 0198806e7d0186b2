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

from model.checkpoints.checkpoint import load_checkpoint
from model.drawing.overlay import turbo_colors
from model.networks.network import find_layer
from model.networks.torchvision_operators import import_torchvision

import_torchvision()
from torchvision import transforms  # noqa: E402  # only after that

_ALPHA = 0.5


class UsualModel:
    """A network with torchvision's transforms in front of it."""

    def __init__(self, path: Path) -> None:
        checkpoint = load_checkpoint(path)
        self.network, self.card = checkpoint.network.eval(), checkpoint.card
        preprocessing = self.card.preprocessing
        steps = [
            transforms.Resize((preprocessing.input_size, preprocessing.input_size)),
            *([transforms.Grayscale(3)] if preprocessing.color == "grey" else []),
            transforms.ToTensor(),
            transforms.Normalize(preprocessing.mean, preprocessing.std),
        ]
        self._transform = transforms.Compose(steps)

    def prepare(self, data: bytes) -> tuple[Image.Image, Tensor]:
        """Decode an image and turn it into inputs (1, 3, S, S)."""
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        return picture, self._transform(picture)[None]

    def classify(self, data: bytes) -> dict[str, Any]:
        with torch.no_grad():
            return self.describe(self.network(self.prepare(data)[1]))

    def describe(self, logits: Tensor) -> dict[str, Any]:
        probabilities = dict(zip(self.card.classes, torch.softmax(logits[0], dim=0).tolist(), strict=True))
        best = max(probabilities, key=lambda name: probabilities[name])
        return {"prediction": best, "confidence": probabilities[best], "probabilities": probabilities}


class HookedGradCam:
    """Grad-CAM as tutorials have it: hooks that keep what the layer computes, and its gradient."""

    def __init__(self, network: nn.Module, layer: str) -> None:
        self._network = network.eval().requires_grad_()
        self._activations = self._gradients = torch.empty(0)
        find_layer(network, layer).register_forward_hook(self._keep_activations)
        find_layer(network, layer).register_full_backward_hook(self._keep_gradients)

    def explain(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits (1, K), and the map (h, w) of the predicted class."""
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


def create_app(path: Path) -> FastAPI:
    app, model = FastAPI(), UsualModel(path)
    cam = HookedGradCam(model.network, model.card.gradcam_layer)

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/predict")
    async def predict(file: UploadFile = File()) -> dict[str, Any]:  # noqa: B008  # the way tutorials have it
        return model.classify(await file.read())

    @app.post("/predict/visualize")
    async def visualize(file: UploadFile = File()) -> Response:  # noqa: B008
        picture, inputs = model.prepare(await file.read())
        logits, heatmap = cam.explain(inputs)
        buffer = io.BytesIO()
        _draw_overlay(picture, heatmap).save(buffer, "PNG")
        headers = {"X-Prediction": model.describe(logits)["prediction"]}
        return Response(buffer.getvalue(), media_type="image/png", headers=headers)

    return app


def _draw_overlay(picture: Image.Image, heatmap: Tensor) -> Image.Image:
    levels = Image.fromarray((heatmap.numpy() * 255).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    return Image.blend(picture, Image.fromarray(turbo_colors()[np.asarray(levels)]), _ALPHA)


if __name__ == "__main__":
    uvicorn.run(create_app(Path(sys.argv[2])), port=int(sys.argv[1]), log_level="warning")
