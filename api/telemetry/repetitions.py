"""A bound on the lines that one event may write, so that nothing fills a disk or takes the time of a core."""

import logging
import time
from dataclasses import dataclass

_MAX_LINES = 10
_SECONDS = 60.0


@dataclass
class _Window:
    """The records of one place in the code since a moment."""

    begin: float
    num_records: int = 0


class RepetitionLimit:
    """Admits the first records a minute that one place in the code logs, and counts the others.

    The last one that is admitted says that others may be left out, and the next one how many were.
    """

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._windows: dict[tuple[str, int], _Window] = {}

    def admits(self, record: logging.LogRecord) -> bool:
        """Count a record, and return whether it is written."""
        place, now = (record.pathname, record.lineno), time.monotonic()
        window = self._windows.get(place)
        if window is None or now - window.begin >= _SECONDS:
            if window is not None and window.num_records > _MAX_LINES:
                vars(record)["left_out"] = window.num_records - _MAX_LINES
            window = self._windows[place] = _Window(now)
        window.num_records += 1
        if window.num_records == _MAX_LINES:
            vars(record)["repeated"] = f"others are left out for up to {_SECONDS:g} s"
        return window.num_records <= _MAX_LINES
