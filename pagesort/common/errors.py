"""The one family of errors that reach a person: what happened, where, and what to do about it."""

from __future__ import annotations

from pathlib import Path


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
        located = f"{self.what}: {self.where}" if self.where is not None else self.what
        line = f"{located}. {self.remedy}." if self.remedy else located
        return " ".join(line.split())


class UsageError(PageSortError):
    """The command line or `config.txt` asks for something that makes no sense."""

    exit_status = 2


class PageUnreadableError(PageSortError):
    """One page file cannot be used; the run goes on without it."""
