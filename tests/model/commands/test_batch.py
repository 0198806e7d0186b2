import threading
import time

import pytest

from model.commands.batch import PENDING_PER_THREAD, map_in_order


def test_results_come_in_the_order_of_the_items_whichever_is_done_first():
    def take_longer_for_early_ones(item):
        time.sleep((20 - item) / 2000)
        return item

    assert list(map_in_order(take_longer_for_early_ones, range(20), 4)) == list(range(20))


def test_items_are_taken_no_faster_than_results_are_read():
    num_taken = 0

    def items():
        nonlocal num_taken
        for item in range(1000):
            num_taken += 1
            yield item

    results = map_in_order(lambda item: item, items(), 3)
    for num_read in range(1, 200):
        next(results)
        assert num_taken - num_read < 3 * PENDING_PER_THREAD
    results.close()


def test_as_many_run_at_once_as_there_are_threads():
    together = threading.Barrier(3)
    assert list(map_in_order(lambda item: together.wait(5) >= 0, range(9), 3)) == [True] * 9


def test_the_first_error_in_order_ends_it():
    done = []

    def call(item):
        if item >= 5:
            raise ValueError(item)
        done.append(item)

    results = map_in_order(call, range(100), 2)
    with pytest.raises(ValueError, match=r"^5$"):
        list(results)
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_stopping_early_waits_for_running_items_and_starts_no_more():
    done = []

    def call(item):
        time.sleep(0.01)
        done.append(item)

    results = map_in_order(call, range(100), 2)
    next(results)
    results.close()
    num_done = len(done)
    time.sleep(0.05)
    assert len(done) == num_done < 10


def test_no_items_give_no_results():
    assert list(map_in_order(str, [], 2)) == []
