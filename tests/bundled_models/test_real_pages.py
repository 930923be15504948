"""Real pages for the bundled model: read, parted into folds, scored by what did not see them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundled_models.page_classifier.cross_validation import (
    OutOfFold,
    by_source,
    figures,
    text_figures,
    write_out_of_fold,
)
from bundled_models.page_classifier.page_cache import Shard
from bundled_models.page_classifier.real_pages import RealPages, folds_of, read_real_pages
from bundled_models.page_classifier.trait_texts import HELD_OUT_GROUPINGS
from bundled_models.synthetic_pages.page import LABELS
from pagesort.common.errors import PageSortError
from pagesort.labelled.folder import LabelledPage
from pagesort.training.calibration import fit_temperature


def test_pages_of_every_folder_are_read_and_broken_ones_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder, label, shade in (("a", "TEXT_P", 200), ("a", "DRAW", 90), ("b", "DRAW", 30)):
        (tmp_path / folder / label).mkdir(parents=True)
        Image.new("L", (50, 80), shade).save(tmp_path / folder / label / "page-1.png")
    (tmp_path / "a" / "DRAW" / "page-2.png").write_text("no image")
    (tmp_path / "b" / "NOTHING_KNOWN").mkdir()
    Image.new("L", (50, 80)).save(tmp_path / "b" / "NOTHING_KNOWN" / "page-3.png")
    with caplog.at_level(logging.WARNING):
        real = read_real_pages([tmp_path / "a", tmp_path / "b"], LABELS)
    assert [LABELS[label] for label in real.shard.labels] == ["DRAW", "TEXT_P", "DRAW"]
    assert [int(page.mean()) for page in real.shard.pages] == [90, 200, 30]
    assert real.sources.tolist() == [0, 0, 1]
    assert not real.shard.has_regions
    assert "page-2.png" in caplog.text
    assert len(real.chosen(np.array([2]))) == 1


def test_a_folder_without_pages_of_these_labels_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "OTHER").mkdir()
    Image.new("L", (50, 80)).save(tmp_path / "OTHER" / "page-1.png")
    with pytest.raises(PageSortError, match="no labelled pages"):
        read_real_pages([tmp_path], LABELS)


def real_pages(documents: int = 24) -> RealPages:
    """Two folders, two labels, two pages a document."""
    pages, labels, sources = [], [], []
    for number in range(documents):
        for page in (1, 2):
            name = f"doc{number}-{page}.png"
            pages.append(LabelledPage(Path(name), "AB"[number % 2], f"doc{number}", name))
            labels.append(number % 2)
            sources.append(int(number >= documents // 2))
    count = len(pages)
    empty = np.zeros((count, 1, 1, 3), dtype=np.uint8)
    shard = Shard(empty, empty, np.array(labels), has_regions=False)
    return RealPages(shard, np.array(sources), tuple(pages))


def test_a_document_never_lies_on_both_sides_of_a_fold() -> None:
    real = real_pages()
    folds = folds_of(real, 4, seed=1)
    assert sorted(np.unique(folds)) == [0, 1, 2, 3]
    assert (folds[0::2] == folds[1::2]).all()
    for source in (0, 1):
        for label in (0, 1):
            rows = (real.sources == source) & (real.shard.labels == label)
            assert len(np.unique(folds[rows])) >= 3  # each label is spread over the folds
    assert np.array_equal(folds, folds_of(real, 4, seed=1))


def test_scores_are_calibrated_on_the_other_folds() -> None:
    real = real_pages()
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(len(real), 2)) * 3
    folds = folds_of(real, 4, seed=1)
    scored = OutOfFold(real, ("A", "B"), folds, logits)
    others = folds != 2
    temperature = fit_temperature(logits[others], real.shard.labels[others])
    expected = 1 / (1 + np.exp(-(logits[:, 0] - logits[:, 1]) / temperature))
    assert np.allclose(scored.probabilities()[~others, 0], expected[~others])
    assert np.allclose(scored.probabilities().sum(axis=1), 1.0)


def test_other_texts_are_measured_by_folder_and_group() -> None:
    real = real_pages()
    real = replace(real, shard=replace(real.shard, labels=real.shard.labels * 5))  # DRAW, PHOTO
    own = np.zeros((len(real), len(LABELS)))
    single = np.eye(len(LABELS))[real.shard.labels]
    single[0] = np.roll(single[0], 1)  # one wrong page in the first folder
    together = np.tile([0.0, 0.0, 0.0, 1.0, 0.0], (len(real), 1))  # always the group of both
    scored = OutOfFold(
        real, LABELS, folds_of(real, 4, 1), own, {"single 1": single, "grouping 1": together}
    )
    measured = text_figures(scored, ("first", "second"))
    assert measured["first"]["single 1"] == round(23 / 24, 4)
    assert measured["second"]["single 1"] == 1.0
    group = HELD_OUT_GROUPINGS[0].members.index(frozenset({"DRAW", "PHOTO"}))
    right = 1.0 if group == 3 else 0.0
    assert measured["first"]["grouping 1"] == {"top_1": right, "largest_group": 1.0, "groups": 5}


def test_figures_and_plots_of_every_folder(tmp_path: Path) -> None:
    real = real_pages()
    logits = np.eye(2)[real.shard.labels] * 5.0
    logits[0] = logits[0][::-1]  # one wrong page in the first folder
    scored = OutOfFold(real, ("A", "B"), folds_of(real, 4, seed=1), logits)
    reports = write_out_of_fold(scored, ("first", "second"), tmp_path, "model", seed=1)
    assert reports == by_source(scored, ("first", "second"), seed=1)
    first, second = (figures(reports[name]) for name in ("first", "second"))
    assert first["top_1"] == round(23 / 24, 4)
    assert first["recall"]["A"] == round(11 / 12, 4)
    assert second["top_1"] == 1.0
    assert second["documents"] == 12
    assert {path.name for path in tmp_path.iterdir()} >= {"first.csv", "second.csv", "plots"}
    assert len(list((tmp_path / "plots").glob("*_reliability.png"))) == 2
