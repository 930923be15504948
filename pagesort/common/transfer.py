"""How much of some files was moved: a bar with sizes on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging

from pagesort.common.progress import Meter, duration
from pagesort.common.text import size_text

logger = logging.getLogger(__name__)


class Transfer(Meter):
    """Counts bytes; use as a context manager.

    Args:
        total: bytes of all files together.
        verb: what is done with them, as in `fetched`.
        is_terminal: whether to draw a bar; by default whether stderr is a terminal.
    """

    def __init__(self, total: int, verb: str, *, is_terminal: bool | None = None) -> None:
        super().__init__(total, is_terminal, unit="B", unit_scale=True)
        self.verb = verb
        self.done = 0
        self._skipped = 0
        self._name = ""

    def begin(self, name: str, size: int, kept: int = 0) -> None:
        """Start with a file of so many bytes, of which some are there already."""
        self._name = name
        if self._bar is not None:
            self._bar.set_description_str(name, refresh=False)
        elif kept and kept < size:
            logger.info("%s, %s: %s are there already", name, size_text(size), size_text(kept))
        elif not kept:
            logger.info("%s, %s", name, size_text(size))
        self._skipped += kept
        self.advance(kept)

    def advance(self, count: int) -> None:
        """Count bytes as moved; a negative number takes back what has to be moved again."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
            return
        if not self._is_time_to_log():
            return
        rate = max(self.done - self._skipped, 0) / max(self.seconds, 1e-6)
        left = duration((self.total - self.done) / rate) if rate else "unknown time"
        logger.info(
            "%s of %s %s, %s/s, %s left, now at %s",
            size_text(self.done),
            size_text(self.total),
            self.verb,
            size_text(rate),
            left,
            self._name,
        )
