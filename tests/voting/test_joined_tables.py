"""Joining the models' tables: order, gaps, large tables, and what spoils them."""

from __future__ import annotations

import csv
import os
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from pagesort.common.errors import PageSortError
from pagesort.common.tables import PLAIN, TableForm, TableWriter, read_rows
from pagesort.voting.joined_tables import join_failures, join_results
from pagesort.voting.vote import vote

HEADER = "FILE,PAGE,CLASS-1,CLASS-2,SCORE-1,SCORE-2\n"


def _table(folder: Path, name: str, rows: Sequence[tuple[str, object, str, float]]) -> Path:
    path = folder / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER.strip().split(","))
        for document, page, label, score in rows:
            writer.writerow([document, page, label, "other", score, 0.01])
    return path


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize(
    ("ballots", "expected"),
    [
        ([("A", 0.4), ("B", 0.9), ("A", 0.3)], ("A", 2 / 3)),
        ([("A", 0.4), ("B", 0.9)], ("B", 0.5)),
        ([("B", 0.5), ("A", 0.5)], ("B", 0.5)),
        ([("B", 0.1), ("A", 0.2), ("A", 0.3), ("B", 0.4)], ("B", 0.5)),
        ([("B", 0.3), ("A", 0.1), ("A", 0.2), ("B", 0.0)], ("B", 0.5)),
        ([None, ("A", 0.2), None], ("A", 1 / 3)),
        ([("C", 1.0), ("A", 0.2), ("A", 0.2), ("B", 0.9), ("B", 0.1)], ("B", 0.4)),
    ],
)
def test_the_most_votes_win_then_the_surer_voters_then_the_better_model(
    ballots: list[tuple[str, float] | None], expected: tuple[str, float]
) -> None:
    assert vote(ballots) == expected


def test_rows_are_joined_in_the_order_of_result_tables_with_gaps(tmp_path: Path) -> None:
    first = [("a", 2, "X", 0.9), ("a", 10, "Y", 0.8), ('b, "č"', 1, "X", 0.7), ("Ž\nx", 3, "Y", 1)]
    second = [("a", 1, "X", 0.9), ("a", 2, "Y", 0.6), ('b, "č"', 1, "X", 0.5)]
    third = [("a", 2, "Y", 0.2), ("a", 10, "Y", 0.9), ("Ž\nx", 3, "X", 0.9)]
    paths = [
        _table(tmp_path, name, rows)
        for name, rows in zip("123", (first, second, third), strict=True)
    ]
    count = join_results([*paths, None], ["M1", "M2", "M3", "M4"], tmp_path / "vote.csv", vote)
    assert _rows(tmp_path / "vote.csv") == [
        ["FILE", "PAGE", "VOTE", "AGREEMENT", "M1", "M2", "M3", "M4", "PATH"],
        ["a", "1", "X", "0.250", "", "X", "", "", ""],
        ["a", "2", "Y", "0.500", "X", "Y", "Y", "", ""],
        ["a", "10", "Y", "0.500", "Y", "", "Y", "", ""],
        ['b, "č"', "1", "X", "0.500", "X", "X", "", "", ""],
        ["Ž\nx", "3", "Y", "0.250", "Y", "", "X", "", ""],
    ]
    assert dict(count.categories) == {"X": 2, "Y": 3}
    assert count.unanimous == 0
    assert join_results(paths[:1], ["M"], tmp_path / "one.csv", vote).unanimous == 4


