"""Cross-validation goes on where it was, and trains no fold twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pagesort.common.errors import PageSortError, Stopped
from pagesort.labelled.folder import LabelledFolder
from pagesort.labelled.folds import all_pages, lonely_labels, make_folds
from pagesort.labelled.page import LabelledPage
from pagesort.training import folds as training
from pagesort.training.folds import FoldScores, train_folds
from pagesort.training.recipe import Recipe, TrainRequest


def labelled(folder: Path, documents: int = 9) -> LabelledFolder:
    """Three labels; `LONE` has one document only."""
    pages = [
        LabelledPage(folder / label / f"{label}{d}-{n}.png", label, f"{label}{d}",
                     f"{label}/{label}{d}-{n}.png")
        for label, count in (("A", documents), ("B", documents), ("LONE", 1))
        for d in range(count) for n in range(1 + d % 3)
    ]  # fmt: skip
    return LabelledFolder(folder, ("A", "B", "LONE"), tuple(pages))


class Start:
    """What a cross-validation asks of the model that it starts from."""

    labels = ("A", "B", "LONE")
    fingerprint = "f"
    device = type("Device", (), {"type": "cpu"})


class Outcome:
    def __init__(self, model_folder: Path) -> None:
        self.model_folder = model_folder


@pytest.fixture
def trained(monkeypatch) -> list[int]:
    """The pages that each training was given to learn; the one after `fail` of them is stopped."""
    calls: list[int] = []

    def train(_, request) -> Outcome:
        calls.append(len(request.split.train))
        if len(calls) == 3:
            raise Stopped("step 3 of 9 is kept")
        (request.models / "made").mkdir(parents=True)
        return Outcome(request.models / "made")

    monkeypatch.setattr(training, "train", train)
    return calls


def score(_: Path, pages) -> FoldScores:
    scores = np.arange(3 * len(pages), dtype=np.float32).reshape(-1, 3)
    return FoldScores(tuple(page.name for page in pages), scores, ("",) * len(pages))


def request(folder: Path, split) -> TrainRequest:
    return TrainRequest(split, Recipe(), folder / "cp", folder / "models", folder / "plots")


def test_every_page_is_in_one_fold_with_its_document(tmp_path: Path) -> None:
    data = labelled(tmp_path)
    folds = make_folds(data, 4, seed=1, test_size=0.1)
    assert folds == make_folds(data, 4, seed=1, test_size=0.1)
    assert folds != make_folds(data, 4, seed=2, test_size=0.1)
    assert sorted(page.name for fold in folds for page in fold.test) == sorted(
        page.name for page in data.pages
    )
    for fold in folds:
        sides = [{page.document for page in side} for side in
                 (fold.train, fold.validation, fold.test)]  # fmt: skip
        assert sum(map(len, sides)) == len(set().union(*sides)) == 19
        assert {page.label for page in fold.validation} == {"A", "B"}
    assert len({fold.fingerprint for fold in folds}) == 4
    assert lonely_labels(data) == ["LONE"]
    whole = all_pages(data, seed=1, test_size=0.1)
    assert len(whole.train) + len(whole.validation) == len(data.pages)
    with pytest.raises(PageSortError, match="19 documents are too few for 20 folds"):
        make_folds(data, 20, seed=1, test_size=0.1)


def test_a_finished_fold_is_not_trained_again(tmp_path: Path, trained: list[int]) -> None:
    folds = make_folds(labelled(tmp_path), 4, seed=1, test_size=0.1)
    asked = request(tmp_path, folds[0])
    with pytest.raises(Stopped, match="2 of 4 folds are finished .*; step 3 of 9 is kept"):
        train_folds(Start(), folds, asked, score)
    found = train_folds(Start(), folds, asked, score)
    assert trained == [len(folds[place].train) for place in (0, 1, 2, 2, 3)]
    assert [each.names for each in found] == [
        tuple(page.name for page in fold.test) for fold in folds
    ]
    again = train_folds(Start(), folds, asked, score)
    assert len(trained) == 5
    for one, other in zip(again, found, strict=True):
        assert np.array_equal(one.scores, other.scores)
    folder = next((tmp_path / "cp").glob("folds_*"))
    assert {path.suffix for path in folder.iterdir()} == {".npz"}

    (folder / "fold-2.npz").write_bytes(b"PK damaged")
    train_folds(Start(), folds, asked, score)
    assert len(trained) == 6
    other = TrainRequest(folds[0], Recipe(epochs=9), tmp_path / "cp", tmp_path, tmp_path)
    train_folds(Start(), folds, other, score)
    assert len(trained) == 10


def test_a_fold_that_was_trained_and_not_scored_is_only_scored(
    tmp_path: Path, trained: list[int]
) -> None:
    folds = make_folds(labelled(tmp_path), 2, seed=1, test_size=0.1)

    def broken(*_: object) -> FoldScores:
        raise MemoryError

    with pytest.raises(MemoryError):
        train_folds(Start(), folds, request(tmp_path, folds[0]), broken)
    train_folds(Start(), folds, request(tmp_path, folds[0]), score)
    assert len(trained) == 2
