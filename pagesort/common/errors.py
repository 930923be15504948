"""The one family of errors that reach a person: what happened, where, and what to do about it."""

from __future__ import annotations

import errno
from pathlib import Path

LONGEST = 1500
"""Letters of what went wrong, which may quote a file; more would bury the rest of the line."""


class PageSortError(Exception):
    """Something could not be done; `run.main` prints it as one line and exits with `exit_status`.

    Args:
        what: what went wrong, without a full stop.
        where: the file, folder, or `config.txt [SECTION] key` concerned.
        remedy: what the person can do next, as a sentence without a full stop.
    """

    exit_status = 1

    def __init__(
        self, what: str, *, where: str | Path | None = None, remedy: str | None = None
    ) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        what = self.what if len(self.what) <= LONGEST else f"{self.what[: LONGEST - 3]}..."
        located = f"{what}: {self.where}" if self.where is not None else what
        line = f"{located}. {self.remedy}." if self.remedy else located
        return " ".join(line.split())


class Stopped(KeyboardInterrupt):  # noqa: N818 - what a person did, not a fault of the program
    """A person has stopped the work; `run.main` says what is kept and how to go on.

    Args:
        kept: what is kept of the work, as a clause.
        next_command: what to type to go on, as a sentence without a full stop; None stands for the
            same command, with --resume where that is how it goes on.
    """

    def __init__(self, kept: str, next_command: str | None = None) -> None:
        self.kept = kept
        self.next_command = next_command
        super().__init__(kept)


class UsageError(PageSortError):
    """The command line or `config.txt` asks for something that makes no sense."""

    exit_status = 2


class PageUnreadableError(PageSortError):
    """One page file cannot be used; the run goes on without it."""


def unusable(
    error: OSError, where: str | Path | None = None, named_by: str = "the path"
) -> PageSortError:
    """Say what the system has against a path.

    Args:
        error: what the system raised.
        where: the path, if `error` does not tell it.
        named_by: what a person calls the path, such as a flag.
    """
    reason = (error.strerror or str(error)).lower()
    remedies = {
        errno.EACCES: "Ask for permission to the folder that it lies in, or name another one",
        errno.EPERM: "Ask for permission to the folder that it lies in, or name another one",
        errno.ENAMETOOLONG: "Give a shorter name",
        errno.ELOOP: "Its symbolic links lead in a circle; name what they should lead to",
        errno.ENOSPC: "Free some space",
    }
    return PageSortError(
        f"{named_by} cannot be used ({reason})",
        where=error.filename if where is None else where,
        remedy=remedies.get(error.errno or 0, "Check the path and whether its disk is there"),
    )
