"""What has to be closed, as a context manager."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

Held = TypeVar("Held", bound="Closing")


class Closing(ABC):
    """Something with a `close`, which the end of a `with` calls, whatever ended it."""

    def __enter__(self: Held) -> Held:
        """Start nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of all that is held."""
