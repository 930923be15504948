"""The processes that do one job together, as `torchrun` starts them; usually there is one."""

from __future__ import annotations

import os


def processes() -> int:
    """How many there are, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_number() -> int:
    """The number of this one, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first_process() -> bool:
    """Whether this is the only process, or the first of those that `torchrun` started."""
    return process_number() == 0
