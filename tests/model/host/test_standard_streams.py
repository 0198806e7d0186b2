import os
import subprocess
import sys
from itertools import combinations

import pytest

SCRIPT = (
    "import os, sys\n"
    "from model.host.standard_streams import replace_closed_streams\n"
    "closed = replace_closed_streams()\n"
    "again = replace_closed_streams()\n"
    "file = open(sys.argv[1], 'w', encoding='utf-8')\n"
    "print('out', flush=True), print('err', file=sys.stderr, flush=True)\n"
    "print(sorted(closed), again, file.fileno() > 2, sys.stdin.read(), file=file)\n"
)
NAMES = ("stdin", "stdout", "stderr")


@pytest.mark.parametrize("closed", [part for size in range(4) for part in combinations(range(3), size)])
def test_no_file_takes_the_place_of_a_closed_stream(tmp_path, closed):
    def close():
        for number in closed:
            os.close(number)

    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "file")]
    process = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, preexec_fn=close, check=True)
    names = sorted(NAMES[number] for number in closed)
    assert (tmp_path / "file").read_text(encoding="utf-8") == f"{names} set() True \n"
    assert process.stdout == (b"" if 1 in closed else b"out\n")
    assert process.stderr == (b"" if 2 in closed else b"err\n")
