"""Tables for programs: the same rows as in the CSV, with numbers that are numbers."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pagesort.common import optional
from pagesort.common.errors import PageSortError
from pagesort.common.pieces import Division
from pagesort.common.tables import PLAIN, TableForm, TableWriter
from pagesort.common.workers import Workers
from pagesort.records import machine_tables
from pagesort.records.machine_tables import check_formats, write_copies

HEADER = ["FILE", "PAGE", "CLASS-1", "SCORE-1", "NOTE", "PATH"]
ROWS = [
    ["letter", 2, "TEXT", 0.25, "", "a b/letter-2.png"],
    ["=ř\n", "9" * 30, "DRAW", 1.0, "blank", 'x,"y".png'],
    ["doc", "", "DRAW", 0.5, "", "doc.pdf"],
]


def written(path: Path, rows: list[list[object]], form: TableForm = PLAIN) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = TableWriter(file, form)
        for row in [HEADER, *rows]:
            writer.write(row)
    return path


@pytest.mark.parametrize("form", [PLAIN, TableForm(";", ",", True)], ids=["plain", "excel"])
def test_copies_hold_what_the_table_holds(tmp_path: Path, form: TableForm) -> None:
    table = written(tmp_path / "result_x.csv", ROWS, form)
    before = table.read_bytes()
    lines, parquet = sorted(write_copies([table], ("csv", "parquet", "jsonl"), gone=[]))
    assert table.read_bytes() == before
    rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert [list(row.values()) for row in rows] == [
        ROWS[0],
        [*ROWS[1][:1], int("9" * 30), *ROWS[1][2:]],
        ["doc", None, *ROWS[2][2:]],
    ]
    read = pq.read_table(parquet)
    assert read.column_names == HEADER
    assert [str(each) for each in read.schema.types] == [
        *("string", "int64", "string", "double", "string", "string")
    ]
    rows[1]["PAGE"] = None  # fits no integer of 64 bits
    assert read.to_pylist() == rows


def test_scores_of_all_labels_are_numbers(tmp_path: Path) -> None:
    table = tmp_path / "x_RAW.csv"
    table.write_text("FILE,PAGE,DRAW,TEXT HW,PATH\na,1,0.25,0.75,a.png\n", encoding="utf-8")
    (parquet,) = write_copies([table], ("parquet",), gone=[])
    assert pq.read_table(parquet).to_pylist() == [
        {"FILE": "a", "PAGE": 1, "DRAW": 0.25, "TEXT HW": 0.75, "PATH": "a.png"}
    ]


def test_large_tables_become_a_folder_of_files_and_small_ones_a_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_tables, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(machine_tables, "CHUNKS_A_FILE", 2)
    rows: list[list[object]] = [["f", n, "TEXT", 0.5, "", f"f-{n}.png"] for n in range(45)]
    table = written(tmp_path / "result_x.csv", rows)
    (folder,) = write_copies([table], ("parquet",), gone=[])
    assert sorted(part.name for part in folder.iterdir()) == [
        f"part-{n:05d}.parquet" for n in range(3)
    ]
    assert ds.dataset(folder).to_table().column("PAGE").to_pylist() == list(range(45))
    written(table, [])
    (file,) = write_copies([table], ("parquet",), gone=[])
    assert file.is_file() and pq.read_table(file).num_rows == 0
    assert pq.read_table(file).column_names == HEADER
    assert sorted(path.name for path in tmp_path.iterdir()) == [table.name, file.name]


def contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else path.iterdir()
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize("cuts", [(0, 0, 7, 7, 45), (0, 20, 40, 45), (0, 3, 43, 45), (0, 0)])
def test_copies_of_a_divided_table_are_those_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuts: tuple[int, ...]
) -> None:
    monkeypatch.setattr(machine_tables, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(machine_tables, "CHUNKS_A_FILE", 2)
    rows: list[list[object]] = [["f", n, "TEXT", 0.5, "a\nb", f"f-{n}.png"] for n in range(45)]
    rows = rows[: cuts[-1]]
    table = written(tmp_path / "result_x.csv", rows)
    expected = [contents(copy) for copy in write_copies([table], ("parquet", "jsonl"), gone=[])]
    pieces = [written(tmp_path / "0.csv", [])]
    for low, high in itertools.pairwise(cuts):
        pieces.append(written(tmp_path / f"{len(pieces)}.csv", rows[low:high]))
    division = Division(Workers(1), {table: pieces})
    before = sorted(tmp_path.iterdir())
    copies = write_copies([table], ("parquet", "jsonl"), gone=[], division=division)
    assert [contents(copy) for copy in copies] == expected
    assert sum(map(len, expected)) == (4 if rows else 2)
    assert sorted(tmp_path.iterdir()) == before


def test_copies_of_a_table_that_is_gone_go_too(tmp_path: Path) -> None:
    table = written(tmp_path / "result_x.csv", ROWS)
    failed = written(tmp_path / "x_FAILED.csv", [])
    write_copies([table, failed], ("parquet", "jsonl"), gone=[])
    failed.unlink()
    write_copies([table], ("jsonl",), gone=[failed])
    assert {path.name for path in tmp_path.iterdir()} == {
        *("result_x.csv", "result_x.jsonl", "result_x.parquet")
    }


def test_a_damaged_table_is_told(tmp_path: Path) -> None:
    table = tmp_path / "result_x.csv"
    table.write_text("FILE,PAGE,SCORE-1\na,1,much\n", encoding="utf-8")
    with pytest.raises(PageSortError, match="cannot be read"):
        write_copies([table], ("jsonl",), gone=[])
    assert list(tmp_path.iterdir()) == [table]


def test_a_missing_package_is_told_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(optional.importlib, "import_module", missing)
    check_formats(("csv", "jsonl"))
    with pytest.raises(PageSortError, match="requirements-parquet.txt"):
        check_formats(("csv", "parquet"))
