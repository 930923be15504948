"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any

from pagesort.common.closing import Closing

if TYPE_CHECKING:
    from tqdm import tqdm
    from typing_extensions import Self

logger = logging.getLogger(__name__)

# A line now and then tells a short run enough; in a log of a night, every minute is plenty.
FIRST_INTERVAL = 10.0
LATER_INTERVAL = 60.0
LATER_FROM = 300.0
LONGEST_NAME = 40
# When it is known how long a run takes, and how long one is that should have been a quicker one.
RATE_KNOWN_AFTER = 30.0
LONG_RUN = 600.0


class Meter(Closing):
    """A clock and, on a terminal, a bar; elsewhere it is time for a line now and then.

    Args:
        total: what there is to do, in the bar's unit.
        is_terminal: whether to draw a bar; by default whether stderr is a terminal.
        **bar: how tqdm draws it.
    """

    def __init__(self, total: int, is_terminal: bool | None, **bar: Any) -> None:
        self.total = total
        has_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._is_terminal = has_terminal if is_terminal is None else is_terminal
        self._look = bar
        self._start = self._logged = time.monotonic()
        self._bar: tqdm | None = None

    def __enter__(self) -> Self:
        """Start the clock and draw the bar."""
        self._start = self._logged = time.monotonic()
        if self._is_terminal:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.total, dynamic_ncols=True, file=sys.stderr, leave=False, **self._look
            )
        return self

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    @property
    def seconds(self) -> float:
        """Time since the start, in seconds."""
        return time.monotonic() - self._start

    def _is_time_to_log(self) -> bool:
        """Whether the last line is long enough ago; if so, the next one counts from now."""
        now = time.monotonic()
        interval = FIRST_INTERVAL if self.seconds < LATER_FROM else LATER_INTERVAL
        if now - self._logged < interval:
            return False
        self._logged = now
        return True


class Progress(Meter):
    """Counts pages of a run; use as a context manager.

    Args:
        total: pages of the whole run.
        done: pages that an earlier part of the run has done.
        is_terminal: whether to draw a bar; by default whether stderr is a terminal.
        hint: how the run would be quicker; logged once, if it turns out to be a long one.
        unit: what is counted.
    """

    def __init__(
        self,
        total: int,
        done: int,
        is_terminal: bool | None = None,
        hint: str = "",
        unit: str = "pages",
    ) -> None:
        super().__init__(total, is_terminal, initial=done, unit=f" {unit}")
        self._unit = unit
        self.done = done
        self._start_done = done
        self._hint = hint

    @property
    def rate(self) -> float:
        """Pages per second since the start."""
        return (self.done - self._start_done) / max(self.seconds, 1e-6)

    @property
    def seconds_left(self) -> float:
        """Time that the other pages take at this rate, in seconds."""
        return (self.total - self.done) / max(self.rate, 1e-6)

    def _log_hint(self) -> None:
        if self._hint and self.seconds > RATE_KNOWN_AFTER and self.seconds_left > LONG_RUN:
            logger.info("%s are left. %s", duration(self.seconds_left), self._hint)
            self._hint = ""

    def advance(self, pages: int, current: str) -> None:
        """Count pages as done; `current` names the last of them."""
        self.done += pages
        self._log_hint()
        if self._bar is not None:
            self._bar.set_postfix_str(_shortened(current), refresh=False)
            self._bar.update(pages)
            return
        if not self._is_time_to_log():
            return
        left = duration(self.seconds_left) if self.rate else "unknown time"
        logger.info(
            "%d of %d %s, %.1f %s/s, %s left, now at %s",
            self.done,
            self.total,
            self._unit,
            self.rate,
            self._unit,
            left,
            current,
        )


def duration(seconds: float) -> str:
    """Write a time span with its one or two largest units: `1 h 5 min`, `12 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else "..." + name[-LONGEST_NAME + 3 :]
