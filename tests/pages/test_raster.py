"""Pages of every kind brought to a model's input: exactly, in bands, and the quick way."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from pagesort.common.paths import BUNDLED_MODEL
from pagesort.pages import raster
from pagesort.pages.loader import PageLoader, load_page
from pagesort.pages.preprocessing import REDUCING_GAP, Preprocessing
from pagesort.pages.raster import Scan
from tests.helpers.pages import KINDS, grey_page, write_deep_colours
from tests.helpers.paths import ROOT

SQUASH = Preprocessing(resize=(20, 15))
CROP = Preprocessing(shortest_edge=17, crop=(16, 18))
STRIP = Preprocessing(shortest_edge=90, crop=(60, 60))
# Large enough that the quick way differs from the exact one, and with odd sides.
WIDTH, HEIGHT = 617, 1031


def _quick(preprocessing: Preprocessing) -> Preprocessing:
    return dataclasses.replace(preprocessing, reducing_gap=REDUCING_GAP)


def _text_page() -> np.ndarray:
    """A page with something like lines of writing on it, uint8 (H, W, 3)."""
    random = np.random.default_rng(3)
    ink = random.random((HEIGHT // 6 + 1, WIDTH // 3 + 1)) < 0.4
    ink[::3] = False
    ink[:12] = ink[-20:] = ink[:, :20] = ink[:, -9:] = False
    page = np.where(np.kron(ink, np.ones((6, 3), bool))[:HEIGHT, :WIDTH], 40, 225)
    paper = np.linspace(0, 25, WIDTH)
    return np.stack([page + paper, page, page - paper], axis=2).astype(np.uint8)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", KINDS)
def test_bands_are_exactly_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    KINDS[name][0](tmp_path / name)
    page = load_page(tmp_path / name)
    expected = [each.apply(page) for each in (SQUASH, CROP, STRIP)]
    monkeypatch.setattr(raster, "BAND_PIXELS", 1000)
    for preprocessing, pixels in zip((SQUASH, CROP, STRIP), expected, strict=True):
        assert np.array_equal(PageLoader(preprocessing).pixels(tmp_path / name), pixels)
    assert PageLoader(SQUASH).image(tmp_path / name).mode == page.mode


def _pillows(page: Image.Image) -> np.ndarray:
    small = page.resize((15, 20), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
    return np.asarray(small.convert("RGB"))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", [name for name in KINDS if not name.endswith(".jpg")])
def test_the_quick_way_is_pillows_reducing_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    KINDS[name][0](tmp_path / name)
    expected = _pillows(load_page(tmp_path / name))
    assert not np.array_equal(expected, SQUASH.apply(load_page(tmp_path / name)))
    monkeypatch.setattr(raster, "BAND_PIXELS", 1000)
    assert np.array_equal(PageLoader(_quick(SQUASH)).pixels(tmp_path / name), expected)


@pytest.mark.parametrize("turn", [None, *Image.Transpose])
def test_turned_pages_are_cut_into_bands_of_the_upright_page(
    monkeypatch: pytest.MonkeyPatch, turn: Image.Transpose | None
) -> None:
    monkeypatch.setattr(raster, "BAND_PIXELS", 700)
    stored = Image.fromarray(grey_page(0, (53, 71)))
    upright = np.asarray(stored if turn is None else stored.transpose(turn))
    turned = Scan(stored, turn)
    assert turned.size == upright.shape[::-1]
    assert np.array_equal(np.asarray(turned.upright()), upright)
    bands = list(turned.bands(multiple=4))
    assert len(bands) > 3 and all(band.height % 4 == 0 for _, band in bands[:-1])
    assert [top for top, _ in bands] == list(np.cumsum([0] + [b.height for _, b in bands[:-1]]))
    assert np.array_equal(np.concatenate([np.asarray(band) for _, band in bands]), upright)


@pytest.fixture(scope="module")
def large_pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same large page in formats and modes of their own ways to be shrunk."""
    folder = tmp_path_factory.mktemp("large")
    page = Image.fromarray(_text_page())
    grey, exif = page.convert("L"), Image.Exif()
    exif[0x0112] = 6
    sideways = page.transpose(Image.Transpose.ROTATE_90)
    paths: list[Path] = []
    for name, image, options in (
        ("colour.jpg", page, {"quality": 90}),
        ("grey.jpg", grey, {"quality": 90}),
        ("progressive.jpg", page, {"progressive": True}),
        ("cmyk.jpg", page.convert("CMYK"), {}),
        ("sideways.jpg", sideways, {"exif": exif}),
        ("sideways.png", sideways, {"exif": exif}),
        ("colour.jp2", page, {}),
        ("grey.jp2", grey, {"irreversible": True}),
        ("few.jp2", grey, {"num_resolutions": 1}),
        ("tiles.jp2", page, {"tile_size": (256, 256)}),
        ("colour.png", page, {}),
        ("palette.png", page.quantize(64), {}),
        ("bilevel.tif", grey.convert("1", dither=Image.Dither.NONE), {"compression": "group4"}),
        ("lzw.tif", page, {"compression": "tiff_lzw"}),
        ("deep.png", Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), {}),
        ("colour.webp", page, {"quality": 90}),
    ):
        image.save(folder / name, **options)
        paths.append(folder / name)
    return paths


