"""A decoded image, and the checks that every format's images pass."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.errors import BlankImageError, ImageTooLargeError, ImageTooSmallError
from model.kinds import KindName

ImageArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

SEVERAL_FRAMES = "the file holds several frames; the first was used"
MIN_SIDE_PIXELS = 32  # a brain in fewer has no structure left to classify
DEFAULT_MAX_IMAGE_PIXELS = 4096 * 4096  # 50 MB as RGB; the largest MR matrices have 1024 x 1024


@dataclass(frozen=True)
class DecodedImage:
    """An upright image with the facts about its file.

    Attributes:
        image: RGB, (H, W, 3) uint8; the channels of a grey image may share their memory, read-only.
        format: One of `model.images.raster.FORMATS`, "DICOM" or "NIfTI".
        warnings: Changes to the pixels that the sender may not expect, in words.
        frame: The frame of a DICOM file, from 1, or the slice of a volume, from 0; None for other formats.
        num_frames: Number of frames or slices.
        kind: That the file's header states, if it does.
    """

    image: ImageArray
    format: str
    warnings: tuple[str, ...]
    frame: int | None = None
    num_frames: int | None = None
    kind: KindName | None = None

    @property
    def height(self) -> int:
        """Rows of the upright image."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Columns of the upright image."""
        return int(self.image.shape[1])


def show_as_rgb(grey: ImageArray) -> ImageArray:
    """View (H, W) as (H, W, 3), read-only: three channels in the same memory."""
    return np.broadcast_to(grey[:, :, None], (*grey.shape, 3))


def is_shown_as_rgb(image: ImageArray) -> bool:
    """True if the three channels share their memory, as `show_as_rgb` makes them."""
    return image.strides[2] == 0


def check_size(width: int, height: int, max_image_pixels: int) -> None:
    """Refuse an image by the size in its header.

    Raises:
        ImageTooLargeError: If it has more than `max_image_pixels` pixels.
        ImageTooSmallError: If a side has fewer than `MIN_SIDE_PIXELS` pixels.
    """
    size = f"{width:,} x {height:,}"
    if width * height > max_image_pixels:
        raise ImageTooLargeError(
            f"The image may have at most {max_image_pixels:,} pixels; send a smaller one (found {size})."
        )
    if min(width, height) < MIN_SIDE_PIXELS:
        raise ImageTooSmallError(f"Each side needs at least {MIN_SIDE_PIXELS} pixels; the image has {size}.")


def check_content(image: ImageArray) -> None:
    """Refuse a blank image.

    Raises:
        BlankImageError: If all pixels have the same value.
    """
    pixels = image[:, :, 0] if is_shown_as_rgb(image) else image
    if int(pixels.min()) == int(pixels.max()):
        raise BlankImageError("All pixels have the same value: there is nothing to classify.")
