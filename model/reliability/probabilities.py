"""Calibrated class probabilities."""

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]


def softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> DoubleArray:
    """Turn logits (N, K) into probabilities (N, K) that sum to 1.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 9, with `temperature` T.
    """
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
