import platform
import subprocess
import sys
from pathlib import Path

import pytest

MEBIBYTE = 2**20
PROGRAM = """
from pathlib import Path
from model.host.allocator import give_back_freed_memory
from training.learning.memory import keep_freed_memory

def measure():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024

keep_freed_memory()
print(measure())
blocks = [bytearray(b"1") * 2**20 for _ in range(256)]
del blocks
print(measure())
give_back_freed_memory()
print(measure())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="options of glibc")
def test_freed_memory_is_kept_until_it_is_given_back():
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=root)
    before, kept, after = map(int, run.stdout.split())
    assert kept - before > 200 * MEBIBYTE
    assert after - before < 50 * MEBIBYTE
