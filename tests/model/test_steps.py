from collections.abc import Iterator

from model.steps import Steps, complete


def test_all_steps_are_made_and_the_result_is_returned():
    made = []

    def count(steps: Iterator[int]) -> Steps[str]:
        for step in steps:
            made.append(step)
            yield
        return "done"

    assert complete(count(iter(range(3)))) == "done"
    assert made == [0, 1, 2]
