"""Lists of labelled pages: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pagesort.common.errors import PageSortError
from pagesort.labelled.split_files import PageSplit, open_list_split
from pagesort.labelled.splits import PARTS
from pagesort.labelled.train_list import read_train_list

SPLIT = {"seed": 420, "test_size": 0.1, "by": "document", "max_categ": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in ("čísla – a b", "TEXT"):
        (tmp_path / "pages" / label).mkdir(parents=True)
        for number in range(12):
            page = tmp_path / "pages" / label / f"{label[0]}{number // 2:02}-{number}.png"
            page.write_bytes(label.encode() * (number + 1))
    return tmp_path / "pages"


def written(folder: Path, *lines: str, header: str = "path,label,split") -> Path:
    path = folder / "my list.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def opened(path: Path, stats: Path, **read: object) -> PageSplit:
    return open_list_split(read_train_list(path, **read), stats, **SPLIT)


def test_a_list_says_label_and_part(folder: Path, tmp_path: Path) -> None:
    made = opened(
        written(
            folder,
            "TEXT/T00-0.png,day,train",
            "./TEXT/../TEXT/T01-2.png,night,train",
            "čísla – a b/č00-0.png,day,val",
            "čísla – a b/č01-2.png,night,test",
            "",
        ),
        tmp_path / "stats",
    )
    assert made.labels == ("day", "night")
    assert [[(page.name, page.label) for page in getattr(made, part)] for part in PARTS] == [
        [("TEXT/T00-0.png", "day"), ("TEXT/T01-2.png", "night")],
        [("čísla – a b/č00-0.png", "day")],
        [("čísla – a b/č01-2.png", "night")],
    ]
    assert (made.by, made.folder, made.path) == ("list", folder, folder / "my list.csv")
    assert not (tmp_path / "stats").exists()
    assert made.test[0].path.read_bytes() == "čísla – a b".encode() * 3


@pytest.mark.parametrize("change", [("day", "dusk"), ("train", "val"), ("T00-0", "T00-1")])
def test_labels_parts_and_pages_make_the_split(folder: Path, tmp_path: Path, change) -> None:
    lines = "TEXT/T00-0.png,day,train", "TEXT/T01-2.png,night,train"
    first = opened(written(folder, *lines), tmp_path)
    assert opened(written(folder, *lines), tmp_path).fingerprint == first.fingerprint
    other = [line.replace(*change) for line in lines]
    assert opened(written(folder, *other), tmp_path).fingerprint != first.fingerprint


def test_a_list_without_parts_is_split_and_that_split_is_kept(folder: Path, tmp_path: Path) -> None:
    lines = [f"{page.relative_to(folder).as_posix()};L{page.name[0]}" for page in
             sorted(folder.rglob("*.png"))]  # fmt: skip
    first = opened(written(folder, *lines[:-4], header="path;label"), tmp_path)
    assert [len(getattr(first, part)) for part in PARTS] == [12, 4, 4]
    later = opened(written(folder, *lines, header="path;label"), tmp_path)
    assert later.test == first.test
    assert first.path.parent == tmp_path


def test_a_cap_leaves_what_tests(folder: Path, tmp_path: Path) -> None:
    lines = [f"TEXT/T0{n // 2}-{n}.png,{'ab'[n % 2]},{'train' if n < 8 else 'test'}"
             for n in range(12)]  # fmt: skip
    made = opened(written(folder, *lines), tmp_path, max_categ=2)
    assert [len(getattr(made, part)) for part in PARTS] == [4, 0, 4]


def test_a_document_in_two_parts_is_told(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(written(folder, "TEXT/T00-0.png,a,train", "TEXT/T00-1.png,b,test"), tmp_path)
    with caplog.at_level(logging.WARNING):
        assert "documents with pages in several parts of the list" in caplog.text
    assert "T00" in caplog.text


@pytest.mark.parametrize(
    ("header", "line", "said"),
    [
        ("path,class", "TEXT/T00-0.png,a", "no column label"),
        ("path,label,split", "../else.png,a,train", "line 2: names no page in the folder"),
        ("path,label,split", "/etc/page.png,a,train", "line 2: names no page in the folder"),
        ("path,label,split", "TEXT/T00-0.png,,train", "line 2: has no label"),
        ("path,label,split", "TEXT/T00-0.png,../up,train", "line 2: has no label"),
        ("path,label,split", "TEXT/T00-0.png,a,dev", "line 2: puts a page into the part 'dev'"),
        ("path,label,split", "notes.txt,a,test", "line 2: names no image"),
        ("path,label,split", "a.png,a,train\nb.png,a,", "line 3: some lines tell a split"),
        ("path,label,split", "a.png,a,train\n./a.png,b,test", "line 3 names the page of line 2"),
        ("path,label,split", "", "names no page"),
        ("", "", "no column path"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_line(
    folder: Path, header: str, line: str, said: str
) -> None:
    path = written(folder, line, header=header)
    with pytest.raises(PageSortError, match=said) as error:
        read_train_list(path)
    assert error.value.where == path


def test_a_list_that_is_none_is_told(folder: Path) -> None:
    with pytest.raises(PageSortError, match="cannot read the list"):
        read_train_list(folder / "none.csv")
    with pytest.raises(PageSortError, match="cannot read the list"):
        read_train_list(folder)
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(PageSortError, match="no column path"):
        read_train_list(folder / "binary.csv")
