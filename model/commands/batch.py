"""Calls on a few threads, with results in order and bounded look-ahead."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

PENDING_PER_THREAD = 4  # enough that no thread waits while the oldest item is slow


def map_in_order(
    call: Callable[[Item], Result], items: Iterable[Item], num_threads: int
) -> Generator[Result, None, None]:
    """Apply `call` to items on several threads; yield the results in the order of the items.

    At most `num_threads * PENDING_PER_THREAD` items are started and not yet yielded, which bounds memory. If the caller
    stops early, by an exception or `close`, no item is started any more, and running ones are waited for.

    Raises:
        Exception: The first one that `call` raised, in the order of the items.
    """
    executor = ThreadPoolExecutor(num_threads, thread_name_prefix="batch")
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(executor.submit(call, item))
            if len(pending) >= num_threads * PENDING_PER_THREAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
