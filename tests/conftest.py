import os
import shutil
import signal
from pathlib import Path

import hypothesis
import pytest
import torch
from threadpoolctl import threadpool_limits

from model.export import export_onnx, update_card
from model.networks.torchvision_operators import import_torchvision
from tests.samples.phantoms import LAYERS, save_calibrated_checkpoint, save_tiny_checkpoint, write_data_folder

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")
import_torchvision()  # before anything that tests import imports it
# On tiny networks several threads wait for each other more than they compute, most of all where cores are busy.
os.environ["OMP_NUM_THREADS"] = "1"  # of processes that tests start
threadpool_limits(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background programs ignore it


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny checkpoint and its ONNX file."""
    return _export(save_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "tiny.pth"))


@pytest.fixture(scope="session", params=LAYERS, ids=("conv_pw", "bn2"))
def exported_pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_pair: tuple[Path, Path]
) -> tuple[Path, Path]:
    """A tiny checkpoint and its ONNX file, for each layer that Grad-CAM supports."""
    if request.param == LAYERS[0]:
        return tiny_pair
    return _export(save_tiny_checkpoint(tmp_path_factory.mktemp("pair") / "tiny.pth", request.param))


@pytest.fixture(scope="session")
def calibrated_pair(tmp_path_factory: pytest.TempPathFactory, tiny_pair: tuple[Path, Path]) -> tuple[Path, Path]:
    """The tiny checkpoint with a card that says how far to trust it, and its ONNX file."""
    checkpoint = save_calibrated_checkpoint(tmp_path_factory.mktemp("calibrated") / "calibrated.pth")
    exported = Path(shutil.copy(tiny_pair[1], checkpoint.with_suffix(".onnx")))
    update_card(checkpoint, exported)  # a tracing takes seconds
    return checkpoint, exported


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of two classes; not to be changed."""
    return write_data_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The data set that BRAIN_MRI_DATA names."""
    folder = os.environ.get("BRAIN_MRI_DATA")
    if not folder:
        pytest.skip("BRAIN_MRI_DATA names no data set")
    return Path(folder)


def _export(checkpoint: Path) -> tuple[Path, Path]:
    exported = checkpoint.with_suffix(".onnx")
    export_onnx(checkpoint, exported)
    return checkpoint, exported
