"""How much memory the pages that are being decoded may take together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pagesort.common.errors import PageUnreadableError
from pagesort.common.hardware import free_memory

SHARE = 0.5  # of the free memory, for pages; the rest is the model's and everybody else's
LEAST_BYTES = 256 << 20  # pages that need less than this are never refused on a guess


class MemoryBudget:
    """Lets pages be decoded side by side as long as together they fit.

    A page that is larger than the whole budget is decoded while no other is, and one that is larger
    than the memory that is free is refused: the system would end the whole run over it.

    Args:
        limit: bytes; None takes half of the memory that is free now.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = int(SHARE * free_memory()) if limit is None else limit
        self.held = 0
        self._changed = threading.Condition()
        self._stopped = False

    @contextmanager
    def hold(self, need: int) -> Iterator[None]:
        """Wait until `need` bytes are within the budget, and keep them for the block.

        Raises:
            PageUnreadableError: there is not so much memory, or the consumer has stopped.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._fits(need))
            if self._stopped:
                raise PageUnreadableError("the run was stopped")
            if need > max(self.limit, LEAST_BYTES):
                self._check_free(need)
            self.held += need
        try:
            yield
        finally:
            with self._changed:
                self.held -= need
                self._changed.notify_all()

    def stop(self) -> None:
        """Let everybody who waits, and every later page, fail at once."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _fits(self, need: int) -> bool:
        return self.held == 0 or self.held + need <= self.limit

    def _check_free(self, need: int) -> None:
        free = free_memory()
        if need > free:
            raise PageUnreadableError(
                f"opening it takes about {need / 2**30:.1f} GiB of memory, and "
                f"{free / 2**30:.1f} GiB are free"
            )
