"""Small page files of every kind, sound and damaged, for tests.

`write_page` writes one ordinary page, `KINDS` one page in each way a scan can be stored, and
`DAMAGES` one file for each way in which a page can be unusable, with the reason to be given.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

SIZE = (90, 120)  # width, height
SHARP = {"quality": 98, "subsampling": 0}  # a JPEG that can be compared with its original


def grey_page(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A page's greys, uint8 (H, W): a slope from black to white with dark lines on it."""
    width, height = size
    random = np.random.default_rng(seed)
    slope = np.linspace(0, 255, width)[None, :] * np.ones((height, 1))
    slope[:: int(random.integers(7, 12))] *= 0.3
    slope[0, 0], slope[0, -1] = 0, 255
    return slope.round().astype(np.uint8)


def flat(grey: int) -> np.ndarray:
    """A page of one grey, uint8 (160, 120)."""
    return np.full((160, 120), grey, np.uint8)


def colour_page(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A page's colours, uint8 (H, W, 3): quarters of red, green, blue and paper over a slope."""
    page = np.repeat(grey_page(seed, size)[..., None] // 2 + 60, 3, axis=2)
    height, width = page.shape[:2]
    page[: height // 2, : width // 2] = (200, 40, 30)
    page[: height // 2, width // 2 :] = (30, 160, 60)
    page[height // 2 :, : width // 2] = (40, 60, 190)
    return page


def write_page(path: Path, seed: int = 0, size: tuple[int, int] = SIZE, **options: Any) -> Path:
    """Write an ordinary colour page in the format that the path's ending says, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colour_page(seed, size)).save(path, **options)
    return path


def write_model_settings(folder: Path, **settings: Any) -> Path:
    """Write a `preprocessor_config.json` as CLIP's, with some keys replaced; None removes a key."""
    config = {
        "crop_size": {"height": 224, "width": 224},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_processor_type": "CLIPImageProcessor",
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": 224},
    } | settings
    folder.mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in config.items() if value is not None}
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(kept), encoding="utf-8")
    return path


def _save(array: np.ndarray, path: Path, mode: str | None = None, **options: Any) -> np.ndarray:
    """Write an array as it is or in another mode; returns what a right reader shows, uint8."""
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return array


def _bilevel(path: Path) -> np.ndarray:
    page = np.where(grey_page() > 127, 255, 0).astype(np.uint8)
    compression = {"compression": "group4"} if path.suffix == ".tif" else {}
    return _save(page, path, "1", **compression)


def _sixteen_bits(path: Path) -> np.ndarray:
    page = grey_page()
    Image.fromarray(page.astype(np.uint16) * 257).save(path)
    return page


def _sixteen_bits_big_endian(path: Path) -> np.ndarray:
    page = grey_page()
    raw = (page.astype(">u2") * 257).astype(">u2").tobytes()
    Image.frombytes("I;16B", SIZE, raw).save(path)
    return page


def _white_is_zero(path: Path) -> np.ndarray:
    page = grey_page()
    Image.fromarray((255 - page).astype(np.uint16) * 257).save(path, tiffinfo={262: 0})
    return page


def _twelve_bits(path: Path) -> np.ndarray:
    """A TIFF of packed 12-bit greys, written by hand as Pillow cannot."""
    page = grey_page()
    values = (page.astype(np.uint32) * 4095 + 127) // 255
    even, odd = values[:, 0::2].astype(np.uint32), values[:, 1::2].astype(np.uint32)
    packed = np.stack([even >> 4, ((even & 15) << 4) | (odd >> 8), odd & 255], axis=2)
    data = packed.astype(np.uint8).tobytes()
    width, height = SIZE
    tags = [
        *((256, width), (257, height), (258, 12), (259, 1), (262, 1)),
        *((273, 8), (277, 1), (278, height), (279, len(data))),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory)
    return page


def _integers(path: Path) -> np.ndarray:
    """32-bit greys over a range of their own, which is stretched."""
    page = grey_page()
    Image.fromarray(page.astype(np.int32) * 100_000 - 5_000_000).save(path)
    return page


def _small_integers(path: Path) -> np.ndarray:
    page = grey_page()
    Image.fromarray(page.astype(np.int32)).save(path)
    return page


def _floats(path: Path) -> np.ndarray:
    page = grey_page()
    values = page.astype(np.float32) / 255
    values[5, 5] = np.nan
    page[5, 5] = 255
    values[5, 6] = np.inf
    page[5, 6] = 255
    Image.fromarray(values).save(path)
    return page


def _palette(path: Path) -> np.ndarray:
    image = Image.fromarray(colour_page()).quantize(16)
    image.save(path)
    return np.asarray(image.convert("RGB"))


def _palette_with_transparency(path: Path) -> np.ndarray:
    page = np.where(grey_page() > 127, 1, 0).astype(np.uint8)
    image = Image.fromarray(page).convert("P")
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.save(path, transparency=1)
    return np.where(page[..., None] == 1, 255, np.array([10, 20, 30])).astype(np.uint8)


def _transparent_grey(path: Path) -> np.ndarray:
    """A grey PNG whose value 0 is declared transparent: white paper shows."""
    page = grey_page()
    Image.fromarray(page).save(path, transparency=0)
    return np.where(page == 0, 255, page).astype(np.uint8)


def _transparent_sixteen_bits(path: Path) -> np.ndarray:
    page = grey_page()
    Image.fromarray(page.astype(np.uint16) * 257).save(path, transparency=0)
    return np.where(page == 0, 255, page).astype(np.uint8)


def _grey_with_alpha(path: Path) -> np.ndarray:
    page, alpha = grey_page(), grey_page(3)
    Image.merge("LA", (Image.fromarray(page), Image.fromarray(alpha))).save(path)
    return (page * (alpha / 255.0) + 255.0 - alpha).round().astype(np.uint8)


def _colour_with_alpha(path: Path) -> np.ndarray:
    page, alpha = colour_page(), np.where(grey_page() > 127, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack([page, alpha])).save(path)
    return np.where(alpha[..., None] > 0, page, 255).astype(np.uint8)


def _sixteen_bit_colour(path: Path) -> np.ndarray:
    page = colour_page()
    write_deep_colours(path, page.astype(int) * 257)
    return page


def write_deep_colours(path: Path, levels: np.ndarray) -> None:
    """Write a TIFF of 16-bit colours (H, W, 3) by hand, as Pillow cannot."""
    data = levels.astype("<u2").tobytes()
    height, width = levels.shape[:2]
    bits_at = 8 + len(data)
    tags = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits_at), (259, 4, 1, 1)),
        *((262, 4, 1, 2), (273, 4, 1, 8), (277, 4, 1, 3), (278, 4, 1, height)),
        (279, 4, 1, len(data)),
    ]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    bits = struct.pack("<HHH", 16, 16, 16)
    start = struct.pack("<I", bits_at + len(bits))
    path.write_bytes(b"II*\0" + start + data + bits + directory + struct.pack("<I", 0))


