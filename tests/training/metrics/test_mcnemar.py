from math import comb

import numpy as np
import pytest

from training.metrics.mcnemar import adjust_p_values, compare_pair

GROUPS = [str(index) for index in range(40)]


def _rights(both: int, only_first: int, only_second: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.zeros(40, bool), np.zeros(40, bool)
    first[: both + only_first] = True
    second[:both] = True
    second[both + only_first : both + only_first + only_second] = True
    return first, second


def test_the_p_value_is_that_of_a_fair_coin():
    test = compare_pair(*_rights(10, 9, 2), GROUPS)
    assert (test.only_first, test.only_second) == (9, 2)
    assert test.p_value == pytest.approx(2 * sum(comb(11, k) for k in range(3)) / 2**11)
    assert test.difference.value == pytest.approx(7 / 40)
    assert test.difference.low <= 7 / 40 <= test.difference.high


def test_the_order_turns_the_difference_around_and_leaves_p():
    first, second = _rights(10, 9, 2)
    one, other = compare_pair(first, second, GROUPS), compare_pair(second, first, GROUPS)
    assert one.p_value == other.p_value
    assert one.difference.value == -other.difference.value


def test_systems_that_agree_do_not_differ():
    right, _ = _rights(20, 0, 0)
    test = compare_pair(right, right, GROUPS)
    assert (test.p_value, test.difference.value) == (1.0, 0.0)


def test_holms_adjustment_keeps_the_order_and_never_lowers():
    """The example of p.adjust in R: p.adjust(c(0.01, 0.04, 0.03), "holm")."""
    assert adjust_p_values([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjust_p_values([0.9, 0.8]) == [1.0, 1.0]
    assert adjust_p_values([]) == []
