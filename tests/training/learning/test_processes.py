import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from model.checkpoints.checkpoint import load_checkpoint
from tests.samples.phantoms import create_tiny_network
from training.errors import RunError
from training.learning.processes import ALONE, Processes, join_processes, share_statistics

ROOT = Path(__file__).parents[3]


def test_one_process_is_the_main_one_and_changes_nothing():
    module, tensor = nn.Linear(2, 2), torch.ones(3)
    assert ALONE.is_main
    assert not Processes(1, 2).is_main
    assert ALONE.wrap(module) is module
    assert torch.equal(ALONE.sum(tensor), torch.ones(3))
    ALONE.wait()


def test_without_torchrun_a_process_is_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert join_processes(torch.device("cpu")) == ALONE


def test_variables_that_torchrun_would_not_set_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(RunError, match="WORLD_SIZE"):
        join_processes(torch.device("cpu"))


def test_sharing_statistics_changes_no_output_and_no_weight():
    network, inputs = create_tiny_network(), torch.randn(2, 3, 64, 64)
    shared = share_statistics(create_tiny_network()).eval()
    assert any(isinstance(module, nn.SyncBatchNorm) for module in shared.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in shared.modules())
    assert torch.equal(shared(inputs), network(inputs))
    assert shared.state_dict().keys() == network.state_dict().keys()


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(data_folder, tmp_path):
    """The same global batch, through gloo, first with most layers frozen and then with all.

    The network has no batch normalisation, which on a CPU sees one process's share. Single weights may differ: AdamW
    makes a step of what is rounding.
    """
    stages = "[{epochs=1, image_size=64, trained_layers=2}, {epochs=1, image_size=64}]"
    fit = [
        *("training", "fit", str(data_folder), "--recipe", "efficientnet_b0_scratch"),
        *("--architecture", "test_efficientnet_gn", "--gradcam-layer", "conv_head"),
        *("--stages", stages, "--batch-size", "8", "--learning-rate", "0.001"),
        *("--dropout", "0", "--average-decay", "0.5", "--num-workers", "0"),
    ]
    together = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", *launcher, *fit, "--out", str(tmp_path / name)],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, launcher in (("one", ()), ("two", together))
    ]
    for run in runs:
        _, messages = run.communicate()
        assert run.returncode == 0, messages
        assert messages.count("epoch 1/2") == 1
    checkpoints = [load_checkpoint(tmp_path / name / "efficientnet_b0_scratch.pth") for name in ("one", "two")]
    inputs = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one, two = (checkpoint.network(inputs) for checkpoint in checkpoints)
    assert torch.allclose(one, two, atol=2e-3)
    assert one.std() > 1e-2
    losses = [checkpoint.card.training["validation_loss"] for checkpoint in checkpoints]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
