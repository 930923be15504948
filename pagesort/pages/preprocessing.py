"""How a model wants its pages: `preprocessor_config.json`, done as torchvision does it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pagesort.common.checked_json import read_json, shortened
from pagesort.common.errors import PageSortError
from pagesort.pages.raster import Scan

FILE_NAME = "preprocessor_config.json"
LARGEST_SIDE = 4096  # pixels; a larger model input is a mistake in the file
# A resized page is cut out of a whole one up to this many pixels; for a strip of paper 600 times as
# long as wide only the part that the crop keeps is computed.
LARGEST_RESIZED = 32_000_000
# How many times larger than the model's input a page of a PDF is drawn. Against drawing at 300 dpi,
# the bundled model's largest probability of a page moved by 0.025 at 1, 0.005 at 2 (as much as by
# putting the scan into a PDF at all), 0.003 at 3; 58 archive pages, none with another first guess
# from 1.5 on.
DRAWN_LARGER = 2
BICUBIC = int(Image.Resampling.BICUBIC)
NEAREST = int(Image.Resampling.NEAREST)
GAP_KEY = "reducing_gap"
"""The key that allows quick shrinking; our own, and passed over by transformers."""
REDUCING_GAP = 2.0
"""What models get that are trained here.

Against the exact path the bundled model's embeddings of archive scans moved by a cosine distance of
4e-4 at most (1.25: 2e-3, 1.0: 9e-3), and no page got another first guess.
"""
DECODER_SHARE = 0.75
"""How much of the gap a decoder must leave: what it leaves out is cleaner than a mean of pixels.

