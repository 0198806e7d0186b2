"""What comes before and after the network: decoding and preparing, drawing and encoding; in a process of their own."""

from functools import cache
from pathlib import Path

import numpy as np

from model.card import Preprocessing
from model.decoding import decode_image
from model.drawing.overlay import Caption, View, render_png
from model.engines.loading import load_engine
from model.preprocessing import preprocess_image
from tests.benchmark.engines import Pace, time_calls
from tests.benchmark.pictures import draw_pictures


def time_decoding(weights: Path, form: str, side: int, seconds: float) -> Pace:
    """Time from the file's bytes to the network's inputs."""
    (picture,), preprocessing = draw_pictures(form, side, 1), _read_preprocessing(weights)
    return time_calls(lambda: preprocess_image(decode_image(picture.data).image, preprocessing), 1, seconds)


def time_drawing(side: int, seconds: float) -> Pace:
    """Time from a scan and its map to the PNG of the overlay."""
    (picture,) = draw_pictures("PNG", side, 1)
    image = decode_image(picture.data).image
    heatmap = np.random.default_rng(0).random((7, 7), np.float32)
    caption = Caption("glioma", 0.9, "glioma", 0.9)
    return time_calls(lambda: render_png(image, heatmap, caption, 0.5, View.OVERLAY), 1, seconds)


@cache
def _read_preprocessing(weights: Path) -> Preprocessing:
    return load_engine(weights).card.preprocessing
