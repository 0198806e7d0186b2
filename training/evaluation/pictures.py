"""Small pictures for a report that is one file: a scan and, beside it, what spoke for the class it was called."""

import base64
import io
from pathlib import Path

from PIL import Image

from model.classifier import Classifier
from model.drawing.overlay import View

_SIDE_PIXELS = 160  # of one of the two halves
_JPEG_QUALITY = 80  # 8 KB a picture


def draw_explained(classifier: Classifier, path: Path) -> str:
    """Draw a scan and its heat map side by side.

    Returns:
        A `data:` address, (160, 320) pixels whatever the scan's own shape.

    Raises:
        InputError: If the scan cannot be judged.
    """
    png = classifier.visualize(path.read_bytes(), view=View.SIDE_BY_SIDE).png
    picture = Image.open(io.BytesIO(png)).convert("RGB").resize((2 * _SIDE_PIXELS, _SIDE_PIXELS))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
