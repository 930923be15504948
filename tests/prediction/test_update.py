"""Pages that came since a finished run are sorted into its tables."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pagesort.common.errors import PageSortError
from pagesort.pages.loader import WHOLE
from pagesort.prediction import folder_run
from pagesort.prediction.journal import RunJournal
from pagesort.prediction.request import Outcome, Request, check_request
from tests.helpers.brightness import ByBrightness
from tests.helpers.command import read_table
from tests.helpers.pdfs import Sheet, write_pdf

SHEET = Sheet((60, 80), text="")


def request(place: Path, **more: object) -> Request:
    settings = {
        "folder": place / "scans", "formats": ("png", "pdf"), "inner": True,
        "tables": place / "tables", "top_n": 2, "raw": True, "max_categ": 10, "batch_size": 4,
        "max_megapixels": 9.0, "resume": False,
    }  # fmt: skip
    return Request(**(settings | more))


def run(place: Path, model: ByBrightness | None = None, **more: object) -> Outcome:
    asked = request(place, **more)
    check_request(asked)
    return folder_run.predict_folder(model or ByBrightness(), asked)


def draw(path: Path, grey: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (40, 60), grey).save(path)
    return path


def contents(outcome: Outcome) -> list[bytes]:
    return [path.read_bytes() for path in outcome.tables]


class Counting(ByBrightness):
    """Counts the pages that it sees that are not the black of an empty slot."""

    seen = 0

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Score uint8 (N, H, W, 3)."""
        self.seen += int((pixels.max(axis=(1, 2, 3)) > 0).sum())
        return super().probabilities(pixels)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number in range(6):
        draw(tmp_path / "scans" / f"a-{number}.png", 40 * number + 10)
    return tmp_path / "scans"


def test_the_tables_are_those_of_a_run_over_all_pages(tmp_path: Path, scans: Path) -> None:
    first = run(tmp_path)
    draw(scans / "a-10.png", 90)
    draw(scans / "0-1.png", 200)
    draw(scans / "deeper" / "a-3.png", 250)  # shares FILE and PAGE with one that was there
    write_pdf(scans / "b.pdf", [SHEET, SHEET])
    model = Counting()
    added = run(tmp_path, model, update=True)
    assert added.tables == first.tables and model.seen == 5
    whole = run(tmp_path, tables=tmp_path / "whole")
    assert contents(added) == contents(whole) and len(contents(added)[0].splitlines()) == 12
    again = Counting()
    assert contents(run(tmp_path, again, update=True)) == contents(whole) and again.seen == 0


def test_an_update_that_is_stopped_is_gone_on_with(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path)
    for number in range(20, 29):
        draw(scans / f"a-{number}.png", 7 * number)
    model, calls = ByBrightness(), []

    def stop(pixels: np.ndarray) -> np.ndarray:
        calls.append(len(pixels))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return ByBrightness().probabilities(pixels)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="of 15 pages"):
        patch.setattr(model, "probabilities", stop)
        run(tmp_path, model, update=True)
    done = run(tmp_path, resume=True)
    assert contents(done) == contents(run(tmp_path, tables=tmp_path / "whole"))


def test_failed_pages_and_closed_documents_are_tried_again(tmp_path: Path, scans: Path) -> None:
    (scans / "torn-1.png").write_bytes(b"\x89PNG")
    write_pdf(scans / "locked.pdf", [SHEET], password="secret")
    assert run(tmp_path).failed == 2
    draw(scans / "torn-1.png", 30)
    write_pdf(scans / "locked.pdf", [SHEET, SHEET])
    done = run(tmp_path, update=True)
    assert done.failed == 0
    assert contents(done) == contents(run(tmp_path, tables=tmp_path / "whole"))


def test_what_was_closed_gives_way_to_its_pages(tmp_path: Path) -> None:
    listing = ["a.png", ("inner", WHOLE), ("b.pdf", WHOLE)]
    with RunJournal.create(
        tmp_path, folder=tmp_path / "in", base="m", settings={}, listing=listing
    ) as journal:
        now = ["a.png", ("b.pdf", WHOLE), "inner/c.png", "inner/d/e.png"]
        assert journal.add(now) == (2, 0)
        (batch,) = journal.batches(10)
        assert [str(ref.path.relative_to(journal.folder)) for ref in batch] == [
            *("a.png", "inner/c.png", "b.pdf", "inner/d/e.png")
        ]


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_was_closed_is_read_later(tmp_path: Path, scans: Path) -> None:
    inner = draw(scans / "inner" / "b-1.png", 200).parent
    draw(inner / "b-2.png", 30)
    inner.chmod(0)
    try:
        assert run(tmp_path).failed == 1
    finally:
        inner.chmod(0o700)
    done = run(tmp_path, update=True)
    assert done.failed == 0
    assert contents(done) == contents(run(tmp_path, tables=tmp_path / "whole"))


def test_rows_of_pages_that_are_gone_stay_and_are_told(
    tmp_path: Path, scans: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(run(tmp_path))
    (scans / "a-1.png").unlink()
    assert contents(run(tmp_path, update=True)) == before
    assert "1 page of the tables no longer in the folder" in caplog.text


def test_another_model_or_folder_is_not_added_to(tmp_path: Path, scans: Path) -> None:
    with pytest.raises(PageSortError, match=r"no earlier run.*Leave out --update"):
        run(tmp_path, update=True)
    run(tmp_path)
    model = ByBrightness()
    model.fingerprint = "1" * 64
    with pytest.raises(PageSortError, match=r"model or descriptions.*--update"):
        run(tmp_path, model, update=True)
    shutil.copytree(scans, tmp_path / "others")
    with pytest.raises(PageSortError, match="no earlier run of .*others"):
        run(tmp_path, folder=tmp_path / "others", update=True)
    with pytest.raises(PageSortError, match="no interrupted run"):
        run(tmp_path, resume=True)


def test_replaced_pages_are_scored_anew_and_lost_ones_of_a_document_keep_their_rows(
    tmp_path: Path, scans: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    write_pdf(scans / "b.pdf", [SHEET, SHEET])
    before = read_table(run(tmp_path).tables[0])
    draw(scans / "a-1.png", 250)
    write_pdf(scans / "b.pdf", [SHEET])
    model = Counting()
    done = run(tmp_path, model, update=True, replaced=lambda stem: {"a-1.png", "b.pdf"})
    assert model.seen == 2 and done.failed == 0
    assert "2 pages replaced since then" in caplog.text
    after = read_table(done.tables[0])
    assert len(after) == 8 and [row for row in before if row["PATH"] != "a-1.png"] == [
        row for row in after if row["PATH"] != "a-1.png"
    ]
    whole = read_table(run(tmp_path, tables=tmp_path / "whole").tables[0])
    assert [row for row in whole if row not in after] == []


def test_new_pages_are_sorted_into_the_folders_too(tmp_path: Path, scans: Path) -> None:
    run(tmp_path, sort_to=tmp_path / "sorted")
    draw(scans / "new-1.png", 250)
    done = run(tmp_path, sort_to=tmp_path / "sorted", update=True)
    assert done.sorting is not None and done.sorting.placed == 1
    assert len(list((tmp_path / "sorted").rglob("*.png"))) == 7
