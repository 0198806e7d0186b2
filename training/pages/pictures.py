"""Pictures and figures inside a page that is one file."""

import base64
import io

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

_LABEL_LENGTH = 20
_JPEG_QUALITY = 80  # 8 KB for 160 x 320 pixels


def encode_picture(picture: Image.Image) -> str:
    """Write a picture as JPEG in a `data:` address."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def label_text(name: str) -> str:
    """Write the name of a folder as a label: matplotlib reads dollars as formulas, and hides what begins with _."""
    return ("\u200b" if name.startswith("_") else "") + name.replace("$", r"\$")


def shorten_label(name: str) -> str:
    """Write the name of a folder as a label that leaves room for a picture."""
    line = " ".join(name.split())
    return label_text(line if len(line) <= _LABEL_LENGTH else line[: _LABEL_LENGTH - 1] + "\u2026")


def render_svg(figure: Figure) -> str:
    """Draw a figure as an SVG element that refers to nothing outside; the same figure gives the same text."""
    buffer = io.StringIO()
    # Text stays text; the salt and the missing date make the same figure the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "figure", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    drawn = buffer.getvalue()
    return drawn[drawn.index("<svg") :]
