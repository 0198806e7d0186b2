import torch

from model.engines.torch_engine import TorchEngine


def test_the_number_of_threads_is_set_only_if_given(tiny_pair):
    before = torch.get_num_threads()
    TorchEngine(tiny_pair[0])
    assert torch.get_num_threads() == before
    TorchEngine(tiny_pair[0], num_threads=before)
    assert torch.get_num_threads() == before
