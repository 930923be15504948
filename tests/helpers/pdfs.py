"""PDFs drawn by the tests, byte by byte: text, scans, any page size, encrypted and damaged ones."""

from __future__ import annotations

import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

A4 = (595.32, 841.92)
METRE = 72 / 0.0254
PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


@dataclass(frozen=True)
class Sheet:
    """One page: its size in points, and text, or a scan (uint8 grey or colour) that fills it.

    `extra` goes into the page's dictionary. `lost` leaves the page out of the file, though it is
    counted; `torn` makes rubbish of the scan's data.
    """

    size: tuple[float, float] = A4
    text: str = "A page of text"
    scan: np.ndarray | None = None
    jpeg: bool = False
    extra: str = ""
    lost: bool = False
    torn: bool = False


def scan_pixels(seed: int, width: int = 620, height: int = 875) -> np.ndarray:
    """A grey scan, uint8 (H, W): lines of writing on paper that is not quite even."""
    random = np.random.default_rng(seed)
    page = np.full((height, width), 235.0) + np.linspace(-15, 10, width)
    for top in range(40 + 7 * (seed % 5), height - 40, 24):
        ink = random.random((10, width - 100)) < 0.35
        page[top : top + 10, 50:-50][ink] = 40
    return np.clip(page, 0, 255).astype(np.uint8)


def write_pdf(path: Path, sheets: list[Sheet], password: str | None = None) -> Path:
    """Write a PDF; a password encrypts it, and an empty one does so without locking it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pdf_bytes(sheets, password))
    return path


def pdf_bytes(sheets: list[Sheet], password: str | None = None) -> bytes:
    """Return the bytes of a PDF of these pages."""
    identity = hashlib.md5(repr(len(sheets)).encode()).digest()
    key = None if password is None else _key(password, identity)
    objects: dict[int, bytes] = {1: b"<< /Type /Catalog /Pages 2 0 R >>"}
    kids = []
    for index, sheet in enumerate(sheets):
        first = 4 + 3 * index
        kids.append(f"{first} 0 R")
        if not sheet.lost:
            objects |= _page_objects(sheet, first, key)
    objects[2] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(kids)}] >>".encode()
    objects[3] = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    trailer = "/Root 1 0 R"
    if key is not None:
        number = 4 + 3 * len(sheets)
        objects[number] = _encryption(password or "", key)
        trailer += f" /Encrypt {number} 0 R /ID [<{identity.hex()}> <{identity.hex()}>]"
    return _assembled(objects, trailer)


def _page_objects(sheet: Sheet, first: int, key: bytes | None) -> dict[int, bytes]:
    width, height = sheet.size
    resources = "/Font << /F 3 0 R >>"
    if sheet.scan is None:
        content = f"BT /F 24 Tf 40 {height - 60:g} Td ({sheet.text}) Tj ET"
        content += f" 0.8 0.1 0.1 rg 40 40 {width / 2:g} 60 re f"
    else:
        content = f"q {width:g} 0 0 {height:g} 0 0 cm /I Do Q"
        resources += f" /XObject << /I {first + 2} 0 R >>"
    page = (
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:g} {height:g}] {sheet.extra} "
        f"/Resources << {resources} >> /Contents {first + 1} 0 R >>"
    )
    objects = {first: page.encode(), first + 1: _stream("", content.encode(), first + 1, key)}
    if sheet.scan is not None:
        objects[first + 2] = _picture(sheet, first + 2, key)
    return objects


def _picture(sheet: Sheet, number: int, key: bytes | None) -> bytes:
    assert sheet.scan is not None
    height, width = sheet.scan.shape[:2]
    space = "/DeviceGray" if sheet.scan.ndim == 2 else "/DeviceRGB"
    if sheet.jpeg:
        buffer = io.BytesIO()
        Image.fromarray(sheet.scan).save(buffer, "JPEG", quality=90)
        data, kind = buffer.getvalue(), "/DCTDecode"
    else:
        data, kind = zlib.compress(sheet.scan.tobytes()), "/FlateDecode"
    if sheet.torn:
        data = b"\x00rubbish" * 20
    head = (
        f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /BitsPerComponent 8 "
        f"/ColorSpace {space} /Filter {kind}"
    )
    return _stream(head, data, number, key)


def _stream(head: str, data: bytes, number: int, key: bytes | None) -> bytes:
    if key is not None:
        salted = hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()
        data = _rc4(salted[: len(key) + 5], data)
    return f"<< {head} /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream"


def _assembled(objects: dict[int, bytes], trailer: str) -> bytes:
    out, places = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", {}
    for number, body in sorted(objects.items()):
        places[number] = len(out)
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    size = max(objects) + 1
    table = f"xref\n0 {size}\n".encode()
    for number in range(size):
        used = number in places
        table += f"{places.get(number, 0):010d} {0 if used else 65535:05d} ".encode()
        table += b"n \n" if used else b"f \n"
    end = f"trailer << /Size {size} {trailer} >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + table + end.encode()


def _padded(password: str) -> bytes:
    return (password.encode("latin-1") + PADDING)[:32]


def _owner_entry(password: str) -> bytes:
    return _rc4(hashlib.md5(_padded("owner")).digest()[:5], _padded(password))


def _key(password: str, identity: bytes) -> bytes:
    """The key of the oldest encryption of PDFs (40 bits), which every reader knows."""
    rights = (-4).to_bytes(4, "little", signed=True)
    hashed = _padded(password) + _owner_entry(password) + rights + identity
    return hashlib.md5(hashed).digest()[:5]


def _encryption(password: str, key: bytes) -> bytes:
    owner, user = _owner_entry(password).hex(), _rc4(key, PADDING).hex()
    return f"<< /Filter /Standard /V 1 /R 2 /P -4 /O <{owner}> /U <{user}> >>".encode()


def _rc4(key: bytes, data: bytes) -> bytes:
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) & 255
        box[i], box[j] = box[j], box[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) & 255
        j = (j + box[i]) & 255
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) & 255])
    return bytes(out)
