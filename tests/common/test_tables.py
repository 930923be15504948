"""Tables and their cells, which a person may have edited."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from pagesort.common.errors import PageSortError
from pagesort.common.tables import header_of, read_column, read_rows, rows_by_name, share

HEADER = b"FILE,PATH\n"
TOO_LONG = csv.field_size_limit() + 1


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("0.25", 0.25),
        ("0,25", 0.25),
        ("1", 1.0),
        ("0", 0.0),
        ("", None),
        ("sure", None),
        ("1.01", None),
        ("-0.1", None),
        ("nan", None),
    ],
)
def test_a_share_is_a_number_from_0_to_1(cell: str, expected: float | None) -> None:
    assert share(cell) == expected


@pytest.mark.parametrize(
    "content",
    [None, HEADER + b"a,\xf8\n", HEADER + b"a," + b"x" * TOO_LONG],
    ids=["missing", "not UTF-8", "damaged"],
)
def test_a_table_that_cannot_be_read_is_told_with_what_to_do(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "table ř.csv"
    if content is not None:
        path.write_bytes(content)
    for read in (read_rows, lambda path: read_column(path, "PATH")):
        with pytest.raises(PageSortError, match="the table cannot be read") as caught:
            list(read(path))
        assert (caught.value.where, caught.value.remedy) == (path, "Save it as CSV in UTF-8")
    with pytest.raises(PageSortError) as caught:
        list(read_rows(path, "Run it again"))
    assert caught.value.remedy == "Run it again"


def test_the_columns_of_a_table_that_is_gone_are_told(tmp_path: Path) -> None:
    with pytest.raises(PageSortError, match="the table cannot be read"):
        header_of(tmp_path / "gone.csv")


def test_what_whoever_reads_a_table_does_wrong_is_no_fault_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(HEADER + b"a,b\n")
    with pytest.raises(OSError, match="my own"):
        for _ in read_rows(path):
            raise OSError("my own")


def test_rows_of_a_persons_table_tell_a_missing_column_and_damage() -> None:
    where = Path("list.csv")
    rows = rows_by_name(io.StringIO("Path;label\na.png;X\nb.png\n"), ("path",), where, "Add it")
    assert list(rows) == [
        (2, {"path": "a.png", "label": "X"}),
        (3, {"path": "b.png", "label": ""}),
    ]
    with pytest.raises(PageSortError, match="no column source") as caught:
        list(rows_by_name(io.StringIO("path\na.png\n"), ("source",), where, "Add it"))
    assert (caught.value.where, caught.value.remedy) == (where, "Add it")
    for text in ("path\n" + "x" * TOO_LONG, "x" * TOO_LONG + "\n"):
        with pytest.raises(PageSortError, match="the table is damaged.*Save it as CSV"):
            list(rows_by_name(io.StringIO(text), ("path",), where, "Add it"))
