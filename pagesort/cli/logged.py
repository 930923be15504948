"""The log of `--log`: how a call began, with which settings, and how it ended."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

from pagesort import __version__
from pagesort.cli.settings import Settings
from pagesort.common.errors import PageSortError


@contextlib.contextmanager
def logged(settings: Settings, stopped_status: Callable[[], int]) -> Iterator[Callable[[int], int]]:
    """Keep the log of a call, if it is wanted; yields what takes its exit status and returns it.

    Args:
        stopped_status: the exit status of a call that a person has stopped.

    Raises:
        PageSortError: the log cannot be written.
    """
    if settings.log_file is None:
        yield lambda status: status
        return
    from pagesort.cli.actions.records import typed_command, written_settings
    from pagesort.common import run_log

    ended: list[int] = []

    def end(status: int) -> int:
        ended.append(status)
        return status

    began = time.monotonic()
    with run_log.written_to(settings.log_file):
        run_log.tell(
            "start", program="pagesort", version=__version__, process=os.getpid(),
            command=typed_command(settings),
        )  # fmt: skip
        run_log.tell("settings", settings=written_settings(settings))
        error = ""
        try:
            yield end
        except BaseException as fault:
            is_stop = isinstance(fault, KeyboardInterrupt)
            status = stopped_status() if is_stop else getattr(fault, "exit_status", None)
            ended.append(PageSortError.exit_status if status is None else status)
            error = str(fault) or type(fault).__name__
            raise
        finally:
            seconds = round(time.monotonic() - began, 1)
            more = {"error": error} if error else {}
            run_log.tell("end", status=ended[-1] if ended else 0, seconds=seconds, **more)
