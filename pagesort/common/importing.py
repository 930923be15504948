"""Importing large libraries faster."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Look for no garbage while libraries are imported, and never among what they are made of.

    They make hundreds of thousands of objects, all of which stay; looking through them again and
    again takes a tenth of the time of importing PyTorch.
    """
    was_looked_for = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_looked_for:
            gc.enable()
