"""Grouping a folder through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pagesort.common.paths import SMALL_MODEL
from tests.helpers.command import Run, command, error_line, read_table, workplace

__all__ = ["command", "workplace"]  # fixtures

COLOURS = ((240, 235, 220), (150, 170, 150), (250, 220, 120))
SIZES = (4, 3, 5)


def draw_page(path: Path, colour: tuple[int, int, int], is_first: bool, seed: int) -> None:
    """Draw a page of lines on paper of a colour; the first of an item begins lower down."""
    page = Image.new("RGB", (120, 160), colour)
    draw = ImageDraw.Draw(page)
    rng = np.random.default_rng(seed)
    for row in range(27 if is_first else 15, 145, 6):
        draw.line((15, row, 80 + int(rng.integers(25)), row), fill=(40, 40, 40), width=2)
    page.save(path)


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    """Twelve pages of three items, 1.png to 12.png."""
    folder = tmp_path / "pile"
    folder.mkdir()
    number = 0
    for colour, size in zip(COLOURS, SIZES, strict=True):
        for place in range(size):
            number += 1
            draw_page(folder / f"{number}.png", colour, place == 0, number)
    return folder


def groups_of(output: str) -> list[str]:
    """The column GROUP of the table whose path was printed first."""
    return [row["GROUP"] for row in read_table(output.splitlines()[0])]


def test_items_are_found_in_the_order_of_names(command: Run, pile: Path) -> None:
    status, output, _ = command("--group", "-d", pile)
    groups, items = map(read_table, output.splitlines())
    assert status == 0
    assert command("--check", output.splitlines()[0], model=False)[0] == 0
    assert [row["PATH"] for row in groups] == [f"{number}.png" for number in range(1, 13)]
    assert [row["GROUP"] for row in groups] == ["1"] * 4 + ["2"] * 3 + ["3"] * 5
    assert [row["PAGES"] for row in groups] == ["4"] * 4 + ["3"] * 3 + ["5"] * 5
    assert [(row["FIRST-PATH"], row["LAST-PATH"], row["PAGES"]) for row in items] == [
        ("1.png", "4.png", "4"), ("5.png", "7.png", "3"), ("8.png", "12.png", "5"),
    ]  # fmt: skip
    starts = [float(row["BOUNDARY"]) for row in groups]
    assert starts[0] == 1.0
    assert min(starts[4], starts[7]) > max(
        each for n, each in enumerate(starts) if n not in {0, 4, 7}
    )


def test_an_unreadable_page_keeps_its_place(command: Run, pile: Path) -> None:
    (pile / "3.png").write_text("no image", encoding="utf-8")
    status, output, errors = command("--group", "-d", pile)
    row = read_table(output.splitlines()[0])[2]
    assert status == 3
    assert (row["PATH"], row["GROUP"], row["CLASS"], row["BOUNDARY"]) == ("3.png", "1", "", "")
    assert row["NOTE"].startswith("cannot be read: ")
    assert "3.png" in errors


def test_subfolders_are_piles_of_their_own(command: Run, pile: Path) -> None:
    (pile / "box").mkdir()
    for number in (1, 2):
        (pile / f"{number}.png").rename(pile / "box" / f"{number}.png")
    _, output, _ = command("--group", "-d", pile, "--inner")
    rows = read_table(output.splitlines()[0])
    inside = {row["GROUP"] for row in rows if row["PATH"].startswith("box/")}
    outside = {row["GROUP"] for row in rows if not row["PATH"].startswith("box/")}
    assert len(rows) == 12
    assert inside
    assert not inside & outside


def test_a_list_gives_the_order(command: Run, pile: Path, tmp_path: Path) -> None:
    order = tmp_path / "order.txt"
    names = ["8.png", "9.png", "1.png", "2.png"]
    order.write_text("\n".join(names), encoding="utf-8")
    _, output, _ = command("--group", "-d", pile, "--order", order)
    rows = read_table(output.splitlines()[0])
    assert [row["PATH"] for row in rows] == names
    assert [row["GROUP"] for row in rows] == ["1", "1", "2", "2"]


def test_one_page_is_one_item(command: Run, pile: Path) -> None:
    for number in range(2, 13):
        (pile / f"{number}.png").unlink()
    status, output, _ = command("--group", "-d", pile)
    assert status == 0
    assert groups_of(output) == ["1"]


def test_a_folder_without_pages_is_refused(command: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no pages" in error_line(command("--group", "-d", tmp_path / "empty", model=False))


def test_group_needs_a_folder(command: Run) -> None:
    assert "--group" in error_line(command("--group", model=False), 2)


def test_tables_of_groups_need_something_to_do(command: Run, tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("file,item\n1.png,1\n", encoding="utf-8")
    assert "--review" in error_line(command("--groups", table, model=False), 2)
    assert "-d" in error_line(command("--groups", table, "--review", model=False), 2)


@pytest.mark.parametrize("method", ["ward", "agglomerative", "dbscan"])
def test_other_methods_write_the_same_tables(command: Run, pile: Path, method: str) -> None:
    status, output, _ = command("--group", "-d", pile, "--group_method", method)
    assert status == 0
    assert len(groups_of(output)) == 12


@pytest.mark.parametrize("method", ["sequence", "ward"])
def test_the_number_of_items_can_be_given(command: Run, pile: Path, method: str) -> None:
    _, output, _ = command("--group", "-d", pile, "--items", "5", "--group_method", method)
    assert sorted(set(groups_of(output))) == ["1", "2", "3", "4", "5"]


def test_groups_are_compared_with_the_true_ones(command: Run, pile: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    rows = [f"{n}.png;{'a' if n < 5 else 'b' if n < 8 else 'c'}" for n in range(1, 13)]
    truth.write_text("\n".join(["\ufefffile;item", *rows]), encoding="utf-8")
    status, output, _ = command("--group", "-d", pile, "--compare", truth)
    groups = output.splitlines()[0]
    assert status == 0
    assert "  Panoptic Quality\t1.000" in output
    figures = json.loads(Path(output.splitlines()[-2]).read_text(encoding="utf-8"))
    assert figures["tables"][Path(groups).stem]["exact"] == 1.0
    other = tmp_path / "other.csv"
    joined = Path(groups).read_text(encoding="utf-8").replace(",3,5,", ",2,5,")
    other.write_text(joined, encoding="utf-8")
    _, output, _ = command("--compare", truth, "--groups", groups, other, model=False)
    table = read_table(output.splitlines()[-1])
    assert [row["other"] for row in table] == ["1"] * 4 + ["2"] * 8
    assert [row["TRUE"] for row in table] == ["a"] * 4 + ["b"] * 3 + ["c"] * 5
    assert [row["WRONG"] for row in table] == ["0"] * 7 + ["1"] + ["0"] * 4


def test_tables_of_one_name_and_of_different_pages_are_compared_side_by_side(
    command: Run, tmp_path: Path
) -> None:
    found = {"one": "1.png,1\n2.png,1\n3.png,2\n", "two": "2.png,8\n3.png,8\n4.png,9\n"}
    for name, rows in found.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.csv").write_text(f"file,item\n{rows}", encoding="utf-8")
    tables = [tmp_path / name / "run.csv" for name in found]
    truth = tmp_path / "truth.csv"
    truth.write_text("file,item\n1.png,a\n2.png,b\n3.png,b\n5.png,c\n", encoding="utf-8")
    status, output, _ = command("--compare", truth, "--groups", *tables, model=False)
    assert status == 0
    one, two = (table.with_suffix("").as_posix() for table in tables)
    cells = [
        [row[name] for name in ("PATH", "TRUE", one, two, "WRONG")]
        for row in read_table(output.splitlines()[-1])
    ]
    assert cells == [
        ["1.png", "a", "1", "", "0"],
        ["2.png", "b", "1", "8", "1"],
        ["3.png", "b", "2", "8", "1"],
        ["4.png", "", "", "9", ""],
        ["5.png", "c", "", "", "0"],
    ]
    assert set(json.loads(Path(output.splitlines()[-2]).read_text())["tables"]) == {one, two}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,item\nelse.png,1\n", "names other pages"),
        ("file,item\n1.png,1\n1.png,2\n", "named twice"),
        ("file,item\n1.png,\n", "no group is given"),
        ("page,thing\n1.png,1\n", "columns are missing"),
        ("", "no rows"),
    ],
)
def test_a_truth_that_cannot_be_meant_is_told(
    command: Run, tmp_path: Path, text: str, said: str
) -> None:
    groups, truth = tmp_path / "groups.csv", tmp_path / "truth.csv"
    groups.write_text("file,item\n1.png,1\n2.png,1\n", encoding="utf-8")
    truth.write_text(text, encoding="utf-8")
    result = command("--compare", truth, "--groups", groups, model=False)
    assert said in error_line(result)


def test_a_new_folder_for_a_boundary_model_asks_for_no_other_model(
    command: Run, tmp_path: Path
) -> None:
    """It is where the new model goes, and no wish for a model of pages that should be there."""
    (tmp_path / "piles").mkdir()
    words = ("--train_groups", tmp_path / "piles", "--model_dir", tmp_path / "new")
    result = command(*words, model=False)
    assert "0 tables with the columns file and item" in error_line(result)
    assert "bundled model answers" in result[2]
    assert f"model {SMALL_MODEL} on" in result[2], "its embeddings part items better"


def test_the_smaller_model_looks_at_pages_to_group_unless_one_is_named(
    command: Run, pile: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(pile.glob("*.*"))[:2]:
        shutil.copy(path, few)
    status, _, err = command("-d", few, "-ff", "png,jpg", "--group", model=False)
    assert status == 0 and f"model {SMALL_MODEL} on" in err


@pytest.mark.slow
def test_a_boundary_model_is_trained_measured_and_used(
    command: Run, pile: Path, tmp_path: Path, workplace: Path
) -> None:
    for number in range(1, 13):
        lines = ("LETTER" if number < 5 else "LIST", f"word{number % 5} " * 9, str(number))
        (pile / f"{number}.txt").write_text("\n".join(lines), encoding="utf-8")
    piles = tmp_path / "piles"
    for name in ("one", "two", "three"):
        shutil.copytree(pile, piles / name)
        rows = [f"{n}.png,{'a' if n < 5 else 'b' if n < 8 else 'c'}" for n in range(1, 13)]
        (piles / f"{name}.csv").write_text("\n".join(["file,item", *rows]), encoding="utf-8")
    status, output, _ = command("--train_groups", piles, "--model_dir", tmp_path / "models")
    *_, table, model = output.splitlines()
    assert status == 0
    methods = {"sequence", "sequence, without texts", "ward", "one group"}
    assert {row["METHOD"] for row in read_table(table)} >= methods
    (pile / "2.txt").write_bytes(b"\xff no text")
    draw_page(pile / "13.png", COLOURS[2], False, 99)
    truth = piles / "one.csv"
    words = ("--group", "-d", pile, "--compare", truth, "--group_model", model)
    _, output, errors = command(*words)
    assert groups_of(output) == ["1"] * 4 + ["2"] * 3 + ["3"] * 6
    assert "trained on 12 of these 13 files" in errors
    assert errors.count("a text is left aside: it is no text in UTF-8") == 1


def test_corrected_groups_become_folders_and_back(command: Run, pile: Path, tmp_path: Path) -> None:
    _, output, _ = command("--group", "-d", pile)
    corrected, items = tmp_path / "corrected.csv", tmp_path / "items"
    text = Path(output.splitlines()[0]).read_text(encoding="utf-8")
    corrected.write_text(text.replace("12.png,3,5", "12.png,7,1"), encoding="utf-8")
    words = ("--groups", corrected, "-d", pile, "--sort_to", items, "--by", "group")
    status, _, errors = command(*words, model=False)
    assert status == 0, errors
    places = {path.name: path.parent.name for path in items.rglob("*.png")}
    assert (places["1.png"], places["5.png"], places["11.png"], places["12.png"]) == (
        "1", "2", "3", "7",
    )  # fmt: skip
    command("--sort_to", items, "--undo", model=False)
    assert not list(items.rglob("*.png"))


def test_groups_are_shown_in_a_page_for_the_browser(command: Run, pile: Path) -> None:
    status, output, _ = command("--group", "-d", pile, "--review")
    index = Path(output.splitlines()[-1])
    assert status == 0
    assert index.name == "index.html"
    assert '"groups"' in (index.parent / "data" / "run.js").read_text(encoding="utf-8")
