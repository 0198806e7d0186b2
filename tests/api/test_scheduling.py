import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from api.scheduling import lower_priority, use_batch_scheduling

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux schedules threads one by one")


def observe_in_thread(*calls: Callable[[], object]) -> list[Any]:
    """What the calls return, in a thread of their own."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.extend(call() for call in calls))
    thread.start()
    thread.join()
    return results


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_thread_steps_back_and_others_do_not():
    before = niceness()
    assert observe_in_thread(lower_priority, niceness)[1] == 5
    assert niceness() == before


def test_a_thread_and_those_that_it_starts_interrupt_nobody():
    before = os.sched_getscheduler(0)
    _, own, [started] = observe_in_thread(
        use_batch_scheduling,
        lambda: os.sched_getscheduler(0),
        lambda: observe_in_thread(lambda: os.sched_getscheduler(0)),
    )
    assert own == started == os.SCHED_BATCH
    assert os.sched_getscheduler(0) == before


def test_a_sandbox_that_forbids_it_is_no_error(monkeypatch):
    def forbid(*_arguments):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbid)
    use_batch_scheduling()
