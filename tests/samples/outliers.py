"""Pictures of other things than a head, drawn by the tests themselves."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_sample_images

from model.images.decoded import ImageArray

_WORDS = ("patient", "was", "seen", "report", "follows", "no", "evidence", "left", "right", "contrast", "date", "total")


def draw_white_noise(seed: int) -> ImageArray:
    generator = np.random.default_rng(seed)
    return _to_image(generator.normal(generator.uniform(60, 180), generator.uniform(20, 80), (256, 256)))


def draw_smooth_noise(seed: int) -> ImageArray:
    coarse = np.random.default_rng(seed).uniform(0, 255, (4 + seed % 30,) * 2).astype(np.float32)
    return _to_image(np.asarray(Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)))


def draw_text_page(seed: int) -> ImageArray:
    generator = np.random.default_rng(seed)
    picture = Image.new("L", (600, 800), 250)
    draw, size = ImageDraw.Draw(picture), 14 + seed % 16
    for y in range(40, 760, size + 6):
        words = generator.choice(_WORDS, generator.integers(3, 12))
        draw.text((30, y), " ".join(words), 10, ImageFont.load_default(size))
    return np.asarray(picture.convert("RGB"))


def draw_chest_film(seed: int) -> ImageArray:
    """Two dark lungs with ribs, a heart, a spine and a diaphragm, in a bright trunk."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:400, 0:400] / 400
    x -= 0.5 + generator.uniform(-0.02, 0.02)
    film = np.where(np.abs(x) < 0.40 + 0.07 * y, 150 + 30 * y, 10)
    lungs = ((np.abs(x) - 0.18) / generator.uniform(0.12, 0.15)) ** 2 + ((y - 0.47) / 0.32) ** 2 < 1
    film = np.where(lungs, generator.uniform(45, 70), film)
    film = np.where(((x - 0.04) / 0.13) ** 2 + ((y - 0.62) / 0.17) ** 2 < 1, 180, film)
    film = np.where((y > 0.78 + 0.06 * np.cos(8 * x)) & (film > 20), 195, film + 45 * (np.abs(x) < 0.045))
    depth = y - 1.5 * (np.abs(x) - 0.1) ** 2 - 0.1 * np.abs(x)
    film += 28 * ((depth % 0.075 < 0.024) & (depth > 0.1) & (depth < 0.75) & (np.abs(x) > 0.03) & (np.abs(x) < 0.36))
    return _blur(film + generator.normal(0, 4, film.shape))


def draw_knee(seed: int) -> ImageArray:
    """Femur, tibia and fibula with a joint space, in grey soft tissue."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:420, 0:320] / np.array([420, 320])[:, None, None]
    x -= 0.5 + generator.uniform(-0.03, 0.03)
    film = np.where(np.abs(x) < 0.34 + 0.05 * np.cos(6 * (y - 0.5)), generator.uniform(50, 85), 10)
    femur = (y < 0.49) & (np.abs(x) < 0.13 + 0.14 * np.exp(-(((y - 0.46) / 0.12) ** 2)))
    tibia = (y > 0.525) & (np.abs(x) < 0.12 + 0.15 * np.exp(-(((y - 0.55) / 0.1) ** 2)))
    fibula = (y > 0.60) & (np.abs(x - 0.24) < 0.035)
    film = np.where(femur | tibia | fibula, generator.uniform(140, 190), film)
    return _blur(film + generator.normal(0, 4, film.shape))


def load_photograph(seed: int) -> ImageArray:
    image: ImageArray = load_sample_images().images[seed % 2]
    return image


OUTLIERS: dict[str, Callable[[int], ImageArray]] = {
    "white noise": draw_white_noise,
    "smooth noise": draw_smooth_noise,
    "text page": draw_text_page,
    "chest film": draw_chest_film,
    "knee": draw_knee,
    "photograph": load_photograph,
}


def _blur(film: np.ndarray) -> ImageArray:
    return np.asarray(Image.fromarray(_to_image(film)).filter(ImageFilter.GaussianBlur(1.3)))


def _to_image(grey: np.ndarray) -> ImageArray:
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
