"""What processes that train together tell one another."""

from __future__ import annotations

from datetime import timedelta

import torch

from pagesort.common.processes import processes

_PATIENCE = timedelta(hours=12)
"""Others wait while the first process prepares and exports."""


def join_processes(device: torch.device) -> torch.device:
    """Let this process meet the others; returns where it trains: of several GPUs each has one."""
    from accelerate import PartialState

    use_cpu = device.type == "cpu"
    if processes() == 1:
        return PartialState(cpu=use_cpu).device
    return PartialState(cpu=use_cpu, backend="gloo" if use_cpu else None, timeout=_PATIENCE).device


def wait_for_all() -> None:
    """Let every process of this training come to this point."""
    if processes() > 1:
        torch.distributed.barrier()


def agreed(answer: bool) -> bool:
    """What the first process says."""
    if processes() == 1:
        return answer
    answers = [answer]
    torch.distributed.broadcast_object_list(answers)
    return answers[0]


def mean_of_all(value: torch.Tensor) -> float:
    """The mean of each process's number."""
    if processes() > 1:
        value = value.clone()
        torch.distributed.all_reduce(value)
    return value.item() / processes()
