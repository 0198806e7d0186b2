"""Classification on a Ray cluster, for data that outgrow one machine.

tasks -> blocks of a data set -> classified on every node, one network a core -> results, in the order of the tasks
"""

import logging
import os
import pickle
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

import model
from model.classifier import Classifier
from model.errors import CheckpointError, ClusterError

Task = TypeVar("Task")
Result = TypeVar("Result")

_BLOCK_TASKS = 32  # seconds on one core, so that no node waits long for the last one
_KNOCK_SECONDS = 10.0
# Ray's own log; errors come as exceptions. And no reports from a cluster started here.
_QUIET = {"RAY_DATA_LOG_LEVEL": "ERROR", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_USAGE_STATS_ENABLED": "0"}
_Column = dict[str, npt.NDArray[Any]]


def map_on_ray(
    address: str, weights: Path, sha256: str, call: Callable[[Classifier, Task], Result], tasks: Sequence[Task]
) -> Generator[Result, None, None]:
    """Apply `call` to tasks on all cores of a cluster; yield the results in the order of the tasks.

    This package is sent to the nodes; they need requirements-serve.txt, requirements/ray.txt, and the weights and the
    files of the tasks under the same paths.

    Args:
        address: Of the cluster, as `ray.init` takes it: "auto", "ray://HOST:PORT", or "local" for a new one here.
        weights: Loaded by every node.
        sha256: Identity that the weights must have.
        call: Runs on the nodes, with a classifier of one core.

    Raises:
        ClusterError: If Ray is not installed, cannot be reached, or a node fails.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)  # read when Ray is imported
    try:
        import ray
        from ray.exceptions import RayError
    except ModuleNotFoundError as error:
        raise ClusterError("--ray needs Ray: install requirements/ray.txt") from error
    _connect(address)
    try:
        with closing(_read_results(weights, sha256, call, tasks)) as results:
            yield from results
    except RayError as error:
        raise ClusterError(f"a node of the cluster failed: {_last_line(error)}") from error
    finally:
        ray.shutdown()


class _Worker:
    """Runs on the nodes, and loads the weights once."""

    def __init__(self, folder: str, weights: str, sha256: str, call: Callable[[Classifier, Any], Any]) -> None:
        os.chdir(folder)  # paths of tasks may be relative to the folder of the command
        self._classifier = Classifier.load(Path(weights), num_threads=1)
        self._call = call
        if self._classifier.identity.sha256 != sha256:
            raise CheckpointError(f"{weights} holds other weights on a node than here; copy the file to it")

    def __call__(self, column: _Column) -> _Column:
        results = [pickle.dumps(self._call(self._classifier, pickle.loads(task))) for task in column["item"]]
        return {"item": np.array(results, object)}


def _connect(address: str) -> None:
    import ray

    package = {"py_modules": [str(Path(model.__file__).parent)]}
    try:
        _knock(address)
        with _silence_stderr():
            ray.init(address=address, runtime_env=package, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"cannot reach Ray at {address}: {_last_line(error)}") from error


@contextmanager
def _silence_stderr() -> Iterator[None]:
    """Keep off what Ray's C++ part writes at its start, that it was told to be quiet among it."""
    kept, device = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(device, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(device)


def _knock(address: str) -> None:
    """Connect to HOST:PORT once: Ray itself would try for minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if separator and port.isdecimal():
        socket.create_connection((host, int(port)), _KNOCK_SECONDS).close()


def _read_results(
    weights: Path, sha256: str, call: Callable[[Classifier, Task], Result], tasks: Sequence[Task]
) -> Generator[Result, None, None]:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False  # the command has one of its own
    num_blocks = max(1, -(-len(tasks) // _BLOCK_TASKS))
    num_workers = max(1, min(num_blocks, int(ray.cluster_resources().get("CPU", 1))))
    results = ray.data.from_items([pickle.dumps(task) for task in tasks], override_num_blocks=num_blocks).map_batches(
        _Worker,
        fn_constructor_args=(str(Path.cwd()), str(weights), sha256, call),
        batch_size=None,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=num_workers),
        num_cpus=1,
    )
    for row in results.iter_rows():
        yield pickle.loads(row["item"])


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