def _lab(path: Path) -> np.ndarray:
    from PIL import ImageCms

    page = colour_page()
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    ImageCms.applyTransform(Image.fromarray(page), transform).save(path)
    return page


def _ycck(path: Path) -> np.ndarray:
    """An Adobe JPEG of inks in YCC form: Pillow writes and inverts them, the marker is set here."""
    page = colour_page()
    inks = Image.fromarray(page).convert("CMYK")
    channels = Image.merge("RGB", inks.split()[:3]).convert("YCbCr").split()
    inverted = [channel.point(lambda value: 255 - value) for channel in channels]
    Image.merge("CMYK", (*inverted, inks.getchannel("K"))).save(path, **SHARP)
    data = bytearray(path.read_bytes())
    data[data.index(b"Adobe") + 11] = 2
    path.write_bytes(bytes(data))
    return page


def _turned(orientation: int) -> Callable[[Path], np.ndarray]:
    """A page stored sideways, with the EXIF orientation that sets it right."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }

    def write(path: Path) -> np.ndarray:
        page = colour_page()
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(page).transpose(undo[orientation]).save(
            path, exif=exif, quality=95, subsampling=0
        )
        return page

    return write


def _broken_exif(path: Path) -> np.ndarray:
    page = colour_page()
    Image.fromarray(page).save(
        path, exif=b"Exif\0\0II*\0\xff\xff\xff\xffrubbish", quality=95, subsampling=0
    )
    return page


def _several_pages(path: Path) -> np.ndarray:
    first, second = Image.fromarray(colour_page(0)), Image.fromarray(255 - colour_page(0))
    first.save(path, save_all=True, append_images=[second])
    return colour_page(0)


# File name → (writer, which returns the pixels that a reader must show; largest difference).
KINDS: dict[str, tuple[Callable[[Path], np.ndarray], int]] = {
    "bilevel.png": (_bilevel, 0),
    "bilevel_group4.tif": (_bilevel, 0),
    "grey.png": (lambda path: _save(grey_page(), path), 0),
    "grey.jpg": (lambda path: _save(grey_page(), path, quality=95), 30),
    "colour.png": (lambda path: _save(colour_page(), path), 0),
    "colour.jpg": (lambda path: _save(colour_page(), path, **SHARP), 30),
    "colour.webp": (lambda path: _save(colour_page(), path, lossless=True), 0),
    "colour.bmp": (lambda path: _save(colour_page(), path), 0),
    "sixteen_bits.png": (_sixteen_bits, 0),
    "sixteen_bits.tif": (_sixteen_bits, 0),
    "sixteen_bits_big_endian.tif": (_sixteen_bits_big_endian, 0),
    "sixteen_bits_white_is_zero.tif": (_white_is_zero, 0),
    "sixteen_bits_transparent.png": (_transparent_sixteen_bits, 0),
    "sixteen_bit_colour.tif": (_sixteen_bit_colour, 0),
    "twelve_bits.tif": (_twelve_bits, 0),
    "integers.tif": (_integers, 1),
    "small_integers.tif": (_small_integers, 0),
    "floats.tif": (_floats, 0),
    "palette.png": (_palette, 0),
    "palette.gif": (_palette, 0),
    "palette_transparent.png": (_palette_with_transparency, 0),
    "palette_transparent.gif": (_palette_with_transparency, 0),
    "grey_transparent.png": (_transparent_grey, 0),
    "grey_alpha.png": (_grey_with_alpha, 1),
    "colour_alpha.png": (_colour_with_alpha, 0),
    "colour_alpha.tif": (_colour_with_alpha, 0),
    "cmyk.tif": (lambda path: _save(colour_page(), path, "CMYK"), 1),
    "cmyk_adobe.jpg": (
        lambda path: _save(colour_page(), path, "CMYK", **SHARP),
        40,
    ),
    "ycck_adobe.jpg": (_ycck, 40),
    "ycbcr.tif": (lambda path: _save(colour_page(), path, "YCbCr"), 3),
    "lab.tif": (_lab, 6),
    "several_pages.tif": (_several_pages, 0),
    "broken_exif.jpg": (_broken_exif, 40),
    **{f"turned_{turn}.jpg": (_turned(turn), 40) for turn in range(2, 9)},
    "turned_6.png": (_turned(6), 0),
    "turned_6.tif": (_turned(6), 0),
}
if int(PIL.__version__.split(".")[0]) < 13:
    del KINDS["ycbcr.tif"]  # Pillow before 13 cannot read the file it writes here


def _cut_short(path: Path) -> None:
    write_page(path, size=(300, 400))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def _corrupt(path: Path) -> None:
    """A PNG with a sound header and rubbish for pixels."""
    write_page(path)
    data = bytearray(path.read_bytes())
    start = data.index(b"IDAT") + 4
    data[start : start + 40] = bytes(range(40))
    path.write_bytes(bytes(data))


def _huge(path: Path) -> None:
    """A PNG that claims 60,000 x 50,000 pixels in a few bytes."""
    write_page(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 50_000)
    import zlib

    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(bytes(data))


# File name → (writer, a part of the reason that must be given).
DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty.png": (lambda path: path.write_bytes(b""), "empty"),
    "text.png": (lambda path: path.write_text("not a page\n"), "not an image"),
    "document.png": (lambda path: path.write_bytes(b"%PDF-1.7\n%rest"), "PDF"),
    "one_byte.png": (lambda path: path.write_bytes(b"\x89"), "not an image"),
    "cut_short.png": (_cut_short, "cut short"),
    "cut_short.jpg": (_cut_short, "cut short"),
    "corrupt.png": (_corrupt, "damaged"),
    "huge.png": (_huge, "megapixels"),
    "folder.png": (lambda path: path.mkdir(), "folder"),
    "vanished.png": (lambda path: None, "no longer there"),
    "pipe.png": (lambda path: os.mkfifo(path), "not an ordinary file"),
    "dangling.png": (lambda path: path.symlink_to(path.parent / "nowhere"), "no longer there"),
}
