import subprocess
import sys

import pytest

from tests.service.server import ROOT

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from api.server.memory import return_freed_memory

def measure():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if sys.argv[1] == "told":
    assert return_freed_memory()
before = measure()
for _ in range(4):
    blocks = [np.ones(20_000_000, np.uint8) for _ in range(4)]
    small = np.ones(1000)
    del blocks
print(measure() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and tells glibc")
def test_large_blocks_go_back_to_the_system():
    command = [sys.executable, "-c", SCRIPT, "told"]
    grown = int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    assert grown < 10_000_000
