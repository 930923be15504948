"""What is learnt behind the trunks, and the command that makes the larger bundled model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import run
from bundled_models.page_classifier.dual_encoder import CONTEXT_LENGTH, VOCABULARY_SIZE
from bundled_models.page_classifier.real_pages import RealPage, RealPages
from bundled_models.page_classifier.trait_texts import LABELS
from bundled_models.page_classifier.views import NO_GROUP, LabelTexts
from bundled_models.page_trunks.build import build_dual_encoder
from bundled_models.page_trunks.learner import (
    Collator,
    SummaryLearner,
    SummaryViews,
    page_embeddings,
    teach,
)
from bundled_models.page_trunks.recipe import Recipe
from bundled_models.page_trunks.summaries import Summaries
from pagesort.labelled.folder import LabelledPage, read_trained_pages
from pagesort.models.fast.page_trunks import SUMMARY_SIZE, WHOLE_SIZE
from pagesort.models.tokenizer import clip_tokenizer
from tests.helpers.making_models import make_model
from tests.helpers.paths import ROOT

RECIPE = Recipe(steps=6, batch=8, drawn_share=0.2)
PROMPTS = {label: [f"a page of {label}"] for label in LABELS}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the trainings themselves; threads of two test processes wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer():
    return clip_tokenizer(VOCABULARY_SIZE, CONTEXT_LENGTH)


def known_pages(kind: str) -> RealPages:
    """Two pages of every label, each a source of its own."""
    pages = [
        RealPage(LabelledPage(Path(f"{n}.png"), label, f"{n}", f"{label}/{n}"), kind, f"{kind}{n}")
        for n, label in enumerate(LABELS * 2)
    ]
    return RealPages.without_pixels(pages, LABELS)


def known_summaries(count: int) -> Summaries:
    rng = np.random.default_rng(5)
    pages, drawn = (
        rng.normal(size=(size, SUMMARY_SIZE)).astype(np.float32) for size in (count, 11)
    )
    return Summaries(pages, pages + 0.1, pages - 0.1, drawn, drawn + 0.1)


def learner_of(tokenizer) -> SummaryLearner:
    torch.manual_seed(2)
    return SummaryLearner(build_dual_encoder(tokenizer), len(LABELS), RECIPE)


def test_the_loss_of_whole_pages_is_cross_entropy(tokenizer) -> None:
    learner = learner_of(tokenizer).eval()
    summaries = torch.from_numpy(known_summaries(5).upright)
    labels = torch.tensor([0, 3, 4, 9, 10])
    targets = torch.nn.functional.one_hot(labels, 11).float()
    ids = torch.tensor([[4096, number + 5, 4097] for number in range(13)])
    groups = torch.tensor([0, 1, NO_GROUP, 1, 0, 0, 0, 1, NO_GROUP, NO_GROUP, 1])
    with torch.inference_mode():
        found = learner(summaries, targets, groups, ids, torch.ones_like(ids))["loss"]
        seen = learner.images(summaries)
        read = learner.dual_encoder.get_text_features(ids, torch.ones_like(ids)).pooler_output
        cosines = torch.cosine_similarity(seen[:, None], read[None], dim=2)
        logits = learner.dual_encoder.logit_scale.exp() * cosines
        entropy = torch.nn.functional.cross_entropy
        expected = entropy(logits[:, :11], labels) + entropy(learner.label_head(seen), labels)
        inside = groups[labels] != NO_GROUP
        expected += entropy(logits[inside, 11:], groups[labels][inside])
    assert found.item() == pytest.approx(expected.item(), abs=1e-4)


def test_a_training_leaves_the_trunks_alone_and_learns_what_it_is_shown(tokenizer) -> None:
    real, summaries = known_pages("known"), known_summaries(22)
    recipe = Recipe(steps=40, batch=22, drawn_share=0.2, learning_rate=2e-3)
    learner = learner_of(tokenizer)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    texts = LabelTexts(PROMPTS, tokenizer, grouped=False)
    first, last = teach(learner, recipe, summaries, real, np.arange(22), texts)
    assert (first["step"], last["step"]) == (20, 40)
    assert last["loss"] < first["loss"]
    after = learner.state_dict()
    trunks = "dual_encoder.vision_model.trunks"
    for name, value in before.items():
        is_trunk = not name.startswith(f"{trunks}.joint") and trunks in name
        assert torch.equal(value, after[name]) == is_trunk, name
    embeddings = page_embeddings(learner, summaries.upright)
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-4)
    with torch.inference_mode():
        guesses = learner.label_head(learner.images(torch.from_numpy(summaries.upright)))
    assert (guesses.argmax(1).numpy() == real.labels).mean() > 0.8


def test_the_same_seed_learns_the_same_and_left_out_pages_teach_nothing(tokenizer) -> None:
    real, summaries = known_pages("known"), known_summaries(22)
    rows = np.arange(11)
    other = summaries.upright.copy()
    other[11:] = 1e6
    same, shown_otherwise = (
        replace(summaries, upright=pages, turned=pages, varied=pages)
        for pages in (summaries.upright, other)
    )
    losses = []
    for pages in (same, shown_otherwise):
        texts = LabelTexts(PROMPTS, tokenizer)
        losses.append(teach(learner_of(tokenizer), RECIPE, pages, real, rows, texts)[-1]["loss"])
    assert losses[0] == losses[1]


def test_pages_of_a_batch_are_mixed_as_their_labels_are(tokenizer) -> None:
    collate = Collator(RECIPE, LabelTexts(PROMPTS, tokenizer), len(LABELS))
    pages = np.eye(3, SUMMARY_SIZE, dtype=np.float32)
    views = [
        {"index": n, "label": label, "page": pages[n], "share": share}
        for n, (label, share) in enumerate(((2, 0.9), (5, 0.6), (7, 1.0)))
    ]
    batch = collate(views)
    expected = [[0.9, 0.0, 0.1], [0.4, 0.6, 0.0], [0.0, 0.0, 1.0]]
    assert np.allclose(batch["summaries"][:, :3], expected)
    assert np.allclose(batch["targets"][:, [2, 5, 7]], expected)
    assert np.allclose(batch["targets"].sum(1), 1.0)
    assert torch.equal(batch["input_ids"], collate(views)["input_ids"])


def test_a_view_is_decided_by_its_number_and_shows_every_kind_of_page() -> None:
    real, summaries = known_pages("known"), known_summaries(22)
    views, again = (
        SummaryViews(replace(RECIPE, varied_share=0.3), summaries, real, np.arange(22), 11)
        for _ in range(2)
    )
    shown: set[str] = set()
    for number in range(200):
        view = views[number]
        assert np.array_equal(view["page"], again[number]["page"])
        for name in ("upright", "turned", "varied", "drawn", "drawn_turned"):
            rows = np.flatnonzero((getattr(summaries, name) == view["page"]).all(1))
            for row in rows:
                label = row % 11 if "drawn" in name else real.labels[row]
                assert label == view["label"]
                shown.add(name)
    assert shown == {"upright", "turned", "varied", "drawn", "drawn_turned"}


def test_a_page_without_letters_is_usual_in_that(tokenizer) -> None:
    joint = learner_of(tokenizer).dual_encoder.vision_model.trunks.joint
    lacking = known_summaries(1).upright.copy()
    lacking[:, WHOLE_SIZE:] = np.nan
    usual = lacking.copy()
    usual[:, WHOLE_SIZE:] = joint.centre[WHOLE_SIZE:].numpy()
    with torch.inference_mode():
        found, expected = (joint(torch.from_numpy(each)) for each in (lacking, usual))
    assert torch.equal(found, expected)
    summaries = known_summaries(3)
    summaries.upright[1, 5:7] = np.nan
    filled = summaries.filled(np.full(SUMMARY_SIZE, 9.0, dtype=np.float32))
    assert np.all(filled.upright[1, 5:7] == 9.0)
    assert np.array_equal(filled.upright[0], summaries.upright[0])


@pytest.mark.slow
def test_the_documented_command_makes_a_model_that_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    for _ in range(2):  # the second time, all but the end is done already
        made = make_model("page_trunks", tmp_path, "0.01")
        assert made.returncode == 0, made.stderr[-2000:]
    other = make_model("page_trunks", tmp_path, "0.02")
    assert other.returncode == 1
    assert "other pages or with other settings" in other.stderr.splitlines()[-1]
    page = next((ROOT / "category_samples" / "DRAW").glob("*.png"))
    assert run.main(["-f", str(page), "--model_path", str(out), "-tn", "11"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    facts = json.loads((out / "pagesort.json").read_text(encoding="utf-8"))["training"]
    assert facts["cross_validation"]["archive"]["pages"] == 2 * len(LABELS)
    assert facts["cross_validation"]["turned"]["pages"] == 2 * len(LABELS)
    assert set(facts["texts"]) >= {"own", "grouping 1", "averaged", "single 6"}
    assert set(facts["hours"]) == {"fold0", "fold1", "all"}
    assert len(read_trained_pages(out)) == 2 * len(LABELS)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "$" not in card and "| TEXT_T |" in card
