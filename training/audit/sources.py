"""Guesses the public collection that a file came from by its name.

The merged Kaggle sets of brain MRI take their files from Figshare (Cheng, 3,064 slices of 512 x 512), SARTAJ and Br35H.
`Tr-`, `Te-` names are those of masoudnickparvar/brain-tumor-mri-dataset, whose `no` files come from Br35H, and whose
tumours come from Figshare if they have its size (99.4 % of those with a known Figshare patient do), else from SARTAJ.
"""

import re
from pathlib import PurePosixPath

from training.data.file_facts import FileFacts

UNKNOWN = "unknown"
FIGSHARE_SIZE = (512, 512)
# Name without suffix, whole; whether the size has to be that of Figshare; source. The first that fits counts.
_PATTERNS = (
    (r"(Tr|Te)-no(Tr)?_\d+", False, "br35h"),
    (r"(Tr|Te)-(gl|me|pi)(Tr)?_\d+", True, "figshare"),
    (r"(Tr|Te)-(gl|me|pi)(Tr)?_\d+", False, "sartaj"),
    (r"(no|y|pred)\d+", False, "br35h"),
    (r"(gg|m\d?|p|image) ?\(\d+\)", False, "sartaj"),
    (r"\d{1,4}", True, "figshare"),
    (r"brats.*", False, "brats"),
)


def guess_source(name: str, facts: FileFacts) -> str:
    """Name the collection of a file, by its path with slashes; `unknown` where nothing speaks for one."""
    stem = PurePosixPath(name).stem
    fits_figshare = (facts.width, facts.height) == FIGSHARE_SIZE
    for pattern, only_figshare_size, source in _PATTERNS:
        if re.fullmatch(pattern, stem, re.IGNORECASE) and (fits_figshare or not only_figshare_size):
            return source
    return UNKNOWN
