"""Training from a classifier and pages to a model folder, through interruptions and errors."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifier import CLIP
from pagesort.common.errors import PageSortError
from pagesort.labelled.folder import LabelledPage, page_digest, read_trained_pages
from pagesort.labelled.trained_names import read_trained_names
from pagesort.pages.loader import PageLoader
from pagesort.training import train as training
from pagesort.training import validation
from pagesort.training.tensorboard import TensorBoard
from pagesort.training.train import train
from tests.helpers.coloured_pages import COLOURS, DESCRIPTIONS, draw_split, open_model, request
from tests.helpers.paths import ROOT
from tests.helpers.trained import Killed, share_right, weights

pytestmark = pytest.mark.usefixtures("no_picture")

SCRIPT = ROOT / "tests" / "helpers" / "coloured_pages.py"
SMALL = ROOT / "models" / "pagesort-small"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_model_folder, split):
    """An undisturbed training: its folder, what came out, and the classifier it began with."""
    folder = tmp_path_factory.mktemp("training")
    classifier = open_model(tiny_model_folder)
    return folder, train(classifier, request(folder, split)), classifier


@cache
def opened(folder: Path) -> CLIP:
    """A model that many trainings begin with: each leaves it as it was, however it ends."""
    return open_model(folder)


def convolutional() -> CLIP:
    """The bundled model, which sees small pages here."""
    small = opened(SMALL)
    preprocessing = replace(small.preprocessing, resize=(64, 48))
    return CLIP(small.model, small.tokenizer, preprocessing, small.metadata)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def whole_pages(model: CLIP) -> CLIP:
    """The same model as it sees pages in training."""
    preprocessing = replace(model.preprocessing, shortest_edge=None, resize=(32, 32), crop=None)
    return CLIP(model.model, model.tokenizer, preprocessing, model.metadata)


def test_the_new_model_predicts_and_knows_how_it_was_made(finished, split) -> None:
    folder, outcome, start = finished
    model = CLIP.open(outcome.model_folder)
    assert model.labels == ("BLUE", "GREEN", "RED")
    assert model.metadata.descriptions == DESCRIPTIONS
    assert share_right(model, split.test) >= 0.8 > share_right(start, split.test)
    assert model.metadata.temperature == outcome.temperature
    assert outcome.accuracy == share_right(model, split.validation)
    facts = model.metadata.training
    assert facts["start"]["fingerprint"] == start.model_fingerprint
    accuracy_of_start = facts["start"]["validation"]["accuracy"]
    right_at_start = share_right(whole_pages(start), split.validation)
    assert accuracy_of_start == pytest.approx(right_at_start, abs=1e-5)
    assert facts["pages"]["train"] == {"BLUE": 6, "GREEN": 6, "RED": 6}
    assert facts["seed"] == 420
    assert [entry["epoch"] for entry in facts["epochs"]] == [1, 2, 3]
    assert all(0 < entry["training_loss"] < 10 for entry in facts["epochs"])
    assert str(folder) not in json.dumps(facts)
    learnt = {page_digest(page.path) for page in (*split.train, *split.validation)}
    assert read_trained_pages(outcome.model_folder) == learnt
    names = read_trained_names(outcome.model_folder)
    assert all(names.know(page) for page in (*split.train, *split.validation))
    assert not any(names.know(page) for page in split.test)
    assert outcome.model_folder.name.startswith("tiny_20")
    assert outcome.curves.read_bytes().startswith(b"\x89PNG")
    assert outcome.pages_per_second > 1


def test_the_new_model_sees_whole_pages(finished) -> None:
    _, outcome, start = finished
    assert start.preprocessing.crop == (32, 32)
    made = CLIP.open(outcome.model_folder).preprocessing
    assert (made.resize, made.crop, made.shortest_edge) == ((32, 32), None, None)
    assert made.mean == start.preprocessing.mean


def test_plain_transformers_opens_the_new_model(finished) -> None:
    from transformers import CLIPModel, CLIPProcessor

    _, outcome, _ = finished
    model = CLIPModel.from_pretrained(outcome.model_folder).eval()
    processor = CLIPProcessor.from_pretrained(outcome.model_folder)
    page = Image.new("RGB", (40, 60), (30, 30, 30))
    inputs = processor(text=["a scan of a blue page"], images=page, return_tensors="pt")
    with torch.inference_mode():
        theirs = model(**inputs).image_embeds
    ours = CLIP.open(outcome.model_folder)
    pixels = ours.preprocessing.apply(page)[None]
    assert torch.allclose(theirs, ours.embed_images(pixels), atol=1e-4)


def test_the_classifier_stays_as_it_was(finished, tiny_model_folder) -> None:
    _, _, start = finished
    fresh = open_model(tiny_model_folder)
    assert same(start.model.state_dict(), fresh.model.state_dict())
    assert not start.model.training
    assert all(parameter.requires_grad for parameter in start.model.parameters())


def test_the_next_training_starts_from_the_new_model(finished, split, tmp_path) -> None:
    _, outcome, _ = finished
    half = replace(split, train=split.train[:4] + split.train[6:10] + split.train[12:16])
    again = train(open_model(outcome.model_folder), request(tmp_path, half, epochs=1))
    assert again.accuracy >= 0.8
    # Pages of the first training are known to the second model, too.
    assert read_trained_pages(again.model_folder) == read_trained_pages(outcome.model_folder)
    assert read_trained_names(again.model_folder) == read_trained_names(outcome.model_folder)


def test_state_and_reports_are_kept(finished) -> None:
    folder, outcome, _ = finished
    kept = outcome.checkpoints
    assert kept.parent == folder / "checkpoints"
    assert [path.name for path in kept.glob("checkpoint-*")] == ["checkpoint-9"]
    best = list(kept.glob("best-*"))
    assert [path.name for path in best] == [f"best-{3 * outcome.epoch}"]
    assert CLIP.open(best[0]).labels == tuple(COLOURS)
    assert json.loads((kept / "training.json").read_text())["model"] == outcome.model_folder.name
    assert not list(kept.glob("validation_pixels*"))


def test_reports_reach_tensorboard(finished) -> None:
    _, outcome, _ = finished
    (events,) = (outcome.checkpoints / "runs").rglob("events.*")
    content = events.read_bytes()
    for shown in (b"train/loss", b"eval/accuracy", b"adam_beta2", b"warmup_ratio"):
        assert shown in content


def raising_at(monkeypatch, owner, name: str, call: int, error: BaseException, after=False) -> None:
    """Let the `call`-th call of a function fail, before or after it has done its work."""
    usual, calls = getattr(owner, name), []

    def failing(*args, **kwargs):
        calls.append(name)
        if len(calls) == call and not after:
            raise error
        result = usual(*args, **kwargs)
        if len(calls) == call:
            raise error
        return result

    monkeypatch.setattr(owner, name, failing)


@pytest.mark.parametrize(
    ("owner", "name", "call", "after"),
    [
        # Before any checkpoint.
        pytest.param(TensorBoard, "after_step", 1, False, marks=pytest.mark.slow),
        (TensorBoard, "after_step", 5, False),  # between two epochs
        # The best epoch kept, its checkpoint not.
        pytest.param(training.RunFolder, "save_best", 1, True, marks=pytest.mark.slow),
        (torch, "save", 6, False),  # a checkpoint half-written
        # Written, but without its name.
        pytest.param(training.RunFolder, "adopt_checkpoint", 5, False, marks=pytest.mark.slow),
        (training, "export", 1, False),  # trained, not exported
        # Exported, without its picture.
        pytest.param(training, "draw_curves", 1, False, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_training_ends_at_the_same_weights(
    owner, name, call, after, finished, split, tiny_model_folder, tmp_path, monkeypatch, caplog
) -> None:
    classifier = opened(tiny_model_folder)
    asked = replace(request(tmp_path, split), save_seconds=0.0)
    with monkeypatch.context() as broken:
        raising_at(broken, owner, name, call, Killed(), after)
        with pytest.raises(Killed):
            train(classifier, asked)
    with caplog.at_level(logging.INFO):
        outcome = train(classifier, asked)
    _, undisturbed, _ = finished
    assert same(weights(outcome.model_folder), weights(undisturbed.model_folder))
    assert outcome.epoch == undisturbed.epoch
    assert outcome.temperature == undisturbed.temperature
    if (name, call) == ("after_step", 5):
        assert "going on with the interrupted training at step 4 of 9" in caplog.text
    assert [path.name for path in outcome.checkpoints.glob("checkpoint-*")] == ["checkpoint-9"]


def test_the_curves_of_an_interrupted_training_are_whole(
    split, tiny_model_folder, tmp_path, monkeypatch
) -> None:
    histories = []
    monkeypatch.setattr(training, "draw_curves", lambda history, *_: histories.append(history))
    with monkeypatch.context() as broken:
        raising_at(broken, TensorBoard, "after_step", 7, Killed())
        with pytest.raises(Killed):
            train(opened(tiny_model_folder), request(tmp_path, split))
    train(opened(tiny_model_folder), request(tmp_path, split))
    assert [entry["step"] for entry in histories[0] if "eval_accuracy" in entry] == [3, 6, 9]
    assert [entry["step"] for entry in histories[0] if "loss" in entry] == [2, 3, 4, 6, 8, 9]


def test_a_stop_is_let_through_and_tells_what_is_kept(
    split, tiny_model_folder, tmp_path, monkeypatch
) -> None:
    raising_at(monkeypatch, TensorBoard, "after_step", 5, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt, match="step 3 of 9 is kept in .*checkpoints"):
        train(opened(tiny_model_folder), request(tmp_path, split))


def test_a_finished_training_begins_anew_and_other_settings_begin_apart(
    finished, split, tiny_model_folder, tmp_path, caplog
) -> None:
    folder, outcome, _ = finished
    shutil.copytree(folder / "checkpoints", tmp_path / "checkpoints")
    with caplog.at_level(logging.INFO):
        again = train(opened(tiny_model_folder), request(tmp_path, split))
    assert f"done before ({outcome.model_folder.name})" in caplog.text
    assert same(weights(again.model_folder), weights(outcome.model_folder))
    changed = request(tmp_path, split, learning_rate=1e-3, epochs=1)
    other = train(opened(tiny_model_folder), changed)
    assert other.checkpoints != again.checkpoints
    assert other.model_folder != again.model_folder


def test_the_best_epoch_is_exported_not_the_last(
    split, tiny_model_folder, tmp_path, monkeypatch
) -> None:
    figures = iter([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.7, 0.8), (0.6, 0.1)])
    seen = []

    def told(_, logits, **__):
        accuracy, loss = next(figures, (0.7, 0.8))
        seen.append(logits)
        return {
            "accuracy": accuracy, "loss": loss, "temperature": 1.0, "calibrated_loss": loss,
        }  # fmt: skip

    monkeypatch.setattr(validation.ValidationPages, "figures", told)
    recipe = {"epochs": 5, "wise_ft": 1.0, "batch_size": 18}
    outcome = train(opened(tiny_model_folder), request(tmp_path, split, **recipe))
    assert outcome.epoch == 3
    best = outcome.checkpoints / "best-3"
    assert same(weights(outcome.model_folder), weights(best))
    last = torch.load(outcome.checkpoints / "checkpoint-5" / "state.pt")["learner"]
    assert not torch.equal(
        last["dual_encoder.visual_projection.weight"], weights(best)["visual_projection.weight"]
    )
    # What was scored at the end of the epoch is what was exported.
    assert np.allclose(seen[2], seen[-1], atol=1e-5)


def test_weights_are_mixed_with_those_of_the_start(split, tiny_model_folder, tmp_path) -> None:
    asked = request(tmp_path, split, epochs=1, wise_ft=0.5)
    outcome = train(opened(tiny_model_folder), asked)
    (best,) = outcome.checkpoints.glob("best-*")
    start, learnt = opened(tiny_model_folder).model.state_dict(), weights(best)
    assert not same(start, learnt)
    for name, value in weights(outcome.model_folder).items():
        assert torch.allclose(value, (start[name] + learnt[name]) / 2, atol=1e-6), name
    assert outcome.wise_ft == 0.5


def test_only_the_image_tower_learns_if_asked(split, tiny_model_folder, tmp_path) -> None:
    asked = request(tmp_path, split, towers="image", wise_ft=1.0, epochs=1)
    outcome = train(opened(tiny_model_folder), asked)
    start = opened(tiny_model_folder).model.state_dict()
    for name, value in weights(outcome.model_folder).items():
        is_text = name.startswith(("text_model", "text_projection"))
        assert torch.equal(value, start[name]) == is_text, name


@pytest.mark.parametrize("recipe", [{"objective": "contrastive"}, {"sampling": "natural"}])
def test_every_kind_of_training_learns(recipe, split, tiny_model_folder, tmp_path) -> None:
    outcome = train(opened(tiny_model_folder), request(tmp_path, split, epochs=6, **recipe))
    assert share_right(CLIP.open(outcome.model_folder), split.test) >= 0.8


def test_accumulated_batches_make_the_step_of_one_great_batch(
    split, tiny_model_folder, tmp_path, monkeypatch
) -> None:
    histories = []
    monkeypatch.setattr(training, "draw_curves", lambda history, *_: histories.append(history))
    single = {label: texts[:1] for label, texts in DESCRIPTIONS.items()}
    for number, recipe in enumerate(({"batch_size": 6}, {"batch_size": 2, "accumulation": 3})):
        classifier = opened(tiny_model_folder).variant(descriptions=single)
        asked = replace(
            request(tmp_path / str(number), split, epochs=1, warmup_ratio=0.0, **recipe), log_step=1
        )
        train(classifier, asked)
    great, small = ([entry for entry in each if "grad_norm" in entry] for each in histories)
    assert len(great) == len(small) == 3
    # Later steps drift apart: where a gradient is next to nothing, Adam takes its sign for it.
    assert small[0]["loss"] == pytest.approx(great[0]["loss"], rel=1e-5)
    assert small[0]["grad_norm"] == pytest.approx(great[0]["grad_norm"], rel=1e-3)


def test_other_processes_prepare_the_same_pages(
    finished, split, tiny_model_folder, tmp_path
) -> None:
    outcome = train(opened(tiny_model_folder), replace(request(tmp_path, split), workers=2))
    assert same(weights(outcome.model_folder), weights(finished[1].model_folder))


@pytest.mark.slow
def test_computing_twice_changes_nothing(finished, split, tiny_model_folder, tmp_path) -> None:
    asked = request(tmp_path, split, gradient_checkpointing=True)
    outcome = train(opened(tiny_model_folder), asked)
    for name, value in weights(outcome.model_folder).items():
        assert torch.allclose(value, weights(finished[1].model_folder)[name], atol=1e-5), name


@pytest.mark.parametrize("batch_norm", ["frozen", pytest.param("trained", marks=pytest.mark.slow)])
def test_a_convolutional_tower_trains(batch_norm, split, tmp_path) -> None:
    classifier = convolutional()
    asked = request(tmp_path, split, epochs=1, batch_norm=batch_norm, wise_ft=1.0)
    made = weights(train(classifier, asked).model_folder)
    start = classifier.model.state_dict()
    statistics = [name for name in made if name.endswith(("running_mean", "running_var"))]
    assert statistics
    assert all(torch.equal(made[n], start[n]) for n in statistics) == (batch_norm == "frozen")
    changed = "vision_model.timm_model.conv_head.weight"
    assert not torch.equal(made[changed], start[changed])


@pytest.mark.parametrize(("precision", "quick"), [("bf16", 16), ("no", 0)])
def test_bfloat16_on_a_cpu_takes_the_quick_depthwise_gradients_for_a_while(
    precision, quick, split, tmp_path, monkeypatch
) -> None:
    classifier = convolutional()
    modules = list(classifier.model.modules())
    met = []

    def told(*_):
        met.append(sum("forward" in vars(module) for module in modules))
        raise Killed  # a step in bfloat16 takes seconds where the processor has not got it

    monkeypatch.setattr(training._Session, "_fit", told)
    with pytest.raises(Killed):
        train(classifier, request(tmp_path, split, mixed_precision=precision))
    assert met == [quick]
    assert not any("forward" in vars(module) for module in modules)


# Errors, each one line


def refused(classifier, asked) -> PageSortError:
    with pytest.raises(PageSortError) as caught:
        train(classifier, asked)
    assert "\n" not in str(caught.value)
    return caught.value


def test_one_label_is_refused(split, tiny_model_folder, tmp_path) -> None:
    only = replace(split, labels=("BLUE",), train=split.train[:6], validation=(), test=())
    classifier = CLIP.open(tiny_model_folder).variant(labels=["BLUE"], descriptions={"BLUE": ["x"]})
    assert "only one label (BLUE)" in str(refused(classifier, request(tmp_path, only)))


def test_other_labels_than_the_pages_are_refused(split, tiny_model_folder, tmp_path) -> None:
    said = str(refused(CLIP.open(tiny_model_folder), request(tmp_path, split)))
    assert "missing: ['BLUE', 'GREEN', 'RED']" in said
    assert "PHOTO" in said


def test_broken_pages_are_left_out_and_told(split, tiny_model_folder, tmp_path, caplog) -> None:
    broken = []
    for label in ("GREEN", "RED"):
        path = tmp_path / label / "torn-1.png"
        path.parent.mkdir()
        path.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
        broken.append(LabelledPage(path, label, "torn", f"{label}/torn-1.png"))
    more = replace(
        split, train=(broken[0], *split.train), validation=(broken[1], *split.validation)
    )
    outcome = train(opened(tiny_model_folder), request(tmp_path, more, epochs=1))
    assert [name for name, _ in outcome.left_out] == ["GREEN/torn-1.png", "RED/torn-1.png"]
    assert all(str(page.path) in caplog.text for page in broken)
    only_broken = tuple(page for page in split.train if page.label != "GREEN") + (broken[0],)
    none_left = replace(split, train=only_broken)
    said = str(refused(opened(tiny_model_folder), request(tmp_path, none_left)))
    assert "no readable page trains GREEN" in said


def test_few_pages_lower_the_batch_with_a_word(split, tiny_model_folder, tmp_path, caplog) -> None:
    few = replace(split, train=(split.train[0], *split.train[6:8], *split.train[12:14]))
    asked = request(tmp_path, few, batch_size=4, accumulation=8, epochs=1)
    outcome = train(opened(tiny_model_folder), asked)
    assert "fewer than one step takes: accumulation 1 instead of 8" in caplog.text
    assert "batch size" not in caplog.text
    assert "only one page to train on: BLUE" in caplog.text
    recipe = CLIP.open(outcome.model_folder).metadata.training["recipe"]
    assert (recipe["batch_size"], recipe["accumulation"]) == (4, 1)


def test_without_validation_pages_the_last_epoch_counts(
    split, tiny_model_folder, tmp_path, caplog
) -> None:
    asked = request(tmp_path, replace(split, validation=()), epochs=2)
    outcome = train(opened(tiny_model_folder), asked)
    assert "no page validates" in caplog.text
    assert (outcome.accuracy, outcome.temperature, outcome.epoch) == (None, 1.0, 2)
    assert outcome.wise_ft == 1.0


def test_a_diverging_training_stops(split, tiny_model_folder, tmp_path, monkeypatch) -> None:
    usual = training.LabelLearner.forward

    def diverging(self, pixels, labels, input_ids, attention_mask):
        found = usual(self, pixels, labels, input_ids, attention_mask)
        return found | {"loss": found["loss"] * float("nan")}

    monkeypatch.setattr(training.LabelLearner, "forward", diverging)
    said = str(refused(opened(tiny_model_folder), request(tmp_path, split)))
    assert "diverged" in said
    assert "--lr" in said
    assert not list((tmp_path / "checkpoints").glob("*/checkpoint-*"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate"
        ),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
    ],
    ids=["cpu", "gpu", "python"],
)
def test_want_of_memory_names_the_settings(
    error, split, tiny_model_folder, tmp_path, monkeypatch
) -> None:
    raising_at(monkeypatch, training.LabelLearner, "embed_pages", 2, error)
    said = str(refused(opened(tiny_model_folder), request(tmp_path, split)))
    assert "not enough memory to train on 6 pages at once" in said
    assert all(name in said for name in ("--batch_size", "accumulation", "gradient_checkpointing"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:626] . PytorchStreamWriter failed"),
    ],
    ids=["system", "torch"],
)
def test_a_full_disk_is_told_and_nothing_is_lost(
    error, split, tiny_model_folder, tmp_path, monkeypatch, finished
) -> None:
    asked = replace(request(tmp_path, split), save_seconds=0.0)
    with monkeypatch.context() as full:
        raising_at(full, torch, "save", 10, error)
        said = str(refused(opened(tiny_model_folder), asked))
    assert "the state of the training cannot be written" in said
    assert "FOLDER_CPOINTS" in said
    assert list((tmp_path / "checkpoints").glob("*/checkpoint-*"))
    outcome = train(opened(tiny_model_folder), request(tmp_path, split))
    assert same(weights(outcome.model_folder), weights(finished[1].model_folder))


def test_a_dead_worker_is_done_without(
    split, tiny_model_folder, tmp_path, monkeypatch, caplog, finished
) -> None:
    died = RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error.")
    raising_at(monkeypatch, TensorBoard, "after_step", 5, died)
    asked = replace(request(tmp_path, split), workers=1)
    outcome = train(opened(tiny_model_folder), asked)
    assert "[TRAIN] workers = 0" in caplog.text
    assert same(weights(outcome.model_folder), weights(finished[1].model_folder))


def test_a_page_that_vanishes_is_told_in_one_line(
    split, tiny_model_folder, tmp_path, monkeypatch
) -> None:
    usual = training.RunFolder.open

    def vanishing(self) -> None:
        usual(self)
        for page in (tmp_path / "checkpoints" / "pages").iterdir():
            page.write_bytes(b"")

    monkeypatch.setattr(training.RunFolder, "open", vanishing)
    asked = replace(request(tmp_path, split), workers=1)
    said = str(refused(opened(tiny_model_folder), asked))
    assert said.startswith("a prepared page cannot be read")


def test_an_unwritable_folder_is_told_before_training(split, tiny_model_folder, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    asked = replace(request(tmp_path, split), models=tmp_path / "file")
    assert "FOLDER_MODELS" in str(refused(opened(tiny_model_folder), asked))
    assert not (tmp_path / "checkpoints").exists()


def test_nothing_goes_to_stdout(split, tiny_model_folder, tmp_path, capfd) -> None:
    train(opened(tiny_model_folder), request(tmp_path, split, epochs=1))
    assert capfd.readouterr().out == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes there")
def test_validation_pages_on_a_full_disk_are_told(split, tiny_model_folder, tmp_path) -> None:
    import resource

    start = opened(tiny_model_folder)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(PageSortError, match="state of the training cannot be written"):
            validation._prepared_pixels(
                split.validation, PageLoader(start.preprocessing), tmp_path / "pixels.npy"
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["state.pt", pytest.param("random-0.pt", marks=pytest.mark.slow)])
def test_a_damaged_checkpoint_is_told(
    name, split, tiny_model_folder, tmp_path, monkeypatch
) -> None:
    with monkeypatch.context() as broken:
        raising_at(broken, TensorBoard, "after_step", 5, Killed())
        with pytest.raises(Killed):
            train(opened(tiny_model_folder), request(tmp_path, split))
    (torn,) = (tmp_path / "checkpoints").glob(f"*/checkpoint-*/{name}")
    torn.write_bytes(torn.read_bytes()[:100])
    said = str(refused(opened(tiny_model_folder), request(tmp_path, split)))
    assert said.startswith("the kept state of the interrupted training is damaged")
    assert "Remove this folder" in said


def test_without_its_picture_the_model_is_still_told(
    split, tiny_model_folder, tmp_path, monkeypatch, caplog
) -> None:
    raising_at(monkeypatch, training, "draw_curves", 1, OSError(errno.ENOSPC, "No space left"))
    outcome = train(opened(tiny_model_folder), request(tmp_path, split, epochs=1))
    assert outcome.curves is None
    assert "curves cannot be drawn (No space left)" in caplog.text
    facts = json.loads((outcome.checkpoints / "training.json").read_text())
    assert facts["model"] == outcome.model_folder.name


def test_an_export_that_fails_tells_what_is_left_to_do(
    split, tiny_model_folder, tmp_path, monkeypatch
) -> None:
    def full(*_):
        raise PageSortError("the disk is full", remedy="Another")

    monkeypatch.setattr("pagesort.training.export.formats.save_folder", full)
    said = str(refused(opened(tiny_model_folder), request(tmp_path, split, epochs=1)))
    assert "the disk is full" in said
    assert "only the export is done then" in said


def test_validation_pages_that_the_start_has_seen_decide_nothing_but_the_epoch(
    finished, split, tmp_path
) -> None:
    _, outcome, _ = finished
    other = replace(split, fingerprint="6" * 64)
    again = train(open_model(outcome.model_folder), request(tmp_path / "1", other, epochs=1))
    assert (again.accuracy, again.temperature, again.wise_ft) == (None, 1.0, 1.0)
    mixed = replace(other, validation=(*split.validation, *split.test))
    start = open_model(outcome.model_folder)
    more = train(start, request(tmp_path / "2", mixed, epochs=1, wise_ft=0.0))
    # Nothing of the training is left: what is told is what the start makes of the fresh pages.
    assert more.accuracy == share_right(start, split.test)


def test_doubtful_figures_are_told(finished, split, tmp_path, monkeypatch, caplog) -> None:
    _, outcome, _ = finished
    other = replace(split, fingerprint="6" * 64)
    figures = iter([(0.5, 1.0), (0.9, 1.0)])  # of the epoch, and of the starting model

    def told(*_, **__):
        accuracy, loss = next(figures, (0.5, 1.0))
        return {
            "accuracy": accuracy, "loss": loss, "temperature": 1.0, "calibrated_loss": loss,
        }  # fmt: skip

    monkeypatch.setattr(validation.ValidationPages, "figures", told)
    asked = request(tmp_path, other, epochs=1, wise_ft=1.0)
    train(open_model(outcome.model_folder), asked)
    count = len(split.validation)
    assert f"{count} of {count} validation pages were seen by the starting model" in caplog.text
    assert "sorts fewer validation pages right than the one it started from" in caplog.text


# Real processes


def run_script(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of other systems")
@pytest.mark.parametrize(("number", "steps"), [(signal.SIGKILL, (1, 8)), (signal.SIGINT, (4,))])
def test_a_killed_process_is_gone_on_with(
    number, steps, finished, tiny_model_folder, tmp_path
) -> None:
    for step in steps:
        done = run_script(tmp_path, tiny_model_folder, step, int(number))
        assert done.returncode != 0
    done = run_script(tmp_path, tiny_model_folder)
    assert done.returncode == 0, done.stderr
    assert same(weights(Path(done.stdout.strip())), weights(finished[1].model_folder))


def run_two(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo needs a network there")
def test_two_processes_train_together_and_can_be_killed(tiny_model_folder, tmp_path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert run_two(killed, tiny_model_folder, 5, int(signal.SIGKILL)).returncode != 0
    (kept,) = (killed / "checkpoints").glob("*/checkpoint-*")
    assert kept.name == "checkpoint-4"
    models = []
    for folder in (undisturbed, killed):
        done = run_two(folder, tiny_model_folder)
        assert done.returncode == 0, done.stderr
        told = set(done.stdout.split())
        assert len(told) == 1
        models.append(Path(told.pop()))
    assert same(weights(models[0]), weights(models[1]))
    model = CLIP.open(models[0])
    assert model.metadata.training["processes"] == 2
    assert share_right(model, draw_split(tmp_path / "data").test) > 0.5
