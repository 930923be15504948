"""A model that was trained here tells a collection that is unlike its training pages, too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier import CLIP
from pagesort.labelled.folder import LabelledPage
from pagesort.labelled.split_files import PageSplit
from pagesort.models.training_pages import (
    TRAINING_PAGES_FILE,
    read_training_pages,
    sum_up_measured,
)
from pagesort.training import seen_pages
from pagesort.training import train as training
from tests.helpers.coloured_pages import draw_split, open_model, request
from tests.helpers.command import Run, command, workplace

__all__ = ["command", "workplace"]  # fixtures


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> PageSplit:
    """Of 24 pages that validate, each is a document."""
    drawn = draw_split(tmp_path_factory.mktemp("pages"), rounds=8)
    own = tuple(replace(page, document=page.name) for page in drawn.validation)
    return replace(drawn, validation=own)


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path, split: PageSplit
) -> Path:
    folder = tmp_path_factory.mktemp("training")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "draw_curves", lambda *_: None)
        asked = request(folder, split, epochs=1)
        return training.train(open_model(tiny_model_folder), asked).model_folder


def test_strange_pages_are_told_and_new_ones_of_the_kind_are_not(
    command: Run, tmp_path: Path, trained: Path, split: PageSplit
) -> None:
    usual, strange = tmp_path / "usual", tmp_path / "strange"
    for folder in (usual, strange):
        folder.mkdir()
    for number, page in enumerate(split.test):
        Image.open(page.path).save(usual / f"u-{number}.png")
        Image.new("L", (36, 48), 5 * number).save(strange / f"s-{number}.png")
    _, _, err = command("-d", strange, "--model_path", trained, model=False)
    assert "% of 24 pages scored now are unlike any that" in err
    _, out, err = command("-d", usual, "--model_path", trained, model=False)
    assert "unlike" not in err
    facts = json.loads(Path(out.splitlines()[0]).with_suffix(".json").read_text(encoding="utf-8"))
    assert facts["counts"]["training_pages"]["pages"] == 24


def test_the_summary_is_small(trained: Path) -> None:
    assert (trained / TRAINING_PAGES_FILE).stat().st_size < 200_000
    known = read_training_pages(trained, CLIP.open(trained).dimension)
    assert known is not None
    assert 0 < known.limit < 2 and known.usual < 0.1 < known.most < 0.5


def test_few_documents_say_nothing(split: PageSplit, tmp_path: Path) -> None:
    usual = request(tmp_path, split)
    few = replace(usual, split=replace(split, validation=split.validation[:19]))
    alike = replace(usual, split=replace(split, validation=split.validation[:9] * 3))
    for asked in (few, alike, replace(usual, sums_up=False)):
        assert seen_pages.sum_up_seen(None, asked, None) is None


def test_large_documents_do_not_take_all() -> None:
    pages = [LabelledPage(Path(f"{n}"), "A", f"d{n % 3 and n}", f"A/{n:03}.png") for n in range(90)]
    drawn = seen_pages.some_of_every_group(pages, 1)
    assert len([page for page in drawn if page.document == "d0"]) == seen_pages.MOST_OF_A_GROUP
    assert len(drawn) == len(set(drawn)) == 60 + seen_pages.MOST_OF_A_GROUP
    sources = [replace(page, source="archive") for page in pages]
    assert len(seen_pages.some_of_every_group(sources, 1)) == seen_pages.MOST_OF_A_GROUP


def test_one_far_page_of_few_is_no_strange_collection() -> None:
    rng = np.random.default_rng(0)
    rows = np.abs(rng.normal(size=(120, 8))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    known = sum_up_measured(rows[:100], rows[100:], [str(n) for n in range(20)], 0)
    assert known.usual == pytest.approx(0.05) and 0.15 < known.most < 0.3
