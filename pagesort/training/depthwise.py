"""Depthwise convolutions whose gradients a CPU computes quickly.

oneDNN's bfloat16 gradients of depthwise convolutions with strides or 5 × 5 kernels take up to a
hundred times as long as its float32 ones; its bfloat16 forward pass is the quicker one.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from timm.layers import Conv2dSame
from timm.layers.padding import pad_same
from torch import nn
from torch.nn import functional


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution forward in the type of its input, backward in float32."""

    @staticmethod
    def forward(
        ctx: Any,
        images: torch.Tensor,
        weight: torch.Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> torch.Tensor:
        ctx.save_for_backward(images, weight)
        ctx.geometry = (stride, padding)
        return functional.conv2d(images, weight, None, stride, padding, 1, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        stride, padding = ctx.geometry
        of_images, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient.float(),
            images.float(),
            weight.float(),
            None,
            stride,
            padding,
            (1, 1),
            False,
            (0, 0),
            weight.shape[0],
            (ctx.needs_input_grad[0], ctx.needs_input_grad[1], False),
        )
        cast_images = None if of_images is None else of_images.to(images.dtype)
        cast_weight = None if of_weight is None else of_weight.to(weight.dtype)
        return cast_images, cast_weight, None, None


def _forward(self: nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
    weight = self.weight
    if torch.is_autocast_enabled("cpu"):
        kind = torch.get_autocast_dtype("cpu")
        images, weight = images.to(kind), weight.to(kind)
    padding = self.padding
    if isinstance(self, Conv2dSame):
        sides = (list(self.kernel_size), list(self.stride), list(self.dilation))
        images = pad_same(images, *sides)
        padding = (0, 0)
    return _Depthwise.apply(images, weight, self.stride, padding)


def quicken_depthwise(model: nn.Module) -> list[nn.Module]:
    """Give the depthwise convolutions of `model` the quick gradients; returns those it has.

    Only for training on a CPU: the weights, their names and the results stay as they are.
    """
    found: list[nn.Module] = [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
        and module.groups == module.in_channels > 1
        and module.out_channels == module.in_channels
        and module.bias is None
        and tuple(module.dilation) == (1, 1)
    ]
    for module in found:
        module.forward = types.MethodType(_forward, module)
    return found


@contextmanager
def quick_depthwise(model: nn.Module) -> Iterator[None]:
    """Give them to a model for a while."""
    quick = quicken_depthwise(model)
    try:
        yield
    finally:
        for module in quick:
            del module.forward  # the instance's, which hid its class's
