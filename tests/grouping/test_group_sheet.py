"""Groups as the pages of a contact sheet: runs side by side, alike in colour where they agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pagesort.common.errors import PageSortError
from pagesort.grouping.sheet import GroupsSheet
from pagesort.review.sheet import RunItem

HEADER = "FILE,PAGE,PATH,GROUP,PAGES,BOUNDARY,CLASS,SCORE,NOTE"


def write_groups(path: Path, groups: str, boundary: str = "0.1") -> Path:
    """A GROUPS table of the pages 1.png and on, with a letter or digit for each page's group."""
    rows = [
        f"{n},,{n}.png,{group},1,{boundary},TEXT,0.9," for n, group in enumerate(groups, start=1)
    ]
    path.write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    return path


def write_truth(path: Path, items: str) -> Path:
    """A table of the true items, with a letter for each."""
    rows = [f"{n}.png,{item}" for n, item in enumerate(items, start=1)]
    path.write_text("\n".join(["file,item", *rows, ""]), encoding="utf-8")
    return path


def record(table: Path, **settings: object) -> None:
    """Write a record beside a table that tells its settings."""
    told = {name: {"value": value, "origin": "flag"} for name, value in settings.items()}
    content = {"format": 1, "table": {}, "models": [], "pages": {}, "settings": told}
    table.with_suffix(".json").write_text(json.dumps(content), encoding="utf-8")


def test_runs_have_like_colours_where_they_agree_and_marks_where_they_are_wrong(
    tmp_path: Path,
) -> None:
    one = write_groups(tmp_path / "one.csv", "11223")
    two = write_groups(tmp_path / "two.csv", "11112")
    truth = write_truth(tmp_path / "truth.csv", "aabbb")
    pages = list(GroupsSheet([one, two], truth).pages())
    assert [page.runs[0] for page in pages] == [
        *[RunItem("1", 1)] * 2, *[RunItem("2", 2)] * 2, RunItem("3", 3, "wrong"),
    ]  # fmt: skip
    assert [(page.runs[1].colour, page.runs[1].mark) for page in pages] == [
        (1, ""), (1, ""), (1, "wrong"), (1, ""), (3, "wrong"),
    ]  # fmt: skip
    assert [page.true_group for page in pages] == [1, 1, 2, 2, 2]
    assert [page.note for page in pages] == [
        "", "", "an item begins here; wrong: two", "", "no item begins here; wrong: one, two",
    ]  # fmt: skip


def test_without_true_items_notes_tell_where_runs_differ(tmp_path: Path) -> None:
    one = write_groups(tmp_path / "one.csv", "112")
    two = write_groups(tmp_path / "two.csv", "1112", boundary="0.5")
    pages = list(GroupsSheet([one, two]).pages())
    assert [page.note for page in pages] == ["", "", "an item begins here for one only", ""]
    assert [page.runs[0].item for page in pages] == ["1", "1", "2", ""]
    assert [page.runs[1].mark for page in pages] == ["unsure"] * 4


def test_runs_are_called_by_their_method_and_settings(tmp_path: Path) -> None:
    tables = [write_groups(tmp_path / f"{name}.csv", "112") for name in ("a", "b", "c", "d")]
    record(tables[0], group_method="ward", distance=0.5, items=None, eps=0.1)
    record(tables[1], group_method="sequence", items=None, sizes=None)
    record(tables[2], group_method="sequence", items=None, sizes=None)
    runs = GroupsSheet(tables, write_truth(tmp_path / "truth.csv", "aab")).runs
    names = [run.name for run in runs]
    assert names == ["ward (distance 0.5)", "sequence (b)", "sequence (c)", "d"]
    assert runs[0].about == "Panoptic Quality 1.00, F1 of boundaries 1.00: a.csv"


def test_one_run_is_shown_as_itself(tmp_path: Path) -> None:
    table = write_groups(tmp_path / "one.csv", "xxy", boundary="no number")
    sheet = GroupsSheet([table], write_truth(tmp_path / "truth.csv", "abb"))
    pages = list(sheet.pages())
    assert sheet.runs == ()
    assert [(page.group, page.runs, page.true_item) for page in pages] == [
        (1, (), "a"), (1, (), "b"), (2, (), "b"),
    ]  # fmt: skip
    assert [page.note for page in pages] == ["", "an item begins here", "no item begins here"]


def test_true_items_of_other_pages_are_told(tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("file,item\nelse.png,1\n", encoding="utf-8")
    tables = [write_groups(tmp_path / f"{name}.csv", "11") for name in ("one", "two")]
    with pytest.raises(PageSortError, match="names other pages"):
        _ = GroupsSheet(tables, truth).runs
