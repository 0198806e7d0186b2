"""How many images are under way: what decides if one of them may have all cores."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Occupancy:
    """Counts images that are computed, and knows how many are expected."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._num_running = 0
        self._num_expected = 0

    def expect(self, num_images: int) -> None:
        """Learn how many images wait or are being judged, decoding and drawing included."""
        self._num_expected = num_images

    @contextmanager
    def enter(self) -> Iterator[bool]:
        """Count one more while the block runs; tell it whether it is alone.

        It is not alone either while others are decoded, drawn or waiting: they want a core before it is done.
        """
        with self._lock:
            self._num_running += 1
            alone = self._num_running == 1 and self._num_expected <= 1
        try:
            yield alone
        finally:
            with self._lock:
                self._num_running -= 1
