"""Contact sheets in a real browser: what is clicked and typed is what is saved."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pagesort.common.tables import TableForm
from pagesort.review.sheet import Sheet, SheetPage, write_sheet
from tests.helpers.browser import Open, browser, open_sheet, save
from tests.helpers.command import Run, command, read_table, workplace
from tests.helpers.pages import write_page

__all__ = ["browser", "command", "open_sheet", "workplace"]  # fixtures

pytestmark = pytest.mark.slow

LABELS = ("DRAW", "PHOTO", "TEXT")
HOSTILE = 'a "b" <script>document.title="hacked"</script> ř\nx, =1'


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    """Where a sheet of the pages of `pages` goes."""
    return Sheet(tmp_path / "sheet", tmp_path / "pages", LABELS, "review", "pages", "run-1")


def pages_of(sheet: Sheet) -> list[SheetPage]:
    """Six pages: four of two documents, of which models differ on one, a noted and a failed one."""
    pages = []
    for number in range(1, 7):
        document = "letters" if number < 4 else "maps"
        path = f"{document}-{number}.png"
        write_page(sheet.root / path, seed=number)
        label = "TEXT" if number < 4 else "DRAW"
        pages.append(SheetPage(document, str(number), path, label, number / 10, "PHOTO", 0.05))
    pages[1] = replace(pages[1], other="PHOTO")
    pages[4] = replace(pages[4], note="nearly blank", needs_review=True)
    pages[5] = SheetPage("maps", "6", "maps-6.png", problem="the file is cut short")
    return pages


def shown(page: Any) -> list[str]:
    """The names of the pages that are shown, in order."""
    return [name.replace(" · ", "-") for name in page.locator(".card .name").all_inner_texts()]


def has_cards(page: Any, number: int) -> None:
    """Wait until so many pages are shown. Scripts as texts, to wait for, are refused by sheets."""
    from playwright.sync_api import expect

    expect(page.locator(".card")).to_have_count(number)


def counts(page: Any) -> dict[str, int]:
    """Category -> count, as the list on the left says."""
    rows = page.locator("#categories li").all_inner_texts()
    parts = [[cell for cell in row.split("\n") if cell.strip()] for row in rows]
    return {cells[-2]: int(cells[-1]) for cells in parts}


def choose(page: Any, name: str, label: str) -> None:
    """Choose a category in the menu of a page."""
    menu = page.locator(".card", has_text=name).locator("select")
    menu.focus()
    menu.select_option(label=label)


def focused(page: Any) -> str:
    """The name of the page that the keyboard is on."""
    found = page.evaluate(
        "document.activeElement.querySelector('.card > .name')?.textContent ?? ''"
    )
    return str(found).replace(" · ", "-")


def test_filters_show_what_they_say_and_counts_keep_up(sheet: Sheet, open_sheet: Open) -> None:
    page = open_sheet(write_sheet(sheet, pages_of(sheet)).index)
    assert shown(page) == ["maps-4", "maps-5", "letters-1", "letters-2", "letters-3", "maps-6"]
    assert counts(page) == {"all": 6, "DRAW": 2, "PHOTO": 0, "TEXT": 3, "could not be read": 1}
    page.click("#categories button:has-text('TEXT')")
    has_cards(page, 3)
    assert shown(page) == ["letters-1", "letters-2", "letters-3"]
    for field, text, expected in (
        ("score-from", "15", ["letters-2", "letters-3"]),
        ("score-to", "25", ["letters-2"]),
    ):
        page.fill(f"#{field}", text)
        has_cards(page, len(expected))
        assert shown(page) == expected
    page.click("#show-all")
    has_cards(page, 6)
    for do, expected in (
        (lambda: page.fill("#document", "MAP"), ["maps-4", "maps-5", "maps-6"]),
        (lambda: page.check("#differs"), ["letters-2"]),
        (lambda: page.check("#noted"), ["maps-5"]),
        (lambda: page.select_option("#state", "review"), ["maps-5"]),
        (lambda: page.click("#categories button:has-text('not be read')"), ["maps-6"]),
    ):
        do()
        has_cards(page, len(expected))
        assert shown(page) == expected
        page.click("#show-all")
        has_cards(page, 6)
    page.select_option("#order", "scan")
    page.locator(".card:first-child .name", has_text="letters").wait_for()
    assert shown(page)[0] == "letters-1"
    page.locator(".card").first.focus()
    page.keyboard.press("2")
    assert counts(page) == {"all": 6, "DRAW": 2, "PHOTO": 1, "TEXT": 2, "could not be read": 1}
    page.select_option("#state", "changed")
    has_cards(page, 1)
    assert page.inner_text("#progress") == "6 pages, 1 corrected, 0 found right"


def test_the_number_of_a_page_with_a_long_name_is_seen(sheet: Sheet, open_sheet: Open) -> None:
    pages = [replace(pages_of(sheet)[0], file="CREMMA-AN-TestamentDePoilus", page="123")]
    name = open_sheet(write_sheet(sheet, pages).index).locator(".card .name")
    assert name.inner_text().endswith("· 123")
    fits = "box => box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight"
    assert name.evaluate(fits)


def test_what_was_clicked_outlives_a_reload_and_is_what_is_saved(
    sheet: Sheet, open_sheet: Open, tmp_path: Path
) -> None:
    index = write_sheet(sheet, pages_of(sheet)).index
    page = open_sheet(index)
    page.locator(".card", has_text="letters · 2").click()
    page.click("#enlarged-labels button:has-text('PHOTO')")  # and on to letters-3
    page.locator("#enlarged-name", has_text="3").wait_for()
    page.click("#enlarged-labels button:has-text('TEXT')")
    page.click("#close")
    choose(page, "maps · 4", "PHOTO")
    page.fill("#new-label-name", "COVER")
    page.keyboard.press("Enter")
    page.locator(".card", has_text="maps · 5").focus()
    page.keyboard.press("4")
    page.reload()
    page.wait_for_selector(".card[data-state=changed]")
    assert page.inner_text("#progress") == "6 pages, 3 corrected, 1 found right"
    table = save(page, tmp_path)
    saved = {(row["PATH"], row["CLASS"], row["GUESS"], row["SCORE"]) for row in read_table(table)}
    assert saved == {
        ("letters-2.png", "PHOTO", "TEXT", "0.2"),
        ("letters-3.png", "TEXT", "TEXT", "0.3"),
        ("maps-4.png", "PHOTO", "DRAW", "0.4"),
        ("maps-5.png", "COVER", "DRAW", "0.5"),
    }
    assert {row["FOLDER"] for row in read_table(table)} == {str(sheet.root)}
    whole = read_table(save(page, tmp_path, "export-all"))
    assert [row["CLASS"] for row in whole] == ["PHOTO", "COVER", "TEXT", "PHOTO", "TEXT"]
    # Another browser, or this one emptied, takes the table in; and a new sheet knows its pages.
    page.evaluate("localStorage.clear()")
    write_sheet(sheet, pages_of(sheet)[1:])
    page.reload()
    page.wait_for_selector(".card[data-state=open]")
    page.set_input_files("#import-file", table)
    page.wait_for_selector(".card[data-state=changed]")
    assert {
        (row["PATH"], row["CLASS"], row["GUESS"], row["SCORE"])
        for row in read_table(save(page, tmp_path))
    } == saved


def test_the_keyboard_alone_does_everything(sheet: Sheet, open_sheet: Open, tmp_path: Path) -> None:
    page = open_sheet(write_sheet(sheet, pages_of(sheet)).index)
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page):
            break
    assert focused(page) == "maps-4"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Space")  # right, and on
    assert focused(page) == "maps-5"
    page.keyboard.press("ArrowDown")  # past the heading
    assert focused(page) == "letters-2"
    page.keyboard.press("Enter")
    assert page.locator("#enlarged").is_visible()
    page.keyboard.press("1")
    page.locator("#enlarged-name", has_text="3").wait_for()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("u")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.locator("#enlarged").wait_for(state="hidden")
    page.keyboard.press("n")
    assert focused(page) == "letters-3"
    page.keyboard.press("Home")
    page.keyboard.press("Delete")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("letters")
    page.keyboard.press("Escape")
    has_cards(page, 3)
    page.focus("#export")
    with page.expect_download() as started:
        page.keyboard.press("Enter")
    started.value.save_as(tmp_path / "saved.csv")
    rows = read_table(tmp_path / "saved.csv")
    assert [(row["PATH"], row["CLASS"]) for row in rows] == [("letters-2.png", "PHOTO")]


@pytest.mark.parametrize("form", [TableForm(), TableForm(";", ",", True)])
def test_names_that_hurt_are_shown_and_saved_as_they_are(
    sheet: Sheet, open_sheet: Open, tmp_path: Path, form: TableForm
) -> None:
    file = HOSTILE.replace("/", "_") + ".png"
    write_page(sheet.root / file)
    hostile = SheetPage(HOSTILE, "1", file, HOSTILE, 0.25, HOSTILE, 0.1, note=HOSTILE)
    sheet = replace(sheet, title=HOSTILE, form=form)
    page = open_sheet(write_sheet(sheet, [hostile, SheetPage("=1+1", "2", file, "TEXT")]).index)
    assert page.title() == " ".join(HOSTILE.split()) and page.locator(".card script").count() == 0
    page.locator(".card", has_text="1").first.click()
    picture = page.locator("#enlarged-picture")
    picture.wait_for()
    picture.evaluate("picture => picture.decode()")
    assert picture.evaluate("picture => picture.naturalWidth") == 90
    page.keyboard.press("Escape")
    for card in page.locator(".card").all():
        card.focus()
        page.keyboard.press("Space")
    table = save(page, tmp_path)
    text = table.read_text(encoding="utf-8")
    assert text.startswith("\ufeff") == form.is_for_excel and ("'=1+1" in text) == form.is_for_excel
    rows = list(csv.reader(text.removeprefix("\ufeff").splitlines(True), delimiter=form.delimiter))
    assert {row[2] for row in rows[1:]} == {HOSTILE, "TEXT"}
    assert {row[-1] for row in rows[1:]} == {file}
    page.evaluate("localStorage.clear()")
    page.reload()
    page.wait_for_selector(".card[data-state=open]")
    page.set_input_files("#import-file", table)
    page.locator(".card[data-state=confirmed]").nth(1).wait_for()


def test_an_audit_asks_for_every_page_and_shows_no_guess(
    sheet: Sheet, open_sheet: Open, tmp_path: Path
) -> None:
    sheet = replace(sheet, mode="audit")
    page = open_sheet(write_sheet(sheet, pages_of(sheet)[:3]).index)
    assert page.inner_text("#progress") == "0 of 3 pages have a category"
    assert not page.locator("#score-from").is_visible()
    page.locator(".card").first.focus()
    for key in ("Space", "3", "1"):
        page.keyboard.press(key)
    assert page.inner_text("#progress") == "2 of 3 pages have a category"
    rows = read_table(save(page, tmp_path))
    assert [(row["CLASS"], row["GUESS"]) for row in rows] == [("TEXT", ""), ("DRAW", "")]


def test_suspects_show_both_labels_and_keep_or_correct_the_given_one(
    sheet: Sheet, open_sheet: Open, tmp_path: Path
) -> None:
    sheet = replace(sheet, mode="suspects")
    pages = [replace(page, given="DRAW") for page in pages_of(sheet)[:2]]
    page = open_sheet(write_sheet(sheet, pages).index)
    assert "looks like TEXT 10.0 %" in page.locator(".card").first.inner_text()
    page.locator(".card").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("3")
    rows = read_table(save(page, tmp_path))
    said = [(row["CLASS"], row["GUESS"], row["GIVEN"]) for row in rows]
    assert said == [("DRAW", "TEXT", "DRAW"), ("TEXT", "TEXT", "DRAW")]


def test_groups_are_in_scan_order_with_a_colour_for_each_item(
    sheet: Sheet, open_sheet: Open
) -> None:
    pages = [replace(page, group=1 + (place > 2)) for place, page in enumerate(pages_of(sheet))]
    page = open_sheet(write_sheet(replace(sheet, mode="groups"), pages[:5]).index)
    assert shown(page) == ["letters-1", "letters-2", "letters-3", "maps-4", "maps-5"]
    edges = "cards => cards.map((card) => getComputedStyle(card).borderLeftColor)"
    colours = page.locator(".card").evaluate_all(edges)
    assert len(set(colours[:3])) == len(set(colours[3:])) == 1 and colours[0] != colours[4]
    assert page.locator(".card .group").all_inner_texts() == ["item 1"] * 3 + ["item 2"] * 2
    assert not page.locator(".card .true-item").count() and not page.locator("#order").is_visible()


def test_true_items_stand_beside_those_found_and_are_no_categories(
    sheet: Sheet, open_sheet: Open
) -> None:
    pages = [
        replace(page, group=1, true_item=f"letter {1 + place // 2}", true_group=1 + place // 2)
        for place, page in enumerate(pages_of(sheet)[:4])
    ]
    page = open_sheet(write_sheet(replace(sheet, mode="groups"), pages).index)
    expected = ["really letter 1"] * 2 + ["really letter 2"] * 2
    assert page.locator(".card .true-item").all_inner_texts() == expected
    edges = "cards => cards.map((card) => getComputedStyle(card).borderRightColor)"
    colours = page.locator(".card").evaluate_all(edges)
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert "letter" not in page.inner_text("#categories").replace("letters", "")


@pytest.mark.parametrize("width", [1400, 390])
def test_several_runs_are_bands_side_by_side_with_the_true_items(
    command: Run, open_sheet: Open, tmp_path: Path, width: int
) -> None:
    names = [f"{number}.png" for number in range(1, 5)]
    for number, name in enumerate(names):
        write_page(tmp_path / "pile" / name, seed=number)
    tables = {"one": "1122", "a run with a very long name and a date": "1222", "truth": "aabb"}
    for table, groups in tables.items():
        rows = [f"{name},{group}" for name, group in zip(names, groups, strict=True)]
        text = "\n".join(["file,group", *rows, ""])
        (tmp_path / f"{table}.csv").write_text(text, encoding="utf-8")
    runs = [tmp_path / f"{table}.csv" for table in tables if table != "truth"]
    words = ("--groups", *runs, "--compare", tmp_path / "truth.csv", "--review")
    status, out, err = command("-d", tmp_path / "pile", *words, model=False)
    assert status == 0, err
    index = next(line for line in out.splitlines() if line.endswith("index.html"))
    page = open_sheet(Path(index))
    page.set_viewport_size({"width": width, "height": 900})
    about = page.locator("#runs li").all_inner_texts()
    assert about[0].startswith("one Panoptic Quality 1.00, F1 of boundaries 1.00")
    items = page.locator(".card .run-item").all_inner_texts()
    assert items == ["1", "1", "a", "1", "2", "a", "2", "2", "b", "2", "2", "b"]
    colour = "bands => bands.map((band) => getComputedStyle(band).backgroundColor)"
    colours = page.locator(".card .run").evaluate_all(colour)
    assert colours[0] == colours[1] == colours[2] == colours[3] == colours[5] != colours[6]
    assert colours[6] == colours[8] == colours[9] == colours[11] != colours[4]
    marked = page.locator(".card:has(.run[data-mark=wrong]) .name").all_inner_texts()
    assert marked == ["2.png", "3.png"]
    fits = "boxes => boxes.every((box) => box.scrollWidth <= box.clientWidth)"
    assert page.locator(".card .runs").evaluate_all(fits)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.check("#noted") if width > 760 else None
    has_cards(page, 2 if width > 760 else 4)


def test_a_browser_that_keeps_nothing_says_so(sheet: Sheet, browser: Any, tmp_path: Path) -> None:
    index = write_sheet(sheet, pages_of(sheet)).index
    context = browser.new_context()
    context.add_init_script("Storage.prototype.setItem = () => { throw new Error('refused'); };")
    page = context.new_page()
    page.goto(index.as_uri())
    page.locator(".card").first.focus()
    page.keyboard.press("2")
    assert "keeps nothing" in page.inner_text("#warning")
    assert read_table(save(page, tmp_path))[0]["CLASS"] == "PHOTO"
    context.close()


def test_from_a_folder_of_scans_to_a_corrected_training_folder(
    command: Run, open_sheet: Open, workplace: Path, tmp_path: Path
) -> None:
    scans = tmp_path / "my scans"
    for number in range(1, 5):
        write_page(scans / f"zpráva-{number}.png", seed=number)
    status, out, err = command("-d", scans, "--review")
    assert status == 0, err
    page = open_sheet(Path(out.splitlines()[-1]))
    wrong = page.locator(".card").first
    name = wrong.locator(".name").inner_text().replace(" · ", "-") + ".png"
    label = "PHOTO" if "PHOTO" not in wrong.get_attribute("aria-label") else "DRAW"
    choose(page, name.removesuffix(".png").replace("-", " · "), label)
    table = save(page, tmp_path)
    status, _, err = command("-d", scans, "--update", "--sort_to", "sorted", "--corrections", table)
    assert status == 0, err
    assert (workplace / "sorted" / label / name).read_bytes() == (scans / name).read_bytes()
    assert len(list((workplace / "sorted").glob("*/*.png"))) == 4
