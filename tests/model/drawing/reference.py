"""Pictures drawn the slow way: whole arrays, whole numbers, and text that Pillow writes itself."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.drawing.caption import Caption
from model.drawing.heatmap import upsample_heatmap
from model.drawing.overlay import View, turbo_colors
from model.images.decoded import FloatArray, ImageArray


def draw_slowly(image: ImageArray, heatmap: FloatArray, caption: Caption, alpha: float, view: View) -> ImageArray:
    if view is View.SCAN:
        return image
    levels = np.rint(upsample_heatmap(heatmap, *image.shape[:2]) * 255).astype(int)
    colors = turbo_colors().astype(int)[levels]
    if view is View.EVIDENCE:
        return np.dstack([colors, levels]).astype(np.uint8)
    scan, alpha = (np.zeros_like(image), 1) if view is View.HEATMAP else (image, alpha)
    opacity = np.array([round(level * (alpha * 256 / 255)) for level in range(256)])[levels][..., None]
    mixed = (scan.astype(int) * (256 - opacity) + colors * opacity) // 256
    picture = write_slowly(mixed.astype(np.uint8), caption)
    return np.hstack([image, picture]) if view is View.SIDE_BY_SIDE else picture


def write_slowly(image: ImageArray, caption: Caption) -> ImageArray:
    picture = Image.fromarray(image)
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    largest = min(64, max(9, round(min(width, height) / 26)))
    margin = y = max(2, largest // 3)
    texts = [(text, "la") for text in caption.lines] + [("Research use only", "ls")]
    for text, anchor in texts:
        fonts = {size: ImageFont.load_default(size) for size in range(largest, 8, -1)}
        fitting = [size for size, font in fonts.items() if draw.textlength(text, font) <= width - 2 * margin]
        if not fitting:
            continue
        size = fitting[0]
        place = (margin, y if anchor == "la" else height - margin)
        draw.text(place, text, "white", fonts[size], anchor, stroke_width=max(1, size // 8), stroke_fill="black")
        y += size + size // 3
    return np.asarray(picture)
