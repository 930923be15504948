"""Tables that several processes have written in pieces, and what is made of them in pieces."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pagesort.common.files import READ_BYTES, whole
from pagesort.common.workers import Workers


@dataclass(frozen=True)
class Division:
    """How tables are divided among processes.

    Attributes:
        workers: the processes.
        pieces: of each table that is divided, files that hold its rows in order, each below the
            table's header; the first holds nothing else. All tables by FILE are cut at the same
            ones. Beside these files, others may be written.
    """

    workers: Workers
    pieces: Mapping[Path, Sequence[Path]]

    def of(self, table: Path) -> Sequence[Path]:
        """The pieces of a table, which is the only one itself where it is not divided."""
        return self.pieces.get(table, (table,))


UNDIVIDED = Division(Workers(1), {})


@contextlib.contextmanager
def in_pieces(target: Path, pieces: Sequence[Path]) -> Iterator[list[Path]]:
    """Give a path for what is made of each piece of a table; all of it becomes `target` in the end.

    Raises:
        OSError: `target` cannot be written; it is as it was then.
    """
    with whole(target) as partial:
        if len(pieces) == 1:
            yield [partial]
            return
        made = [piece.with_name(f"{piece.name}{target.suffix}") for piece in pieces]
        yield made
        join(made, partial)
        for each in made:
            each.unlink()


def join(pieces: Sequence[Path], target: Path) -> None:
    """Put pieces of a table below one another, with the header of the first, which is all of it."""
    header = pieces[0].stat().st_size
    with target.open("wb") as joined:
        for number, piece in enumerate(pieces):
            with piece.open("rb") as file:
                file.seek(header if number else 0)
                shutil.copyfileobj(file, joined, READ_BYTES)
