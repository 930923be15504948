"""The tower of three networks: what it sums up, and that `transformers` and we see the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from classifier import CLIP
from pagesort.models.fast.fast_loading import load_lean
from pagesort.models.fast.page_trunks import (
    PICTURE_WIDTHS,
    SUMMARY_SIZE,
    WHOLE_SIZE,
    PageTrunks,
    TrunksTower,
)
from pagesort.models.image_tower import convert_tower
from pagesort.models.transformers_loader import load_towers
from pagesort.models.trunks_model import TrunksConfig, make_known
from pagesort.training.objective import LabelLearner, LabelTexts
from tests.helpers.random_models import save_random_dual_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with such a tower."""
    make_known()
    levels = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    place = tmp_path_factory.mktemp("trunks") / "trunks"
    return save_random_dual_encoder(place, TrunksConfig(hidden_size=48), levels)


def test_both_ways_of_opening_it_answer_the_same(folder: Path) -> None:
    pages = np.random.default_rng(3).integers(0, 256, (3, 75, 64, 3), dtype=np.uint8)
    lean, full = (CLIP.open(folder, device="cpu", lean=lean) for lean in (True, False))
    assert isinstance(lean.model.vision_model, TrunksTower)
    assert type(full.model).__name__ == "VisionTextDualEncoderModel"
    found, expected = (each.embed_images(pages).numpy() for each in (lean, full))
    assert np.abs(found - expected).max() < 1e-5
    assert np.abs(expected[0] - expected[1]).max() > 1e-3, "pages must not look alike"
    assert lean.fingerprint == full.fingerprint


