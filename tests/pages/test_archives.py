"""Pages in zip and tar archives, and archives that mean harm."""

from __future__ import annotations

import io
import os
import random
import struct
import tarfile
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pagesort.common.errors import PageUnreadableError
from pagesort.pages import archives, places
from pagesort.pages.archives import pages_in, within
from pagesort.pages.documents import expand, opened, pages_of
from pagesort.pages.loader import WHOLE, Failure, Page, PageLoader, PageRef
from pagesort.pages.preprocessing import Preprocessing
from tests.helpers.pdfs import Sheet, write_pdf

SQUARE = Preprocessing(resize=(16, 16))


def png(grey: int, kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.new("L", (30, 20), grey).save(data, kind)
    return data.getvalue()


def pack_zip(path: Path, files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def pack_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.name.lower().endswith("gz") else "w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def pack(path: Path, files: dict[str, bytes]) -> Path:
    return (pack_zip if path.suffix == ".zip" else pack_tar)(path, files)


def names(archive: Path, *endings: str) -> list[str]:
    return [
        path.relative_to(archive).as_posix() for path in pages_in(archive, endings or (".png",))
    ]


def read(path: Path, page: int | None = None) -> Page | Failure:
    with PageLoader(SQUARE, workers=1) as loader:
        return loader.page(PageRef(0, path, page))


def reason(path: Path) -> str:
    result = read(path)
    assert isinstance(result, Failure)
    return result.reason


KINDS = ["a.zip", "a.tar", "a.tar.gz", "a.TGZ"]


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_read_in_place(tmp_path: Path, kind: str) -> None:
    files = {f"box ř/p-{n}.png": png(10 * n) for n in (10, 2, 1)}
    files |= {"notes.txt": b"no page", "__MACOSX/._p-1.png": b"x", ".hidden.png": b"x"}
    archive = pack(tmp_path / kind, files)
    before = sorted(tmp_path.rglob("*"))
    found = names(archive)
    assert sorted(found) == sorted(name for name in files if name.startswith("box"))
    if kind in ("a.zip", "a.tar"):  # the others are read from their start
        assert found == [f"box ř/p-{n}.png" for n in (1, 2, 10)]
    for number in (1, 10, 2, 10):
        page = read(archive / f"box ř/p-{number}.png")
        assert isinstance(page, Page)
        assert page.pixels.mean() == pytest.approx(10 * number, abs=1)
    assert sorted(tmp_path.rglob("*")) == before
    assert reason(archive / "gone.png") == "it is no longer in its archive"
    assert "an archive" in reason(archive)


@pytest.mark.parametrize("kind", ["a.zip", "a.tgz"])
def test_documents_in_archives_are_taken_apart(tmp_path: Path, kind: str) -> None:
    write_pdf(tmp_path / "d.pdf", [Sheet((60, 80), text="a"), Sheet((60, 80), text="b")])
    tiff = io.BytesIO()
    first, second = Image.new("L", (9, 9), 0), Image.new("L", (9, 9), 255)
    first.save(tiff, "TIFF", save_all=True, append_images=[second])
    files = {"d.pdf": (tmp_path / "d.pdf").read_bytes(), "t.tif": tiff.getvalue(), "p.png": png(3)}
    archive = pack(tmp_path / kind, files)
    refs = pages_of(archive)
    assert {(ref.path.name, ref.page) for ref in refs} == {
        *(("d.pdf", 1), ("d.pdf", 2), ("t.tif", 1), ("t.tif", 2), ("p.png", None))
    }
    light = read(archive / "t.tif", 2)
    assert isinstance(light, Page) and light.pixels.min() == 255
    assert isinstance(read(archive / "d.pdf", 2), Page)


@pytest.mark.parametrize("kind", ["a.zip", "a.tar", "a.tgz"])
def test_names_never_lead_out_of_the_archive(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret.png").write_bytes(png(200))
    bad = ["../secret.png", "/etc/x.png", "a/../../secret.png", "a//b.png", "..\\secret.png"]
    archive = pack(tmp_path / kind, {name: png(7) for name in bad} | {"./good.png": png(9)})
    found = [archive / name for name in names(archive)]
    assert archive / "good.png" in found and isinstance(read(archive / "good.png"), Page)
    for path in found:
        assert ".." not in path.parts
        assert path.is_relative_to(archive)
    refused = [path for path in found if path.name != "good.png"]
    assert refused
    assert {reason(path) for path in refused} == {"its name in the archive leads out of it"}
    # Nor does a path that a person writes.
    assert reason(archive / "../secret.png") == "it is no longer in its archive"


def test_links_and_devices_in_archives_are_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("l.png", tarfile.SYMTYPE), ("h.png", tarfile.LNKTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        entry = tarfile.TarInfo("d.png")
        entry.type = tarfile.CHRTYPE
        archive.addfile(entry)
    assert len(names(path)) == 3
    assert {reason(path / name) for name in names(path)} == {
        "it is not an ordinary file in its archive"
    }


@pytest.mark.parametrize("kind", KINDS)
def test_archives_in_archives_stay_closed(tmp_path: Path, kind: str) -> None:
    inner = pack_zip(tmp_path / "inner.zip", {"p.png": png(1)}).read_bytes()
    archive = pack(tmp_path / kind, {"deep/inner.zip": inner, "p.png": png(2)})
    assert reason(archive / "deep/inner.zip") == "it is an archive in an archive; unpack it"
    assert "deep/inner.zip" in names(archive)
    assert reason(archive / "deep/inner.zip/p.png") == "it is no longer in its archive"


def test_encrypted_pages_are_told(tmp_path: Path) -> None:
    archive = pack_zip(tmp_path / "a.zip", {"p.png": png(1)})
    data = bytearray(archive.read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + place] |= 1
    archive.write_bytes(data)
    assert names(archive) == ["p.png"]
    assert "encrypted" in reason(archive / "p.png")


def test_odd_ways_of_packing_are_told(tmp_path: Path) -> None:
    archive = pack_zip(tmp_path / "a.zip", {"p.png": png(1)}, zipfile.ZIP_LZMA)
    assert "a way that is not read" in reason(archive / "p.png")


@pytest.mark.parametrize("kind", KINDS)
def test_pages_that_unpack_to_very_much_are_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(tmp_path / kind, {"bomb.png": bytes(4_000_000), "p.png": png(1)})
    monkeypatch.setattr(archives, "LARGEST_PAGE", 1_000_000)
    tracemalloc.start()
    try:
        assert "above the limit" in reason(archive / "bomb.png")
        assert isinstance(read(archive / "p.png"), Page)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_a_zip_that_lies_of_sizes_is_bounded(tmp_path: Path) -> None:
    archive = pack_zip(tmp_path / "a.zip", {"bomb.png": bytes(5_000_000)})
    data = bytearray(archive.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, 100)
    archive.write_bytes(data)
    tracemalloc.start()
    try:
        assert reason(archive / "bomb.png") == "it is damaged in its archive"
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_a_packed_tar_that_unpacks_for_ever_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack_tar(tmp_path / "a.tgz", {"bomb.png": bytes(3_000_000), "p.png": png(1)})
    monkeypatch.setattr(archives, "MOST_UNPACKED", 10)
    monkeypatch.setattr(archives, "SPARED_BYTES", 0)
    with pytest.raises(PageUnreadableError, match="10 times its size"):
        names(archive)


def test_archives_that_list_too_many_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{n}.png": b"x" for n in range(30)}
    monkeypatch.setattr(archives, "MOST_FILES", 10)
    monkeypatch.setattr(archives, "LARGEST_DIRECTORY", 500)
    for kind in ("a.zip", "a.tar"):
        with pytest.raises(PageUnreadableError, match="too many files"):
            names(pack(tmp_path / kind, files))


def test_a_huge_header_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    path.write_bytes(entry.tobuf() + bytes(2048))
    with pytest.raises(PageUnreadableError):
        names(path)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spoil", [cut, lambda _: b"", lambda _: b"Dear reader"])
def test_damaged_archives_stand_for_themselves(
    tmp_path: Path, kind: str, spoil: Callable[[bytes], bytes]
) -> None:
    noise = random.Random(1).randbytes(20_000)
    archive = pack(tmp_path / kind, {"a.png": noise})
    archive.write_bytes(spoil(archive.read_bytes()))
    found = list(expand(opened([archive], ("png",))))
    assert found and all(path.is_relative_to(archive) for path, _ in found)
    if found[0][0] == archive:
        assert found == [(archive, WHOLE)]
    for path, part in found:
        assert isinstance(read(path, part), Failure)


def test_what_a_cut_tar_still_holds_is_read(tmp_path: Path) -> None:
    archive = pack_tar(tmp_path / "a.tar", {"a.png": png(5), "b.png": png(6) * 100})
    archive.write_bytes(archive.read_bytes()[:2500])
    assert isinstance(read(archive / "a.png"), Page)
    assert names(archive) == ["a.png", "b.png"]
    assert "damaged in its archive" in reason(archive / "b.png")


def test_a_folder_may_be_called_like_an_archive(tmp_path: Path) -> None:
    (tmp_path / "scans.zip").mkdir()
    (tmp_path / "scans.zip" / "p.png").write_bytes(png(1))
    assert within(tmp_path / "scans.zip" / "p.png") is None
    assert isinstance(read(tmp_path / "scans.zip" / "p.png"), Page)


def test_an_archive_that_changes_is_opened_anew(tmp_path: Path) -> None:
    archive = pack_zip(tmp_path / "a.zip", {"p.png": png(1)})
    assert names(archive) == ["p.png"]
    pack_zip(archive, {"p.png": png(1), "q.png": png(2)})
    assert names(archive) == ["p.png", "q.png"]
    facts = places.facts_of(archive / "q.png")
    assert facts is not None and facts.size == len(png(2))


def test_only_the_pages_asked_for_are_taken(tmp_path: Path) -> None:
    archive = pack_zip(tmp_path / "a.zip", {"a.png": png(1), "b.JPG": png(1, "JPEG"), "c.gz": b""})
    listed = [path.name for path in opened([archive], ("png", "zip"))]
    assert listed == ["a.png"]
    assert [path.name for path in opened([archive], ("zip",))] == ["a.png", "b.JPG"]


def test_no_file_is_made_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file is made")

    monkeypatch.setattr(tempfile, "_mkstemp_inner", refuse)
    monkeypatch.setattr(os, "mkdir", refuse)
    archive = pack_tar(tmp_path / "a.tgz", {"p.png": png(1)})
    assert isinstance(read(archive / "p.png"), Page)
