"""The objective, the averaged weights, and the way from drawn pages to a model that answers."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

import run
from bundled_models.page_classifier import start_weights
from bundled_models.page_classifier.dual_encoder import (
    CONTEXT_LENGTH,
    VOCABULARY_SIZE,
    build_dual_encoder,
    freeze,
)
from bundled_models.page_classifier.learner import PageLearner, label_embeddings
from bundled_models.page_classifier.page_cache import REGION_SIZE, STORED_SIZE, Shard
from bundled_models.page_classifier.pasted_pictures import with_real_pictures
from bundled_models.page_classifier.real_pages import RealPage, RealPages
from bundled_models.page_classifier.recipe import Phase, Recipe, drawn_recipe, real_recipe
from bundled_models.page_classifier.sampling import Choice
from bundled_models.page_classifier.trait_texts import LABELS as TRAIT_LABELS
from bundled_models.page_classifier.views import NO_GROUP, Collator, LabelTexts, PageViews
from pagesort.common.errors import PageSortError
from pagesort.labelled.folder import LabelledPage, read_trained_pages
from pagesort.models.tokenizer import clip_tokenizer
from pagesort.training.depthwise import quicken_depthwise
from tests.helpers.making_models import make_model
from tests.helpers.paths import ROOT

LABELS = ("DARK", "LIGHT")
PROMPTS = {"DARK": ["a scan of a dark page"], "LIGHT": ["a scan of a light page", "a white page"]}
RECIPE = Recipe(
    phases=(
        Phase(size=(64, 48), batches=2, pages=8),
        Phase(size=(96, 64), batches=3, pages=8),
    ),
    batch=4,
    real_share=1.0,
    enough_real_pages=5,
    turn_share=0.0,
)


class Cache:
    """Four dark and four light pages in place of drawn ones."""

    def shard(self, number: int) -> Shard:
        regions = np.zeros((8, 6, *REGION_SIZE), dtype=np.uint8)
        return Shard(shades(40, 210), regions, SHADE_LABELS)


SHADE_LABELS = np.array([0] * 4 + [1] * 4)


def shades(dark: int, light: int) -> np.ndarray:
    pages = np.full((8, *STORED_SIZE, 3), light, dtype=np.uint8)
    pages[:4] = dark
    return pages


def real_shades(dark: int, light: int) -> RealPages:
    """Eight real pages, each a source of its own; the first four are dark."""
    pages = tuple(
        RealPage(LabelledPage(Path(f"{n}.png"), "X", f"d{n}", f"X/{n}.png"), "folder", f"d{n}")
        for n in range(8)
    )
    return RealPages(pages, shades(dark, light), SHADE_LABELS)


@pytest.fixture(scope="module")
def tokenizer():
    return clip_tokenizer(VOCABULARY_SIZE, CONTEXT_LENGTH)


def test_views_follow_the_phases_and_the_index() -> None:
    views = PageViews(RECIPE, Cache(), LABELS, real_shades(0, 255), world=2)
    assert len(views) == (2 + 3) * 4 * 2
    assert views[0]["pixels"].shape == (64, 48, 3)
    assert views[15]["pixels"].shape == (64, 48, 3)
    assert views[16]["pixels"].shape == (96, 64, 3)
    assert np.array_equal(views[3]["pixels"], views[3]["pixels"])
    # Four real pages a label are fewer than enough, so that drawn ones remain.
    seen = [views[index] for index in range(20)]
    assert {view["has_regions"] for view in seen} == {True, False}
    assert 4 < sum(view["label"] for view in seen) < 16
    drawn = PageViews(RECIPE, Cache(), LABELS)
    assert {drawn[index]["has_regions"] for index in range(8)} == {True}


def test_rows_that_may_not_be_shown_are_not() -> None:
    recipe = replace(RECIPE, enough_real_pages=1)
    real = real_shades(0, 255)
    real.pixels[0] = 128
    shown = PageViews(recipe, Cache(), LABELS, real, np.arange(1, 8), world=8)
    picked = [shown._pick(recipe.phases[0], np.random.default_rng(n))[1] for n in range(80)]
    assert not any(page.is_drawn for page in picked)
    assert {int(page.pixels.mean()) for page in picked} == {0, 255}


def test_pages_are_turned_for_a_part_of_the_views() -> None:
    real = real_shades(0, 255)
    real.pixels[:, 432:] = 90  # all pages have a grey lower half
    recipe = replace(RECIPE, enough_real_pages=1)
    seen = {}
    for share in (0.0, 1.0):
        views = PageViews(replace(recipe, turn_share=share), Cache(), LABELS, real, world=8)
        pages = [views[index]["pixels"].astype(float) for index in range(16)]
        # Where the halves of a page meet tells how it lies: never in the view's left and right.
        rows = [abs(page[:20].mean() - page[-20:].mean()) > 30 for page in pages]
        seen[share] = np.mean(rows)
    assert seen[0.0] > 0.9
    assert seen[1.0] < 0.6


def test_real_pictures_fill_the_regions_of_drawn_pages() -> None:
    page = np.full((*STORED_SIZE, 3), 255, dtype=np.uint8)
    regions = np.zeros((6, *REGION_SIZE), dtype=np.uint8)
    regions[5, 10:20, 5:15] = 255
    pictures = np.full((1, *STORED_SIZE, 3), 77, dtype=np.uint8)
    choices = {5: Choice(np.array([0]), np.array([1.0]), 1.0)}
    pasted = with_real_pictures(page, regions, choices, pictures, 4, np.random.default_rng(1))
    assert (pasted[160:320, 80:240] == 77).all()
    pasted[160:320, 80:240] = 255
    assert (pasted == 255).all()
    assert (page == 255).all()
    empty = {5: Choice(np.zeros(0, dtype=int), np.zeros(0), 0.0)}
    assert with_real_pictures(page, regions, empty, pictures, 4, np.random.default_rng(1)) is page


def test_pages_without_masks_weigh_nothing_in_the_region_loss(tokenizer) -> None:
    torch.manual_seed(1)
    learner = PageLearner(build_dual_encoder(tokenizer), len(LABELS), 6, RECIPE).eval()
    views = [PageViews(RECIPE, Cache(), LABELS)[index] for index in range(4)]
    batch = Collator(RECIPE, LabelTexts(PROMPTS, tokenizer, grouped=False))(views)
    batch["has_regions"] = torch.zeros(4, dtype=torch.bool)
    other = dict(batch, regions=torch.full_like(batch["regions"], 255))
    with torch.inference_mode():
        assert learner(**batch)["loss"] == learner(**other)["loss"]
        seen = dict(other, has_regions=torch.ones(4, dtype=torch.bool))
        assert learner(**seen)["loss"] != learner(**other)["loss"]


def test_label_embeddings_are_normalised_means(tokenizer) -> None:
    torch.manual_seed(2)
    model = build_dual_encoder(tokenizer).eval()
    together = label_embeddings(model, PROMPTS, tokenizer)
    single = [label_embeddings(model, {"x": [text]}, tokenizer)[0] for text in PROMPTS["LIGHT"]]
    mean = (single[0] + single[1]) / 2
    assert torch.allclose(together[1], mean / mean.norm(), atol=1e-5)
    assert torch.allclose(together.norm(dim=1), torch.ones(2), atol=1e-5)


def test_groups_name_the_texts_that_share_labels(tokenizer) -> None:
    prompts = {label: [f"a page of {label}"] for label in TRAIT_LABELS}
    views = [PageViews(RECIPE, Cache(), LABELS)[index] for index in range(4)]
    batch = Collator(RECIPE, LabelTexts(prompts, tokenizer))(views)
    groups = batch["groups"].tolist()
    count = len(batch["input_ids"]) - len(prompts)
    assert len(groups) == len(prompts)
    assert {group for group in groups if group != NO_GROUP} == set(range(count))
    torch.manual_seed(1)
    learner = PageLearner(build_dual_encoder(tokenizer), len(prompts), 6, RECIPE).eval()
    with torch.inference_mode():
        grouped = learner(**batch)
        alone = learner(**dict(batch, groups=torch.full_like(batch["groups"], NO_GROUP)))
    assert grouped["logits"].shape == (4, len(prompts))
    assert grouped["loss"] > alone["loss"]


def test_a_small_share_of_a_recipe_has_fewer_views_in_a_step_for_each_phase() -> None:
    for whole in (drawn_recipe(), real_recipe()):
        assert whole.scaled(1.0) == whole
        half, least = whole.scaled(0.5), whole.scaled(0.001)
        assert (half.steps, half.batch) == (whole.steps / 2, whole.batch)
        assert [phase.size for phase in least.phases] == [phase.size for phase in whole.phases]
        assert [phase.batches for phase in least.phases] == [1] * len(whole.phases)
        assert 4 <= least.batch < whole.batch


@pytest.mark.parametrize("autocast", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_quick_depthwise_gradients_are_the_plain_ones(autocast: bool) -> None:
    torch.manual_seed(4)
    plain = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    quick = copy.deepcopy(plain)
    assert len(quicken_depthwise(quick)) == 16
    images = torch.randn(2, 3, 64, 48)
    for model in (plain, quick):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(images).float().square().mean()
        loss.backward()
    gradients = [[p.grad.flatten() for p in model.parameters()] for model in (plain, quick)]
    plain_gradient, quick_gradient = (torch.cat(each) for each in gradients)
    alike = torch.cosine_similarity(plain_gradient, quick_gradient, dim=0)
    assert alike > (0.98 if autocast else 0.999999)


def test_frozen_blocks_stay_as_they_are(tokenizer) -> None:
    tower = build_dual_encoder(tokenizer).vision_model.timm_model
    freeze(tower, 2)
    frozen = {name for name, value in tower.named_parameters() if not value.requires_grad}
    assert {"conv_stem.weight", "bn1.weight", "blocks.1.1.bn3.bias"} <= frozen
    assert not any(name.startswith(("blocks.2", "conv_head", "bn2")) for name in frozen)
    freeze(tower, 0)
    assert all(value.requires_grad for value in tower.parameters())


def test_training_starts_from_the_weights_of_the_package() -> None:
    tower = timm.create_model(start_weights.ARCHITECTURE, num_classes=0)
    start_weights.load_start(tower)
    original = torch.load(start_weights.start_file(), weights_only=True)
    assert torch.equal(tower.conv_stem.weight, original["_conv_stem.weight"])
    assert torch.equal(tower.conv_head.weight, original["_conv_head.weight"])
    other = timm.create_model("tf_efficientnet_lite1", num_classes=0)
    with pytest.raises(PageSortError, match="no tf_efficientnet_lite0"):
        start_weights.load_start(other)


@pytest.mark.slow
def test_the_documented_command_makes_a_model_that_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    made = make_model("page_classifier", tmp_path, "0.001")
    assert made.returncode == 0, made.stderr[-2000:]
    page = next((ROOT / "category_samples" / "DRAW").glob("*.png"))
    assert run.main(["-f", str(page), "--model_path", str(out), "-tn", "11"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert {line.split("\t")[0] for line in lines[1:]} >= {"DRAW", "TEXT_T"}
    facts = json.loads((out / "pagesort.json").read_text(encoding="utf-8"))["training"]
    assert facts["cross_validation"]["archive"]["pages"] == 2 * len(TRAIT_LABELS)
    assert facts["cross_validation"]["turned"]["pages"] >= len(TRAIT_LABELS) // 2
    assert set(facts["texts"]) >= {"own", "grouping 1", "averaged", "single 6"}
    made = {"drawn", "fold0", "fold1", "further0", "further1", "all"}
    assert set(facts["hours"]) == set(facts["recipes"]) == made
    assert len(facts["rounds"]) == 2
    assert len(read_trained_pages(out)) == 2 * len(TRAIT_LABELS)
    assert (out / "plots" / "archive_confusion.png").stat().st_size > 10_000
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "$" not in card
    assert "| TEXT_T |" in card
