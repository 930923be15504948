"""What is found, as tables, and embeddings as files for other programs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.files import (
    RESULTS_ELSEWHERE,
    numbered,
    reserved,
    translate_unwritable,
    whole,
    whole_text,
)
from pagesort.common.optional import optional_package
from pagesort.common.tables import TableForm, TableWriter
from pagesort.common.text import shown
from pagesort.pages.loader import PageRef
from pagesort.prediction.listing import names_of

ROWS_AT_ONCE = 4096
COLUMNS = ("FILE", "PAGE", "PATH", "CLASS", "SCORE", "embedding")


def cells_of(ref: PageRef, root: Path | None) -> tuple[str, str, str]:
    """FILE, PAGE and PATH of a page; the path is relative to `root`, or whole without one."""
    file, page = names_of(str(ref.path), ref.page)
    path = ref.path.absolute() if root is None else ref.path.relative_to(root)
    return file, page, shown(path.as_posix())


def write_table(
    folder: Path, model: str, kind: str, rows: Iterable[Sequence[object]], form: TableForm
) -> Path:
    """Write `<date-time>_<model>_<kind>.csv` under a name that is free; the first row is the head.

    Raises:
        PageSortError: it cannot be written, or no name is free.
    """
    model = re.sub(r"[^\w.+@-]+", "-", model).strip("-.") or "model"
    start = datetime.now().strftime("%Y%m%d-%H%M")
    with translate_unwritable(folder, "the table cannot be written", RESULTS_ELSEWHERE):
        folder.mkdir(parents=True, exist_ok=True)
        names = (folder / f"{first}_{model}_{kind}.csv" for first in numbered(start))
        with reserved(names, folder) as path, whole_text(path) as file:
            writer = TableWriter(file, form)
            for row in rows:
                writer.write(row)
    return path


Row = tuple[str, str, str, str, float, np.ndarray]
"""A page's cells, as `COLUMNS` names them; the embedding is float32 (D,)."""


def check_embedding_file(path: Path) -> None:
    """Refuse a file for embeddings that could not be written in the end.

    Raises:
        UsageError: its ending is neither .npz nor .parquet.
        PageSortError: its folder is missing, or what writes Parquet is not installed.
    """
    if path.suffix.lower() not in (".npz", ".parquet"):
        raise UsageError(
            "embeddings are written as .npz or .parquet", where=path, remedy="Give it such a name"
        )
    if not path.absolute().parent.is_dir():
        raise PageSortError("the folder does not exist", where=path.absolute().parent)
    if path.suffix.lower() == ".parquet":
        _pyarrow()


def write_embeddings(path: Path, rows: Iterator[Row]) -> int:
    """Write pages with their embeddings as one file, whole or not at all; returns how many.

    A .npz holds one array a column, none of them pickled, embedding being float32 (N, D). A
    .parquet has the same columns, embedding being a list of float32 of fixed length; only some
    thousand rows are held at a time.

    Raises:
        PageSortError: it cannot be written.
    """
    with translate_unwritable(path, elsewhere="another file with --embed"), whole(path) as partial:
        if path.suffix.lower() == ".parquet":
            return _write_parquet(partial, rows)
        return _write_npz(partial, rows)


def _write_npz(path: Path, rows: Iterator[Row]) -> int:
    held = list(rows)
    columns = list(zip(*held, strict=True)) or [()] * len(COLUMNS)
    kinds: tuple[type, ...] = (np.str_, np.str_, np.str_, np.str_, np.float32, np.float32)
    arrays: dict[str, Any] = {
        name: np.asarray(cells, kind)
        for name, cells, kind in zip(COLUMNS, columns, kinds, strict=True)
    }
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return len(held)


def _write_parquet(path: Path, rows: Iterator[Row]) -> int:
    pa = _pyarrow()
    import pyarrow.parquet as pq

    count = 0
    with contextlib.ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        while chunk := [row for row, _ in zip(rows, range(ROWS_AT_ONCE), strict=False)]:
            vectors = pa.array(np.stack([row[5] for row in chunk]).ravel(), pa.float32())
            embedding = pa.FixedSizeListArray.from_arrays(vectors, len(chunk[0][5]))
            texts = [pa.array([row[column] for row in chunk], pa.string()) for column in range(4)]
            scores = pa.array([row[4] for row in chunk], pa.float32())
            table = pa.Table.from_arrays([*texts, scores, embedding], names=list(COLUMNS))
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)
            count += len(chunk)
    return count


def _pyarrow() -> Any:
    return optional_package(
        "pyarrow", "writing .parquet", "requirements-parquet.txt", "name a .npz file"
    )
