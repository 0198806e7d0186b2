"""Matplotlib's figures as SVG that stands in a page."""

import io

import matplotlib as mpl
from matplotlib.figure import Figure


def render_svg(figure: Figure) -> str:
    """Draw a figure as an SVG element that refers to nothing outside; the same figure gives the same text."""
    buffer = io.StringIO()
    # Text stays text; the salt and the missing date make the same figure the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "figure", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    drawn = buffer.getvalue()
    return drawn[drawn.index("<svg") :]
