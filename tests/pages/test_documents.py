"""PDFs and TIFFs of several pages as input: their pages, names, faults, tables and journals."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.pages.documents import expand, pages_of
from pagesort.pages.image_file import count_tiff_pages
from pagesort.pages.loader import WHOLE, Failure, Page, PageLoader, PageRef, load_page
from pagesort.pages.pdf_renderers import PdfRenderers
from pagesort.pages.preprocessing import Preprocessing
from pagesort.prediction import folder_run
from pagesort.prediction.journal import RunJournal
from pagesort.prediction.request import Request, check_request
from tests.helpers.brightness import SQUASH, ByBrightness
from tests.helpers.pages import colour_page, flat, grey_page, write_page
from tests.helpers.pdfs import METRE, Sheet, scan_pixels, write_pdf
from tests.helpers.results import scored

CROP = Preprocessing(shortest_edge=32, crop=(32, 32))
SMALL = (120.0, 160.0)


def sheets(*greys: int) -> list[Sheet]:
    return [Sheet(SMALL, scan=flat(grey)) for grey in greys]


def write_tiff(path: Path, *pages: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(path, save_all=True, append_images=others, **options)
    return path


def request(place: Path, **more: object) -> Request:
    settings = {
        "folder": place / "scans", "formats": ("png", "pdf", "tif"), "inner": True,
        "tables": place / "tables", "top_n": 1, "raw": True, "max_categ": 10, "batch_size": 4,
        "max_megapixels": 300.0, "resume": False,
    }  # fmt: skip
    return Request(**(settings | more))


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *cells = csv.reader(file)
    noted = header.index("NOTE") if "NOTE" in header else len(header)
    return [row[:noted] + row[noted + 1 :] for row in cells]


def decoded(refs: list[PageRef], preprocessing: Preprocessing = SQUASH) -> list[Page | Failure]:
    with PageLoader(preprocessing) as loader:
        return [item for batch in loader.batches([refs]) for item in batch]


def test_a_file_is_taken_apart_by_its_content(tmp_path: Path) -> None:
    write_pdf(tmp_path / "three.PDF", sheets(1, 2, 3))
    write_pdf(tmp_path / "one.pdf", sheets(1))
    write_pdf(tmp_path / "locked.pdf", sheets(1), password="secret")
    write_page(tmp_path / "really a picture.pdf.png").rename(tmp_path / "picture.pdf")
    write_tiff(tmp_path / "two.tif", grey_page(1), grey_page(2))
    write_page(tmp_path / "single.tif")
    write_page(tmp_path / "page.png")
    (tmp_path / "empty.pdf").write_bytes(b"")
    found: dict[str, list[int | None]] = {}
    for path, part in expand(sorted(tmp_path.iterdir())):
        found.setdefault(path.name, []).append(part)
    assert found == {
        "three.PDF": [1, 2, 3], "one.pdf": [1], "locked.pdf": [WHOLE], "picture.pdf": [None],
        "two.tif": [1, 2], "single.tif": [None], "page.png": [None], "empty.pdf": [None],
    }  # fmt: skip
    assert [ref.page for ref in pages_of(tmp_path / "two.tif")] == [1, 2]


@pytest.mark.parametrize("preprocessing", [SQUASH, CROP], ids=["squash", "crop"])
def test_pdf_pages_look_as_their_scans_do(tmp_path: Path, preprocessing: Preprocessing) -> None:
    scans = [scan_pixels(seed, 372, 525) for seed in range(4)]
    scans[1] = np.stack([scans[1], scans[2], scans[3]], axis=2)
    size = (372 * 0.48, 525 * 0.48)
    turned = Sheet(size, scan=np.rot90(scans[3]).copy(), extra="/Rotate 90")
    turned = Sheet((size[1], size[0]), scan=turned.scan, extra="/Rotate 90")
    path = write_pdf(tmp_path / "a.pdf", [*(Sheet(size, scan=scan) for scan in scans[:3]), turned])
    before = path.read_bytes()
    pages = decoded(pages_of(path), preprocessing)
    for page, scan in zip(pages, scans, strict=True):
        assert isinstance(page, Page)
        expected = preprocessing.apply(Image.fromarray(scan))
        difference = np.abs(page.pixels.astype(int) - expected)
        assert difference.mean() < 4, page.ref
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_tiff_pages_of_all_kinds_are_read(tmp_path: Path) -> None:
    turned = Image.fromarray(colour_page(2)).transpose(Image.Transpose.ROTATE_90)
    pages = [
        Image.fromarray(colour_page(0)),
        Image.fromarray(grey_page(1)).resize((40, 30)),  # a preview
        Image.fromarray(grey_page(1)).convert("1"),
        turned,
    ]
    for page, tags in zip(pages, ({}, {254: 1}, {}, {274: 6}), strict=True):
        page.encoderinfo = {"tiffinfo": tags}
    path = tmp_path / "mixed.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with Image.open(path) as image:
        kinds = []
        for place in range(image.n_frames):
            image.seek(place)
            kinds.append((image.tag_v2.get(254, 0), image.tag_v2.get(274, 1)))
    assert kinds == [(0, 1), (1, 1), (0, 1), (0, 6)]
    assert [ref.page for ref in pages_of(path)] == [1, 2, 3]
    assert (np.asarray(load_page(path, page=1)) == colour_page(0)).all()
    assert load_page(path, page=2).mode == "L"
    assert (np.asarray(load_page(path, page=3)) == colour_page(2)).all()


def test_one_damaged_page_fails_alone(tmp_path: Path) -> None:
    good, lost = sheets(10, 200), Sheet(SMALL, lost=True)
    torn = Sheet(SMALL, scan=flat(99), torn=True)
    pdf = write_pdf(tmp_path / "a.pdf", [good[0], lost, torn, good[1]])
    tiff = write_tiff(tmp_path / "b.tif", *(grey_page(seed) for seed in range(4)))
    with Image.open(tiff) as image:
        places = []
        for place in range(4):
            image.seek(place)
            places.append(image.tag_v2[273][0])
    compressed = write_tiff(
        tmp_path / "c.tif", *(grey_page(seed) for seed in range(3)), compression="tiff_lzw"
    )
    with Image.open(compressed) as image:
        image.seek(1)
        start = image.tag_v2[273][0]
    data = bytearray(compressed.read_bytes())
    data[start : start + 60] = b"\xff" * 60
    compressed.write_bytes(data)
    tiff.write_bytes(tiff.read_bytes()[: places[3] + 50])
    kinds = {
        path.name: [type(item) for item in decoded(pages_of(path))]
        for path in (pdf, tiff, compressed)
    }
    assert kinds == {
        "a.pdf": [Page, Failure, Failure, Page],
        "b.tif": [Page, Page, Page, Failure],
        "c.tif": [Page, Failure, Page],
    }


def test_documents_that_cannot_be_opened_say_why(tmp_path: Path) -> None:
    write_pdf(tmp_path / "locked.pdf", sheets(1), password="secret")
    cut = write_pdf(tmp_path / "cut.pdf", sheets(1))
    cut.write_bytes(cut.read_bytes()[:90])
    (tmp_path / "empty.pdf").write_bytes(b"")
    (tmp_path / "text.pdf").write_text("hello")
    reasons = {}
    for path in sorted(tmp_path.iterdir()):
        # In a folder it is a page that fails; alone it is refused.
        ((file, part),) = expand([path])
        (failure,) = decoded([PageRef(0, file, part)])
        assert isinstance(failure, Failure)
        reasons[path.name] = failure.reason
        if part is not None:
            with pytest.raises(PageUnreadableError, match=failure.reason):
                pages_of(path)
    words = {"locked": "encrypted", "cut": "damaged", "empty": "empty", "text": "not an image"}
    assert {name for name, word in words.items() if word in reasons[f"{name}.pdf"]} == set(words)


def test_very_large_and_very_thin_pages_are_drawn_small(tmp_path: Path) -> None:
    pages = [Sheet((2 * METRE, 2 * METRE)), Sheet((2 * METRE, 30)), Sheet((20, 9000))]
    path = write_pdf(tmp_path / "a.pdf", pages)
    for preprocessing in (SQUASH, CROP):
        assert all(isinstance(page, Page) for page in decoded(pages_of(path), preprocessing))


def test_a_folder_of_documents_makes_the_tables_of_its_pages(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    write_pdf(scans / "report_2021.pdf", [*sheets(235, 20), Sheet(SMALL, lost=True)] * 4)
    write_pdf(scans / "locked 7.pdf", sheets(1), password="secret")
    write_tiff(scans / "letters.tif", flat(20), flat(235))
    for grey, name in ((20, "CTX1-2.png"), (128, "CTX1-10.png"), (235, "CTX1-003.tif")):
        Image.fromarray(flat(grey)).save(scans / name)
    done = folder_run.predict_folder(ByBrightness(), request(tmp_path))
    result, raw, failures = done.tables
    light = {"1": "LIGHT", "2": "DARK", "0": ""}
    report = [
        ["report_2021", str(n), light[str(n % 3)], "1.0", "report_2021.pdf"]
        for n in range(1, 13)
        if n % 3
    ]
    assert rows(result) == [
        ["CTX1", "2", "DARK", "1.0", "CTX1-2.png"], ["CTX1", "3", "LIGHT", "1.0", "CTX1-003.tif"],
        ["CTX1", "10", "MIDDLE", "1.0", "CTX1-10.png"],
        ["letters", "1", "DARK", "1.0", "letters.tif"],
        ["letters", "2", "LIGHT", "1.0", "letters.tif"],
        *report,
    ]  # fmt: skip
    assert len(rows(raw)) == 13
    assert done.failed == 5
    failed = rows(failures)
    assert failed[0][:2] == ["locked 7", ""] and "encrypted" in failed[0][2]
    assert [[*row[:2], row[3]] for row in failed] == [
        ["locked 7", "", "locked 7.pdf"],
        *(["report_2021", str(page), "report_2021.pdf"] for page in (3, 6, 9, 12)),
    ]


def test_pages_of_one_name_in_documents_stay_apart(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    for place in ("a", "b"):
        write_pdf(scans / place / "x.pdf", sheets(20, 235))
    write_tiff(scans / "y.tif", flat(20), flat(20))
    write_pdf(scans / "y.pdf", sheets(235))
    done = folder_run.predict_folder(ByBrightness(), request(tmp_path))
    names = [tuple(row[:2]) for row in rows(done.tables[0])]
    assert sorted(names) == [
        ("a/x", "1"), ("a/x", "2"), ("b/x", "1"), ("b/x", "2"),
        ("y.pdf", "1"), ("y.tif", "1"), ("y.tif", "2"),
    ]  # fmt: skip


def test_a_stopped_run_of_documents_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scans = tmp_path / "scans"
    write_pdf(scans / "a.pdf", sheets(*range(0, 250, 20)))
    write_tiff(scans / "b.tif", *(flat(grey) for grey in range(0, 250, 50)))
    whole = folder_run.predict_folder(ByBrightness(), request(tmp_path))
    expected = whole.tables[0].read_bytes()
    assert len(rows(whole.tables[0])) == 18
    shutil.rmtree(tmp_path / "tables")
    model, calls = ByBrightness(), []

    def stop(pixels: np.ndarray) -> np.ndarray:
        calls.append(len(pixels))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return ByBrightness().probabilities(pixels)

    monkeypatch.setattr(model, "probabilities", stop)
    with pytest.raises(KeyboardInterrupt, match="8 of 18 pages"):
        folder_run.predict_folder(model, request(tmp_path))
    write_pdf(scans / "new.pdf", sheets(1, 2, 3))
    with caplog.at_level("INFO"):
        done = folder_run.predict_folder(ByBrightness(), request(tmp_path, resume=True))
    assert "3 pages are new" in caplog.text
    assert done.tables[0].read_bytes() == expected


def test_a_document_mended_after_the_run_asks_for_a_new_one(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    write_pdf(scans / "a.pdf", sheets(1), password="secret")
    write_page(scans / "b.png")
    assert folder_run.predict_folder(ByBrightness(), request(tmp_path)).failed == 1
    write_pdf(scans / "a.pdf", sheets(1, 2))
    done = folder_run.predict_folder(ByBrightness(), request(tmp_path, resume=True))
    assert "--update" in rows(done.tables[-1])[0][2]


def test_a_journal_of_the_version_before_is_gone_on_with(tmp_path: Path) -> None:
    folder, tables = tmp_path / "scans", tmp_path / "tables"
    folder.mkdir()
    settings = {"model": "x"}
    journal = RunJournal.create(
        tables, folder=folder, base="m", settings=settings, listing=["a-1.png", "a-2.png"]
    )
    journal.record([scored(0, [0.1, 0.2, 0.7])])
    journal.close()
    with contextlib.closing(sqlite3.connect(journal.path)) as old:
        old.execute("ALTER TABLE pages DROP COLUMN part")
        old.execute("ALTER TABLE scores DROP COLUMN note")
        old.execute("UPDATE run SET value = ? WHERE key = 'version'", (json.dumps(1),))
        old.commit()
    for _ in range(2):
        with RunJournal.open_for_resume(tables, folder=folder, settings=settings) as again:
            assert again.counts().waiting == 1
            assert next(again.batches(4)) == [PageRef(1, folder / "a-2.png")]
            assert again.count_new(["a-1.png", "a-2.png", ("a-2.png", 1)]) == 1


@pytest.mark.usefixtures("own_drawing_processes")
def test_stopping_ends_the_drawing_processes(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "a.pdf", sheets(*range(40)))
    refs = pages_of(path)
    batches = PageLoader(SQUASH).batches([ref] for ref in refs)
    next(batches)
    batches.close()
    with PdfRenderers() as renderers:
        renderers.survey(path)
        processes = list(renderers._all)
    assert processes and all(process.poll() is not None for process in processes)


def test_the_folder_of_pdfs_only_is_told_how_to_read_them(tmp_path: Path) -> None:
    write_pdf(tmp_path / "scans" / "a.pdf", sheets(1))
    with pytest.raises(PageSortError, match="-ff pdf"):
        check_request(request(tmp_path, formats=("png",)))


def test_a_tiff_with_rubbish_after_its_only_page_stays_one_page(tmp_path: Path) -> None:
    path = write_page(tmp_path / "a.tif")
    data = bytearray(path.read_bytes())
    with Image.open(path) as image:
        offset = int.from_bytes(data[4:8], "little")
        count = int.from_bytes(data[offset : offset + 2], "little")
        assert image.n_frames == 1
    end = offset + 2 + 12 * count
    data[end : end + 4] = (len(data) - 3).to_bytes(4, "little")
    path.write_bytes(data)
    assert count_tiff_pages(path) == 1
    assert [ref.page for ref in pages_of(path)] == [None]


def halves(crop: str) -> Sheet:
    """A page of 62 x 88 points, black on the left and white on the right, with a crop box."""
    scan = np.full((88, 62), 255, np.uint8)
    scan[:, :31] = 0
    return Sheet((62, 88), scan=scan, extra=f"/CropBox [{crop}]")


def test_a_page_is_sorted_by_what_a_reader_sees_of_it(tmp_path: Path) -> None:
    crops = (
        "31 0 62 88",
        "0 0 31 88",
        "-9 -9 900 900",
        "70 100 90 120",
        "10 10 10 10",
        "5 0 57 44",
    )
    path = write_pdf(tmp_path / "scans" / "a.pdf", [halves(crop) for crop in crops])
    seen = [page.pixels.mean() for page in decoded(pages_of(path)) if isinstance(page, Page)]
    # The right half, the left one, and where a box makes no sense, all of the page.
    assert np.allclose(seen, [255, 0, 127, 127, 127, 127], atol=4)
    done = folder_run.predict_folder(ByBrightness(), request(tmp_path, sort_to=tmp_path / "sorted"))
    assert done.sorting is not None and done.sorting.placed == len(crops)
    with Image.open(tmp_path / "sorted" / "LIGHT" / "a-1.png") as drawn:
        assert drawn.size == (130, 367) and drawn.getextrema() == (255, 255)
    with Image.open(tmp_path / "sorted" / "MIDDLE" / "a-6.png") as drawn:
        assert drawn.size == (217, 184)
