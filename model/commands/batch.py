"""Many calls on a few threads: in order, and never many ahead."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

PENDING_PER_THREAD = 4  # enough that no thread waits while the oldest item takes its time


def map_in_order(
    call: Callable[[Item], Result], items: Iterable[Item], num_threads: int
) -> Generator[Result, None, None]:
    """Call on several threads at once; results come in the order of the items.

    At most `num_threads * PENDING_PER_THREAD` items are begun and not yet handed out, so that memory is bounded however
    many there are. When the caller stops early, by an exception or by `close`, nothing new is begun, and what runs is
    waited for.

    Raises:
        Exception: The first one, in the order of the items, that `call` raised.
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
