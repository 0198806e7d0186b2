"""A decoded image, and the checks that every format's images pass."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.errors import BlankImageError

ImageArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

MIN_SIDE_PIXELS = 32  # a brain in fewer has no structure left to judge
DEFAULT_MAX_IMAGE_PIXELS = 4096 * 4096  # 50 MB as RGB; the largest MR matrices have 1024 x 1024


@dataclass(frozen=True)
class DecodedImage:
    """An upright image with the facts about its file.

    Attributes:
        image: RGB, (H, W, 3) uint8, upright; of a grey one the three channels may share their memory, read-only.
        format: One of `FORMATS`, or "DICOM".
        warnings: What was done to the pixels that the sender may not expect, in words.
        frame: Which frame of a DICOM file, from 1; None for other formats.
        num_frames: How many frames the DICOM file has.
    """

    image: ImageArray
    format: str
    warnings: tuple[str, ...]
    frame: int | None = None
    num_frames: int | None = None

    @property
    def height(self) -> int:
        """Rows of the upright image."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Columns of the upright image."""
        return int(self.image.shape[1])


def show_as_rgb(grey: ImageArray) -> ImageArray:
    """Show (H, W) as (H, W, 3), read-only and without a copy: three channels in the same memory."""
    return np.broadcast_to(grey[:, :, None], (*grey.shape, 3))


def is_shown_as_rgb(image: ImageArray) -> bool:
    """True if the image's three channels are one, as `show_as_rgb` makes them."""
    return image.strides[2] == 0


def check_content(image: ImageArray) -> None:
    """Refuse an image that shows nothing.

    Raises:
        BlankImageError: If all pixels have the same value.
    """
    pixels = image[:, :, 0] if is_shown_as_rgb(image) else image
    if int(pixels.min()) == int(pixels.max()):
        raise BlankImageError("All pixels have the same value: there is nothing to classify.")
