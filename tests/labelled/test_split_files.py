"""The written split: made once, found again, and refused when it was changed."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pagesort.common.errors import PageSortError
from pagesort.labelled.folder import read_labelled_folder
from pagesort.labelled.split_files import PageSplit, open_split
from pagesort.labelled.splits import PARTS
from tests.helpers.paths import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve documents of two pages for each of three labels."""
    for label in ("TEXT", "DRAW", "čísla – a b"):
        (tmp_path / "pages" / label).mkdir(parents=True)
        for number in range(24):
            path = tmp_path / "pages" / label / f"{label[0]}{number // 2:02}-{number}.png"
            path.write_bytes(b"x" * (number + 1))
    return tmp_path / "pages"


def split(folder: Path, stats: Path, **changes: object) -> PageSplit:
    options: dict = {"seed": 420, "test_size": 0.1, "by": "document", "max_categ": None} | changes
    data = read_labelled_folder(folder, named_by="x", max_categ=options["max_categ"])
    return open_split(data, stats, **options)


def names(split: PageSplit) -> list[list[str]]:
    return [[page.name for page in getattr(split, part)] for part in PARTS]


def test_a_split_is_written_once_and_used_again(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stats = tmp_path / "result" / "stats"
    first = split(folder, stats)
    assert first.path == stats / f"split_{first.fingerprint[:12]}.json"
    assert len(first.fingerprint) == 64
    written = first.path.stat().st_mtime_ns
    again = split(folder, stats)
    assert again == first
    assert first.path.stat().st_mtime_ns == written
    assert [len(part) for part in names(first)] == [60, 6, 6]
    assert "split made: 60 pages train, 6 validate, 6 test" in caplog.text
    assert "split of an earlier run used again: 60 pages train" in caplog.text
    assert [path.name for path in stats.iterdir()] == [first.path.name]
    assert (first.labels, first.folder, first.by) == (
        ("DRAW", "TEXT", "čísla – a b"), folder, "document",
    )  # fmt: skip


def test_a_researcher_can_read_the_file(folder: Path, tmp_path: Path) -> None:
    made = split(folder, tmp_path, max_categ=20)
    text = made.path.read_text(encoding="utf-8")
    assert '"čísla – a b/' in text
    content = json.loads(text)
    assert content["settings"] == {
        "seed": 420, "test_size": 0.1, "split": "document", "max_categ": 20,
    }  # fmt: skip
    assert [content[part] for part in PARTS] == names(made)
    assert content["counts"]["TEXT"]["train"] + 4 == sum(content["counts"]["TEXT"].values()) == 20
    assert str(tmp_path) not in text


def test_a_moved_folder_finds_its_split(folder: Path, tmp_path: Path) -> None:
    first = split(folder, tmp_path)
    shutil.copytree(folder, tmp_path / "elsewhere" / "copy")
    moved = split(tmp_path / "elsewhere" / "copy", tmp_path)
    assert moved.path == first.path
    assert names(moved) == names(first)
    assert moved.test[0].path.is_relative_to(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    "change", [{"seed": 421}, {"test_size": 0.2}, {"by": "page"}, {"max_categ": 12}]
)
def test_other_settings_are_another_split(folder: Path, tmp_path: Path, change: dict) -> None:
    assert split(folder, tmp_path, **change).path != split(folder, tmp_path).path
    assert len(list(tmp_path.glob("split_*.json"))) == 2


def test_other_pages_are_another_split(folder: Path, tmp_path: Path) -> None:
    fingerprints = {split(folder, tmp_path).fingerprint}
    page = folder / "TEXT" / "T00-0.png"
    page.write_bytes(b"another size")
    fingerprints.add(split(folder, tmp_path).fingerprint)
    page.rename(page.with_name("T00-99.png"))
    fingerprints.add(split(folder, tmp_path).fingerprint)
    assert len(fingerprints) == 3
    # a cap that no label reaches changes nothing
    assert split(folder, tmp_path, max_categ=1000).fingerprint in fingerprints


def test_a_check_of_the_pages_moves_no_other_page(folder: Path, tmp_path: Path) -> None:
    from tests.helpers.pages import write_page

    for path in folder.rglob("*.png"):
        if path.name != "T05-11.png":
            write_page(path, size=(20, 30))
    unchecked = split(folder, tmp_path)
    checked = open_split(
        read_labelled_folder(folder, named_by="x", safe=True),
        tmp_path, seed=420, test_size=0.1, by="document", max_categ=None,
    )  # fmt: skip
    assert checked.path == unchecked.path
    assert names(checked) == [
        [name for name in part if name != "TEXT/T05-11.png"] for part in names(unchecked)
    ]


def _cut(text: str) -> str:
    return text[: len(text) // 2]


def _move_a_page(text: str) -> str:
    content = json.loads(text)
    content["train"].append(content["test"].pop())
    return json.dumps(content)


def _drop_a_page(text: str) -> str:
    content = json.loads(text)
    content["test"].pop()
    return json.dumps(content)


def _numbers(text: str) -> str:
    return json.dumps(json.loads(text) | {"train": [1, 2]})


def _other_fingerprint(text: str) -> str:
    return json.dumps(json.loads(text) | {"fingerprint": "0" * 64})


def _other_version(text: str) -> str:
    return json.dumps(json.loads(text) | {"version": 99})


@pytest.mark.parametrize(
    "damage",
    [
        *(_cut, _move_a_page, _drop_a_page, _numbers, _other_fingerprint, _other_version),
        *(lambda text: "", lambda text: "[]", lambda text: "\0\0\0"),
    ],
)
def test_a_changed_file_is_refused(folder: Path, tmp_path: Path, damage) -> None:
    path = split(folder, tmp_path).path
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(PageSortError) as error:
        split(folder, tmp_path)
    assert error.value.where == path
    assert "Delete this file" in error.value.remedy
    path.unlink()
    split(folder, tmp_path)


def test_labels_that_are_not_tested_are_told_each_time(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "LONE").mkdir()
    for number in range(5):
        (folder / "LONE" / f"one-{number}.png").touch()
    for _ in range(2):
        caplog.clear()
        split(folder, tmp_path)
        assert "no test pages of LONE; no validation pages of LONE" in caplog.text
        assert "split = page" in caplog.text


def test_a_folder_that_cannot_be_written_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PageSortError, match="cannot be"):
        split(folder, tmp_path / "file" / "stats")


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_no_text_come_back(folder: Path, tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder / "TEXT") + b"/T99-\xff1.png")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    first = split(folder, tmp_path)
    assert split(folder, tmp_path) == first
    assert any(os.fsencode(page.name).endswith(b"\xff1.png") for page in first.train + first.test)


