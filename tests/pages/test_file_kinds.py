"""What is said of files that are no images."""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pagesort.common.errors import PageUnreadableError
from pagesort.pages.loader import load_page
from tests.helpers.paths import ROOT

FILES = {
    "an HTML page": b"\n<!DOCTYPE html>\n<title>404 Not Found</title>",
    "an SVG drawing": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "an XML file": b'<?xml version="1.0"?>\n<TEI/>',
    "a JSON file": b'{"pages": [1, 2]}',
    "a text file": "Soupis nálezů, str. 5".encode(),
    "a PDF": b"%PDF-1.7\n",
    "a DjVu document": b"AT&TFORM\0\0\0\0DJVM",
    "an old Office document": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "a tar archive": bytes([65]) * 257 + b"ustar" + bytes(250),
    "a video": struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0),
    "a sound recording": b"RIFF\0\0\0\0WAVEfmt ",
    "a broken copy, nothing but zeros": bytes(9000),
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
}
ZIPPED = {
    "a Word document": "word/document.xml",
    "an Excel table": "xl/workbook.xml",
    "an EPUB book": "META-INF/container.xml",
    "an OpenDocument file": "content.xml",
    "a ZIP archive": "page.png",
}


def reason(path: Path) -> str:
    """Why a file cannot be loaded as a page."""
    with pytest.raises(PageUnreadableError) as caught:
        load_page(path)
    return caught.value.what


@pytest.mark.parametrize("kind", FILES)
def test_what_a_file_is_instead_is_said(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "page-1.png"
    path.write_bytes(FILES[kind])
    assert reason(path) == f"it is {kind}, not an image"


@pytest.mark.parametrize("kind", ZIPPED)
def test_what_is_zipped_is_said(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "page-1.png"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(ZIPPED[kind], "content")
    assert reason(path) == f"it is {kind}, not an image"
    path.write_bytes(path.read_bytes()[:40])
    assert reason(path) == "it is a damaged ZIP archive, not an image"


def test_kinds_of_images_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "page-1.jpg"
    path.write_bytes(struct.pack(">I4s4sI4s", 20, b"ftyp", b"heic", 0, b"mif1"))
    assert reason(path) == "it is a HEIC image, a kind that cannot be read"
    path.write_bytes(b"\x80\x81\x82" * 50)
    assert reason(path) == "it is not an image of a known kind"


@pytest.mark.skipif(sys.platform == "win32", reason="libtiff hides its names there")
def test_libtiff_says_nothing_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "page-1.tif"
    pixels = np.random.default_rng(1).integers(0, 256, (300, 200), dtype=np.uint8)
    Image.fromarray(pixels).save(path, compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    data[2000:30000] = bytes(28000)
    path.write_bytes(data)
    code = "import sys; from pagesort.pages.loader import load_page; load_page(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "PageUnreadableError" in done.stderr.splitlines()[-1]
    assert "LZWDecode" not in done.stderr
    assert done.stderr.startswith("Traceback")
