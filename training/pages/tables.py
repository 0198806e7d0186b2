"""Tables for a terminal."""

from collections.abc import Sequence

from model.card import Interval


def align(rows: Sequence[Sequence[str]], indent: int = 0) -> str:
    """Write rows in columns, the first one flush left and the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [f"{first:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))]
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def format_interval(interval: Interval | None, digits: int = 3, scale: float = 1) -> str:
    """Write a value, times `scale`, with its interval; a hyphen where it is not defined."""
    if interval is None:
        return "-"
    value, low, high = (f"{scale * number:.{digits}f}" for number in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"
