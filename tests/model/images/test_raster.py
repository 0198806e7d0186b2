import subprocess
import sys

import pytest

_DECODE_DAMAGED = """
import io
from PIL import Image
from model.images.raster import silence_libtiff

{silence}
whole = io.BytesIO()
Image.linear_gradient("L").save(whole, "TIFF", compression="tiff_lzw")
damaged = bytearray(whole.getvalue())
damaged[8:2000:50] = bytes(len(damaged[8:2000:50]))
try:
    Image.open(io.BytesIO(damaged)).load()
except OSError:
    print("refused")
"""


def decode_damaged(silence: str) -> subprocess.CompletedProcess[str]:
    code = _DECODE_DAMAGED.format(silence=silence)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="there libtiff's functions are not found")
def test_a_damaged_file_is_refused_and_libtiff_writes_nothing_about_it():
    assert "tempfile.tif" in decode_damaged("").stderr
    silent = decode_damaged("silence_libtiff()")
    assert (silent.stdout, silent.stderr) == ("refused\n", "")
