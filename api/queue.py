"""Inference off the event loop, with bounds on how many calls may wait and for how long."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from api.exceptions import QUEUE_FULL_DETAIL, ClientGoneError, DeadlinePassedError, QueueFullError
from api.scheduling import lower_priority

Result = TypeVar("Result")
ClientWatch = Callable[[], Awaitable[object]]  # ends when the client has closed the connection


@dataclass(frozen=True)
class QueuedResult(Generic[Result]):
    """A result, and the milliseconds its request waited for a free core."""

    result: Result
    queue_ms: float


class InferenceQueue:
    """Runs calls on a few threads; the event loop stays free to answer probes."""

    def __init__(self, num_threads: int, max_queue: int, timeout_seconds: float) -> None:
        """Start no thread yet."""
        self._executor = ThreadPoolExecutor(num_threads, thread_name_prefix="inference", initializer=lower_priority)
        self._free = asyncio.Semaphore(num_threads)
        self._places = asyncio.Semaphore(max_queue)
        self._patient_places = asyncio.Semaphore(max(1, max_queue // 2))
        self._timeout_seconds = timeout_seconds
        self._num_admitted = 0
        self._depth_listeners: list[Callable[[int], None]] = []

    @property
    def is_full(self) -> bool:
        """Whether `run` would refuse a call now."""
        return self._places.locked()

    def add_depth_listener(self, listener: Callable[[int], None]) -> None:
        """Call `listener` with the number of calls that wait or run, each time it changes."""
        self._depth_listeners.append(listener)

    async def run(self, call: Callable[[], Result], watch: ClientWatch | None = None) -> QueuedResult[Result]:
        """Run `call` as soon as a thread is free.

        Args:
            watch: Ends when nobody waits for the result any more; by default never.

        Raises:
            QueueFullError: At once, if `max_queue` calls are waiting or running.
            DeadlinePassedError: If no thread became free within `timeout_seconds`.
            ClientGoneError: If `watch` ended before a thread became free.
        """
        if self.is_full:
            raise QueueFullError(QUEUE_FULL_DETAIL)
        return await self._run_in_place(call, watch)

    async def run_patiently(self, call: Callable[[], Result], watch: ClientWatch | None = None) -> QueuedResult[Result]:
        """Run `call` as `run` does, but wait for a place where none is free.

        Such calls take at most half of the places together, which leaves the rest to others.

        Raises:
            DeadlinePassedError: If it had a place, and no thread became free within `timeout_seconds`.
            ClientGoneError: If `watch` ended before a thread became free.
        """
        await _acquire(self._patient_places, watch)
        try:
            return await self._run_in_place(call, watch)
        finally:
            self._patient_places.release()

    def close(self) -> None:
        """Wait for running calls and stop the threads."""
        self._executor.shutdown()

    async def _run_in_place(self, call: Callable[[], Result], watch: ClientWatch | None) -> QueuedResult[Result]:
        await _acquire(self._places, watch)
        self._admit(1)
        try:
            admitted = time.perf_counter()
            await _acquire(self._free, watch, self._timeout_seconds)
            queue_ms = round((time.perf_counter() - admitted) * 1000, 3)
            return QueuedResult(await self._run_now(call), queue_ms)
        finally:
            self._admit(-1)
            self._places.release()

    def _admit(self, change: int) -> None:
        self._num_admitted += change
        for listener in self._depth_listeners:
            listener(self._num_admitted)

    async def _run_now(self, call: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, call)
        finally:
            self._free.release()


async def _acquire(
    semaphore: asyncio.Semaphore, watch: ClientWatch | None, timeout_seconds: float | None = None
) -> None:
    """Acquire `semaphore`, unless the client leaves or the time is up first."""
    if not semaphore.locked():
        await semaphore.acquire()
        return
    turn, gone = asyncio.create_task(semaphore.acquire()), asyncio.ensure_future((watch or _watch_nobody)())
    try:
        done, _ = await asyncio.wait({turn, gone}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        if turn.done():
            semaphore.release()
        raise
    finally:
        gone.cancel()
        turn.cancel()
    if turn in done:
        return
    if gone in done:
        raise ClientGoneError("The connection was closed before the image's turn had come.")
    raise DeadlinePassedError(f"No core became free within {timeout_seconds:g} s.")


async def _watch_nobody() -> None:
    await asyncio.get_running_loop().create_future()
