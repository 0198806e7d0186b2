import argparse
import itertools
import pickle

import pytest
import torch
from safetensors.torch import save_file

from model.errors import CheckpointError
from model.networks.network import create_network
from tests.samples.phantoms import TINY, create_tiny_network, save_tiny_checkpoint
from training.foreign_weights import read_foreign_weights, select_weights

WEIGHTS = create_tiny_network(5).state_dict()
OTHERS = create_tiny_network(6).state_dict()
OPTIONS = argparse.Namespace(lr=0.1, img_size=64, mean=None, model=TINY)
CONTENTS = {
    "plain": WEIGHTS,
    "timm's script": {"epoch": 3, "arch": TINY, "state_dict": WEIGHTS, "optimizer": {}, "args": OPTIONS, "metric": 0.5},
    "its running average": {"state_dict": OTHERS, "state_dict_ema": WEIGHTS, "args": OPTIONS},
    "model": {"model": WEIGHTS},
    "model and average": {"model": OTHERS, "model_ema": WEIGHTS},
    "nested": {"model": {"state_dict": WEIGHTS}},
    "Lightning": {"state_dict": {f"model.{name}": tensor for name, tensor in WEIGHTS.items()}, "epoch": 1},
    **{
        "".join(prefixes): {f"{''.join(prefixes)}{name}": tensor for name, tensor in WEIGHTS.items()}
        for count in (1, 2, 3)
        for prefixes in itertools.permutations(("module.", "_orig_mod.", "module."), count)
    },
}


def _is_read(path):
    tensors = select_weights(create_tiny_network(0), read_foreign_weights(path))
    return all(torch.equal(tensors[name], tensor) for name, tensor in WEIGHTS.items())


@pytest.mark.parametrize("name", CONTENTS)
def test_the_weights_are_found_in_what_users_of_timm_have(tmp_path, name):
    torch.save(CONTENTS[name], tmp_path / "weights.pth.tar")
    assert _is_read(tmp_path / "weights.pth.tar")


def test_safetensors_are_read(tmp_path):
    save_file(WEIGHTS, tmp_path / "weights.safetensors")
    assert _is_read(tmp_path / "weights.safetensors")


def test_a_running_average_and_the_options_of_the_script_are_named(tmp_path, caplog):
    caplog.set_level("INFO", "training")
    torch.save({"arch": TINY, "state_dict": OTHERS, "state_dict_ema": WEIGHTS, "args": OPTIONS}, tmp_path / "a.pth")
    weights = read_foreign_weights(tmp_path / "a.pth")
    assert (weights.entry, weights.architecture, weights.options["img_size"]) == ("state_dict_ema", TINY, 64)
    assert "state_dict_ema" in caplog.text
    assert "running average" in caplog.text


def test_a_checkpoint_of_ours_is_known_by_its_format(tmp_path):
    assert read_foreign_weights(save_tiny_checkpoint(tmp_path / "ours.pth")).format


class _Code:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize("content", [{}, [], {"state_dict": {}}, {"epoch": 3}, {"model": _Code()}, b"damaged", None])
def test_a_file_without_weights_is_one_line_with_its_name(tmp_path, content, capsys):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path, pickle_module=pickle)
    with pytest.raises(CheckpointError, match=r"weights\.pth"):
        read_foreign_weights(path)
    assert "executed" not in capsys.readouterr().out


def test_weights_of_another_architecture_or_shape_are_refused(tmp_path):
    torch.save(WEIGHTS, tmp_path / "weights.pth")
    weights = read_foreign_weights(tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="does not fit"):
        select_weights(create_network("test_resnet", 3), weights)
    with pytest.raises(CheckpointError, match=r"classifier\.weight and 1 more"):
        select_weights(create_network(TINY, 4), weights)
    assert select_weights(create_network(TINY, 4), weights, without="classifier")
