"""The objectives, the texts, and agreement with what predicts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from pagesort.training.objective import Collator, LabelLearner, LabelTexts, joint_contrastive_loss
from tests.helpers.coloured_pages import open_model


@pytest.fixture(scope="module")
def classifier(tiny_model_folder):
    return open_model(tiny_model_folder)


@pytest.fixture(scope="module")
def texts(classifier):
    return LabelTexts.tokenised(classifier.prompts, classifier.tokenizer, 77)


def learner(classifier, texts, **kwargs) -> LabelLearner:
    return LabelLearner(classifier.model, texts, classifier.preprocessing, **kwargs).eval()


def pages(count: int = 4) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def views(labels: list[int], first: int = 0) -> list[dict]:
    pixels = pages(len(labels))
    return [
        {"pixels": pixels[n], "label": label, "index": first + n} for n, label in enumerate(labels)
    ]


def test_it_answers_as_the_classifier_does(classifier, texts) -> None:
    learning = learner(classifier, texts)
    embeddings = learning.label_embeddings()
    assert torch.allclose(embeddings, classifier.label_embeddings, atol=1e-5)
    logits = torch.from_numpy(learning.page_logits(pages(), embeddings))
    theirs = classifier.variant(temperature=1.0).probabilities(pages())
    assert np.allclose(logits.softmax(1).numpy(), theirs, atol=1e-4)


def test_a_page_is_compared_with_one_text_of_every_label(classifier, texts) -> None:
    learning = learner(classifier, texts)
    batch = Collator(texts, seed=5, a_text_each=False)(views([2, 0, 0, 1]))
    assert batch["input_ids"].shape[0] == 3
    found = learning(**batch)
    assert found["logits"].shape == (4, 3)
    expected = functional.cross_entropy(found["logits"], torch.tensor([2, 0, 0, 1]))
    assert found["loss"] == expected


def test_texts_are_decided_by_seed_and_place(texts) -> None:
    made = [Collator(texts, 5, a_text_each=False)(views([0, 1], first))["input_ids"] for first in
            (0, 0, *range(2, 20, 2))]  # fmt: skip
    assert torch.equal(made[0], made[1])
    assert len({tuple(map(tuple, each.tolist())) for each in made}) > 2
    each = Collator(texts, 5, a_text_each=True)(views([2, 2, 0]))
    ends = [row[row > 0].tolist() for row in each["input_ids"]]
    owners = []
    for row in ends:
        (found,) = [
            owner
            for ids, owner in zip(texts.input_ids.tolist(), texts.owners, strict=True)
            if ids[: len(row)] == row
        ]
        owners.append(int(found))
    assert owners == [2, 2, 0]


def test_one_page_a_label_gives_the_loss_of_clip() -> None:
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    numbers = torch.arange(4)
    clip = functional.cross_entropy(logits, numbers) + functional.cross_entropy(logits.T, numbers)
    assert torch.allclose(joint_contrastive_loss(logits, torch.tensor([7, 3, 5, 1])), clip / 2)


def test_pages_of_one_label_do_not_push_each_other_away() -> None:
    labels = torch.tensor([0, 0, 1])
    logits = torch.zeros(3, 3, requires_grad=True)
    joint_contrastive_loss(logits, labels).backward()
    pull = logits.grad
    # A page pulls the texts of its own label alike, and pushes the other one only.
    assert (pull[0, 0] == pull[0, 1]) and pull[0, 1] < 0 < pull[0, 2]
    perfect = torch.tensor([[9.0, 9.0, -9.0], [9.0, 9.0, -9.0], [-9.0, -9.0, 9.0]])
    least = joint_contrastive_loss(perfect, labels)
    # Two texts share a page's target, so that log(2) of entropy is left for two of three pages.
    assert float(least) == pytest.approx(2 / 3 * np.log(2), abs=1e-3)


def test_by_hand_a_batch_with_two_pages_of_a_label() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 0.5], [2.0, 0.0, 1.0]])
    labels = torch.tensor([4, 4, 2])
    rows, columns = logits.log_softmax(1), logits.log_softmax(0)
    to_texts = -((rows[0, 0] + rows[0, 1]) / 2 + (rows[1, 0] + rows[1, 1]) / 2 + rows[2, 2]) / 3
    to_pages = (
        -((columns[0, 0] + columns[1, 0]) / 2 + (columns[0, 1] + columns[1, 1]) / 2 + columns[2, 2])
        / 3
    )
    assert torch.allclose(joint_contrastive_loss(logits, labels), (to_texts + to_pages) / 2)


def test_only_the_image_tower_has_gradients_if_asked(classifier, texts) -> None:
    learning = learner(classifier, texts, image_only=True).train()
    batch = Collator(texts, 5, a_text_each=False, with_texts=False)(views([0, 1, 2]))
    assert set(batch) == {"pixels", "labels"}
    learning(**batch)["loss"].backward()
    model = classifier.model
    assert model.visual_projection.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.text_model.parameters())
    assert not learning.dual_encoder.text_model.training
    model.requires_grad_(True).zero_grad(set_to_none=True)
    model.eval()


def test_the_logit_scale_is_kept_from_growing(classifier, texts) -> None:
    learning = learner(classifier, texts)
    batch = Collator(texts, 5, a_text_each=False)(views([0, 1]))
    scale = classifier.model.logit_scale
    usual = scale.detach().clone()
    with torch.no_grad():
        scale.fill_(4.6052)
        at_most = learning(**batch)["loss"]
        scale.fill_(9.0)
        beyond = learning(**batch)["loss"]
        scale.copy_(usual)
    assert torch.equal(at_most, beyond)