def test_saved_and_loaded_again_it_has_the_same_weights(folder: Path, tmp_path: Path) -> None:
    model, _ = load_towers(folder)
    model.save_pretrained(tmp_path / "again")
    from transformers import AutoModel

    again = AutoModel.from_pretrained(tmp_path / "again")
    for (name, value), other in zip(
        model.state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(value, other), name


def test_a_summary_is_the_mean_and_spread_of_what_timm_sees() -> None:
    torch.manual_seed(3)
    trunks = PageTrunks(8).eval()
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    trunks.pictures.load_state_dict(theirs.state_dict())
    for value in (*trunks.lines.parameters(), *trunks.letters.parameters()):
        if value.ndim > 1:
            torch.nn.init.kaiming_normal_(value, nonlinearity="relu")
        else:
            torch.nn.init.zeros_(value)
    large = torch.rand(2, 3, 192, 128) * 2 - 1
    pages = torch.nn.functional.interpolate(large, (96, 64), mode="area")
    seen: dict[int, torch.Tensor] = {}
    for number in (1, 2, 4):
        theirs.blocks[number].register_forward_hook(
            lambda _module, _input, output, number=number: seen.update({number: output})
        )
    with torch.inference_mode():
        last = theirs.forward_features(pages)
        summary = trunks.summary(large)
    assert summary.shape == (2, SUMMARY_SIZE)
    place = 0
    for width, features in zip(PICTURE_WIDTHS, [*seen.values(), last], strict=True):
        values = features.double().flatten(2)
        for expected in (values.mean(2), values.std(2, correction=0)):
            found = summary[:, place : place + width]
            assert torch.allclose(found, expected.float(), atol=2e-3), width
            place += width
    blue_first = (pages.flip(1) + 1) / 2
    imagenet = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
    scaled = [(blue_first[:, n] - mean) / spread for n, (mean, spread) in enumerate(imagenet)]
    with torch.inference_mode():
        levels = trunks.lines.levels(torch.stack(scaled, dim=1))
        likely = trunks.lines.of_levels(levels)[:, 0].sigmoid()
        letters = trunks.letters(large, likely)
    first = levels[0].flatten(2)
    assert first.mean(2).std() > 0.05, "what is compared must differ"
    assert torch.allclose(summary[:, place : place + 48], first.mean(2), atol=1e-4)
    assert not letters.isnan().any(), "lines must be seen"
    assert torch.allclose(summary[:, WHOLE_SIZE:], letters, atol=1e-3)


def test_what_lies_far_out_counts_no_more_than_what_is_rare(folder: Path) -> None:
    joint = load_lean(folder)[0].vision_model.trunks.joint
    far, farther = (joint.centre[None] + joint.scale * times for times in (6.0, 600.0))
    assert torch.equal(joint(far), joint(farther))
    assert not torch.equal(joint(joint.centre[None]), joint(far))


@pytest.mark.parametrize("size", [(192, 128), (201, 151)])
def test_blank_pages_are_summed_up_alone_and_among_others(size: tuple[int, int]) -> None:
    torch.manual_seed(3)
    trunks = PageTrunks(8).eval()
    pictures = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    trunks.pictures.load_state_dict(pictures.state_dict())
    pages = torch.rand(3, 3, *size) * 2 - 1
    pages[1] = 1.0
    with torch.inference_mode():
        trunks.lines.middles.bias.fill_(-3.0)  # where nothing is seen, no line is
        together = trunks(pages)
        alone = torch.cat([trunks(page[None]) for page in pages])
        assert trunks.summary(pages[1:2])[:, WHOLE_SIZE:].isnan().any()
    assert together.isfinite().all()
    assert torch.allclose(together, alone, atol=1e-5)


def test_what_is_wrong_with_the_whole_page_is_not_taken_for_usual() -> None:
    joint = PageTrunks(8).joint
    summary = joint.centre[None].clone()
    summary[0, 3] = torch.nan
    assert not joint(summary).isfinite().all()


def test_every_part_that_trains_gets_a_gradient() -> None:
    torch.manual_seed(3)
    trunks = PageTrunks(8)
    for part in trunks.untaught:
        part.requires_grad_(False)
    assert trunks.lines.stem.out.weight.requires_grad
    trunks.lines.middles.bias.data.fill_(3.0)
    trunks(torch.rand(2, 3, 192, 128) * 2 - 1).square().sum().backward()
    for name, value in trunks.named_parameters():
        assert (value.grad is not None) == value.requires_grad, name


def test_a_training_leaves_out_what_no_gradient_reaches(folder: Path) -> None:
    classifier = CLIP.open(folder, device="cpu", lean=False)
    texts = LabelTexts.tokenised(classifier.prompts, classifier.tokenizer, 77)
    LabelLearner(classifier.model, texts, classifier.preprocessing)
    trunks = classifier.model.vision_model.trunks
    kept_out = {id(each) for part in trunks.untaught for each in part.parameters()}
    assert kept_out
    for name, value in trunks.named_parameters():
        assert value.requires_grad == (id(value) not in kept_out), name


@pytest.mark.parametrize("load", [load_lean, load_towers])
def test_in_bfloat16_the_layers_behind_stay_in_float32(
    folder: Path, load: Callable[[Path], Any]
) -> None:
    tower = load(folder)[0].vision_model
    pages = torch.rand(1, 3, 192, 128) * 2 - 1
    with torch.inference_mode():
        exact = tower(pages).pooler_output
        convert_tower(tower, "bf16")
        quick = tower(pages).pooler_output
    assert quick.dtype == torch.float32
    assert {each.dtype for each in tower.trunks.joint.state_dict().values()} == {torch.float32}
    assert tower.trunks.lines.stages[1][1].expand.weight.dtype == torch.bfloat16
    assert 0.9 < torch.cosine_similarity(exact, quick).item() < 1.0


def test_the_library_may_load_all_of_it_in_bfloat16(folder: Path) -> None:
    from transformers import AutoModel

    pages = torch.rand(1, 3, 192, 128) * 2 - 1
    exact, quick = (
        AutoModel.from_pretrained(folder, dtype=dtype).eval()
        for dtype in (torch.float32, torch.bfloat16)
    )
    with torch.inference_mode():
        expected = exact.get_image_features(pixel_values=pages).pooler_output
        found = quick.get_image_features(pixel_values=pages.to(torch.bfloat16)).pooler_output
    assert found.dtype == torch.bfloat16
    assert 0.9 < torch.cosine_similarity(expected, found.float()).item() < 1.0
