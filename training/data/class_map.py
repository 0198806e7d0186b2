"""Other classes than those of the folders, such as tumor and no_tumor."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from training.data.scans import Scan
from training.errors import DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassMapping:
    """The class of each folder in `used`, and the label of each folder's label in `labels`."""

    classes: tuple[str, ...]
    used: dict[str, str]
    labels: tuple[int, ...]

    def relabel(self, scans: Sequence[Scan]) -> tuple[Scan, ...]:
        """Replace the labels of folders by those of the classes."""
        return tuple(replace(scan, label=self.labels[scan.label]) for scan in scans)


def map_classes(
    folders: Sequence[str], class_map: Mapping[str, str], classes: Sequence[str] | None = None
) -> ClassMapping:
    """Map folders to classes.

    Args:
        folders: Names in the order of the labels; a folder with the name of a class holds that class.
        class_map: Classes by names of folders, of which some may be absent.
        classes: In the order of the labels to be; by default those found, in the order of their names.

    Raises:
        DataError: If a folder has no class, two classes differ by case or blanks alone, or fewer than two are left.
    """
    wanted = set(class_map.values())
    written = {name.strip().casefold(): name for name in wanted}
    for name in wanted:
        if (other := written[name.strip().casefold()]) != name:
            raise DataError(f"the class map has classes that differ by case or blanks alone: {name!r} and {other!r}")
    absent = [name for name in class_map if name not in (*folders, *wanted)]
    if absent:
        logger.info("no folder for %s, which the class map names", ", ".join(absent))
    used = {name: class_map.get(name, name) for name in folders}
    unknown = [name for name, became in used.items() if became not in wanted]
    if unknown:
        raise DataError(f"the class map does not say what {unknown[0]!r} is; expected {', '.join(class_map)}")
    found = tuple(classes or sorted(set(used.values())))
    if len(found) < 2:
        raise DataError(f"the class map leaves a single class, {found[0]!r}, of the folders {', '.join(folders)}")
    return ClassMapping(found, used, tuple(found.index(used[name]) for name in folders))