def test_processes_that_start_together_agree(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pagesort.labelled.folder import read_labelled_folder as read;"
        "from pagesort.labelled.split_files import open_split;"
        "data = read(sys.argv[1], named_by='x');"
        "print(len([open_split(data, sys.argv[2] + f'/{turn}', seed=1, test_size=0.2,"
        "by='page', max_categ=None) for turn in range(40)][-1].train))"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "stats")]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    ended = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert ended[0][0] == ended[1][0]
    left = [path.name for path in (tmp_path / "stats").rglob("*") if path.is_file()]
    assert len(left) == 40
    assert all(name.startswith("split_") for name in left)


def grown(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x" * (number + 100))


@pytest.mark.parametrize("by", ["document", "page"])
def test_added_pages_train_and_move_no_other(folder: Path, tmp_path: Path, by: str) -> None:
    first = split(folder, tmp_path, by=by)
    for number in range(1, 8):  # the way of picking at even steps would move pages each time
        grown(folder, [f"TEXT/A{number:02}-1.png", f"DRAW/Z{number:02}-1.png"])
        later = split(folder, tmp_path, by=by)
        assert later.path != first.path
        assert names(later)[1:] == names(first)[1:]
        assert len(later.train) == len(first.train) + 2 * number
    assert split(folder, tmp_path, by=by) == later


def test_removed_and_returned_pages_keep_their_parts(folder: Path, tmp_path: Path) -> None:
    first = split(folder, tmp_path)
    gone = {page.path: page.path.read_bytes() for page in (first.test[0], first.train[0])}
    for path in gone:
        path.unlink()
    fewer = split(folder, tmp_path)
    assert [page.name for page in fewer.test] == names(first)[2][1:]
    for path, content in gone.items():
        path.write_bytes(content + b"y")  # another size, so that the first split is not found
    assert names(split(folder, tmp_path)) == names(first)


def test_a_cap_moves_no_page(folder: Path, tmp_path: Path) -> None:
    part = {name: part for part, own in zip(PARTS, names(split(folder, tmp_path)), strict=True)
            for name in own}  # fmt: skip
    capped = split(folder, tmp_path, max_categ=7)
    assert all(
        part[name] == PARTS[place] for place, own in enumerate(names(capped)) for name in own
    )


def test_pages_of_a_document_join_it_and_new_labels_are_split(folder: Path, tmp_path: Path) -> None:
    first = split(folder, tmp_path)
    document = first.test[0].path.stem.split("-")[0]
    grown(folder, [f"TEXT/{document}-99.png", *(f"NEW/n{n:02}-1.png" for n in range(20))])
    later = split(folder, tmp_path)
    held = names(later)[2]
    assert f"TEXT/{document}-99.png" in held
    assert set(names(first)[2]) < set(held)
    assert [sum(page.label == "NEW" for page in getattr(later, part)) for part in PARTS] == [
        16, 2, 2,
    ]  # fmt: skip


def test_other_folders_of_the_same_name_are_split_anew(folder: Path, tmp_path: Path) -> None:
    first = split(folder, tmp_path / "stats")
    other = tmp_path / "elsewhere" / "pages"
    for label in ("TEXT", "DRAW"):
        other.mkdir(parents=True, exist_ok=True)
        grown(other, [f"{label}/other{number:02}-1.png" for number in range(20)])
    shutil.copy(first.train[0].path, other / first.train[0].name)
    assert len(split(other, tmp_path / "stats").test) == 4
