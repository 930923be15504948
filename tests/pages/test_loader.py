"""The page loader, the preprocessing (against torchvision), and the parallel batches."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.pages import image_file, loader, raster
from pagesort.pages.loader import Failure, Page, PageLoader, PageRef, Preprocessing, load_page
from tests.helpers.pages import (
    DAMAGES,
    KINDS,
    colour_page,
    grey_page,
    write_model_settings,
    write_page,
)
from tests.helpers.paths import ROOT

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
CROP = Preprocessing(shortest_edge=64, crop=(64, 64), mean=CLIP_MEAN, std=CLIP_STD)
SQUASH = Preprocessing(resize=(80, 56), mean=CLIP_MEAN, std=CLIP_STD)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_page_is_read_as_it_looks(tmp_path: Path, name: str) -> None:
    write, tolerance = KINDS[name]
    expected = write(tmp_path / name)
    page = load_page(tmp_path / name)
    assert page.mode == ("L" if expected.ndim == 2 else "RGB")
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=2)
    shown = np.asarray(page.convert("RGB")).astype(int)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).max() <= tolerance


@pytest.mark.parametrize("name", DAMAGES)
def test_every_kind_of_damage_has_a_reason_for_people(
    tmp_path: Path, name: str, recwarn: pytest.WarningsRecorder
) -> None:
    write, reason = DAMAGES[name]
    write(tmp_path / name)
    with pytest.raises(PageUnreadableError) as caught:
        load_page(tmp_path / name)
    assert reason in caught.value.what
    assert len(caught.value.what) < 120
    assert not any(word in caught.value.what for word in ("Error", "PIL", "<", "Errno", "0x"))
    assert str(tmp_path / name) in str(caught.value)
    assert not recwarn.list


def test_a_file_that_may_not_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_page(tmp_path / "page.png")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    with pytest.raises(PageUnreadableError, match="no permission"):
        load_page(path)


def test_size_limit_is_ours_and_checked_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_page(tmp_path / "page.png", size=(2000, 1500))
    assert load_page(path, max_megapixels=3.0).size == (2000, 1500)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(
        PageUnreadableError, match=r"2000 x 1500 pixels, 3 megapixels.*limit of 2.9"
    ):
        load_page(path, max_megapixels=2.9)


def test_memory_that_runs_out_fails_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_page(tmp_path / "page.png")

    def exhaust(_: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "load", exhaust)
    with pytest.raises(PageUnreadableError, match="not enough memory"):
        load_page(path)


@pytest.mark.parametrize("value", [1.0, 200.0, 60000.0])
def test_floats_scale_by_the_range_that_holds_them(tmp_path: Path, value: float) -> None:
    path = tmp_path / "page.tif"
    Image.fromarray(np.array([[0.0, value / 2, value]], dtype=np.float32)).save(path)
    white = {1.0: 1.0, 200.0: 255.0, 60000.0: 65535.0}[value]
    expected = [0, value / 2 / white * 255, value / white * 255]
    assert np.abs(np.asarray(load_page(path))[0] - np.array(expected)).max() <= 0.5


def test_floats_of_one_value_and_of_none_are_read(tmp_path: Path) -> None:
    for number, value in enumerate((-3.0, np.nan)):
        path = tmp_path / f"{number}.tif"
        Image.fromarray(np.full((4, 5), value, dtype=np.float32)).save(path)
        assert load_page(path).getextrema() == (255, 255)


@pytest.mark.parametrize(
    "name", ["sixteen_bits.png", "floats.tif", "colour_alpha.png", "palette_transparent.png"]
)
def test_pages_are_the_same_in_bands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    expected = KINDS[name][0](tmp_path / name)
    monkeypatch.setattr(raster, "BAND_PIXELS", 1000)
    assert (np.asarray(load_page(tmp_path / name)) == expected).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", range(3))
def test_damage_anywhere_never_escapes_as_another_error(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    path = tmp_path / "page"
    for name, (write, _) in KINDS.items():
        write(tmp_path / name)
        sound = (tmp_path / name).read_bytes()
        for _ in range(6):
            data = bytearray(sound)
            for place in random.integers(0, min(len(data), 400), size=random.integers(1, 6)):
                data[place] = random.integers(0, 256)
            path.write_bytes(
                bytes(data[: random.integers(1, len(data))] if random.random() < 0.3 else data)
            )
            try:
                load_page(path, max_megapixels=5.0)
            except PageUnreadableError:
                continue


def _torchvision(image: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    from torchvision import transforms
    from torchvision.transforms import InterpolationMode

    size = preprocessing.shortest_edge or preprocessing.resize
    steps = [transforms.Resize(size, interpolation=InterpolationMode.BICUBIC)]
    if preprocessing.crop:
        steps.append(transforms.CenterCrop(preprocessing.crop))
    return np.asarray(transforms.Compose(steps)(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_preprocessing_is_torchvisions_bit_for_bit(mode: str) -> None:
    random = np.random.default_rng(7)
    for number in range(60):
        height, width = (
            int(side) for side in random.integers(1, 400 if number % 3 else 40, size=2)
        )
        noise = random.integers(0, 256, size=(height, width, 3), dtype=np.uint8)
        image = Image.fromarray(noise).convert(mode)
        for preprocessing in (
            CROP,
            SQUASH,
            Preprocessing(shortest_edge=33, crop=(48, 37)),
            Preprocessing(shortest_edge=51, crop=(20, 31)),
        ):
            expected = _torchvision(image, preprocessing)
            assert np.array_equal(preprocessing.apply(image), expected), (image.size, preprocessing)


def test_preprocessing_is_open_clips(tmp_path: Path) -> None:
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    write_model_settings(tmp_path)
    preprocessing = Preprocessing.from_folder(tmp_path)
    transform = image_transform_v2(PreprocessCfg(size=224), is_train=False)
    for size in ((301, 477), (477, 301), (100, 90), (224, 224)):
        image = Image.fromarray(colour_page(1, size))
        ours = preprocessing.normalise(preprocessing.apply(image)[None])[0]
        assert np.abs(ours - torch.as_tensor(transform(image)).numpy()).max() <= 1e-6


def test_normalise_is_torchvisions() -> None:
    import torch
    from torchvision.transforms import functional

    pixels = np.random.default_rng(0).integers(0, 256, size=(3, 20, 31, 3), dtype=np.uint8)
    ours = CROP.normalise(pixels)
    assert ours.dtype == np.float32 and ours.shape == (3, 3, 20, 31) and ours.flags.c_contiguous
    for page, values in zip(pixels, ours, strict=True):
        expected = functional.normalize(functional.to_tensor(page), CLIP_MEAN, CLIP_STD)
        assert torch.equal(torch.from_numpy(values), expected)


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 3), (30_000, 1)])
def test_strips_of_paper_stay_within_memory(size: tuple[int, int]) -> None:
    """Resized whole, the narrowest would hold 1.5 gigapixels."""
    strip = Image.fromarray(np.random.default_rng(0).integers(0, 256, size[::-1], dtype=np.uint8))
    pixels = Preprocessing(shortest_edge=224, crop=(224, 224)).apply(strip)
    assert pixels.shape == (224, 224, 3)
    assert pixels.std() > 0
    assert SQUASH.apply(strip).shape == (80, 56, 3)


def test_the_kept_part_of_a_strip_is_that_of_the_whole() -> None:
    strip = Image.fromarray(colour_page(0, (900, 30)))
    whole = CROP.apply(strip).astype(int)
    height, width = CROP._resized_size(strip.size)
    part = np.asarray(CROP._resize_crop_only(strip, height, width)).astype(int)
    assert np.abs(part - whole).max() <= 1


def test_settings_are_read_in_each_form(tmp_path: Path) -> None:
    write_model_settings(tmp_path / "clip")
    clip = Preprocessing.from_folder(tmp_path / "clip")
    assert (clip.shortest_edge, clip.crop, clip.input_size) == (224, (224, 224), (224, 224))
    assert (clip.mean, clip.std, clip.resample) == (CLIP_MEAN, CLIP_STD, 3)
    write_model_settings(tmp_path / "numbers", size=224, crop_size=200)
    numbers = Preprocessing.from_folder(tmp_path / "numbers")
    assert (numbers.shortest_edge, numbers.crop) == (224, (200, 200))
    squash = {"size": {"height": 320, "width": 224}, "do_center_crop": False, "crop_size": None}
    write_model_settings(tmp_path / "squash", **squash)
    assert Preprocessing.from_folder(tmp_path / "squash").input_size == (320, 224)
    write_model_settings(tmp_path / "plain", do_rescale=False, do_normalize=False)
    plain = Preprocessing.from_folder(tmp_path / "plain")
    assert plain.normalise(np.full((1, 2, 2, 3), 7, np.uint8)).max() == 7.0


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"crop_pct": 0.9}, "crop_pct"),
        ({"size": {"longest_edge": 224}}, "size"),
        ({"size": {"shortest_edge": 0}}, "size"),
        ({"size": {"shortest_edge": 100_000}}, "size"),
        ({"size": {"shortest_edge": 224, "longest_edge": 300}}, "size"),
        ({"do_center_crop": False}, "crop_size"),
        ({"crop_size": {"shortest_edge": 224}}, "crop_size"),
        ({"resample": 17}, "resample"),
        ({"resample": "bicubic"}, "resample"),
        ({"do_resize": "yes"}, "do_resize"),
        ({"image_mean": [0.5, 0.5]}, "image_mean"),
        ({"image_std": [0.5, 0.5, 0]}, "image_std"),
        ({"rescale_factor": 0}, "rescale_factor"),
    ],
)
def test_settings_that_cannot_be_carried_out_are_named(
    tmp_path: Path, settings: dict, key: str
) -> None:
    path = write_model_settings(tmp_path, **settings)
    with pytest.raises(PageSortError) as caught:
        Preprocessing.from_folder(tmp_path)
    assert key in caught.value.what and str(path) in str(caught.value)


def test_missing_and_garbled_settings_are_told(tmp_path: Path) -> None:
    with pytest.raises(PageSortError, match="has no preprocessor_config.json"):
        Preprocessing.from_folder(tmp_path)
    for text in ("{", "[1]", "\udc00"):
        (tmp_path / "preprocessor_config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(PageSortError, match=r"preprocessor_config\.json"):
            Preprocessing.from_folder(tmp_path)


def _refs(folder: Path, count: int, size: tuple[int, int] = (90, 120)) -> list[PageRef]:
    return [PageRef(n, write_page(folder / f"p-{n}.png", n, size)) for n in range(count)]


def _grouped(refs: list[PageRef], size: int) -> list[list[PageRef]]:
    return [refs[start : start + size] for start in range(0, len(refs), size)]


def test_batches_keep_order_and_failures_stay_with_their_page(tmp_path: Path) -> None:
    refs = _refs(tmp_path, 23)
    refs[4].path.write_text("no page")
    refs[11].path.unlink()
    batches = list(PageLoader(CROP, workers=3).batches(_grouped(refs, 5)))
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    results = list(itertools.chain(*batches))
    assert [result.ref for result in results] == refs
    failed = {r.ref.index: r.reason for r in results if isinstance(r, Failure)}
    assert failed == {4: "it is a text file, not an image", 11: "the file is no longer there"}
    page = results[7]
    assert isinstance(page, Page)
    assert np.array_equal(page.pixels, CROP.apply(load_page(refs[7].path)))


def test_no_more_than_a_few_batches_are_decoded_ahead(tmp_path: Path) -> None:
    (ref,) = _refs(tmp_path, 1)
    taken = 0

    def endless() -> Iterator[list[PageRef]]:
        nonlocal taken
        while True:
            taken += 1
            yield [ref] * 4

    batches = PageLoader(CROP, workers=2).batches(endless())
    for _ in range(5):
        next(batches)
    assert taken <= 5 + loader.PREFETCHED_BATCHES
    batches.close()


def test_a_consumer_that_stops_leaves_no_thread(tmp_path: Path) -> None:
    refs = _refs(tmp_path, 40, size=(600, 800))
    before = threading.active_count()
    batches = PageLoader(CROP, workers=3).batches(_grouped(refs, 4))
    next(batches)
    batches.close()
    assert threading.active_count() == before
    with pytest.raises(KeyboardInterrupt):
        for _ in PageLoader(CROP, workers=3).batches(_grouped(refs, 4)):
            raise KeyboardInterrupt
    time.sleep(0.2)
    assert threading.active_count() == before


def test_a_page_too_large_for_memory_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = _refs(tmp_path, 3)
    resize = Image.Image.resize
    marked = (1, 2, 3)
    Image.new("RGB", (30, 30), marked).save(refs[1].path)

    def exhausted(self: Image.Image, *rest: object, **more: object) -> Image.Image:
        if self.getpixel((0, 0)) == marked:
            raise MemoryError
        return resize(self, *rest, **more)

    monkeypatch.setattr(Image.Image, "resize", exhausted)
    (batch,) = PageLoader(CROP, workers=2).batches([refs])
    assert [type(result) for result in batch] == [Page, Failure, Page]
    assert "not enough memory" in batch[1].reason


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_scan_of_30000_pixels_is_read_in_bounded_memory(tmp_path: Path) -> None:
    wide = np.tile(grey_page(0, (3000, 500)), (10, 10))
    Image.fromarray(wide).convert("RGB").save(tmp_path / "page.jpg")
    script = (
        "import re, sys; from pathlib import Path; "
        "from pagesort.pages.loader import *; "
        "p = Preprocessing(shortest_edge=224, crop=(224, 224)); "
        "p.apply(load_page(Path(sys.argv[1]))); "
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "page.jpg")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert int(ran.stdout) < 300_000  # kB, for 150 megapixels


def test_loading_is_quiet_and_needs_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "broken_exif.jpg"
    KINDS[path.name][0](path)
    script = (
        "import sys; from pagesort.pages.loader import load_page; "
        "load_page(sys.argv[1]); sys.exit('torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_long_notes_in_a_page_do_not_matter(tmp_path: Path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("history", "x" * 5_000_000, zip=True)
    path = write_page(tmp_path / "page.png", pnginfo=notes)
    assert load_page(path).size == (90, 120)


def test_a_tiff_of_several_pages_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [Image.fromarray(grey_page(number)) for number in range(3)]
    for name in ("page.tif", "page.gif", "page.png"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        first, again = load_page(tmp_path / name), load_page(tmp_path / name)
        assert np.array_equal(np.asarray(first), np.asarray(again))
    (told,) = caplog.messages
    assert told == f"only the first of 3 pages is looked at: {tmp_path / 'page.tif'}"
    assert np.array_equal(np.asarray(load_page(tmp_path / "page.tif")), grey_page(0))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
def test_a_preview_in_a_tiff_is_no_page_and_a_damaged_end_no_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = Image.fromarray(grey_page(0))
    preview = page.resize((10, 10))
    preview.encoderinfo = {"tiffinfo": {image_file.SUBFILE_TAG: 1}}
    path = tmp_path / "page.tif"
    page.save(path, save_all=True, append_images=[preview])
    with Image.open(path) as saved:
        assert saved.n_frames == 2
        saved.seek(1)
        assert saved.tag_v2[image_file.SUBFILE_TAG] == 1
        second = saved._frame_pos[1]
    load_page(path)
    content = bytearray(path.read_bytes())
    content[second : second + 40] = b"\xff" * 40
    path.write_bytes(content)
    assert np.array_equal(np.asarray(load_page(path)), grey_page(0))
    assert not caplog.messages
