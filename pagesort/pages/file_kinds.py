"""What a file is that is no image, told from its first bytes, so that a person knows at once."""

from __future__ import annotations

import json
import re
import zipfile
from typing import IO

LOOKED_AT = 4096  # bytes

# What a file begins with, and what that is.
_BEGINNINGS = (
    (b"%PDF-", "a PDF"),
    (b"%!PS", "a PostScript file"),
    (b"AT&TFORM", "a DjVu document"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (b"8BPS", "a Photoshop file"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xfd7zXZ\0", "an XZ archive"),
    (b"SQLite format 3\0", "a database"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"ID3", "a sound recording"),
    (b"\xff\xfb", "a sound recording"),
    (b"fLaC", "a sound recording"),
    (b"OggS", "a sound recording or video"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"\0\0\x01\xba", "a video"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)
_RIFF = {b"WAVE": "a sound recording", b"AVI ": "a video"}
# What the box at the start of an ISO media file names; anything else there is a video.
_MEDIA = (
    (rb"hei[cxms]|hev[cx]|mif1|msf1", "a HEIC image"),
    (rb"crx ", "a camera's raw image"),
    (rb"M4[AB] ", "a sound recording"),
)
# What the first of these names in a ZIP file makes of it.
_ZIPPED = (
    ("word/", "a Word document"),
    ("xl/", "an Excel table"),
    ("ppt/", "a PowerPoint presentation"),
    ("META-INF/container.xml", "an EPUB book"),
)
_MARKUP = ((r"<!doctype html|<html\b", "an HTML page"), (r"<svg\b", "an SVG drawing"))


def describe(file: IO[bytes]) -> str | None:
    """Say what a file is that is no image, with its article; None if its first bytes do not tell.

    Args:
        file: open at its start.

    Raises:
        OSError: the file cannot be read.
    """
    start = file.read(LOOKED_AT)
    for beginning, kind in _BEGINNINGS:
        if start.startswith(beginning):
            return kind
    if start[:4] == b"RIFF":
        return _RIFF.get(start[8:12])
    if start[4:8] == b"ftyp":
        brands = start[8 : max(12, int.from_bytes(start[:4], "big"))]
        return next((kind for brand, kind in _MEDIA if re.match(brand, brands)), "a video")
    if start[:4] == b"PK\x03\x04":
        return _zipped(file)
    if start[257:262] == b"ustar":
        return "a tar archive"
    if start and not start.strip(b"\0"):
        return "a broken copy, nothing but zeros"
    return _text(start)


def _zipped(file: IO[bytes]) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            for beginning, kind in _ZIPPED:
                if any(name.startswith(beginning) for name in names):
                    return kind
            if "content.xml" in names:
                return "an OpenDocument file"
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return "a damaged ZIP archive"
    return "a ZIP archive"


def _text(start: bytes) -> str | None:
    """Tell apart kinds of text; None for what is none."""
    wide = start[:2] in (b"\xff\xfe", b"\xfe\xff")
    # The last character may have been cut in two.
    text = start.decode("utf-16" if wide else "utf-8-sig", errors="ignore").strip()
    if not text or any(char < " " and char not in "\t\n\r\f" for char in text):
        return None
    for pattern, kind in _MARKUP:
        if text[0] == "<" and re.search(pattern, text, re.IGNORECASE):
            return kind
    lost = 0 if wide else len(start) - len(start.decode("utf-8", errors="ignore").encode())
    if lost > 3:
        return None
    if text.startswith("<?xml"):
        return "an XML file"
    if text[0] in "{[" and (len(start) == LOOKED_AT or _is_json(text)):
        return "a JSON file"
    return "a text file"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
