"""How much of some files was moved: a bar with sizes on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from pagesort.model_files import size_text
from pagesort.progress import FIRST_INTERVAL, LATER_FROM, LATER_INTERVAL, duration

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger(__name__)


class Transfer:
    """Counts bytes; use as a context manager.

    Args:
        total: bytes of all files together.
        verb: what is done with them, as in `fetched`.
        is_terminal: whether to draw a bar; by default whether stderr is a terminal.
    """

    def __init__(self, total: int, verb: str, *, is_terminal: bool | None = None) -> None:
        self.total = total
        self.verb = verb
        self.done = 0
        self._skipped = 0
        self._name = ""
        has_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._is_terminal = has_terminal if is_terminal is None else is_terminal
        self._start = self._told = time.monotonic()
        self._bar: tqdm | None = None

    def __enter__(self) -> Transfer:
        """Start the clock and draw the bar."""
        self._start = self._told = time.monotonic()
        if self._is_terminal:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.total,
                unit="B",
                unit_scale=True,
                dynamic_ncols=True,
                file=sys.stderr,
                leave=False,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    @property
    def seconds(self) -> float:
        """Time since the start, in seconds."""
        return time.monotonic() - self._start

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
        now = time.monotonic()
        interval = FIRST_INTERVAL if self.seconds < LATER_FROM else LATER_INTERVAL
        if now - self._told < interval:
            return
        self._told = now
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
