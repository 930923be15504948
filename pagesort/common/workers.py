"""Work done by several processes of this machine, in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from pagesort.common.closing import Closing
from pagesort.common.errors import PageSortError

AHEAD = 2  # tasks given out for each process

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers(Closing):
    """Processes that are started once for several kinds of work; with one, this one does it all.

    They end with this process, however that ends.
    """

    def __init__(self, processes: int) -> None:
        self.processes = max(1, processes)
        self._pool = (
            ProcessPoolExecutor(
                processes, multiprocessing.get_context("spawn"), initializer=_end_with_parent
            )
            if processes > 1
            else None
        )

    def in_order(self, do: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Yield what becomes of each task, in order; tasks are taken as they are needed.

        Args:
            do: a function of a module, as it is sent to other processes by its name.
            tasks: what can be sent to other processes.

        Raises:
            PageSortError: a process has ended; also whatever `do` raises.
        """
        if self._pool is None:
            yield from map(do, tasks)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                waiting.append(self._pool.submit(do, task))
                if len(waiting) > AHEAD * self.processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise PageSortError(
                f"one of {self.processes} processes was killed, so the work cannot be ended",
                remedy="If memory was short, give the same command again with fewer processes",
            ) from error

    def close(self) -> None:
        """Wait for tasks that are being worked on, drop the others, and end the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Leave Ctrl-C to the process that waits for this one, and end when that one does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
