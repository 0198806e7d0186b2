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
_GONE_DETAIL = "The connection was closed before the image's turn had come."


@dataclass(frozen=True)
class QueuedResult(Generic[Result]):
    """A result, and the milliseconds its request waited for a free core."""

    result: Result
    queue_ms: float


class InferenceQueue:
    """Runs calls on a few threads; the event loop stays free to answer probes.

    A thread that is done takes the next call from the executor's queue by itself, without waiting until the event loop
    has heard of it.
    """

    def __init__(self, num_threads: int, max_queue: int, timeout_seconds: float) -> None:
        """Start no thread yet."""
        self._executor = ThreadPoolExecutor(num_threads, thread_name_prefix="inference", initializer=lower_priority)
        self._num_threads = num_threads
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
            return await self._take_turn(_Turn(call), watch)
        finally:
            self._admit(-1)
            self._places.release()

    def _admit(self, change: int) -> None:
        self._num_admitted += change
        for listener in self._depth_listeners:
            listener(self._num_admitted)

    async def _take_turn(self, turn: "_Turn[Result]", watch: ClientWatch | None) -> QueuedResult[Result]:
        self._executor.submit(turn.run)
        if self._num_admitted <= self._num_threads:
            return await turn.answer
        timer = asyncio.get_running_loop().call_later(self._timeout_seconds, self._give_up, turn)
        gone = asyncio.ensure_future((watch or _watch_nobody)())
        gone.add_done_callback(lambda _: turn.give_up(ClientGoneError, _GONE_DETAIL))
        try:
            return await turn.answer
        finally:
            timer.cancel()
            gone.cancel()

    def _give_up(self, turn: "_Turn[Result]") -> None:
        turn.give_up(DeadlinePassedError, f"No core became free within {self._timeout_seconds:g} s.")


class _Turn(Generic[Result]):
    """A call on its way to a thread, which passes it over if nobody waits for the answer any more."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[QueuedResult[Result]] = self._loop.create_future()
        self._begin = time.perf_counter()
        self._is_running = False

    def run(self) -> None:
        """Make the call, in a thread."""
        if self.answer.done():
            return
        self._is_running = True
        queue_ms = round((time.perf_counter() - self._begin) * 1000, 3)
        try:
            result = QueuedResult(self._call(), queue_ms)
        except BaseException as error:  # noqa: BLE001  # it belongs to the one who waits
            self._loop.call_soon_threadsafe(self._fail, error)
        else:
            self._loop.call_soon_threadsafe(self._succeed, result)

    def give_up(self, error: type[Exception], detail: str) -> None:
        """Answer with an error, unless the call is running."""
        if not self._is_running and not self.answer.done():
            self.answer.set_exception(error(detail))

    def _succeed(self, result: QueuedResult[Result]) -> None:
        if not self.answer.done():
            self.answer.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


async def _acquire(semaphore: asyncio.Semaphore, watch: ClientWatch | None) -> None:
    """Acquire `semaphore`, unless the client leaves first."""
    if not semaphore.locked():
        await semaphore.acquire()
        return
    turn, gone = asyncio.create_task(semaphore.acquire()), asyncio.ensure_future((watch or _watch_nobody)())
    try:
        await asyncio.wait({turn, gone}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        if turn.done():
            semaphore.release()
        raise
    finally:
        gone.cancel()
        turn.cancel()
    if not turn.done():
        raise ClientGoneError(_GONE_DETAIL)


async def _watch_nobody() -> None:
    await asyncio.get_running_loop().create_future()
