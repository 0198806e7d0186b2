"""Pictures in a folder that mirrors the folders of their files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from model.commands.image_files import ImageFile
from model.errors import OutputError
from model.prediction import Prediction, Visualization

SUFFIX = ".png"


def plan_overlays(folder: Path, files: Sequence[ImageFile], suffix: str = SUFFIX) -> list[Path]:
    """Choose a path for the picture of each file: `scans/deep/a.jpg`, found in `scans`, gets `folder/deep/a.jpg.png`.

    If two files have the same place (of two folders, or a file named twice), the later one gets a number. The choice
    depends on the arguments only, so that a resumed run chooses the same.

    Raises:
        OutputError: If the pictures would be in a folder of images to classify.
    """
    _check_apart(folder, files)
    return list(_choose_paths(folder, files, suffix))


def save_overlay(visualization: Visualization, path: Path) -> Prediction:
    """Write a picture; return its prediction."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(visualization.png)
    return visualization.prediction


def _check_apart(folder: Path, files: Sequence[ImageFile]) -> None:
    inside = folder.resolve()
    for root in {file.root for file in files if file.root}:
        if inside.is_relative_to(root.resolve()):
            raise OutputError(f"{folder} is in {root}, whose images are classified; write the results elsewhere")


def _choose_paths(folder: Path, files: Sequence[ImageFile], suffix: str) -> Iterator[Path]:
    taken = {file.path.resolve() for file in files}  # no picture replaces a scan
    for file in files:
        path = wanted = folder / file.place.with_name(file.place.name + suffix)
        number = 1
        while path.resolve() in taken:
            number += 1
            path = wanted.with_name(f"{file.place.name}-{number}{suffix}")
        taken.add(path.resolve())
        yield path
