"""Progress of long work."""

import io
import logging
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0

logger = logging.getLogger(__name__)


class Progress(tqdm):  # type: ignore[type-arg]  # at run time it has no parameter
    """A bar on a terminal; elsewhere a line in the log every 30 s, and none of what takes less."""

    def __init__(
        self,
        items: Iterable[Any] | None,
        title: str,
        total: int | None = None,
        *,
        unit: str,
        initial: int = 0,
        leave: bool = True,
        disable: bool = False,
    ) -> None:
        """Count `items` as they are taken, or what `update` is told."""
        self._has_bar = sys.stderr.isatty()
        if self._has_bar:
            super().__init__(items, title, total, leave, unit=unit, initial=initial, disable=disable)
            return
        units = unit + ("es" if unit.endswith("ch") else "s")
        super().__init__(
            items,
            title,
            total,
            leave=False,
            unit=unit,
            initial=initial,
            disable=disable,
            file=io.StringIO(),
            mininterval=SECONDS_BETWEEN_LINES,
            miniters=1,
            delay=SECONDS_BETWEEN_LINES,
            bar_format="{desc}: {n_fmt} of {total_fmt} " + units + "{postfix}; {elapsed} so far, {remaining} to go",
        )

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Draw the bar, or log a line."""
        if self._has_bar:
            super().display(msg, pos)
        elif msg is None:
            logger.info("%s", str(self))  # now, not when a handler writes it
