"""The table of documents: of a folder's run, of one that is gone on with, and of a vote."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from pagesort.common.tables import TableForm, TableWriter
from pagesort.records.documents import DocumentRules, Runs, write_documents
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.pages import write_page

__all__ = ["command", "workplace"]  # fixtures

ROUTES = {"TEXT_T": "OCR", "PHOTO": "figures", "DRAW": "figures"}
HEADER = ("FILE", "PAGE", "CLASS-1", "SCORE-1", "NOTE", "PATH")


def write(path: Path, *rows: tuple[object, ...], header: tuple[str, ...] = HEADER) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = TableWriter(file)
        for row in (header, *rows):
            writer.write(row)
    return path


def documents(folder: Path, result: Path, failed: Path | None = None, **rules: float) -> list[dict]:
    target = folder / "x_DOCUMENTS.csv"
    write_documents(result, failed, target, DocumentRules(ROUTES, **rules))
    return read_table(target)


def test_runs_name_kinds_where_they_change_and_skip_what_is_not_there() -> None:
    runs = Runs()
    for page, name in ((1, "A"), (2, "A"), (4, "A"), (5, "B"), (9, "A"), (9, "A"), (10, "A")):
        runs.add(page, name)
    assert str(runs) == "A 1–2, 4, B 5, A 9–10"


def test_runs_without_end_fit_a_cell_and_say_how_many_are_left_out() -> None:
    runs = Runs()
    for page in range(1, 100_001):
        runs.add(page, "ODD" if page % 2 else "EVEN")
    text = str(runs)
    shown, _, more = text.rpartition(", and ")
    assert len(text) < 32_767
    assert more == f"{100_000 - len(shown.split(', '))} more runs"


def test_a_document_tells_its_kinds_what_to_review_and_what_comes_next(tmp_path: Path) -> None:
    result = write(
        tmp_path / "r.csv",
        ("a", 1, "TEXT_T", 0.9, "", "a-1.png"),
        ("a", 2, "TEXT_T", 0.499, "", "a-2.png"),
        ("a", 4, "PHOTO", 0.5, "", "a-4.png"),
        ("a", 5, "PHOTO", 0.7, "blank", "a-5.png"),
        ("a", 10, "DRAW", 0.8, "nearly blank", "a-10.png"),
        ("a", 11, "Own kind", 0.1, "", "a-11.png"),
        ("b", 1, "text_t", 0.9, "", "b.pdf"),
    )
    failed = write(
        tmp_path / "f.csv",
        ("a", 3, "broken", "a-3.png"),
        ("c", "", "locked", "c.pdf"),
        header=("FILE", "PAGE", "REASON", "PATH"),
    )
    first, second, third = documents(tmp_path, result, failed, review_below=0.5)
    assert first == {
        "FILE": "a", "PAGES": "7", "KINDS": "TEXT_T 1–2, PHOTO 4–5, DRAW 10, Own kind 11",
        "REVIEW": "2", "REVIEW-PAGES": "2, 11",
        "NEXT": "OCR 1–2, figures 4, none 5, figures 10, unset 11",
        "UNREAD-PAGES": "3", "PATH": "a-1.png",
    }  # fmt: skip
    assert (second["KINDS"], second["NEXT"], second["REVIEW"]) == ("text_t 1", "OCR 1", "0")
    assert list(third.values()) == ["c", "0", "", "0", "", "", "all", "c.pdf"]


def test_a_decision_beats_the_score(tmp_path: Path) -> None:
    header = ("FILE", "PAGE", "CLASS-1", "SCORE-1", "DECISION", "PATH")
    rows = [("a", 1, "DRAW", 0.1, "ACCEPT", "1"), ("a", 2, "DRAW", 0.99, "REVIEW", "2")]
    (row,) = documents(tmp_path, write(tmp_path / "r.csv", *rows, header=header), review_below=0.5)
    assert (row["REVIEW"], row["REVIEW-PAGES"]) == ("1", "2")


def test_a_run_groups_pages_as_its_table_does_and_update_and_resume_keep_it_true(
    command: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "scans ř"
    for name in ("x/letter-1.png", "x/letter-2.png", "y/letter-1.png", "only.png"):
        write_page(folder / name)
    (folder / "x" / "letter-3.png").write_bytes(b"no page")
    status, out, err = command("-d", folder, "--inner")
    table = Path(out.splitlines()[0])
    (target,) = table.parent.glob("*_DOCUMENTS.csv")
    assert status == 3 and str(target) in err and str(target) not in out
    rows = {row["FILE"]: row for row in read_table(target)}
    assert [*rows] == ["only", "x/letter", "y/letter"]
    assert [row["PAGES"] for row in rows.values()] == ["1", "3", "1"]
    assert rows["x/letter"]["UNREAD-PAGES"] == "3"
    assert rows["only"]["PATH"] == "only.png"
    write_page(folder / "x" / "letter-3.png")
    assert command("-d", folder, "--resume")[0] == 0
    write_page(folder / "x" / "letter-4.png")
    assert command("-d", folder, "--update")[0] == 0
    assert list(table.parent.glob("*_DOCUMENTS.csv")) == [target]
    row = {row["FILE"]: row for row in read_table(target)}["x/letter"]
    assert (row["PAGES"], row["UNREAD-PAGES"]) == ("4", "")
    guesses = [each["CLASS-1"] for each in read_table(table) if each["FILE"] == "x/letter"]
    assert [word for word in row["KINDS"].replace(",", "").split() if word[0].isalpha()] == [
        guess for place, guess in enumerate(guesses) if guesses[place - 1 : place] != [guess]
    ]


def test_routes_of_the_settings_file(command: Run, workplace: Path, tmp_path: Path) -> None:
    write_page(tmp_path / "scans" / "p-1.png")
    config = workplace / "config.txt"
    start = config.read_text(encoding="utf-8")
    labels = ("DRAW", "DRAW_L", "LINE_HW", "LINE_P", "LINE_T", "PHOTO", "PHOTO_L")
    labels += ("TEXT", "TEXT_HW", "TEXT_P", "text_t", "LETTER")
    routes = "\n".join(f"{label} = htr" for label in labels)
    config.write_text(f"{start}[ROUTES]\n{routes}\n", encoding="utf-8")
    status, out, err = command("-d", tmp_path / "scans")
    assert status == 0 and "no category is called LETTER\n" in err
    (target,) = Path(out.splitlines()[0]).parent.glob("*_DOCUMENTS.csv")
    assert [row["NEXT"] for row in read_table(target)] == ["HTR 1"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("TEXT = oce", "[ROUTES] TEXT = oce is not allowed: *config.txt, line 4. Allowed: OCR or"),
        ("TEXT =", "[ROUTES] TEXT is empty: *config.txt, line 4. Allowed: OCR or HTR"),
        ("A = OCR\na = HTR", "[ROUTES] a is set twice: *config.txt, lines 4 and 5"),
    ],
)
def test_wrong_routes_are_told_with_their_line(
    command: Run, workplace: Path, lines: str, said: str
) -> None:
    config = workplace / "config.txt"
    text = config.read_text(encoding="utf-8")
    config.write_text(f"{text}[ROUTES]\n{lines}\n", encoding="utf-8")
    line = error_line(command("-d", workplace), status=2)
    for part in said.split("*"):
        assert part in line


def test_a_vote_has_its_documents(tmp_path: Path) -> None:
    header = ("FILE", "PAGE", "VOTE", "AGREEMENT", "one", "two", "PATH")
    rows = [
        ("a", 1, "DRAW", "0,500", "DRAW", "", "1"),
        ("a", 2, "PHOTO", "1,000", "PHOTO", "", "2"),
    ]
    result = write(tmp_path / "v.csv", *rows, header=header)
    columns = ("FILE", "PAGE", "REASON", "MODELS", "PATH")
    failed = write(tmp_path / "f.csv", ("a", 1, "no", "two", "1"), header=columns)
    target = tmp_path / "d.csv"
    form = TableForm(";", ",", True)
    counts = write_documents(result, failed, target, DocumentRules(ROUTES, 0.6), form)
    assert counts.unset == set() and (counts.documents, counts.review) == (1, 1)
    assert target.read_text(encoding="utf-8-sig").splitlines()[1] == (
        "a;2;DRAW 1, PHOTO 2;1;1;figures 1–2;;1"
    )


@pytest.mark.slow
def test_hundreds_of_thousands_of_pages_take_no_memory(tmp_path: Path) -> None:
    result = tmp_path / "r.csv"
    with result.open("w", encoding="utf-8") as file:
        file.write(",".join(HEADER) + "\n")
        for number in range(300_000):
            label = "TEXT_T" if number % 7 else "PHOTO"
            file.write(f"doc{number // 50:06d},{number % 50 + 1},{label},0.7,,p{number}.png\n")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    counts = write_documents(result, None, tmp_path / "d.csv", DocumentRules(ROUTES, 0.5))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert counts.documents == 6_000
    assert grown < 20_000, f"{grown} kB in {time.monotonic() - start:.0f} s"
