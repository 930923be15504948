"""Training views: of the right size, decided by the generator, never mirrored."""

from __future__ import annotations

import numpy as np
import pytest

from bundled_models.page_classifier.pretraining_augmentation import random_view, randomly_turned

SIZE = (160, 112)


def page_with_dark_corner() -> tuple[np.ndarray, np.ndarray]:
    """A white page whose top left quarter is black, and masks whose first says the same."""
    pixels = np.full((480, 336, 3), 255, dtype=np.uint8)
    pixels[:240, :168] = 0
    regions = np.zeros((6, 30, 21), dtype=np.uint8)
    regions[0, :15, :10] = 255
    return pixels, regions


def test_the_generator_decides_the_view() -> None:
    page, regions = page_with_dark_corner()
    first, again, other = (
        random_view(page, regions, SIZE, "TEXT_P", np.random.default_rng(seed))
        for seed in (5, 5, 6)
    )
    assert first.pixels.shape == (*SIZE, 3)
    assert first.regions.shape == (6, 10, 7)
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


@pytest.mark.parametrize("seed", range(40))
def test_the_page_keeps_its_direction_and_its_masks_follow(seed: int) -> None:
    page, regions = page_with_dark_corner()
    view = random_view(page, regions, SIZE, "DRAW", np.random.default_rng(seed))
    grey = view.pixels.astype(float).mean(axis=2)
    # Close to the middle, where no bed beneath a shrunk page can lie.
    top, bottom = grey[50:70], grey[100:115]
    left, right = slice(30, 45), slice(80, 90)
    assert top[:, left].mean() < min(
        top[:, right].mean(), bottom[:, left].mean(), bottom[:, right].mean()
    )
    told = view.regions[0].astype(float) / 255.0
    dark = grey.reshape(10, 16, 7, 16).mean(axis=(1, 3))
    assert dark[(told > 0)].mean() < dark[3:7, 4:6].mean()


def test_pages_are_turned_by_right_angles_and_never_mirrored() -> None:
    page = np.zeros((4, 6, 3), dtype=np.uint8)
    page[0, 0], page[0, 5] = 1, 2
    regions = np.stack([page[..., 0]] * 6)
    turns = {}
    for seed in range(30):
        turned, masks = randomly_turned(page, regions, np.random.default_rng(seed))
        corners = tuple(int(turned[y, x, 0]) for y, x in ((0, 0), (0, -1), (-1, -1), (-1, 0)))
        turns[corners] = turned.shape[:2]
        assert np.array_equal(masks[3], turned[..., 0])
    # Clockwise from the upper left, 2 always follows 1: mirroring would turn that round.
    assert turns == {(2, 0, 0, 1): (6, 4), (0, 0, 1, 2): (4, 6), (0, 1, 2, 0): (6, 4)}
