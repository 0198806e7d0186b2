"""The kinds of picture: whether types of tumours were learnt on its like, and whether it is a scan of a head at all."""

from typing import Literal

KindName = Literal["contrast_t1", "other_mr", "not_head_mr"]
KINDS: tuple[KindName, ...] = ("contrast_t1", "other_mr", "not_head_mr")
EITHER_MR: tuple[KindName, ...] = KINDS[:2]
