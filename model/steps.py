"""Calls in several steps, between which their thread may do something else."""

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
Steps = Generator[None, None, Result]


def complete(steps: Steps[Result]) -> Result:
    """Make all steps, and return their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
