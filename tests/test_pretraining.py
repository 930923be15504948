"""The objective, the averaged weights, and the way from drawn pages to a model that answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import run
from pagesort.page_cache import Shard
from pagesort.pretraining import (
    Collator,
    PageLearner,
    PageViews,
    Phase,
    Recipe,
    label_embeddings,
)
from pagesort.small_model import (
    CONTEXT_LENGTH,
    VOCABULARY_SIZE,
    build_dual_encoder,
)
from pagesort.tokenizer import clip_tokenizer

ROOT = Path(__file__).parents[1]
LABELS = ("DARK", "LIGHT")
PROMPTS = {"DARK": ["a scan of a dark page"], "LIGHT": ["a scan of a light page", "a white page"]}
RECIPE = Recipe(
    phases=(
        Phase(size=(64, 48), batches=2, pages=8, real_share=0.0),
        Phase(size=(96, 64), batches=3, pages=8, real_share=1.0),
    ),
    batch=4,
)


class Cache:
    """Four dark and four light pages in place of drawn ones."""

    def shard(self, number: int) -> Shard:
        return shades(40, 210, has_regions=True)


def shades(dark: int, light: int, has_regions: bool) -> Shard:
    pages = np.full((8, 480, 336, 3), light, dtype=np.uint8)
    pages[:4] = dark
    regions = np.zeros((8, 6, 30, 21), dtype=np.uint8)
    labels = np.array([0] * 4 + [1] * 4)
    return Shard(pages, regions, labels, has_regions)


@pytest.fixture(scope="module")
def tokenizer():
    return clip_tokenizer(VOCABULARY_SIZE, CONTEXT_LENGTH)


def test_views_follow_the_phases_and_the_index() -> None:
    views = PageViews(RECIPE, Cache(), shades(0, 255, has_regions=False), LABELS, world=2)
    assert len(views) == (2 + 3) * 4 * 2
    assert views[0]["pixels"].shape == (64, 48, 3)
    assert views[15]["pixels"].shape == (64, 48, 3)
    assert views[16]["pixels"].shape == (96, 64, 3)
    assert np.array_equal(views[3]["pixels"], views[3]["pixels"])
    assert all(views[index]["has_regions"] for index in range(16))
    # Four real pages a label are fewer than enough, so that drawn ones remain in the second phase.
    kinds = {views[index]["has_regions"] for index in range(16, 40)}
    assert kinds == {True, False}
    labels = [views[index]["label"] for index in range(40)]
    assert 8 < sum(labels) < 32


def test_pages_without_masks_weigh_nothing_in_the_region_loss(tokenizer) -> None:
    torch.manual_seed(1)
    learner = PageLearner(build_dual_encoder(tokenizer), len(LABELS), 6, RECIPE).eval()
    views = [PageViews(RECIPE, Cache(), None, LABELS, 1)[index] for index in range(4)]
    batch = Collator(RECIPE, PROMPTS, tokenizer)(views)
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


@pytest.mark.slow
def test_the_documented_command_makes_a_model_that_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    command = [sys.executable, "-m", "pagesort.small_model", "--out", str(out)]
    command += ["--cache", str(tmp_path / "cache"), "--scale", "0.001", "--processes", "2"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert made.returncode == 0, made.stderr[-2000:]
    page = next((ROOT / "category_samples" / "DRAW").glob("*.png"))
    assert run.main(["-f", str(page), "--model_path", str(out), "-tn", "11"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert {line.split("\t")[0] for line in lines[1:]} >= {"DRAW", "TEXT_T"}
