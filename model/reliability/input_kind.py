"""The kind of a picture, from the network's features and from what a DICOM header states."""

from dataclasses import replace

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from model.card import KindHead
from model.images.decoded import FloatArray
from model.kinds import KindName
from model.reliability.probabilities import DoubleArray, softmax


@dataclass(frozen=True, kw_only=True)
class InputKind:
    """Probability of each kind of picture; they sum to 1."""

    contrast_t1: float = Field(ge=0, le=1, description="T1-weighted MR of a head after contrast agent.")
    other_mr: float = Field(ge=0, le=1, description="Another MR sequence of a head.")
    not_head_mr: float = Field(ge=0, le=1, description="Neither: CT, another body part, or no scan.")

    def given(self, stated: KindName | None) -> "InputKind":
        """Take over the kind that a header states; a sequence that it states still leaves open whether it is a head."""
        if stated is None:
            return self
        if stated == "not_head_mr":
            return InputKind(contrast_t1=0.0, other_mr=0.0, not_head_mr=1.0)
        return replace(self, **{"contrast_t1": 0.0, "other_mr": 0.0, stated: 1 - self.not_head_mr})


class KindClassifier:
    """Multinomial logistic regression on the network's features."""

    def __init__(self, head: KindHead) -> None:
        """Decode the card's arrays."""
        self._weights, self._bias = head.weights.decode().T, np.array(head.bias)

    @property
    def num_features(self) -> int:
        """Width of the features it was fitted on."""
        return len(self._weights)

    def classify(self, features: FloatArray) -> DoubleArray:
        """Compute the probability (N, 3) of each of `model.kinds.KINDS` from features (N, D)."""
        return softmax(features @ self._weights + self._bias)
