"""The shortest service that one could write: FastAPI, Pillow and ONNX Runtime, each as it comes.

`python -m tests.benchmark.lean PORT FILE.onnx`. It bounds, calibrates and reviews nothing.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image


def create_app(path: Path) -> FastAPI:
    app, session = FastAPI(), ort.InferenceSession(path)
    card = json.loads(session.get_modelmeta().custom_metadata_map["brain_tumor_mri_card"])
    size = card["preprocessing"]["input_size"]
    mean, std = (np.array(card["preprocessing"][name], np.float32)[:, None, None] for name in ("mean", "std"))

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/predict")
    def predict(file: UploadFile) -> dict[str, Any]:
        picture = Image.open(file.file).convert("L").resize((size, size), Image.Resampling.BILINEAR)
        inputs = (np.asarray(picture, np.float32) / 255 - mean) / std
        feed = {"inputs": inputs[None], "targets": np.array([-1]), "explain": np.array(False)}
        logits = session.run(["logits"], feed)[0][0]
        scores = np.exp(logits - logits.max())
        probabilities = dict(zip(card["classes"], (scores / scores.sum()).tolist(), strict=True))
        best = max(probabilities, key=lambda name: probabilities[name])
        return {"prediction": best, "confidence": probabilities[best], "probabilities": probabilities}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(Path(sys.argv[2])), port=int(sys.argv[1]), log_level="warning")
