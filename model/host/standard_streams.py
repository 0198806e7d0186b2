"""Standard streams that a process was started without, as by `>&-` or a daemon."""

import os
import sys


def replace_closed_streams() -> set[str]:
    """Put the null device in place of closed standard streams, and return their names.

    Else they are None in `sys`, and the next file that is opened takes the stream's number, and what libraries write
    to it.
    """
    closed = set()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(
                sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8")
            )  # the lowest free number
            closed.add(name)
    return closed
