"""Changed views: half of the time, in colour and sharpness only."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pagesort.training import augmentation
from pagesort.training.augmentation import augmented_view, shrunk
from tests.helpers.pages import colour_page, grey_page

SIZE = (60, 45)


def two_fold(grey: bool = False) -> Image.Image:
    size = (2 * SIZE[1], 2 * SIZE[0])
    return Image.fromarray(grey_page(1, size) if grey else colour_page(1, size))


def views(page: Image.Image, count: int) -> list[np.ndarray]:
    return [
        np.asarray(augmented_view(page, SIZE, np.random.default_rng(seed))) for seed in range(count)
    ]


def test_half_of_the_views_are_the_plain_page() -> None:
    page = two_fold()
    plain = np.asarray(shrunk(page, SIZE))
    assert plain.shape == (*SIZE, 3)
    unchanged = sum(np.array_equal(view, plain) for view in views(page, 200))
    assert 80 <= unchanged <= 120


def test_a_view_is_decided_by_its_random_numbers() -> None:
    for page in (two_fold(), two_fold(grey=True)):
        before = page.tobytes()
        assert all(map(np.array_equal, views(page, 8), views(page, 8)))
        assert page.tobytes() == before


def test_changed_views_keep_their_place() -> None:
    """No view is likelier the page flipped or turned than the page as it stands."""
    page = Image.fromarray(
        np.kron(np.arange(12).reshape(4, 3) * 20, np.ones((30, 30))).astype("u1")
    )
    plain = np.asarray(shrunk(page, SIZE)).astype(float)
    for view in views(page, 60):
        upright = np.corrcoef(view.ravel(), plain.ravel())[0, 1]
        for turned in (plain[::-1], plain[:, ::-1], plain[::-1, ::-1]):
            assert upright > np.corrcoef(view.ravel(), turned.ravel())[0, 1]
        assert upright > 0.9


def test_grey_pages_stay_grey_and_colours_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "SHARE", 1.0)
    assert {view.ndim for view in views(two_fold(grey=True), 10)} == {2}
    means = np.array([view.mean(axis=(0, 1)) for view in views(two_fold(), 60)])
    spread = means.max(axis=0) - means.min(axis=0)
    assert (spread > 60).all()
    # Hues go round: each channel is the strongest of some view.
    assert set(means.argmax(axis=1)) == {0, 1, 2}


def test_brightness_contrast_and_sharpness_keep_to_their_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(augmentation, "SHARE", 1.0)
    flat = Image.new("L", (90, 120), 100)
    levels = [int(np.median(view)) for view in views(flat, 300)]
    assert 49 <= min(levels) <= 60
    assert 140 <= max(levels) <= 151


@pytest.mark.parametrize(
    ("sharpness", "blur", "least", "most"),
    [(1.0, 0.0, 120, 124), (0.5, 0.0, 109, 115), (1.5, 0.0, 129, 135), (1.0, 2.0, 45, 60)],
)
def test_sharpness_and_blur_change_an_edge(
    sharpness: float, blur: float, least: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps between neighbouring pixels of an edge from 60 to 200 that lies on a view's pixel."""
    monkeypatch.setattr(augmentation, "SHARE", 1.0)
    monkeypatch.setattr(augmentation, "COLOUR", 0.0)
    monkeypatch.setattr(augmentation, "LEAST_SHARPNESS", sharpness)
    monkeypatch.setattr(augmentation, "MOST_SHARPNESS", sharpness)
    monkeypatch.setattr(augmentation, "MOST_BLUR", blur)
    row = np.where(np.arange(90) < 44, 60, 200).astype(np.uint8)
    edge = Image.fromarray(np.repeat(row[None], 120, axis=0))
    steps = [np.abs(np.diff(view[30].astype(int))).max() for view in views(edge, 40)]
    assert least <= (min(steps) if blur else np.median(steps)) <= most


def test_hue_turns_the_whole_circle() -> None:
    red = Image.new("RGB", (4, 4), (200, 0, 0))
    assert augmentation._turned_hue(red, 0.0).getpixel((0, 0)) == (200, 0, 0)
    green, blue = (augmentation._turned_hue(red, turn).getpixel((0, 0)) for turn in (1 / 3, -1 / 3))
    assert (green[1], blue[2]) == (200, 200)
    assert max(green[0], green[2], blue[0], blue[1]) < 10
    paper = Image.new("RGB", (4, 4), (180, 180, 180))
    assert augmentation._turned_hue(paper, 0.4).getpixel((0, 0)) == (180, 180, 180)
