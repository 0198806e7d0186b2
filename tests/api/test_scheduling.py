import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.scheduling import lower_priority, use_batch_scheduling

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux schedules threads one by one")


def run_in_thread(*calls: Callable[[], object]) -> list[Any]:
    """The return values of calls in a thread of their own."""
    with ThreadPoolExecutor(1) as executor:
        return [executor.submit(call).result() for call in calls]


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def policy() -> int:
    return os.sched_getscheduler(0)


def test_the_priority_of_one_thread_is_lowered():
    before = niceness()
    assert run_in_thread(lower_priority, niceness)[1] == 5
    assert niceness() == before


def test_a_thread_and_those_that_it_starts_preempt_nobody():
    before = policy()
    _, own, [started] = run_in_thread(use_batch_scheduling, policy, lambda: run_in_thread(policy))
    assert own == started == os.SCHED_BATCH
    assert policy() == before


def test_a_sandbox_that_forbids_it_is_no_error(monkeypatch):
    def forbid(*_arguments):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbid)
    use_batch_scheduling()
