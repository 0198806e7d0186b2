"""Decodes files in a process of its own, and reports their time and memory: `python -m tests.samples.decoder FOLDER`.

A crash of the interpreter ends the process, and so does a file that takes too long; the parent process sees both.
"""

import contextlib
import json
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np

from model.decoding import decode_image
from model.errors import InputError

MAX_SECONDS = 60  # of one file, by the clock; then the process is killed
_SPARE_BYTES = 4 * 2**30  # of address space: rather this process fails than that the machine swaps


def measure_peak_bytes() -> int:
    """The most memory since `forget_peak`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def decode(path: Path) -> dict[str, object]:
    """Decode one file, in seconds of a core; its pixels are saved beside it."""
    data = path.read_bytes()
    outcome = "image"
    forget_peak()
    before, begin = measure_peak_bytes(), time.process_time()
    signal.alarm(MAX_SECONDS)
    try:
        image = decode_image(data).image
    except InputError as error:
        outcome = type(error).__name__
    seconds, growth = time.process_time() - begin, measure_peak_bytes() - before
    signal.alarm(0)
    if outcome == "image" and image.size < 2**20:
        np.save(path.with_suffix(".npy"), image)
    return {"file": path.stem, "outcome": outcome, "seconds": seconds, "growth": growth}


def main(folder: Path) -> None:
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _SPARE_BYTES,) * 2)
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(folder.glob("*.bin")):
            sys.stdout.write(json.dumps(decode(path)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
