"""How the values of a frame are stored: the Image Pixel module, PS3.3 C.7.6.3."""

from dataclasses import dataclass

GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


@dataclass(frozen=True)
class PixelLayout:
    """Size and number of frames, kind and bits of their samples."""

    height: int
    width: int
    num_frames: int
    num_samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_planar: bool

    @property
    def num_frame_bytes(self) -> int:
        """Size of an uncompressed frame."""
        num_values = self.height * self.width * self.num_samples
        if self.photometric == "YBR_FULL_422":
            num_values = self.height * self.width * 2
        return num_values * self.bits_allocated // 8
