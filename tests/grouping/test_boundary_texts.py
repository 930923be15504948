"""Boundary models with and without texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pagesort.common.errors import PageSortError
from pagesort.grouping.boundary_model import FILE, BoundaryModel, read_model, write_model
from pagesort.grouping.methods import Method
from pagesort.grouping.metrics import agreement
from pagesort.grouping.page_features import LENGTH
from pagesort.grouping.pile import Pile
from pagesort.grouping.text_features import describe_text
from pagesort.grouping.training import LabelledPile, train_boundaries

WORDS = ("river", "stone", "paper", "minister", "harvest", "winter", "engine", "garden", "letter")
SIZES = ((3, 4, 2, 5, 3), (2, 6, 3, 3, 4), (5, 2, 4, 3, 3))


def said(name: str, sizes: tuple[int, ...], seed: int) -> LabelledPile:
    """A pile that looks the same all through, and whose pages have numbers and running heads."""
    rng = np.random.default_rng(seed)
    items = np.repeat(np.arange(len(sizes)), sizes)
    numbers = np.concatenate([np.arange(size) for size in sizes]) + 1
    texts = [
        [" ".join(rng.permutation(WORDS[item % 6 :])[:4]) for _ in range(9)]
        for item in items.tolist()
    ]
    rows = [
        describe_text([f"HEAD OF {WORDS[item]}", *text, str(number)])
        for item, number, text in zip(items.tolist(), numbers.tolist(), texts, strict=True)
    ]
    vectors = rng.normal(size=(len(items), 8)).astype(np.float32)
    looks = rng.random((len(items), LENGTH), np.float32)
    scores = np.full((len(items), 2), 0.5, np.float32)
    sizes_of_pages = np.full((len(items), 2), 100, np.float32)
    return LabelledPile(name, Pile(vectors, looks, sizes_of_pages, scores, np.stack(rows)), items)


@pytest.fixture(scope="module")
def piles() -> list[LabelledPile]:
    """Three piles with texts; the last one is to be left out of a training."""
    return [said(str(place), sizes, place) for place, sizes in enumerate(SIZES)]


@pytest.fixture(scope="module")
def model(piles: list[LabelledPile]) -> BoundaryModel:
    """A model of the first two."""
    return train_boundaries(piles[:2])


def test_texts_tell_what_looks_do_not(model: BoundaryModel, piles: list[LabelledPile]) -> None:
    assert model.texts is not None
    left = piles[2]
    told, blind = (
        agreement(left.items.tolist(), Method(each).group(left.pile)[0].tolist())
        for each in (model, replace(model, texts=None))
    )
    assert told.f1 > 0.7
    assert blind.f1 < told.f1 - 0.2


def test_without_texts_the_answer_is_that_of_a_model_that_never_had_some(
    model: BoundaryModel, piles: list[LabelledPile]
) -> None:
    without = [replace(each, pile=replace(each.pile, texts=None)) for each in piles]
    other = train_boundaries(without[:2])
    pile = piles[2].pile
    assert pile.texts is not None
    assert other.texts is None
    expected = other.log_odds(pile)
    assert (model.log_odds(without[2].pile) == expected).all()
    assert (model.log_odds(replace(pile, texts=np.zeros_like(pile.texts))) == expected).all()
    some = pile.texts.copy()
    some[4] = 0.0  # the gaps before and after it are told by looks alone
    found = model.log_odds(replace(pile, texts=some))
    assert np.flatnonzero(found == expected).tolist() == [0, 4, 5]


def test_a_few_texts_teach_nothing(piles: list[LabelledPile]) -> None:
    texts = piles[0].pile.texts
    assert texts is not None
    few = texts * (np.arange(len(texts)) < 4)[:, None]
    pile = replace(piles[0], pile=replace(piles[0].pile, texts=few))
    blind = replace(piles[1], pile=replace(piles[1].pile, texts=None))
    assert train_boundaries([pile, blind]).texts is None


def test_what_weighs_texts_is_kept(
    model: BoundaryModel, piles: list[LabelledPile], tmp_path: Path
) -> None:
    write_model(tmp_path, model, {})
    kept = read_model(tmp_path)
    pile = piles[2].pile
    assert kept.texts is not None
    assert np.allclose(kept.log_odds(pile), model.log_odds(pile), atol=0.3)
    content = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    for texts, message in (
        ([], "damaged"),
        ({**content["texts"], "weights": [1.0]}, "does not hold"),
        ({**content["texts"], "scale": [0.0] * len(content["texts"]["scale"])}, "not above 0"),
    ):
        (tmp_path / FILE).write_text(json.dumps({**content, "texts": texts}), encoding="utf-8")
        with pytest.raises(PageSortError, match=message):
            read_model(tmp_path)
    other = {**content, "texts": {**content["texts"], "features": "texts0"}}
    (tmp_path / FILE).write_text(json.dumps(other), encoding="utf-8")
    assert read_model(tmp_path).texts is None
