"""The log of `--log`: how a call began, with which settings, and how it ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from pagesort import __version__
from pagesort.cli.settings import Settings
from pagesort.common.errors import PageSortError


def logged(settings: Settings, act: Callable[[], int], stopped_status: Callable[[], int]) -> int:
    """Carry out a call, and keep its log if that is wanted; returns the call's exit status.

    Args:
        act: carries it out, and returns its exit status.
        stopped_status: the exit status of a call that a person has stopped.

    Raises:
        PageSortError: the log cannot be written.
    """
    if settings.log_file is None:
        return act()
    from pagesort.cli.actions.records import typed_command, written_settings
    from pagesort.common import run_log

    began, status, error = time.monotonic(), 0, ""
    with run_log.written_to(settings.log_file):
        run_log.log_event(
            "start", program="pagesort", version=__version__, process=os.getpid(),
            command=typed_command(settings),
        )  # fmt: skip
        run_log.log_event("settings", settings=written_settings(settings))
        try:
            status = act()
        except BaseException as fault:
            is_stop = isinstance(fault, KeyboardInterrupt)
            own = stopped_status() if is_stop else getattr(fault, "exit_status", None)
            status = PageSortError.exit_status if own is None else own
            error = str(fault) or type(fault).__name__
            raise
        finally:
            seconds = round(time.monotonic() - began, 1)
            more = {"error": error} if error else {}
            run_log.log_event("end", status=status, seconds=seconds, **more)
    return status
