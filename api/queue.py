"""Inference off the event loop, with bounds on how many calls may wait and for how long."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic

from api.exceptions import QUEUE_FULL_DETAIL, ClientGoneError, DeadlinePassedError, QueueFullError
from api.scheduling import lower_priority
from model.steps import Result, Steps

ClientWatch = Callable[[], Awaitable[object]]  # ends when the client has closed the connection
_MOST_TOGETHER = 4  # calls in one thread; more make the first wait for the last
_GONE_DETAIL = "The connection was closed before the image's turn had come."


@dataclass(frozen=True)
class QueuedResult(Generic[Result]):
    """A result, and the milliseconds its request waited for a free core."""

    result: Result
    queue_ms: float


def in_one_step(call: Callable[[], Result]) -> Steps[Result]:
    """Make steps of a call: a single one."""
    return call()
    yield


class InferenceQueue:
    """Runs calls on a few threads; the event loop stays free to answer probes.

    A thread that is done takes the next call by itself, without waiting until the event loop has heard of it. Where
    many wait it takes its share of them and makes their steps in turn: a network empties a core's caches, and what
    Python does before it and after it is then fetched from memory once for all (docs/performance.md).
    """

    def __init__(self, num_threads: int, max_queue: int, timeout_seconds: float) -> None:
        """Start the threads."""
        self._turns: SimpleQueue[_Turn[Any] | None] = SimpleQueue()  # None is the end
        self._places = asyncio.Semaphore(max_queue)
        self._patient_places = asyncio.Semaphore(max(1, max_queue // 2))
        self._timeout_seconds = timeout_seconds
        self._num_admitted = 0
        self._depth_listeners: list[Callable[[int], None]] = []
        names = [f"inference-{number}" for number in range(num_threads)]
        self._threads = [Thread(target=self._work, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    @property
    def is_full(self) -> bool:
        """Whether `run` would refuse a call now."""
        return self._places.locked()

    def add_depth_listener(self, listener: Callable[[int], None]) -> None:
        """Call `listener` with the number of calls that wait or run, each time it changes."""
        self._depth_listeners.append(listener)

    async def run(self, call: Callable[[], Result], watch: ClientWatch | None = None) -> QueuedResult[Result]:
        """Run `call` in one step, as `run_steps` does."""
        return await self.run_steps(in_one_step(call), watch)

    async def run_steps(self, steps: Steps[Result], watch: ClientWatch | None = None) -> QueuedResult[Result]:
        """Run `steps` as soon as a thread is free; what they return is the result.

        Args:
            watch: Ends when nobody waits for the result any more; by default never.

        Raises:
            QueueFullError: At once, if `max_queue` calls are waiting or running.
            DeadlinePassedError: If no thread became free within `timeout_seconds`.
            ClientGoneError: If `watch` ended before a thread became free.
        """
        if self.is_full:
            raise QueueFullError(QUEUE_FULL_DETAIL)
        return await self._run_in_place(steps, watch)

    async def run_patiently(self, steps: Steps[Result], watch: ClientWatch | None = None) -> QueuedResult[Result]:
        """Run `steps` as `run_steps` does, but wait for a place where none is free.

        Such calls take at most half of the places together, which leaves the rest to others.

        Raises:
            DeadlinePassedError: If it had a place, and no thread became free within `timeout_seconds`.
            ClientGoneError: If `watch` ended before a thread became free.
        """
        await _acquire(self._patient_places, watch)
        try:
            return await self._run_in_place(steps, watch)
        finally:
            self._patient_places.release()

    def close(self) -> None:
        """Wait for running calls and stop the threads."""
        self._turns.put(None)
        for thread in self._threads:
            thread.join()

    async def _run_in_place(self, steps: Steps[Result], watch: ClientWatch | None) -> QueuedResult[Result]:
        await _acquire(self._places, watch)
        self._admit(1)
        try:
            return await self._take_turn(_Turn(steps), watch)
        finally:
            self._admit(-1)
            self._places.release()

    def _admit(self, change: int) -> None:
        self._num_admitted += change
        for listener in self._depth_listeners:
            listener(self._num_admitted)

    async def _take_turn(self, turn: "_Turn[Result]", watch: ClientWatch | None) -> QueuedResult[Result]:
        self._turns.put(turn)
        if self._num_admitted <= len(self._threads):
            return await turn.answer
        timer = asyncio.get_running_loop().call_later(self._timeout_seconds, self._give_up, turn)
        gone = asyncio.ensure_future((watch or _watch_nobody)())
        gone.add_done_callback(lambda _: turn.give_up(ClientGoneError, _GONE_DETAIL))
        try:
            return await turn.answer
        finally:
            timer.cancel()
            gone.cancel()

    def _work(self) -> None:
        """Make calls, in a thread, until the end."""
        lower_priority()
        while turns := self._take():
            while turns:
                turns = [turn for turn in turns if turn.advance()]

    def _take(self) -> "list[_Turn[Any]]":
        """Wait for a call, and take it with the rest of a thread's share; none at the end."""
        turns = [self._turns.get()]
        share = min(_MOST_TOGETHER, self._num_admitted // len(self._threads))
        with suppress(Empty):
            while turns[-1] is not None and len(turns) < share:
                turns.append(self._turns.get_nowait())
        if turns[-1] is None:
            self._turns.put(turns.pop())  # it is for all threads
        return [turn for turn in turns if turn is not None]

    def _give_up(self, turn: "_Turn[Result]") -> None:
        turn.give_up(DeadlinePassedError, f"No core became free within {self._timeout_seconds:g} s.")


class _Turn(Generic[Result]):
    """Steps on their way to a thread, which passes them over if nobody waits for the answer any more."""

    def __init__(self, steps: Steps[Result]) -> None:
        self._steps = steps
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[QueuedResult[Result]] = self._loop.create_future()
        self._begin = time.perf_counter()
        self._queue_ms: float | None = None  # until it begins

    def advance(self) -> bool:
        """Make the next step, in a thread; return whether there may be more."""
        if self._queue_ms is None:
            if self.answer.done():
                return False
            self._queue_ms = round((time.perf_counter() - self._begin) * 1000, 3)
        try:
            next(self._steps)
        except StopIteration as end:
            self._loop.call_soon_threadsafe(self._succeed, QueuedResult(end.value, self._queue_ms))
        except BaseException as error:  # noqa: BLE001  # it belongs to the one who waits
            self._loop.call_soon_threadsafe(self._fail, error)
        else:
            return True
        return False

    def give_up(self, error: type[Exception], detail: str) -> None:
        """Answer with an error, unless the call is running."""
        if self._queue_ms is None and not self.answer.done():
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
