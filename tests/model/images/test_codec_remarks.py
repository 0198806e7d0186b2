import subprocess
import sys

import pytest

_DECODE_DAMAGED = """
import io
from PIL import Image
from model.images.codec_remarks import silence_codecs

assert {found} or silence_codecs()
whole = io.BytesIO()
Image.linear_gradient("L").save(whole, "TIFF", compression="tiff_lzw")
damaged = bytearray(whole.getvalue())
damaged[8:2000:50] = bytes(len(damaged[8:2000:50]))
try:
    Image.open(io.BytesIO(damaged)).load()
except OSError:
    print("refused")
"""


def decode_damaged(*, silent: bool) -> subprocess.CompletedProcess[str]:
    code = _DECODE_DAMAGED.format(found=not silent)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the library is not looked for")
def test_a_damaged_file_is_still_refused_and_nothing_is_written_about_it():
    assert "tempfile.tif" in decode_damaged(silent=False).stderr
    silent = decode_damaged(silent=True)
    assert silent.stdout == "refused\n"
    assert silent.stderr == ""
