"""Which files show the same picture: as identical bytes, encoded anew, resized, or mirrored.

files -> facts -> pairs (same SHA-256, or thumbnails of correlation > 0.98) -> connected components = groups
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.file_facts import THUMBNAIL_SIZE, FileFacts, read_files
from training.thumbnails import BLOCK_SIZE, Pairs, correlate, find_similar, join_pairs

_MAX_MEMBERS_COMPARED = 2000  # 16 MB of correlations


@dataclass(frozen=True)
class Copies:
    """What was found in a list of files.

    Attributes:
        facts: Of each file.
        pairs: Usable images that show the same picture, by their index in the list; identical ones have correlation 1.
        identical: Whether a pair has the same bytes, (P,).
        groups: Of each file the name of its connected component; a file without a copy is a group of its own.
    """

    facts: tuple[FileFacts, ...]
    pairs: Pairs
    identical: npt.NDArray[np.bool_]
    groups: tuple[str, ...]


def find_copies(files: Sequence[Path], block_size: int = BLOCK_SIZE) -> Copies:
    """Read files and find out which show the same picture.

    A file that is no usable image is in a group with those of the same bytes, and in no pair.

    Args:
        block_size: Thumbnails that are compared with as many others at once.
    """
    facts = tuple(read_files(files))
    same_bytes = _group_by_hash(facts)
    pairs, identical = _find_pairs(facts, same_bytes, block_size)
    chains = [pair for members in same_bytes for pair in pairwise(members)]
    links = np.concatenate([np.column_stack([pairs.first, pairs.second]), np.array(chains, int).reshape(-1, 2)])
    return Copies(facts, pairs, identical, _name_components(links, len(facts)))


def weakest_correlation(facts: Sequence[FileFacts]) -> float:
    """Find how little the two least alike pictures of a group have in common, mirrored or not.

    A group is a chain of copies of copies. Far below 0.98 the chain has led astray. (Of a group of more than 2,000
    only the first 2,000 are compared.)
    """
    thumbnails = [each.thumbnail for each in facts[:_MAX_MEMBERS_COMPARED] if each.thumbnail is not None]
    stack = np.array(thumbnails, np.uint8).reshape(-1, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    return float(correlate(stack, stack).min(initial=1))


def _group_by_hash(facts: Sequence[FileFacts]) -> list[list[int]]:
    members: defaultdict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(facts):
        if each.sha256:
            members[each.sha256].append(index)
    return list(members.values())


def _find_pairs(
    facts: Sequence[FileFacts], same_bytes: Sequence[Sequence[int]], block_size: int
) -> tuple[Pairs, npt.NDArray[np.bool_]]:
    usable = np.array([index for index, each in enumerate(facts) if each.thumbnail is not None], int)
    stack = np.array([facts[index].thumbnail for index in usable], np.uint8)
    similar = find_similar(stack.reshape(-1, THUMBNAIL_SIZE, THUMBNAIL_SIZE), block_size)
    similar = Pairs(usable[similar.first], usable[similar.second], similar.correlation, similar.mirrored)
    content = np.unique([each.sha256 for each in facts], return_inverse=True)[1]
    similar = similar.where(content[similar.first] != content[similar.second])
    exact = [
        pair for members in same_bytes if facts[members[0]].thumbnail is not None for pair in combinations(members, 2)
    ]
    first, second = np.array(exact, int).reshape(-1, 2).T
    same = Pairs(first, second, np.ones(len(first), np.float32), np.zeros(len(first), np.float32))
    pairs = join_pairs([similar, same])
    return pairs, content[pairs.first] == content[pairs.second]


def _name_components(links: npt.NDArray[np.int64], num_files: int) -> tuple[str, ...]:
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(num_files, num_files))
    _, component_of = connected_components(graph, directed=False)
    names: dict[int, str] = {}  # in the order of the first file of each
    return tuple(names.setdefault(int(component), f"g{len(names):05d}") for component in component_of)
