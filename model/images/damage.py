"""Errors of libraries on damaged files, as one error of this package."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from model.errors import TruncatedImageError

# As read in the source of Pillow, pydicom, nibabel and their codecs, and found by fuzzing.
DAMAGE: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,  # such as: no palette where the mode needs one
    AttributeError,  # the same, where Python runs without assertions
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,  # where warnings are errors
    struct.error,
    zlib.error,
)


@contextmanager
def refuse_damage(message: str, *errors: type[Exception]) -> Iterator[None]:
    """Raise `TruncatedImageError` in place of an error by which a library reports damage.

    Args:
        message: For the sender of the file.
        errors: More classes of errors that a library has for damage.
    """
    try:
        yield
    except (*DAMAGE, *errors) as error:
        raise TruncatedImageError(message) from error
