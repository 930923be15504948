"""Covers stay with the pages after them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pagesort.common.errors import PageSortError
from pagesort.common.paths import MODELS
from pagesort.grouping.boundary_model import FILE, read_model, write_model
from pagesort.grouping.cover_features import NAMES, cover_features
from pagesort.grouping.drawn_covers import HEIGHT, draw_cover
from pagesort.grouping.methods import Method
from pagesort.grouping.page_features import describe
from pagesort.grouping.pile import Pile
from pagesort.grouping.segmentation import with_covers
from pagesort.grouping.training import LabelledPile, put_covers, train_boundaries
from tests.helpers.command import Run, command, read_table, workplace

__all__ = ["command", "workplace"]  # fixtures

SIZES = ((3, 4, 2, 5, 3), (2, 6, 3, 3, 4))
SIDE = (300, 420)
BUNDLED = MODELS / "pagesort-groups"


def draw(colour: tuple[int, ...], kind: str, rng: np.random.Generator) -> Image.Image:
    """A cover of coloured card with a label, or a page of lines, of which the last is short."""
    page = Image.new("RGB", SIDE, colour)
    pen = ImageDraw.Draw(page)
    if kind == "cover":
        pen.rectangle((70, 90, 230, 170), fill=(235, 230, 215))
        pen.line((90, 120, 210, 120), fill=(40, 40, 40), width=4)
    else:
        for row in range(35, 250 if kind == "last" else 385, 12):
            pen.line((35, row, 220 + int(rng.integers(45)), row), fill=(40, 40, 50), width=3)
    return page


def covered(name: str, sizes: tuple[int, ...], seed: int) -> LabelledPile:
    """A pile in which every item has a cover unlike its pages, and covers are alike."""
    rng = np.random.default_rng(seed)
    common, cover = rng.normal(size=(2, 256))
    pages, vectors, items = [], [], []
    for item, size in enumerate(sizes):
        own, tint = (
            rng.normal(size=256),
            tuple(np.array([238, 228, 205]) + rng.integers(-12, 12, 3)),
        )
        for place in range(size + 1):
            kind = "cover" if place == 0 else "last" if place == size else "inner"
            colour = (96 + 8 * (item % 3), 70, 60) if place == 0 else tuple(map(int, tint))
            pages.append(describe(draw(colour, kind, rng)))
            vectors.append(
                common + (1.2 * cover if place == 0 else 0.6 * own) + 0.3 * rng.normal(size=256)
            )
            items.append(item)
    rows = np.array(vectors, np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    scores = np.full((len(items), 11), 1 / 11, np.float32)
    sides = np.full((len(items), 2), SIDE, np.float32)
    return LabelledPile(name, Pile(rows, np.stack(pages), sides, scores), np.array(items))


@pytest.fixture(scope="module")
def pile() -> LabelledPile:
    """Six items with covers."""
    return covered("six", (4, 2, 3, 6, 2, 5), 9)


def groups_of(pile: Pile, method: Method) -> list[int]:
    """The group of each page, from 0."""
    groups, _ = method.group(pile)
    return [int(group) - 1 for group in groups]


def test_the_bundled_model_keeps_covers_with_the_pages_after_them(pile: LabelledPile) -> None:
    model = read_model(BUNDLED)
    assert groups_of(pile.pile, Method(model)) == pile.items.tolist()
    assert groups_of(pile.pile, Method(model, items=6)) == pile.items.tolist()
    blind = groups_of(pile.pile, Method(replace(model, covers=None)))
    assert len(set(blind)) > 10, "what it knows of covers is what keeps them"


def test_covers_stay_with_their_items_through_the_command_line(
    command: Run, tmp_path: Path
) -> None:
    rng, folder = np.random.default_rng(3), tmp_path / "pile"
    folder.mkdir()
    number, expected = 0, []
    for item, (colour, size) in enumerate(
        (((96, 70, 60), 4), ((40, 60, 90), 3), ((120, 40, 36), 5)), start=1
    ):
        for place in range(size):
            number += 1
            kind = "cover" if place == 0 else "last" if place == size - 1 else "inner"
            paper = (240 - 12 * item, 232 - 6 * item, 214 - 14 * item)
            draw(colour if place == 0 else paper, kind, rng).save(folder / f"{number}.png")
            expected.append(str(item))
    status, output, _ = command("--group", "-d", folder)
    assert status == 0
    assert [row["GROUP"] for row in read_table(output.splitlines()[0])] == expected


def test_only_an_item_of_one_page_is_joined_to_the_next() -> None:
    log_odds = np.array([0.0, 5.0, 5.0, -5.0, 5.0, -5.0, 5.0])
    covers = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    found = with_covers(log_odds, covers)
    assert (found > 0).tolist() == [False, True, False, False, True, False, True]
    assert with_covers(log_odds, np.eye(7)[0])[1] < 0, "an item always begins at the first page"
    assert log_odds[2] == 5.0


def test_covers_are_put_before_items_as_their_first_pages(pile: LabelledPile) -> None:
    rng = np.random.default_rng(1)
    found, is_cover = put_covers(pile, pile.pile, np.array([0]), 1.0, rng)
    assert is_cover.sum() == 6
    assert (found.starts == is_cover).all()
    assert (found.items[~is_cover] == pile.items).all()
    assert (found.pile.vectors[is_cover] == pile.pile.vectors[0]).all()


def test_the_same_seed_draws_the_same_cover() -> None:
    one, same, other = (draw_cover(np.random.default_rng([1, seed])) for seed in (0, 0, 1))
    assert one.tobytes() == same.tobytes() != other.tobytes()
    assert (one.mode, max(one.size)) == ("RGB", HEIGHT)


def test_a_pile_of_one_page_has_features_of_covers(pile: LabelledPile) -> None:
    one = Pile(*(getattr(pile.pile, name)[:1] for name in ("vectors", "looks", "sizes", "scores")))
    found = cover_features(one)
    assert found.shape == (1, len(NAMES))
    assert np.isfinite(found).all()


def test_a_training_learns_covers_and_keeps_them(pile: LabelledPile, tmp_path: Path) -> None:
    plain = [covered(str(place), sizes, place) for place, sizes in enumerate(SIZES)]
    is_cover = pile.starts
    covers = Pile(
        *(getattr(pile.pile, name)[is_cover] for name in ("vectors", "looks", "sizes", "scores"))
    )
    model = train_boundaries(plain, covers)
    write_model(tmp_path, model, {})
    assert groups_of(pile.pile, Method(read_model(tmp_path))) == pile.items.tolist()
    content = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    (tmp_path / FILE).write_text(json.dumps({**content, "covers": []}), encoding="utf-8")
    with pytest.raises(PageSortError, match="'covers' is damaged"):
        read_model(tmp_path)
    older = {**content, "covers": {**content["covers"], "features": "covers0"}}
    (tmp_path / FILE).write_text(json.dumps(older), encoding="utf-8")
    assert read_model(tmp_path).covers is None
    assert not read_model(tmp_path).cover_chances(pile.pile).any()
