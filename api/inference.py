"""Inference off the event loop, with a bound on how many may wait and for how long."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from api.errors import DeadlinePassedError, QueueFullError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Done(Generic[Result]):
    """A result, and the milliseconds its request had waited for a free core."""

    result: Result
    queue_ms: float


class InferenceQueue:
    """Runs calls on a few threads; the event loop stays free to answer probes."""

    def __init__(self, num_threads: int, max_queue: int, timeout_seconds: float) -> None:
        """Start no thread yet."""
        self._executor = ThreadPoolExecutor(num_threads, thread_name_prefix="inference")
        self._free = asyncio.Semaphore(num_threads)
        self._max_queue = max_queue
        self._timeout_seconds = timeout_seconds
        self._num_admitted = 0

    async def run(self, call: Callable[[], Result]) -> Done[Result]:
        """Run `call` as soon as a thread is free.

        Raises:
            QueueFullError: At once, if `max_queue` calls are waiting or running.
            DeadlinePassedError: If no thread became free within `timeout_seconds`.
        """
        if self._num_admitted >= self._max_queue:
            raise QueueFullError("All places in the queue are taken; try again in a moment.")
        self._num_admitted += 1
        try:
            return await self._run_when_free(call)
        finally:
            self._num_admitted -= 1

    @property
    def depth(self) -> int:
        """How many calls wait or run."""
        return self._num_admitted

    def close(self) -> None:
        """Wait for running calls and stop the threads."""
        self._executor.shutdown()

    async def _run_when_free(self, call: Callable[[], Result]) -> Done[Result]:
        admitted = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._free.acquire()
        except TimeoutError as error:
            raise DeadlinePassedError(f"No core became free within {self._timeout_seconds:g} s.") from error
        queue_ms = round((time.perf_counter() - admitted) * 1000, 3)
        try:
            loop = asyncio.get_running_loop()
            return Done(await loop.run_in_executor(self._executor, call), queue_ms)
        finally:
            self._free.release()