At 1.5 times the model's input, JPEG pages moved by 9e-4 at most.
"""
LARGEST_GAP = 16.0
RESAMPLINGS = {int(kind) for kind in Image.Resampling}

READ_KEYS = {
    "do_resize",
    "size",
    "resample",
    "do_center_crop",
    "crop_size",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
    GAP_KEY,
}
# Written by transformers; none of them changes a pixel of a page that arrives as RGB.
IDLE_KEYS = {
    "image_processor_type",
    "feature_extractor_type",
    "processor_class",
    "default_to_square",
    "do_convert_rgb",
    "data_format",
    "input_data_format",
    "device",
    "return_tensors",
    "disable_grouping",
    "image_seq_length",
    "auto_map",
}


@dataclass(frozen=True)
class Preprocessing:
    """What a model does to a page before it looks at it; sizes are (height, width) in pixels.

    `shortest_edge` resizes and keeps the page's shape, `resize` squashes it; at most one is set.
    `crop` cuts the centre out, padded with black. `resample` is a PIL.Image.Resampling value.
    `reducing_gap` lets a page be shrunk by whole numbers first, in its decoder or by means of
    blocks of pixels, as long as it stays so many times larger than in the end; None is the exact
    path, on which every pixel is torchvision's.
    """

    shortest_edge: int | None = None
    resize: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    resample: int = BICUBIC
    rescale: float = 1.0 / 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    reducing_gap: float | None = None
    _levels: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Tabulate the values of each channel, (3, 256) float32, by torchvision's operations."""
        steps = np.arange(256, dtype=np.float32)
        divisor = np.float32(round(1.0 / self.rescale, 6))  # to divide by 255, as torchvision does
        mean, std = (np.asarray(each, dtype=np.float32)[:, None] for each in (self.mean, self.std))
        object.__setattr__(self, "_levels", (steps / divisor - mean) / std)

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of what the model sees."""
        size = self.crop or self.resize
        assert size is not None  # from_settings lets no other in
        return size

    @property
    def drawn_size(self) -> tuple[int, int]:
        """Width and height in pixels that a page without a resolution of its own is drawn at.

        It is drawn larger than the model sees it, so that it is shrunk just as a scan is.
        """
        if self.resize is not None:
            height, width = self.resize
        elif self.shortest_edge is not None:
            height = width = self.shortest_edge
        else:
            height, width = self.input_size
        return DRAWN_LARGER * width, DRAWN_LARGER * height

    @classmethod
    def from_folder(cls, model_folder: str | Path) -> Preprocessing:
        """Read the `preprocessor_config.json` of a model folder.

        Raises:
            PageSortError: the file is missing, is not JSON, or holds a setting that we cannot carry
                out.
        """
        path = Path(model_folder) / FILE_NAME
        try:
            settings = read_json(path)
        except FileNotFoundError as error:
            raise PageSortError(
                f"The model folder has no {FILE_NAME}, so nobody can tell how it wants its pages",
                where=model_folder,
                remedy="Fetch or save the model again",
            ) from error
        return cls.from_settings(settings, where=path)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], where: str | Path) -> Preprocessing:
        """Take the settings of a transformers image processor; `where` is named by errors.

        Raises:
            PageSortError: naming the key that is unknown, missing or contradicts another.
        """
        reader = _Reader(settings, where)
        for key, value in settings.items():
            # A newer switch that is off changes nothing.
            if key not in READ_KEYS | IDLE_KEYS and value not in (None, False):
                raise reader.error(key, "is not a setting that pages can be prepared with")
        shortest_edge, resize = reader.resize() if reader.switch("do_resize") else (None, None)
        crop = (
            reader.pair("crop_size")
            if reader.switch("do_center_crop", bool(shortest_edge))
            else None
        )
        if crop is None and resize is None:
            raise reader.error(
                "crop_size", "is needed, as the other settings leave pages of different sizes"
            )
        normalise = reader.switch("do_normalize")
        return cls(
            shortest_edge=shortest_edge,
            resize=resize,
            crop=crop,
            resample=reader.resample(),
            rescale=reader.rescale_factor() if reader.switch("do_rescale") else 1.0,
            mean=reader.triple("image_mean") if normalise else (0.0, 0.0, 0.0),
            std=reader.triple("image_std", positive=True) if normalise else (1.0, 1.0, 1.0),
            reducing_gap=reader.gap(),
        )

    def apply(self, image: Image.Image) -> np.ndarray:
        """Resize and crop one upright page (mode L or RGB) to uint8 (H, W, 3)."""
        return pixels_of(self.shrink(Scan(image)))

    def shrink(
        self, scan: Scan, seen: Callable[[Image.Image], object] | None = None
    ) -> Image.Image:
        """Resize and crop one page of any mode to the model's input, mode L or RGB.

        `seen` is called with the page before it is cropped, if all of it is ever there.
        """
        height, width = self._resized_size(scan.extent)
        if self.crop is not None and width * height > LARGEST_RESIZED:
            return self._resize_crop_only(scan.upright(), height, width)
        page = self._resized(scan, height, width)
        if seen is not None:
            seen(page)
        return page if self.crop is None else _centre_crop(page, *self.crop)

    def least_size(self, width: int, height: int) -> tuple[int, int] | None:
        """Width and height that an upright page of the size given may be decoded at, at least.

        None is the full size: for an exact path, and where a page is hardly larger.
        """
        if self.reducing_gap is None or self.resample == NEAREST:
            return None
        resized_height, resized_width = self._resized_size((width, height))
        gap = DECODER_SHARE * self.reducing_gap
        least = math.ceil(gap * resized_width), math.ceil(gap * resized_height)
        return least if least[0] < width and least[1] < height else None

    def check_pixels(self, pixels: object) -> None:
        """Refuse what are no prepared pages, uint8 (N, H, W, 3).

        Raises:
            PageSortError: it is of another shape or type, or no array.
        """
        height, width = self.input_size
        found = type(pixels).__name__
        if isinstance(pixels, np.ndarray):
            if pixels.shape[1:] == (height, width, 3) and pixels.dtype == np.uint8:
                return
            found = f"{pixels.dtype} {pixels.shape}"
        raise PageSortError(
            f"the model takes pages as uint8 (N, {height}, {width}, 3), and this is {found}",
            remedy="CLIP.embed and CLIP.predict take files and images of any size",
        )

    def normalise(self, pixels: np.ndarray) -> np.ndarray:
        """Turn uint8 pages (N, H, W, 3) into the model's input, float32 (N, 3, H, W)."""
        batch, height, width, _ = pixels.shape
        values = np.empty((batch, 3, height, width), dtype=np.float32)
        for channel in range(3):
            # mode="clip" skips numpy's buffered range check; a uint8 is always in range
            np.take(
                self._levels[channel], pixels[..., channel], out=values[:, channel], mode="clip"
            )
        return values

    def _resized_size(self, extent: tuple[float, float]) -> tuple[int, int]:
        """Height and width before the crop of a page of this width and height."""
        if self.resize is not None:
            return self.resize
        width, height = extent
        if self.shortest_edge is None:
            return int(height), int(width)
        longer = int(self.shortest_edge * max(width, height) / min(width, height))
        return (longer, self.shortest_edge) if width <= height else (self.shortest_edge, longer)

    def _factors(self, scan: Scan, height: int, width: int) -> tuple[int, int]:
        """How many columns, and how many rows, may be replaced by their mean."""
        if self.reducing_gap is None or self.resample == NEAREST:
            return 1, 1
        wide, high = scan.extent
        return (
            max(1, int(wide / width / self.reducing_gap)),
            max(1, int(high / height / self.reducing_gap)),
        )

    def _resized(self, scan: Scan, height: int, width: int) -> Image.Image:
        """Resize a page band by band; the result is the same as in one go.

        Pillow, too, first brings each row to its width and rounds, then each column to its height.
        """
        across, down = self._factors(scan, height, width)
        left, top, right, bottom = scan.box
        box = (left / across, top / down, right / across, bottom / down)
        if (across, down) == (1, 1):
            if scan.is_ready:
                return scan.image.resize((width, height), self.resample, box)
            small = Image.new(scan.mode, (width, scan.size[1]))
            for row, band in scan.bands():
                band_box = (left, 0, right, band.height)
                small.paste(band.resize((width, band.height), self.resample, band_box), (0, row))
            return small.resize((width, height), self.resample, (0, top, width, bottom))
        if scan.is_ready:
            # Unbound, as the pages of Pillow's JPEG 2000 reader have a number of that name.
            small = Image.Image.reduce(scan.image, (across, down))
        else:
            columns, rows = scan.size
            small = Image.new(scan.mode, (-(-columns // across), -(-rows // down)))
            for row, band in scan.bands(multiple=down):
                small.paste(band.reduce((across, down)), (0, row // down))
        return small.resize((width, height), self.resample, box)

    def _resize_crop_only(self, image: Image.Image, height: int, width: int) -> Image.Image:
        """Compute the kept part of a resized page whose whole would not fit in memory."""
        assert self.crop is not None
        kept_height, kept_width = min(height, self.crop[0]), min(width, self.crop[1])
        top, left = round((height - kept_height) / 2.0), round((width - kept_width) / 2.0)
        across, down = image.width / width, image.height / height
        box = (left * across, top * down, (left + kept_width) * across, (top + kept_height) * down)
        kept = image.resize((kept_width, kept_height), self.resample, box=box)
        return _centre_crop(kept, *self.crop)


def pixels_of(page: Image.Image) -> np.ndarray:
    """Pixels, uint8 (H, W, 3), of a page of mode L or RGB."""
    return np.array(page.convert("RGB"))


def _centre_crop(image: Image.Image, height: int, width: int) -> Image.Image:
    """Cut the centre out as torchvision does: pad with black, round offsets half to even."""
    wide, high = max(image.width, width), max(image.height, height)
    if (wide, high) != image.size:
        padded = Image.new(image.mode, (wide, high))
        padded.paste(image, ((wide - image.width) // 2, (high - image.height) // 2))
        image = padded
    left, top = round((wide - width) / 2.0), round((high - height) / 2.0)
    return image.crop((left, top, left + width, top + height))


class _Reader:
    """Takes single settings out of a preprocessor's table, refusing what cannot be meant."""

    def __init__(self, settings: Mapping[str, Any], where: str | Path) -> None:
        self.settings = settings
        self.where = where

    def error(self, key: str, problem: str) -> PageSortError:
        value = f" ({shortened(self.settings[key])})" if key in self.settings else ""
        return PageSortError(
            f"{key}{value} {problem}",
            where=self.where,
            remedy="Fetch the model again, or correct the file",
        )

    def switch(self, key: str, default: bool = True) -> bool:
        value = self.settings.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(key, "must be true or false")
        return value

    def resize(self) -> tuple[int | None, tuple[int, int] | None]:
        """The shortest edge or the (height, width), whichever `size` holds; the other is None."""
        size = self.settings.get("size")
        if isinstance(size, int):
            squashed = self.settings.get("default_to_square") is True or (
                self.settings.get("do_center_crop") is False
            )
            return (None, self.pair("size")) if squashed else (self.side("size", size), None)
        if isinstance(size, Mapping) and set(size) == {"shortest_edge"}:
            return self.side("size", size["shortest_edge"]), None
        return None, self.pair("size")

    def pair(self, key: str) -> tuple[int, int]:
        value = self.settings.get(key)
        if isinstance(value, int):
            value = {"height": value, "width": value}
        if not isinstance(value, Mapping) or set(value) != {"height", "width"}:
            raise self.error(
                key, "must hold height and width" + (", or shortest_edge" if key == "size" else "")
            )
        return self.side(key, value["height"]), self.side(key, value["width"])

    def side(self, key: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_SIDE:
            raise self.error(key, f"must be whole numbers from 1 to {LARGEST_SIDE}")
        return value

    def resample(self) -> int:
        value = self.settings.get("resample", BICUBIC)
        if isinstance(value, bool) or value not in RESAMPLINGS:
            raise self.error("resample", f"must be one of Pillow's {sorted(RESAMPLINGS)}")
        return int(value)

    def gap(self) -> float | None:
        value = self.settings.get(GAP_KEY)
        if value is None:
            return None
        if not _is_number(value) or not 1.0 <= value <= LARGEST_GAP:
            raise self.error(GAP_KEY, f"must be a number from 1 to {LARGEST_GAP:g}, or left out")
        return float(value)

    def rescale_factor(self) -> float:
        value = self.settings.get("rescale_factor", 1.0 / 255.0)
        if not _is_number(value) or value <= 0.0:
            raise self.error("rescale_factor", "must be a number above 0")
        return float(value)

    def triple(self, key: str, positive: bool = False) -> tuple[float, float, float]:
        value = self.settings.get(key)
        if (
            not isinstance(value, (list, tuple))
            or len(value) != 3
            or not all(_is_number(each) and (each > 0.0 or not positive) for each in value)
        ):
            raise self.error(key, "must be three numbers" + (" above 0" if positive else ""))
        return float(value[0]), float(value[1]), float(value[2])


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
