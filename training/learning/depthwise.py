"""Depthwise convolutions in bfloat16 whose gradients are computed in float32, for training on a CPU.

oneDNN has no fast bfloat16 kernels for two of them, the gradient of strided inputs and that of 5 x 5 weights: on a
processor with AMX they take 45 to 150 ms a batch where float32 takes 1 to 20. With float32 in their place
EfficientNet-B0 trains faster in bfloat16 than in float32 (docs/training.md).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class FloatDepthwiseGradients(TorchFunctionMode):
    """Within it, depthwise convolutions without bias compute in bfloat16 and their gradients in float32."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func`, or what stands in for it."""
        if func is torch.conv2d and len(args) == 7:  # as nn.Conv2d calls it
            inputs, weights, bias, *geometry, groups = args
            is_depthwise = groups == inputs.shape[1] == weights.shape[0] > 1
            if is_depthwise and bias is None and all(isinstance(value, tuple) for value in geometry):
                return _DepthwiseConvolution.apply(inputs, weights, *geometry)  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


class _DepthwiseConvolution(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, inputs: Tensor, weights: Tensor, *geometry: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(inputs, weights)
        ctx.geometry = geometry
        stride, padding, dilation = geometry
        return torch.conv2d(inputs, weights, None, stride, padding, dilation, inputs.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weights = (tensor.float() for tensor in ctx.saved_tensors)
        stride, padding, dilation = ctx.geometry
        of_inputs, of_weights, _ = torch.ops.aten.convolution_backward(
            gradient.float(), inputs, weights, None, stride, padding, dilation,
            False, [0, 0], inputs.shape[1], [*ctx.needs_input_grad[:2], False],
        )  # fmt: skip
        return of_inputs, of_weights, None, None, None
