"""Probe, adapters, early stopping and weights of labels: what they learn and what they leave."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from classifier import CLIP
from pagesort.common.errors import PageSortError
from pagesort.training import lora, plan
from pagesort.training import train as training
from pagesort.training.objective import LabelLearner, LabelTexts
from pagesort.training.probe import Features, Probe
from pagesort.training.recipe import Recipe
from pagesort.training.tensorboard import TensorBoard
from pagesort.training.train import train
from tests.helpers.coloured_pages import open_model, request
from tests.helpers.paths import ROOT
from tests.helpers.trained import Killed, share_right, weights

needs_peft = pytest.mark.skipif(
    importlib.util.find_spec("peft") is None, reason="peft is not installed"
)


pytestmark = pytest.mark.usefixtures("no_picture")


@pytest.mark.parametrize(
    ("recipe", "learns"),
    [
        ({"towers": "probe", "wise_ft": 1.0}, ("visual_projection.",)),
        pytest.param(
            {"towers": "lora", "wise_ft": 1.0, "epochs": 6},
            ("visual_projection.", "logit_scale", "vision_model.encoder."),
            marks=[needs_peft, pytest.mark.slow],
        ),
    ],
    ids=["probe", "lora"],
)
def test_the_new_model_is_one_like_any_other(
    recipe, learns, split, tiny_model_folder, tmp_path
) -> None:
    classifier = open_model(tiny_model_folder)
    start = {name: value.clone() for name, value in classifier.model.state_dict().items()}
    outcome = train(classifier, request(tmp_path, split, **recipe))
    assert share_right(CLIP.open(outcome.model_folder), split.test) >= 0.8
    assert outcome.accuracy == share_right(CLIP.open(outcome.model_folder), split.validation)
    made = weights(outcome.model_folder)
    assert made.keys() == start.keys()
    changed = {name for name in made if not torch.equal(made[name], start[name])}
    assert changed
    assert all(name.startswith(learns) for name in changed)
    left = classifier.model.state_dict()
    assert left.keys() == start.keys()
    assert all(torch.equal(left[name], start[name]) for name in start)
    assert all(parameter.requires_grad for parameter in classifier.model.parameters())
    train(open_model(outcome.model_folder), request(tmp_path, split, epochs=1))  # and trained on


@pytest.mark.slow
@needs_peft
def test_interrupted_adapters_end_at_the_same_weights(
    split, tiny_model_folder, tmp_path, monkeypatch
) -> None:
    recipe = {"towers": "lora", "lora_rank": 2, "epochs": 2}
    whole = train(open_model(tiny_model_folder), request(tmp_path / "1", split, **recipe))
    asked, usual, classifier = request(tmp_path / "2", split, **recipe), TensorBoard.after_step, \
        open_model(tiny_model_folder)  # fmt: skip

    def killed(self, step):
        if step == 5:
            raise Killed
        usual(self, step)

    with monkeypatch.context() as broken:
        broken.setattr(TensorBoard, "after_step", killed)
        with pytest.raises(Killed):
            train(classifier, asked)
    assert not any("lora" in name for name, _ in classifier.model.named_parameters())
    again = train(classifier, asked)
    first, second = weights(whole.model_folder), weights(again.model_folder)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_head_folded_into_the_projection_scores_as_it_was_fitted() -> None:
    torch.manual_seed(0)
    outputs, labels = torch.randn(40, 30).double(), torch.arange(40) % 5
    texts = functional.normalize(torch.randn(5, 12), dim=1)
    weight = 0.2 * torch.randn(12, 30)
    probe = Probe(Features(outputs, labels), torch.ones(40), weight, texts, scale=20.0)

    def loss() -> float:
        pages = functional.normalize(outputs.float() @ probe.folded().T, dim=1)
        return functional.cross_entropy(20.0 * pages @ texts.T, labels).item()

    assert torch.allclose(probe.folded(), weight)
    losses = [loss()]
    for strength in (10.0, 0.1, 0.001):
        assert probe.fit(strength) == pytest.approx(loss(), rel=1e-4)
        losses.append(loss())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.1 * losses[0]


def test_patience_ends_a_training_where_it_would_have_ended_without_interruption(
    split, tiny_model_folder, tmp_path, monkeypatch, caplog
) -> None:
    reached = [(0.5, 1.0), (0.7, 0.9), (0.6, 0.9), (0.7, 0.95), (0.9, 0.1)]

    def told(validation, logits, **_):
        accuracy, loss = reached[min(len(seen), 4)]
        seen.append(logits)
        return {
            "accuracy": accuracy, "loss": loss, "temperature": 1.0, "calibrated_loss": loss,
        }  # fmt: skip

    monkeypatch.setattr(training.ValidationPages, "figures", told)
    recipe = {"epochs": 9, "patience": 2, "wise_ft": 1.0, "batch_size": 18}
    seen: list[object] = []
    with caplog.at_level(logging.INFO):
        outcome = train(open_model(tiny_model_folder), request(tmp_path, split, **recipe))
    assert outcome.epoch == 2
    assert "2 epochs without a better one" in caplog.text
    assert [path.name for path in outcome.checkpoints.glob("checkpoint-*")] == ["checkpoint-4"]
    # Killed between the last checkpoint and the export, it trains no further.
    again, seen = request(tmp_path / "2", split, **recipe), []
    with monkeypatch.context() as broken:
        broken.setattr(training, "export", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(open_model(tiny_model_folder), again)
    seen = [None] * 4
    assert train(open_model(tiny_model_folder), again).epoch == 2


def test_weights_of_labels_are_those_of_the_loss(split, tiny_model_folder) -> None:
    few = replace(split, train=split.train[:2] + split.train[6:])
    balanced = Recipe(class_weights="balanced")
    assert plan.label_weights(balanced, few) == pytest.approx([14 / 6, 14 / 18, 14 / 18])
    assert plan.label_weights(Recipe(), few) is None
    given = Recipe(class_weights=(("RED", 3.0),))
    assert plan.label_weights(given, few) == [1.0, 1.0, 3.0]
    with pytest.raises(PageSortError, match="BLEU has a weight.*Did you mean BLUE"):
        plan.label_weights(Recipe(class_weights=(("BLEU", 3.0),)), few)
    with pytest.raises(PageSortError, match="contradicts objective = contrastive"):
        Recipe(objective="contrastive", class_weights="balanced")
    model = open_model(tiny_model_folder)
    learner = LabelLearner(
        model.model,
        LabelTexts.tokenised(model.prompts, model.tokenizer, 77),
        model.preprocessing,
        image_only=True,
        class_weights=torch.tensor([1.0, 1.0, 3.0]),
    )
    pixels, labels = torch.randint(0, 255, (4, 32, 32, 3), dtype=torch.uint8), torch.arange(4) % 3
    made = learner(pixels, labels)
    each = functional.cross_entropy(made["logits"], labels, reduction="none")
    counts = torch.tensor([1.0, 1.0, 3.0, 1.0])
    assert made["loss"].item() == pytest.approx(((each * counts).sum() / 6).item(), rel=1e-5)


def test_what_adapters_need_is_told(split, tmp_path, monkeypatch) -> None:
    convolutional = open_model(ROOT / "models" / "pagesort-small")
    if importlib.util.find_spec("peft") is not None:
        with pytest.raises(PageSortError, match="efficientnet_lite0.*towers = image or probe"):
            train(convolutional, request(tmp_path, split, towers="lora"))
    monkeypatch.setattr(lora, "PACKAGE", "no_such_package")
    with pytest.raises(PageSortError, match="requirements-lora.txt"):
        train(convolutional, request(tmp_path, split, towers="lora"))
