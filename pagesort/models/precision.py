"""The numbers that an image tower computes with: what a device has, and what is asked for."""

from __future__ import annotations

import importlib.util
import logging

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pagesort.common.errors import UsageError

logger = logging.getLogger(__name__)

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
INT8_PACKAGES = ("openvino", "nncf")
INT8 = "int8"
"""What `pagesort.models.fast.int8` computes with."""
_CPU_FEATURES = {
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),  # the last is ARM's
    "fp16": ("avx512_fp16", "amx_fp16", "fp16_arith"),
}


LEAST_AGREEMENT = 0.995
"""Share of real pages that `auto` wants to get the same first guess in int8 as in float32."""


def choose_precision(wanted: str, device: torch.device, int8_agreement: float = 0.0) -> str:
    """Return a key of `TYPES` or `int8`: what is wanted, or for `auto` what suits the device.

    `auto` takes bfloat16 where the hardware multiplies it, else float32. Never float16, which ends
    at 65,504: whether a tower stays below that, only those know who trained it. On a CPU without
    bfloat16 it takes int8 if the packages for it are installed and the model's answers were found
    to stay the same. What is named is used on every device, so that a run can be repeated on
    another machine.

    Args:
        wanted: `auto`, int8 or a key of `TYPES`.
        device: where the tower computes.
        int8_agreement: `ModelMetadata.agreement` of the model in int8.

    Raises:
        UsageError: int8 is wanted on a GPU.
    """
    if wanted == INT8:
        if device.type != "cpu":
            raise UsageError(
                f"precision int8 is for CPUs, and the device is {device}",
                remedy="Add --device cpu, or name another --precision",
            )
        return INT8
    if wanted == "auto":
        if has_bf16(device):
            return "bf16"
        is_same = int8_agreement >= LEAST_AGREEMENT
        return INT8 if is_same and device.type == "cpu" and has_int8() else "fp32"
    if not _is_native(wanted, device):
        logger.warning("%s does not compute in %s itself: fp32 is quicker", device.type, wanted)
    return wanted


def has_int8() -> bool:
    """Whether the packages that int8 takes are installed."""
    return all(importlib.util.find_spec(name) is not None for name in INT8_PACKAGES)


def has_bf16(device: torch.device) -> bool:
    """Whether a CPU or CUDA device multiplies bfloat16 itself, faster than float32."""
    return device.type in ("cpu", "cuda") and _is_native("bf16", device)


def precision_of(tower: nn.Module) -> str:
    """Tell what a tower computes with: a key of `TYPES`, or `int8` where torch has no weights.

    Some of its parts may have been left in float32.
    """
    found = {each.dtype for each in tower.parameters()}
    if not found:
        return INT8
    return next((name for name in ("bf16", "fp16") if TYPES[name] in found), "fp32")


def convert_tower(tower: nn.Module, precision: str) -> None:
    """Turn a tower's weights into numbers of a precision, in place, for inference only.

    Batch normalisation stays in float32, which it takes beside any input: its variances reach over
    more powers of two than float16 has, and it is no slower so. So does what the tower itself calls
    `sensitive`.
    """
    if precision == "fp32":
        return
    kept = {part for whole in getattr(tower, "sensitive", ()) for part in whole.modules()}
    for module in tower.modules():
        if isinstance(module, _BatchNorm) or module in kept:
            continue
        tensors = (*module.parameters(recurse=False), *module.buffers(recurse=False))
        for tensor in filter(torch.is_floating_point, tensors):
            tensor.data = tensor.data.to(TYPES[precision])


def _is_native(precision: str, device: torch.device) -> bool:
    if precision == "fp32":
        return True
    if device.type == "cpu":
        return _cpu_has(precision)
    if device.type == "cuda" and precision == "bf16":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return True


def _cpu_has(precision: str) -> bool:
    # The first is public, in newer versions only.
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        found = capabilities()
        return any(found.get(name) for name in _CPU_FEATURES[precision])
    return precision == "bf16" and torch.cpu._is_avx512_bf16_supported()