def test_pages_of_one_name_are_joined_by_path_in_both_forms_of_tables(tmp_path: Path) -> None:
    excel = TableForm(";", ",", is_for_excel=True)
    rows = [("=a", "1", "X", 0.5, "-p/=a-1.jpg"), ("=a", "1", "Y", 0.25, "-p/=a-1.png")]
    paths = []
    for number, form in enumerate((PLAIN, excel)):
        paths.append(tmp_path / f"{number}.csv")
        with paths[-1].open("w", encoding="utf-8", newline="") as file:
            writer = TableWriter(file, form)
            for row in [("FILE", "PAGE", "CLASS-1", "SCORE-1", "PATH"), *rows]:
                writer.write(row)
    assert "'=a;1;X;0,5;'-p/=a-1.jpg" in paths[1].read_text("utf-8")
    join_results(paths, ["M1", "M2"], tmp_path / "vote.csv", vote)
    told = [["=a", "1", label, "1.000", label, label] for label in "XY"]
    assert _rows(tmp_path / "vote.csv")[1:] == [
        [*told[0], "-p/=a-1.jpg"],
        [*told[1], "-p/=a-1.png"],
    ]
    join_results(paths, ["M1", "M2"], tmp_path / "vote.csv", vote, excel)
    told_again = list(read_rows(tmp_path / "vote.csv"))
    assert [row["FILE"] for row in told_again] == ["=a", "=a"]
    assert told_again[0]["AGREEMENT"] == "1,000"
    old = _table(tmp_path, "old", [("a", 2, "X", 0.9)])
    with pytest.raises(PageSortError, match="two versions"):
        join_results([*paths, old], ["M1", "M2", "M3"], tmp_path / "vote.csv", vote)


def test_failures_are_listed_once_with_the_models_that_met_them(tmp_path: Path) -> None:
    header = "FILE,PAGE,PATH,REASON\n"
    (tmp_path / "1.csv").write_text(header + "a,1,a-1.png,cut short\nb,2,b-2.png,empty\n")
    (tmp_path / "2.csv").write_text(header + "b,2,b-2.png,no number\nb,2,x/b-2.png,empty\n")
    target = tmp_path / "failed.csv"
    paths = [tmp_path / "1.csv", None, tmp_path / "2.csv"]
    assert join_failures(paths, ["M1", "M2", "M3"], target) == 3
    assert _rows(target) == [
        ["FILE", "PAGE", "REASON", "MODELS", "PATH"],
        ["a", "1", "cut short", "M1", "a-1.png"],
        ["b", "2", "empty", "M1; M3", "b-2.png"],
        ["b", "2", "empty", "M3", "x/b-2.png"],
    ]
    # They were mended, and the vote went on.
    assert join_failures([None, None], ["M1", "M2"], target) == 0
    assert not target.exists()
    assert join_failures([None, None], ["M1", "M2"], target) == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{HEADER}b,1,X,Y,1,0\na,1,X,Y,1,0\n", "not sorted by FILE and PAGE"),
        (f"{HEADER}a,10,X,Y,1,0\na,9,X,Y,1,0\n", "not sorted"),
        ("FILE,CLASS-1\na,X\n", "cannot be read .'PAGE'"),
        (f"{HEADER}a\n", "has no class"),
        (f"{HEADER}a,1\n", "has no class"),
        ("FILE,PAGE,CLASS-1,SCORE-1\na,1,X,?\n", "has no class"),
        (f"{HEADER}\xf8,1,X,Y,1,0\n", "cannot be read"),
    ],
)
def test_a_table_that_was_changed_is_told_and_no_vote_is_written(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "1.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(PageSortError, match=told) as caught:
        join_results([path], ["M"], tmp_path / "vote.csv", vote)
    assert caught.value.where == path
    assert "without --resume" in caught.value.remedy
    assert [each.name for each in tmp_path.iterdir()] == ["1.csv"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_pages(tmp_path: Path) -> None:
    def peak(pages: int) -> int:
        rows = [
            (f"doc{page // 100:05d}", page % 100, "ABC"[page % 3], 0.5) for page in range(pages)
        ]
        paths = [_table(tmp_path, f"{pages}-{number}", rows) for number in range(3)]
        del rows
        tracemalloc.start()
        count = join_results(paths, ["a", "b", "c"], tmp_path / f"{pages}.csv", vote)
        (_, most) = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count.unanimous == count.categories.total() == pages
        return most

    small, large = peak(500), peak(10_000)
    assert large < small * 1.2


def test_a_full_disk_is_told_and_leaves_no_half_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _table(tmp_path, "1", [("a", 1, "X", 0.9)])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        PageSortError, match=r"votes cannot be written \(the disk is full.*--resume"
    ):
        join_results([path], ["M"], tmp_path / "vote.csv", vote)
    assert [each.name for each in tmp_path.iterdir()] == ["1.csv"]
