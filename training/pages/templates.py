"""Reports as files: how their templates are read, and how they come into a folder."""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from training.errors import DataError


def create_environment(package: str, *, autoescape: bool = True, keep_trailing_newline: bool = False) -> Environment:
    """Read the templates of a package; a name that they do not know is an error.

    Args:
        autoescape: For HTML; off for Markdown.
    """
    return Environment(
        loader=PackageLoader(package),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=keep_trailing_newline,
    )


def write_files(folder: Path, contents: Mapping[str, str]) -> None:
    """Write files, by their names, into a folder that is made if need be.

    Raises:
        DataError: If it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error.strerror}") from error
