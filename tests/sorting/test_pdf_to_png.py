"""`prepare.py pdf2png` on PDFs of every kind: written, refused, removed, taken up again."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_scripts import prepare
from pagesort.common.errors import PageUnreadableError
from pagesort.pages import pdf_renderers
from pagesort.pages.pdf_renderers import PdfRenderers
from tests.helpers.paths import ROOT
from tests.helpers.pdfs import A4, METRE, Sheet, scan_pixels, write_pdf

PREPARE = ROOT / "data_scripts" / "prepare.py"
Run = Callable[..., tuple[int, str, str]]
SMALL = (120.0, 160.0)


@pytest.fixture
def pdf2png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run pdf2png on `tmp_path / "in"`: (exit status, stdout, stderr).

    One process draws: each takes half a second to start.
    """

    def run(*arguments: str) -> tuple[int, str, str]:
        workers = [] if "--workers" in arguments else ["--workers", "1"]
        status = prepare.main(["pdf2png", str(tmp_path / "in"), *workers, *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def files(folder: Path) -> dict[str, int]:
    """All files below a folder with their times of change, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def failed(folder: Path) -> list[list[str]]:
    with (folder / "pdf2png_FAILED.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def test_every_page_gets_its_name_size_and_pixels(tmp_path: Path, pdf2png: Run) -> None:
    scan = scan_pixels(1)
    size = (620 * 0.24, 875 * 0.24)  # a scan of 300 dpi
    sheets = [Sheet(size, scan=scan)] + [Sheet(SMALL, text=str(n)) for n in range(10)]
    write_pdf(tmp_path / "in" / "a report.PDF", sheets)
    write_pdf(tmp_path / "in" / "Příloha č. 7.pdf", [Sheet(A4), Sheet((A4[1], A4[0]))])
    status, out, err = pdf2png("--workers", "2")
    assert status == 0, err
    assert out.splitlines() == [
        f"a report.PDF\t11 pages\t{tmp_path / 'in' / 'a report' / 'a report-11.png'}",
        f"Příloha č. 7.pdf\t2 pages\t{tmp_path / 'in' / 'Příloha č. 7' / 'Příloha č. 7-2.png'}",
    ]
    names = [f"a report/a report-{n:02d}.png" for n in range(1, 12)]
    names += [f"Příloha č. 7/Příloha č. 7-{n}.png" for n in (1, 2)]
    assert sorted(files(tmp_path / "in")) == sorted([*names, "a report.PDF", "Příloha č. 7.pdf"])
    first = Image.open(tmp_path / "in" / names[0])
    # A scan of the wanted resolution comes out bit by bit, and stays grey.
    assert first.mode == "L" and (np.asarray(first) == scan).all()
    assert first.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    second = Image.open(tmp_path / "in" / names[1])
    assert second.mode == "RGB" and second.size == (500, 667)
    assert Image.open(tmp_path / "in" / names[-2]).size == (2481, 3508)
    assert Image.open(tmp_path / "in" / names[-1]).size == (3508, 2481)


def test_a_second_run_changes_nothing(tmp_path: Path, pdf2png: Run) -> None:
    write_pdf(tmp_path / "in" / "one.pdf", [Sheet(SMALL)])
    write_pdf(tmp_path / "in" / "two.pdf", [Sheet(SMALL), Sheet(SMALL)])
    assert pdf2png()[0] == 0
    before = files(tmp_path / "in")
    status, _, err = pdf2png()
    assert status == 0 and "0 pages written, 3 were there already" in err
    assert files(tmp_path / "in") == before
    assert prepare.main(["move_single", str(tmp_path / "in")]) == 0
    before = files(tmp_path / "in")
    assert "onepagers/one-1.png" in before and "one/one-1.png" not in before
    assert not (tmp_path / "in" / "one").exists()
    assert pdf2png()[0] == 0 and prepare.main(["move_single", str(tmp_path / "in")]) == 0
    assert files(tmp_path / "in") == before


def test_what_cannot_be_converted_is_told_and_listed(tmp_path: Path, pdf2png: Run) -> None:
    folder = tmp_path / "in"
    good = write_pdf(folder / "good.pdf", [Sheet(SMALL)])
    write_pdf(folder / "locked.pdf", [Sheet(SMALL)], password="secret")
    write_pdf(folder / "unlocked.pdf", [Sheet(SMALL, scan=scan_pixels(1))], password="")
    write_pdf(folder / "no pages.pdf", [])
    write_pdf(folder / "two metres.pdf", [Sheet(SMALL), Sheet((2 * METRE, 300)), Sheet(SMALL)])
    write_pdf(folder / "square.pdf", [Sheet((1.6 * METRE, 1.6 * METRE))])
    write_pdf(folder / "lost.pdf", [Sheet(SMALL), Sheet(SMALL, lost=True), Sheet(SMALL)])
    write_pdf(folder / "torn.pdf", [Sheet(SMALL, scan=scan_pixels(1), torn=True), Sheet(SMALL)])
    (folder / "cut.pdf").write_bytes(good.read_bytes()[:120])
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "text.pdf").write_text("no PDF at all\n")
    status, out, err = pdf2png()
    assert status == 3
    told = {(name, page): reason for name, page, reason in failed(folder)}
    expected = {
        ("locked.pdf", ""): "encrypted",
        ("no pages.pdf", ""): "no pages",
        ("two metres.pdf", "2"): "too large: 23623 x 1250 pixels",
        ("square.pdf", "1"): "megapixels",
        ("lost.pdf", "2"): "damaged",
        ("torn.pdf", "1"): "picture on the page is damaged",
        ("cut.pdf", ""): "damaged",
        ("empty.pdf", ""): "empty",
        ("text.pdf", ""): "not a PDF",
    }
    assert told.keys() == expected.keys()
    for key, reason in expected.items():
        assert reason in told[key], key
        assert key[0] in err
    pages = {name for name in files(folder) if name.endswith(".png")}
    assert pages == {
        *("good/good-1.png", "unlocked/unlocked-1.png", "torn/torn-2.png"),
        *("two metres/two metres-1.png", "two metres/two metres-3.png"),
        *("lost/lost-1.png", "lost/lost-3.png"),
    }
    assert not any((folder / name).exists() for name in ("square", "locked", "text"))
    for name in ("locked", "no pages", "two metres", "square", "lost", "torn", "cut", "empty"):
        (folder / f"{name}.pdf").unlink()
    (folder / "text.pdf").unlink()
    assert pdf2png()[0] == 0
    assert not (folder / "pdf2png_FAILED.csv").exists()


def test_limits_and_resolution_can_be_set(tmp_path: Path, pdf2png: Run) -> None:
    write_pdf(tmp_path / "in" / "scroll.pdf", [Sheet((2 * METRE, 100))])
    assert pdf2png("--dpi", "50")[0] == 0
    assert Image.open(tmp_path / "in" / "scroll" / "scroll-1.png").size == (3938, 70)
    status, _, err = pdf2png("--dpi", "60")
    assert status == 3 and "is there already" in err
    assert Image.open(tmp_path / "in" / "scroll" / "scroll-1.png").size == (3938, 70)
    out = tmp_path / "elsewhere"
    assert pdf2png("--dpi", "50", "--max_side", "3000", "--out", str(out))[0] == 3
    for arguments in (["--dpi", "0"], ["--dpi", "x"], ["--workers", "0"], ["--what"]):
        assert pdf2png(*arguments)[0] == 2


def test_a_crop_box_counts_only_if_asked_for(tmp_path: Path, pdf2png: Run) -> None:
    extra = "/CropBox [10 10 70 50] /Rotate 90"
    write_pdf(tmp_path / "in" / "c.pdf", [Sheet(SMALL, extra=extra)])
    assert pdf2png("--dpi", "72")[0] == 0
    assert Image.open(tmp_path / "in" / "c" / "c-1.png").size == (160, 120)
    assert pdf2png("--dpi", "72", "--cropbox", "--out", str(tmp_path / "crop"))[0] == 0
    assert Image.open(tmp_path / "crop" / "c" / "c-1.png").size == (40, 60)


def test_remove_takes_only_what_was_written_and_reads_back(tmp_path: Path, pdf2png: Run) -> None:
    folder = tmp_path / "in"
    for name in ("new", "there", "spoilt", "foreign"):
        write_pdf(folder / f"{name}.pdf", [Sheet(SMALL, text=name), Sheet(SMALL)])
    write_pdf(folder / "half.pdf", [Sheet(SMALL), Sheet(SMALL, lost=True)])
    assert pdf2png()[0] == 3
    shutil.rmtree(folder / "new")
    spoilt = folder / "spoilt" / "spoilt-2.png"
    data = bytearray(spoilt.read_bytes())
    data[-60] ^= 255
    spoilt.write_bytes(data)
    foreign = folder / "foreign" / "foreign-1.png"
    Image.open(foreign).copy().save(foreign)  # the same picture, by somebody else
    status, _, err = pdf2png("--remove")
    assert status == 3 and "2 PDFs removed" in err
    assert {path.name for path in folder.glob("*.pdf")} == {"spoilt.pdf", "foreign.pdf", "half.pdf"}
    told = {row[0]: row[2] for row in failed(folder)}
    assert "damaged" in told["spoilt.pdf"] and "not known" in told["foreign.pdf"]
    assert (folder / "new" / "new-2.png").exists()


def test_nothing_of_another_page_is_overwritten(tmp_path: Path, pdf2png: Run) -> None:
    folder = tmp_path / "in"
    write_pdf(folder / "a.pdf", [Sheet(SMALL)])
    write_pdf(folder / "b.pdf", [Sheet(SMALL)])
    write_pdf(folder / "same.pdf", [Sheet(SMALL)])
    write_pdf(folder / "same.PDF", [Sheet(SMALL), Sheet(SMALL)])
    (folder / "a").mkdir()
    Image.new("L", (30, 40)).save(folder / "a" / "a-1.png")
    (folder / "b").write_text("a file in the way")
    before = (folder / "a" / "a-1.png").read_bytes()
    status, _, err = pdf2png()
    assert status == 3
    assert {row[0] for row in failed(folder)} == {"a.pdf", "b.pdf", "same.pdf"}
    assert (folder / "a" / "a-1.png").read_bytes() == before
    assert (folder / "b").read_text() == "a file in the way"


def test_dry_run_writes_nothing(tmp_path: Path, pdf2png: Run) -> None:
    write_pdf(tmp_path / "in" / "a.pdf", [Sheet(SMALL)])
    (tmp_path / "in" / "bad.pdf").write_text("bad")
    before = files(tmp_path)
    status, out, _ = pdf2png("--dry_run", "--remove")
    assert status == 3 and out.startswith("a.pdf\t1 page\t")
    assert files(tmp_path) == before and not (tmp_path / "in" / "a").exists()


def test_long_and_odd_names(tmp_path: Path, pdf2png: Run) -> None:
    folder = tmp_path / "in"
    long, longest = "x" * 200, "y" * 251
    for name in (long, longest, "  blanks  ", "a.b.c", "50%", "#1 [x]{y}*?"):
        write_pdf(folder / f"{name}.pdf", [Sheet(SMALL)])
    assert pdf2png()[0] == 3
    assert [row[0] for row in failed(folder)] == [f"{longest}.pdf"]
    assert "name too long" in failed(folder)[0][2]
    for name in (long, "  blanks  ", "a.b.c", "50%", "#1 [x]{y}*?"):
        assert (folder / name / f"{name}-1.png").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_name_that_is_no_text_is_converted_too(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    write_pdf(tmp_path / f"{name}.pdf", [Sheet(SMALL)])
    write_pdf(tmp_path / f"{name} locked.pdf", [Sheet(SMALL)], password="secret")
    command = [sys.executable, str(PREPARE), "pdf2png", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 3
    assert (tmp_path / name / f"{name}-1.png").exists()
    assert failed(tmp_path)[0][0] == "caf\\udce9 locked.pdf"


def test_a_folder_without_pdfs_is_no_fault_but_a_missing_one_is(
    tmp_path: Path, pdf2png: Run
) -> None:
    status, _, err = pdf2png()
    assert status == 1 and "does not exist" in err
    (tmp_path / "in").mkdir()
    assert pdf2png()[0] == 0
    assert prepare.main(["pdf2png", str(PREPARE)]) == 1


def test_a_crash_of_the_drawing_process_fails_one_page(
    tmp_path: Path, pdf2png: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pdf(tmp_path / "in" / "a.pdf", [Sheet(SMALL)] * 6)
    original = pdf_renderers._exchange

    def crash(process: subprocess.Popen[bytes], request: dict) -> object:
        if request["do"] == "save" and request["page"] == 3:
            process.kill()
        return original(process, request)

    monkeypatch.setattr(pdf_renderers, "_exchange", crash)
    assert pdf2png()[0] == 3
    assert [row[1] for row in failed(tmp_path / "in")] == ["3"]
    assert len(list((tmp_path / "in" / "a").iterdir())) == 5


def test_a_page_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_pdf(tmp_path / "a.pdf", [Sheet(SMALL)])
    monkeypatch.setattr(pdf_renderers, "LONGEST_SECONDS", 0.3)
    monkeypatch.setattr(pdf_renderers, "START", "import time; time.sleep(60)")
    with PdfRenderers() as renderers, pytest.raises(PageUnreadableError):
        renderers.survey(path)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PREPARE), "pdf2png", str(folder), "--workers", "1", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def drawing_processes(folder: Path) -> list[int]:
    """Processes that draw pages of this folder: they hold one of its PDFs open."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            links = [each.readlink() for each in (process / "fd").iterdir()]
            if any(folder in link.parents for link in links):
                found.append(int(process.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
@pytest.mark.parametrize("pages_before", [1, 3])
def test_a_killed_run_leaves_no_half_page_and_is_taken_up_again(
    tmp_path: Path, pages_before: int
) -> None:
    folder = tmp_path / "in"
    write_pdf(folder / "a.pdf", [Sheet(A4, scan=scan_pixels(n)) for n in range(5)])
    run = start(folder)
    wait_for(lambda: len(list(folder.glob("a/a-*.png"))) >= pages_before)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    wait_for(lambda: not drawing_processes(folder))
    written = list(folder.glob("a/a-*.png"))
    for path in written:
        with Image.open(path) as image:
            image.load()
    before = {path: path.stat().st_mtime_ns for path in written}
    again = start(folder)
    assert again.wait(60) == 0
    assert all(path.stat().st_mtime_ns == time_before for path, time_before in before.items())
    assert sorted(path.name for path in (folder / "a").iterdir()) == [
        f"a-{n}.png" for n in range(1, 6)
    ]


def test_ctrl_c_ends_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_pdf(folder / "a.pdf", [Sheet(A4, scan=scan_pixels(n)) for n in range(30)])
    run = start(folder)
    wait_for(lambda: len(list(folder.glob("a/a-*.png"))) >= 1)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=300)
    assert run.returncode == 130
    assert "pages are written and kept; the same command goes on" in err
    assert "Traceback" not in err
    assert not list((folder / "a").glob(".*"))


@pytest.mark.slow
def test_two_runs_in_one_folder_do_not_meet(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_pdf(folder / "a.pdf", [Sheet(A4, scan=scan_pixels(n)) for n in range(4)])
    first = start(folder)
    wait_for(lambda: bool(list(folder.glob("a/a-*.png"))))
    first.send_signal(signal.SIGSTOP)  # or it may be done before the other has started
    try:
        second = start(folder)
        _, err = second.communicate(timeout=300)
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.returncode == 1 and "another process" in err
    assert first.wait(60) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte; needs root and Linux."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_ends_the_run_without_half_pages(
    tmp_path: Path, small_disk: Path, pdf2png: Run
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (500, 400), dtype=np.uint8)
    sheets = [Sheet((400 * 0.24, 500 * 0.24), scan=noise) for _ in range(12)]
    write_pdf(tmp_path / "in" / "a.pdf", sheets)
    status, _, err = pdf2png("--out", str(small_disk), "--remove")
    assert status == 1 and "the disk is full" in err and "Traceback" not in err
    assert (tmp_path / "in" / "a.pdf").exists()
    pages = list((small_disk / "a").iterdir())
    assert 0 < len(pages) < 12
    for path in pages:
        assert path.suffix == ".png" and (np.asarray(Image.open(path)) == noise).all()
    subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
    assert pdf2png("--out", str(small_disk), "--remove")[0] == 0
    assert not (tmp_path / "in" / "a.pdf").exists()
    assert len(list((small_disk / "a").iterdir())) == 12
