"""Image towers in 8-bit integers, which take packages of their own: with them and without."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier import CLIP
from pagesort.cli.settings import read_settings
from pagesort.common.errors import PageSortError, UsageError
from pagesort.common.paths import BUNDLED_MODEL, SMALL_MODEL
from pagesort.models.fast import int8
from pagesort.models.image_tower import choose_precision
from pagesort.pages.loader import PageLoader
from tests.helpers.paths import ROOT

CPU, CUDA, APPLE = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def with_packages() -> None:
    int8._extra("openvino") if _has_packages() else pytest.skip("no openvino and nncf")


def _has_packages() -> bool:
    import importlib.util

    return all(importlib.util.find_spec(name) for name in ("openvino", "nncf"))


def open_in(folder: Path, precision: str, storage: Path) -> CLIP:
    return CLIP.open(folder, device="cpu", precision=precision, storage=storage, lean=True)


@pytest.mark.parametrize("device", [CUDA, APPLE], ids=str)
def test_int8_is_for_cpus(device: torch.device) -> None:
    assert choose_precision("int8", CPU) == "int8"
    with pytest.raises(UsageError, match=f"the device is {device}. Add --device cpu, or"):
        choose_precision("int8", device)


def test_int8_is_taken_from_the_command_line() -> None:
    assert read_settings(["--precision", "int8"], ROOT, ROOT).precision == "int8"


@pytest.mark.parametrize("name", ["openvino", "nncf"])
def test_a_package_that_is_missing_is_named(
    name: str, tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", object())
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError) as told:
        open_in(tiny_model_folder, "int8", tmp_path)
    assert str(told.value).startswith(f"precision int8 needs the package {name} ")
    assert "Run `python3 -m pip install openvino nncf`, or" in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_the_packages_that_are_named_are_those_of_the_requirements() -> None:
    lines = (ROOT / "requirements-int8.txt").read_text(encoding="utf-8").splitlines()
    names = [line.split(">=")[0] for line in lines if not line.startswith("#")]
    assert names == ["openvino", "nncf"]


@pytest.mark.slow
@pytest.mark.usefixtures("with_packages")
def test_a_tower_is_quantised_once_and_then_taken_from_its_folder(
    tiny_model_folder: Path,
    tmp_path: Path,
    pixels: np.ndarray,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.INFO, "pagesort.models.fast.int8")
    left = tmp_path / ".tiny-int8-01234567.1-0.partial"
    left.mkdir()  # another model's, and so not to be touched
    first = open_in(tiny_model_folder, "int8", tmp_path)
    scores = first.probabilities(pixels)
    assert first.precision == "int8"
    assert [record.getMessage()[:40] for record in caplog.records] == [
        "turning the model into 8-bit integers, o",
        caplog.records[-1].getMessage()[:40],
    ]
    assert caplog.records[-1].getMessage().startswith("that took ")
    (kept,) = tmp_path.glob("tiny-int8-*")
    assert sorted(path.name for path in kept.iterdir()) == ["tower.bin", "tower.xml"]
    assert sorted(tmp_path.iterdir()) == sorted([kept, left])
    monkeypatch.setattr(int8, "_make", None)
    again = open_in(tiny_model_folder, "int8", tmp_path)
    assert np.array_equal(again.probabilities(pixels), scores)
    assert again.fingerprint == first.fingerprint
    assert capfd.readouterr().out == ""  # results only
    assert sys.modules["openvino_telemetry"] is None

    (kept / "tower.bin").write_bytes(b"")
    with pytest.raises(PageSortError, match="Remove this folder, and it is made again"):
        open_in(tiny_model_folder, "int8", tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("with_packages")
def test_a_page_gets_the_same_bits_alone_in_a_batch_and_on_threads(
    tiny_model_folder: Path, tmp_path: Path, pixels: np.ndarray
) -> None:
    clip = open_in(tiny_model_folder, "int8", tmp_path)
    assert clip._tower.pages_at_once == 1
    together = clip.embed_images(pixels)
    alone = torch.cat([clip.embed_images(page[None]) for page in pixels])
    clip._tower._workers = 4
    clip.stop()
    assert torch.equal(together, alone)
    assert torch.equal(together, clip.embed_images(pixels))
    exact = open_in(tiny_model_folder, "fp32", tmp_path)
    assert torch.equal(exact.label_embeddings, clip.label_embeddings)
    alike = (exact.embed_images(pixels) * together).sum(dim=1)
    assert 0.9 < alike.min() < 1  # noise is like none of the pages it is fitted to


@pytest.mark.slow
@pytest.mark.usefixtures("with_packages")
def test_two_that_quantise_the_same_tower_end_with_one_folder(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray
) -> None:
    save = int8._save

    def save_second(model: object, folder: Path) -> None:
        monkeypatch.setattr(int8, "_save", save)
        open_in(tiny_model_folder, "int8", tmp_path)  # is quicker
        save(model, folder)

    monkeypatch.setattr(int8, "_save", save_second)
    clip = open_in(tiny_model_folder, "int8", tmp_path)
    assert clip.probabilities(pixels).shape == (7, 11)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("with_packages")
def test_a_folder_that_cannot_be_written_is_told_and_left_clean(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("failed to write")

    monkeypatch.setattr(int8._extra("openvino"), "save_model", full)
    with pytest.raises(PageSortError, match="cannot be written.*Free some space, or name another"):
        open_in(tiny_model_folder, "int8", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("with_packages")
def test_a_tower_that_cannot_be_traced_is_told(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(torch.nn.Module):
        def forward(self, pixel_values: torch.Tensor) -> int8.Pooled:
            kind = torch.float32 if float(pixel_values.sum()) > 0 else torch.float64
            return int8.Pooled(pixel_values.mean(dim=(2, 3)).to(kind))

    preprocessing = open_in(tiny_model_folder, "fp32", tmp_path).preprocessing
    with pytest.raises(PageSortError, match="does not become 8-bit integers .*Name another --prec"):
        int8.open_int8(Odd(), preprocessing, "odd", "0" * 64, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_answers_would_change_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="otherwise .* --model_path models/pagesort-small"):
        open_in(BUNDLED_MODEL, "int8", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("with_packages")
def test_the_smaller_bundled_model_answers_in_int8_as_in_float32(tmp_path: Path) -> None:
    from bundled_models.synthetic_pages.page import write_pages

    folder = SMALL_MODEL
    exact, quick = (open_in(folder, name, tmp_path / "kept") for name in ("fp32", "int8"))
    write_pages(tmp_path / "drawn", 3, seed=77, height=640)
    paths = sorted((tmp_path / "drawn").rglob("*.png"))
    paths += sorted((ROOT / "category_samples").rglob("*.png"))
    pages = np.stack([PageLoader(exact.preprocessing).pixels(path) for path in paths])
    right, scores = exact.probabilities(pages), quick.probabilities(pages)
    first = right.argmax(axis=1)
    assert (scores.argmax(axis=1) == first).mean() >= 0.98
    each = np.arange(len(pages))
    assert np.abs(scores[each, first] - right[each, first]).mean() <= 0.02