@pytest.mark.parametrize(
    "size",
    [
        pytest.param((90, 64), marks=pytest.mark.slow),
        pytest.param((96, 96), marks=pytest.mark.slow),
        (200, 150),
    ],
)
def test_the_quick_way_shows_the_same_page(large_pages: list[Path], size: tuple[int, int]) -> None:
    """It differs less than two exact ways of shrinking that are both in use for models."""
    exact = Preprocessing(resize=size)
    other = dataclasses.replace(exact, resample=int(Image.Resampling.LANCZOS))
    for path in large_pages:
        pixels = PageLoader(exact).pixels(path).astype(int)
        difference = PageLoader(_quick(exact)).pixels(path) - pixels
        allowed = np.abs(PageLoader(other).pixels(path) - pixels).mean()
        assert np.abs(difference).mean() < allowed < 4.0, path.name
        assert abs(difference.mean()) < 0.2, path.name  # as light as before


@pytest.mark.parametrize("name", ["colour.jpg", "sideways.jpg", "colour.jp2", "tiles.jp2"])
def test_decoders_leave_out_what_is_shrunk_away(
    large_pages: list[Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (path,) = (each for each in large_pages if each.name == name)
    decoded: list[Scan] = []
    shrink = Preprocessing.shrink

    def watched(self: Preprocessing, page: Scan, *others: Any) -> Image.Image:
        decoded.append(page)
        return shrink(self, page, *others)

    monkeypatch.setattr(Preprocessing, "shrink", watched)
    exact = Preprocessing(resize=(160, 96))
    for preprocessing in (exact, _quick(exact), _quick(Preprocessing(resize=(900, 500)))):
        PageLoader(preprocessing).image(path)
    whole, quarter, large = decoded
    assert whole.size == large.size == (WIDTH, HEIGHT)
    if path.suffix == ".jpg":
        assert quarter.size == (155, 258) and quarter.extent == (WIDTH / 4, HEIGHT / 4)
    else:  # Pillow cannot read a quarter of 617, and half of it lies a quarter of a pixel aside
        assert quarter.size == (309, 516) and quarter.box == (0.25, 0.25, 308.75, 515.75)


def test_opaque_transparency_and_grey_palettes_are_seen_through(tmp_path: Path) -> None:
    page = grey_page()
    for mode in ("RGBA", "P"):
        image = Image.fromarray(page).convert(mode)
        image.save(tmp_path / f"{mode}.png")
        read = load_page(tmp_path / f"{mode}.png")
        assert np.array_equal(np.asarray(read.convert("RGB"))[..., 0], page)
    assert read.mode == "L"


def test_what_decoding_takes_is_told_before_it_begins(
    large_pages: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, int] = {}
    decoded: list[str] = []
    load = ImageFile.ImageFile.load

    def watched(image: ImageFile.ImageFile) -> object:
        decoded.append(path.name)
        return load(image)

    @contextlib.contextmanager
    def hold(need: int) -> Iterator[None]:
        assert path.name not in decoded
        told[path.name] = need
        yield

    monkeypatch.setattr(ImageFile.ImageFile, "load", watched)
    quick_loader = PageLoader(_quick(Preprocessing(resize=(160, 96))))
    monkeypatch.setattr(quick_loader._budget, "hold", hold)
    for path in large_pages:
        quick_loader.image(path)
    assert set(told) <= set(decoded)
    pixels = WIDTH * HEIGHT
    assert told["colour.png"] == 4 * pixels
    assert told["palette.png"] == pixels
    assert told["deep.png"] == 2 * pixels
    assert told["colour.jpg"] == 4 * 155 * 258
    assert told["progressive.jpg"] > 6 * pixels
    assert told["lzw.tif"] > 4 * pixels


PEAK_OF_A_BATCH = """
import re, sys
from pathlib import Path
from pagesort.pages import memory_budget
from pagesort.pages.loader import Page, PageLoader, PageRef, Preprocessing
memory_budget.free_memory = lambda: int(sys.argv[2])
refs = [PageRef(number, Path(sys.argv[1])) for number in range(8)]
loader = PageLoader(Preprocessing(resize=(384, 272)), workers=4)
(batch,) = loader.batches([refs])
assert all(isinstance(page, Page) for page in batch)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_batch_of_large_scans_stays_within_the_budget(tmp_path: Path) -> None:
    """Eight pages of 144 megapixels, 137 MiB each: two at a time where 600 MiB are free."""
    Image.new("L", (12_000, 12_000), 200).save(tmp_path / "page.png", compress_level=1)

    def peak_mib(free: int) -> int:
        ran = subprocess.run(
            [sys.executable, "-c", PEAK_OF_A_BATCH, str(tmp_path / "page.png"), str(free << 20)],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        return int(ran.stdout) >> 10

    assert peak_mib(600) < 400
    assert peak_mib(60_000) > 450


@pytest.mark.slow
def test_embeddings_of_the_quick_way_are_near_the_exact_ones(tmp_path: Path) -> None:
    from bundled_models.synthetic_pages import page as synth
    from classifier import CLIP

    clip = CLIP.open(BUNDLED_MODEL, device="cpu")
    exact = dataclasses.replace(clip.preprocessing, reducing_gap=None)
    formats = (
        ("page.png", {}),
        ("page.jpg", {"quality": 85}),
        ("page.jp2", {"irreversible": True}),
    )
    # Every format at every height, and of every label.
    for number, label in enumerate(synth.LABELS[::3]):
        page = synth.draw_page(label, synth.page_rng(7, number), 1800).image.convert("RGB")
        for place, height in enumerate((700, 1300, 1800)):
            name, options = formats[(number + place) % len(formats)]
            page.resize((round(height * 0.7), height)).save(tmp_path / name, **options)
            both = [PageLoader(each).pixels(tmp_path / name) for each in (exact, _quick(exact))]
            embeddings = clip.embed_images(np.stack(both)).double()
            assert 1.0 - float(embeddings[0] @ embeddings[1]) <= 1e-2, (label, height, name)


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "big_endian.tif", "colour.tif"])
@pytest.mark.parametrize("bits", [12, 16])
def test_twelve_bits_in_a_page_of_sixteen_are_as_light_as_sixteen(
    tmp_path: Path, name: str, bits: int
) -> None:
    """A white page whose lower half is grey; at 12 bits, Pillow leaves four of a colour."""
    levels = np.full((60, 40), 2**bits - 1)
    levels[30:] = 2 ** (bits - 1)
    path = tmp_path / name
    if name == "colour.tif":
        write_deep_colours(path, np.dstack([levels] * 3))
    elif name == "big_endian.tif":
        Image.frombytes("I;16B", (40, 60), levels.astype(">u2").tobytes()).save(path)
    else:
        Image.fromarray(levels.astype(np.uint16)).save(path)
    page = np.asarray(load_page(path).convert("L")).astype(int)
    assert (page[:30] == 255).all() and (abs(page[30:] - 128) <= 9).all()
    shrunk = PageLoader(Preprocessing(resize=(8, 8))).pixels(path).astype(int)
    assert (shrunk[:3] == 255).all() and (abs(shrunk[5:] - 128) <= 9).all()
