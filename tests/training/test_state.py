"""A training's folder: found again by its facts, complete or not there."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest

from pagesort.common.errors import PageSortError
from pagesort.models.metadata import METADATA_FILE, ModelMetadata
from pagesort.training.state import RunFolder, translate_unwritable

FACTS = {"seed": 1, "recipe": {"lr": 0.1}, "texts": {"A": ["ä"]}}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path, "ViT-B16", FACTS)
    made.open()
    return made


def keep_best(run: RunFolder, step: int, **figures: float) -> None:
    def write(folder: Path) -> None:
        folder.mkdir()
        metadata = ModelMetadata(training={"figures": figures})
        (folder / METADATA_FILE).write_text(metadata.to_json(), encoding="utf-8")

    run.save_best(step, write)


def test_equal_facts_find_one_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "ViT-B16", FACTS).folder
    again = dict(reversed(FACTS.items()))
    assert RunFolder(tmp_path, "ViT-B16", again).folder == folder
    assert RunFolder(tmp_path, "ViT-B16", FACTS | {"seed": 2}).folder != folder
    assert folder.name.startswith("ViT-B16_")


def test_checkpoints_count_once_they_are_complete(run: RunFolder) -> None:
    assert run.last_checkpoint() is None
    for step in (9, 10):
        (run.partial / f"checkpoint-{step}").mkdir(parents=True)
        run.adopt_checkpoint(step)
    assert run.last_checkpoint() == (10, run.folder / "checkpoint-10")
    assert not (run.folder / "checkpoint-9").exists()
    (run.partial / "checkpoint-11").mkdir(parents=True)
    run.open()
    assert not run.partial.exists()
    assert run.last_checkpoint() == (10, run.folder / "checkpoint-10")


def test_one_best_epoch_is_kept(run: RunFolder) -> None:
    assert run.best() is None
    keep_best(run, 5, accuracy=0.5, calibrated_loss=1.0)
    keep_best(run, 10, accuracy=0.5, calibrated_loss=0.9)
    best = run.best()
    assert best is not None
    assert (best.step, best.quality) == (10, (0.5, -0.9))
    assert not (run.folder / "best-5").exists()


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ({"accuracy": 0.5, "calibrated_loss": 1.0}, {"accuracy": 0.6, "calibrated_loss": 2.0}, 2),
        ({"accuracy": 0.5, "calibrated_loss": 1.0}, {"accuracy": 0.5, "calibrated_loss": 1.0}, 1),
        ({"accuracy": 0.5, "calibrated_loss": 1.0}, {"accuracy": 0.4, "calibrated_loss": 0.1}, 1),
        ({}, {}, 2),
    ],
)
def test_of_two_left_by_a_crash_the_better_counts(run, first, second, kept, monkeypatch) -> None:
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    keep_best(run, 1, **first)
    keep_best(run, 2, **second)
    assert run.best().step == kept


def test_a_finished_training_tells_its_model(run: RunFolder) -> None:
    assert run.made_model is None
    run.finish("ViT-B16_20260101-1200")
    assert run.made_model == "ViT-B16_20260101-1200"
    assert "ä" in (run.folder / "training.json").read_text(encoding="utf-8")
    run.clear()
    assert run.made_model is None
    assert {path.name for path in run.folder.iterdir()} <= {"training.json", "training.lock"}


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(PageSortError, match="state of the training cannot be written"):
        RunFolder(tmp_path / "checkpoints", "ViT", FACTS).open()


def test_errors_of_the_program_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), translate_unwritable(tmp_path):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PageSortError, match="No space left"), translate_unwritable(tmp_path):
        raise full


@pytest.mark.parametrize(
    "said", ["[enforce fail at inline_container.cc:664] . unexpected pos 704 vs 598", "no room"]
)
def test_torch_and_an_empty_disk_are_understood(said, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(PageSortError, match="cannot be written"), translate_unwritable(tmp_path):
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="memory"), translate_unwritable(tmp_path):
        raise RuntimeError("CUDA out of memory")


def test_one_process_at_a_time_trains_in_a_folder(run: RunFolder, tmp_path: Path) -> None:
    second = RunFolder(tmp_path, "ViT-B16", FACTS)
    with pytest.raises(PageSortError, match="running already"):
        second.open()
    run.clear()
    with pytest.raises(PageSortError, match="running already"):
        second.open()
    run.close()
    second.open()


def test_a_damaged_best_epoch_is_told(run: RunFolder) -> None:
    keep_best(run, 5, accuracy=0.5)
    (run.folder / "best-5" / METADATA_FILE).write_text('{"form')
    with pytest.raises(PageSortError, match="kept state of the interrupted training is damaged"):
        run.best()
