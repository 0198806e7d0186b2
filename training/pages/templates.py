"""Templates, and files of reports."""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from training.errors import DataError


def create_environment(package: str, *, autoescape: bool = True, keep_trailing_newline: bool = False) -> Environment:
    """Read the templates of a package, and those all share, with HTML escaped; an unknown name is an error."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("training.pages")]),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=keep_trailing_newline,
    )


def write_files(folder: Path, contents: Mapping[str, str]) -> None:
    """Write files by name into a folder, created if need be; raise `DataError` where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error.strerror}") from error
