"""What pages are seen with: precision by device and by name, and parts of batches on threads."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks import precision
from classifier import CLIP
from pagesort.common.errors import PageSortError
from pagesort.common.paths import BUNDLED_MODEL, SMALL_MODEL
from pagesort.models import image_tower
from pagesort.models.fast import int8
from pagesort.models.image_tower import (
    TYPES,
    choose_precision,
    convert_tower,
    has_bf16,
    levels_of,
)
from pagesort.models.metadata import METADATA_FILE, read_metadata
from pagesort.pages import loader
from pagesort.pages.loader import Page, PageLoader, PageRef
from pagesort.pages.preprocessing import Preprocessing
from pagesort.prediction import folder_run, scoring
from pagesort.training.export import with_facts
from tests.helpers.pages import write_page
from tests.helpers.paths import ROOT
from tests.prediction.test_scale import request

BUNDLED, SAMPLES = BUNDLED_MODEL, ROOT / "category_samples"
CPU, CUDA, APPLE = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (45, 32, 32, 3), dtype=np.uint8)


def open_in(folder: Path, precision: str) -> CLIP:
    return CLIP.open(folder, device="cpu", precision=precision, lean=True)


def give_cpu(monkeypatch: pytest.MonkeyPatch, *features: str) -> None:
    """Let the processor have these features, and the usual ones, only."""
    found = dict.fromkeys(("avx2", "avx512_f", *features), True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)


@pytest.mark.parametrize("feature", ["avx512_bf16", "amx_bf16", "bf16"])
def test_auto_takes_bfloat16_where_the_processor_has_it(
    feature: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    give_cpu(monkeypatch, feature)
    assert choose_precision("auto", CPU) == "bf16"
    assert choose_precision("fp32", CPU) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"
    assert not caplog.records


def test_auto_takes_float32_elsewhere_and_a_named_precision_is_kept_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    give_cpu(monkeypatch, "avx512_fp16")  # float16 is never taken unasked
    assert choose_precision("auto", CPU) == "fp32"
    assert choose_precision("fp16", CPU) == "fp16"
    assert not caplog.records
    assert choose_precision("bf16", CPU) == "bf16"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "cpu does not compute in bf16 itself" in caplog.text


def test_auto_takes_int8_where_it_is_installed_and_was_found_to_answer_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_cpu(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(image_tower, "has_int8", lambda: False)
    assert choose_precision("auto", CPU, 1.0) == "fp32"
    monkeypatch.setattr(image_tower, "has_int8", lambda: True)
    assert choose_precision("auto", CPU, 0.995) == "int8"
    assert choose_precision("auto", CPU, 0.9949) == "fp32"
    assert choose_precision("auto", CPU) == "fp32"
    assert choose_precision("fp32", CPU, 1.0) == "fp32"
    assert choose_precision("auto", CUDA, 1.0) == choose_precision("auto", APPLE, 1.0) == "fp32"
    give_cpu(monkeypatch, "avx512_bf16")
    assert choose_precision("auto", CPU, 1.0) == "bf16"


@pytest.fixture
def measured_folder(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """A model whose int8 was found to answer alike, without the packages for it."""
    folder = shutil.copytree(tiny_model_folder, tmp_path / "measured")
    metadata = read_metadata(folder)
    assert metadata is not None
    facts = {"int8": {"agreement": 0.9987, "pages": 800, "measured_on": "two archives"}}
    text = dataclasses.replace(metadata, precisions=facts).to_json()
    (folder / METADATA_FILE).write_text(text, encoding="utf-8")
    return folder


def test_where_int8_cannot_be_made_auto_goes_on_in_float32(
    measured_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    give_cpu(monkeypatch)
    monkeypatch.setattr(image_tower, "has_int8", lambda: True)

    def refuse(*_: object) -> None:
        raise PageSortError("the disk is full")

    monkeypatch.setattr(int8, "open_int8", refuse)
    assert open_in(measured_folder, "auto").precision == "fp32"
    assert "computing in fp32 instead of int8: the disk is full" in caplog.text
    with pytest.raises(PageSortError, match="the disk is full"):
        open_in(measured_folder, "int8")


def test_what_was_measured_counts_for_these_weights_and_texts_only(measured_folder: Path) -> None:
    clip = open_in(measured_folder, "fp32")
    own = clip.metadata
    assert own.agreement("int8") == 0.9987
    assert own.agreement("fp16") == 0
    assert clip.variant().metadata.agreement("int8") == 0.9987
    assert clip.variant(labels=["A"]).metadata.agreement("int8") == 0
    assert clip.variant(prompts="a {}").metadata.agreement("int8") == 0
    assert clip.variant(descriptions=own.descriptions).metadata.agreement("int8") == 0
    assert with_facts(own, {}).agreement("int8") == 0


@pytest.mark.parametrize("facts", [[], {"int8": 1}, {"int8": {}}, {"int8": {"agreement": 1.5}}])
def test_impossible_agreements_are_refused(measured_folder: Path, facts: object) -> None:
    path = measured_folder / METADATA_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"precisions": facts}), encoding="utf-8")
    with pytest.raises(PageSortError, match="agreement from 0 to 1"):
        read_metadata(measured_folder)


def test_the_benchmark_keeps_the_agreement_with_the_model(
    measured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    for number in range(3):
        write_page(pages / f"page-{number}.png")
    precision.main([str(pages), "--model", str(measured_folder), "--keep", "three pages"])
    assert "same 1st" in capsys.readouterr().out
    kept = read_metadata(measured_folder).precisions
    assert (kept["bf16"]["pages"], kept["bf16"]["measured_on"]) == (3, "three pages")
    assert 0 <= kept["bf16"]["agreement"] <= 1
    assert kept["int8"]["pages"] == 800  # measured before


def test_auto_on_graphics_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []

    def is_supported(including_emulation: bool) -> bool:
        assert not including_emulation  # cards before Ampere compute with it, slowly
        return answers[-1]

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    answers.append(True)
    assert choose_precision("auto", CUDA) == "bf16"
    answers.append(False)
    assert choose_precision("auto", CUDA) == "fp32"
    assert choose_precision("auto", APPLE) == "fp32"
    assert not has_bf16(APPLE)


def test_an_older_torch_is_asked_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for answer in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda got=answer: got)
        assert has_bf16(CPU) is answer


def test_batch_normalisation_stays_in_float32() -> None:
    tower = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    tower[1].running_var[0] = 1e-9
    pages = torch.rand(2, 3, 9, 9)
    exact = tower(pages)
    convert_tower(tower, "fp32")
    assert torch.equal(tower(pages), exact)
    convert_tower(tower, "fp16")
    assert tower[0].weight.dtype == torch.float16
    assert tower[1].running_var.dtype == torch.float32
    assert float(tower[1].running_var[0]) == pytest.approx(1e-9)
    assert torch.allclose(tower(pages.half())[:, 1:].float(), exact[:, 1:], atol=0.01)


@pytest.mark.slow  # a page takes seconds on a processor without bfloat16
@pytest.mark.parametrize("folder", [BUNDLED_MODEL, SMALL_MODEL])
def test_the_bundled_towers_keep_their_first_parts_in_float32_and_stay_near_it(
    folder: Path,
) -> None:
    exact, quick = (open_in(folder, precision) for precision in ("fp32", "bf16"))
    assert (exact.precision, quick.precision) == ("fp32", "bf16")
    tower = quick.model.vision_model
    if folder == BUNDLED_MODEL:
        net, lines = tower.trunks.pictures, tower.trunks.lines
        assert lines.stem.out.weight.dtype == torch.float32
        assert lines.stages[0][0].depthwise.weight.dtype == torch.bfloat16
        assert {each.dtype for each in tower.trunks.joint.state_dict().values()} == {torch.float32}
    else:
        net = tower.timm_model
    assert net.conv_stem.weight.dtype == torch.float32
    assert net.conv_head.weight.dtype == net.blocks[1][0].conv_dw.weight.dtype == torch.bfloat16
    prepared = PageLoader(exact.preprocessing)
    pages = [prepared.pixels(path) for path in sorted(SAMPLES.rglob("*.png"))[::3]]
    moved = np.abs(quick.probabilities(np.stack(pages)) - exact.probabilities(np.stack(pages)))
    # With neither folded norms nor float32 parts the mean is 0.0039, with both 0.0015.
    assert 0 < moved.mean() < 0.0025


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_few_bits_move_scores_a_little_and_texts_not_at_all(
    precision: str, tiny_model_folder: Path, pixels: np.ndarray
) -> None:
    exact, quick = open_in(tiny_model_folder, "fp32"), open_in(tiny_model_folder, precision)
    assert (exact.precision, quick.precision) == ("fp32", precision)
    assert {each.dtype for each in quick.model.vision_model.parameters()} == {TYPES[precision]}
    assert quick.model.visual_projection.weight.dtype == torch.float32
    assert torch.equal(exact.label_embeddings, quick.label_embeddings)
    embedded = quick.embed_images(pixels)
    assert embedded.dtype == torch.float32
    assert torch.allclose(embedded.norm(dim=1), torch.ones(45), atol=1e-6)
    moved = np.abs(quick.probabilities(pixels) - exact.probabilities(pixels))
    assert 0 < moved.max() < 0.05
    assert quick.probabilities(pixels).dtype == np.float32


def test_pages_are_opened_in_float32_unless_told_otherwise(tiny_model_folder: Path) -> None:
    assert CLIP.open(tiny_model_folder, device="cpu").precision == "fp32"


def test_a_precision_makes_no_other_model(tiny_model_folder: Path) -> None:
    told = {open_in(tiny_model_folder, each).fingerprint for each in ("fp32", "bf16", "fp16")}
    assert len(told) == 1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_parts_on_several_threads_give_the_bits_of_one_after_the_other(
    precision: str, tiny_model_folder: Path, pixels: np.ndarray
) -> None:
    clip = open_in(tiny_model_folder, precision)
    tower, size = clip._tower, clip._tower.pages_at_once
    assert size == {"fp32": 400, "bf16": 200}[precision] // 17  # a row a patch and one a page
    parts = [tower.see(pixels[start : start + size]) for start in range(0, 45, size)]
    tower._workers = 4
    tower.stop()
    assert torch.equal(tower.see(pixels), torch.cat(parts))


def test_a_convolutional_tower_sees_one_page_at_a_time(tiny_model_folder: Path) -> None:
    clip = CLIP.open(tiny_model_folder, device="cpu")
    clip.model.config.vision_config.patch_size = None
    assert clip._tower.pages_at_once == 1


def test_threads_of_parts_leave_the_others_their_number(tiny_model_folder: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        clip = CLIP.open(tiny_model_folder, device="cpu")
        seen = clip._tower._threads_of_parts().submit(torch.get_num_threads).result()
        assert seen == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_texts_are_embedded_by_all_processors(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = CLIP.open(tiny_model_folder, device="cpu")
    clip._tower._workers = 2
    together = threading.Barrier(2, timeout=60)
    see = clip._see_texts

    def told(tokens):
        together.wait()  # for the other one, which one thread alone would never reach
        return see(tokens)

    monkeypatch.setattr(clip, "_see_texts", told)
    texts = [f"a page of {number}" for number in range(16)]
    assert clip.embed_texts(texts).shape == (16, 24)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("patch", [32, 16, 14, None])
def test_every_processor_gets_a_part(
    precision: str, patch: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    vision = SimpleNamespace(patch_size=patch)
    model = SimpleNamespace(
        config=SimpleNamespace(vision_config=vision), device=CPU, vision_model=None
    )
    monkeypatch.setattr(image_tower, "precision_of", lambda _: precision)
    for count in (1, 2, 4, 8, 12, 64):
        monkeypatch.setattr(image_tower, "processors", lambda count=count: count)
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        tower = image_tower.PageTower(model, Preprocessing(resize=(224, 224)))
        for batch_size in (1, 3, 16, 64):
            parts = -(-batch_size // tower.pages_at_once)
            assert tower.batches_at_once(batch_size) * parts >= count
            assert (tower.batches_at_once(batch_size) - 1) * parts < count
    model.device = CUDA
    assert tower.batches_at_once(1) == 1


def test_a_gpu_turns_pages_into_the_same_numbers(pixels: np.ndarray) -> None:
    preprocessing = Preprocessing(resize=(32, 32), mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28))
    levels = levels_of(preprocessing)
    made = np.stack([levels[channel][pixels[..., channel]] for channel in range(3)], axis=1)
    assert np.array_equal(made, preprocessing.normalise(pixels))


class Slow:
    """Answers only when it may, and fails once it is stopped."""

    name, fingerprint, device, precision = "slow", "0" * 64, "cpu", "fp32"
    labels = ("A", "B")
    preprocessing = Preprocessing(resize=(4, 4))

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.stopped = threading.Event()

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        self.begun.append(len(pixels))
        if len(self.begun) > 1:
            assert self.stopped.wait(60)
            raise RuntimeError("stopped")
        return np.full((len(pixels), 2), 0.5, np.float32)

    def batches_at_once(self, batch_size: int) -> int:
        """One."""
        return 1

    def stop(self) -> None:
        self.stopped.set()


def test_batches_are_scored_ahead_and_dropped_when_nobody_wants_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Slow()
    ref = PageRef(0, Path("page.png"))
    page = Page(ref, np.zeros((4, 4, 3), np.uint8))
    monkeypatch.setattr(PageLoader, "page", lambda self, ref: page)
    results = scoring.score_batches(model, PageLoader(model.preprocessing), [[ref]] * 9, 1, 9)
    (result,) = next(results)
    assert isinstance(result, scoring.ScoredPage) and result.ref == ref
    results.close()  # waits for what is being scored, which `stop` ends
    assert model.stopped.is_set()
    assert 1 <= len(model.begun) <= 3


def test_a_run_is_not_continued_in_another_precision(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    for number in range(4):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.new("L", (40, 40), 60 * number).save(tmp_path / "in" / f"page-{number}.png")
    (tmp_path / "in" / "torn-9.png").write_bytes(b"\x89PNG")
    asked = request(tmp_path, folder=tmp_path / "in")
    folder_run.predict_folder(open_in(tiny_model_folder, "bf16"), asked)
    again = request(tmp_path, folder=tmp_path / "in", resume=True)
    with pytest.raises(
        folder_run.PageSortError, match=r"settings \(precision: then bf16, now fp32\)"
    ):
        folder_run.predict_folder(open_in(tiny_model_folder, "fp32"), again)
    folder_run.predict_folder(open_in(tiny_model_folder, "bf16"), again)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["tiny", pytest.param("bundled", marks=pytest.mark.slow)])
def test_tables_do_not_depend_on_how_many_threads_decode_and_score(
    kind: str,
    precision: str,
    tiny_model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = tmp_path / "in"
    place.mkdir()
    is_dear = kind == "bundled"
    for number, sample in enumerate(sorted(SAMPLES.rglob("*.png"))[:: 8 if is_dear else 3]):
        with Image.open(sample) as page:
            mode, ending = (("L", "png"), ("RGB", "jpg"), ("1", "tif"))[number % 3]
            seen = page if is_dear else page.convert("RGB").reduce(3)
            seen.convert(mode).save(place / f"page-{number}.{ending}")
    refs = [PageRef(n, path) for n, path in enumerate(sorted(place.iterdir()))]
    tables, bits = [], []
    before = torch.get_num_threads()
    try:
        for threads in (1, 5) if is_dear else (1, 5, 12, 16):
            monkeypatch.setattr(loader, "decoding_threads", lambda threads=threads: threads)
            monkeypatch.setattr(image_tower, "processors", lambda threads=threads: threads)
            torch.set_num_threads(threads)
            clip = open_in(BUNDLED if is_dear else tiny_model_folder, precision)
            assert clip._tower._workers == threads
            if is_dear:  # at its own size, a page takes seconds where there is no bfloat16
                clip.preprocessing = dataclasses.replace(clip.preprocessing, resize=(192, 136))
            asked = request(
                tmp_path,
                folder=place,
                formats=("png", "jpg", "tif"),
                tables=tmp_path / f"tables {threads}",
                raw=True,
                batch_size=4,
            )
            written = folder_run.predict_folder(clip, asked).tables
            tables.append([path.read_bytes() for path in written])
            scored = scoring.score_pages(clip, PageLoader(clip.preprocessing), refs, 4)
            bits.append(np.stack([page.scores for page in scored]))
    finally:
        torch.set_num_threads(before)
    assert len(tables[0]) == 2
    assert all(table == tables[0] for table in tables)
    assert all(np.array_equal(scores, bits[0]) for scores in bits)
