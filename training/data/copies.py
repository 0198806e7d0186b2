"""Files that show the same picture: identical bytes, encoded again, resized, or mirrored.

files -> facts -> pairs (same pixels, or thumbnails of correlation > 0.98) -> connected components = groups
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.data.file_facts import THUMBNAIL_SIZE, FileFacts, read_files
from training.data.thumbnails import Pairs, correlate, find_similar, join_pairs

_MAX_MEMBERS_COMPARED = 2000  # 16 MB of correlations


@dataclass(frozen=True)
class Copies:
    """The copies among a list of files.

    Attributes:
        facts: Of each file.
        pairs: Usable images that show the same picture, by index in the list; with the same pixels, correlation is 1.
        same_pixels: Whether a pair is equal after decoding to grey, (P,).
        same_bytes: Whether the files of a pair are equal, (P,).
        groups: Name of each file's connected component; a file without a copy is a group of its own.
    """

    facts: tuple[FileFacts, ...]
    pairs: Pairs
    same_pixels: npt.NDArray[np.bool_]
    same_bytes: npt.NDArray[np.bool_]
    groups: tuple[str, ...]

    @cached_property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Whether a file is an image that can be used, (N,)."""
        return np.array([each.thumbnail is not None for each in self.facts], bool)


def find_copies(files: Sequence[Path]) -> Copies:
    """Read files and find which show the same picture; those that are no usable image match by their bytes alone."""
    facts = tuple(read_files(files))
    contents = _group_contents(facts)
    pairs = _find_pairs(facts, contents)
    same_pixels, same_bytes = (
        codes[pairs.first] == codes[pairs.second]
        for codes in (_number([each.pixels for each in facts]), _number([each.sha256 for each in facts]))
    )
    chains = [pair for members in contents for pair in pairwise(members)]
    links = np.concatenate([np.column_stack([pairs.first, pairs.second]), np.array(chains, int).reshape(-1, 2)])
    return Copies(facts, pairs, same_pixels, same_bytes, _name_components(links, len(facts)))


def weakest_correlation(facts: Sequence[FileFacts]) -> float:
    """Compute the correlation of the two least alike pictures of a group, mirrored or not.

    A group is a chain of copies of copies; far below 0.98 the chain has led astray. Only the first 2,000 pictures are
    compared.
    """
    thumbnails = [each.thumbnail for each in facts[:_MAX_MEMBERS_COMPARED] if each.thumbnail is not None]
    stack = np.array(thumbnails, np.uint8).reshape(-1, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    return float(np.maximum(*correlate(stack, stack)).min(initial=1))


def _number(names: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.unique(names, return_inverse=True)[1]


def _group_contents(facts: Sequence[FileFacts]) -> list[list[int]]:
    """Collect files of the same pixels or, where there is no image, of the same bytes."""
    members: defaultdict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(facts):
        if each.sha256:
            members[each.pixels or each.sha256].append(index)
    return list(members.values())


def _find_pairs(facts: Sequence[FileFacts], contents: Sequence[Sequence[int]]) -> Pairs:
    usable = np.array([index for index, each in enumerate(facts) if each.thumbnail is not None], int)
    stack = np.array([facts[index].thumbnail for index in usable], np.uint8)
    similar = find_similar(stack.reshape(-1, THUMBNAIL_SIZE, THUMBNAIL_SIZE))
    similar = Pairs(usable[similar.first], usable[similar.second], similar.correlation, similar.mirrored)
    pixels = _number([each.pixels for each in facts])
    exact = [pair for members in contents if facts[members[0]].pixels for pair in combinations(members, 2)]
    first, second = np.array(exact, int).reshape(-1, 2).T
    same = Pairs(first, second, np.ones(len(first), np.float32), np.zeros(len(first), np.float32))
    return join_pairs([similar.where(pixels[similar.first] != pixels[similar.second]), same])


def _name_components(links: npt.NDArray[np.int64], num_files: int) -> tuple[str, ...]:
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(num_files, num_files))
    _, component_of = connected_components(graph, directed=False)
    names: dict[int, str] = {}  # in the order of the first file of each
    return tuple(names.setdefault(int(component), f"g{len(names):05d}") for component in component_of)
