"""Costs of serving a system: weights, bytes and milliseconds."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.checkpoints.checkpoint import load_checkpoint
from model.engines.engine import Engine
from model.preprocessing import self_test_inputs

_NUM_WARM_UP, _NUM_RUNS = 3, 20


@dataclass(frozen=True)
class Costs:
    """Of one checkpoint.

    Attributes:
        bytes: Of the file that is served.
        latency_ms: Median time of the network for one image on one core; `slowest_ms` is the longest.
        engine: Its name.
    """

    parameters: int
    bytes: int
    latency_ms: float
    slowest_ms: float
    engine: str


def measure_costs(checkpoint: Path, served: Path, engine: Engine) -> Costs:
    """Count and time; `engine` has `served` loaded, for one core."""
    network = load_checkpoint(checkpoint).network
    inputs = self_test_inputs(engine.card.preprocessing)
    seconds = []
    for _ in range(_NUM_WARM_UP + _NUM_RUNS):
        start = time.perf_counter()
        engine.predict(inputs)
        seconds.append(time.perf_counter() - start)
    timed = 1000 * np.array(seconds[_NUM_WARM_UP:])
    return Costs(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        bytes=served.stat().st_size,
        latency_ms=round(float(np.median(timed)), 2),
        slowest_ms=round(float(timed.max()), 2),
        engine=engine.name,
    )
