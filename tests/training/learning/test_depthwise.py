"""Depthwise convolutions in bfloat16 against the same in float32."""

import pytest
import torch

from training.learning.depthwise import FloatDepthwiseGradients


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [(3, 1, 9), (3, 2, 9), (3, 2, 10), (5, 1, 8), (5, 2, 11), (5, 2, 12)]
)
def test_gradients_are_those_of_float32(kernel, stride, size):
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(6, 6, kernel, stride, kernel // 2, groups=6, bias=False)
    convolution.weight.data = convolution.weight.data.bfloat16().float()
    inputs = torch.randn(2, 6, size, size).bfloat16().float().requires_grad_()
    expected = convolution(inputs)
    gradient = torch.randn_like(expected).bfloat16()
    with torch.autocast("cpu", torch.bfloat16), FloatDepthwiseGradients():
        outputs = convolution(inputs)
    assert outputs.dtype is torch.bfloat16
    torch.testing.assert_close(outputs.float(), expected, rtol=0.01, atol=0.01)
    at = (inputs, convolution.weight)
    for ours, theirs in zip(
        torch.autograd.grad(outputs, at, gradient), torch.autograd.grad(expected, at, gradient.float()), strict=True
    ):
        assert ours.dtype is torch.float32
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_other_convolutions_are_left_to_autocast():
    dense = torch.nn.Conv2d(6, 4, 3)
    grouped = torch.nn.Conv2d(6, 6, 3, groups=2)
    with_bias = torch.nn.Conv2d(6, 6, 3, groups=6)
    inputs = torch.randn(1, 6, 5, 5)
    for convolution in (dense, grouped, with_bias):
        with torch.autocast("cpu", torch.bfloat16):
            expected = convolution(inputs)
            with FloatDepthwiseGradients():
                assert torch.equal(convolution(inputs), expected)
