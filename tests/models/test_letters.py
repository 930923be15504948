"""What the letters of a page look like: where lines are cut out, and what is summed up of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from pagesort.models.fast.letters import (
    SIZE,
    WINDOW_WIDTH,
    WINDOWS,
    Letters,
    choose,
    cut,
    find_crossings,
    find_windows,
    grid_of,
    run_down,
)
from pagesort.models.line_networks import LETTER_HEIGHT
from pagesort.reading.line_finder import LineFinder
from tests.helpers.paths import ROOT


def known_map(*lines: tuple[int, int]) -> np.ndarray:
    """A page on which lines run from edge to edge between these rows."""
    likely = np.zeros((400, 300), dtype=np.float32)
    for top, bottom in lines:
        likely[top:bottom] = 0.9
    return likely


def windows_of(likely: np.ndarray) -> np.ndarray:
    """Those that are chosen on one page, (n, 3)."""
    crossings = find_crossings(torch.from_numpy(likely)[None])
    return choose(crossings)[0, : int(crossings.count)].numpy()


def test_lines_are_found_in_every_column_from_top_to_bottom() -> None:
    found = find_crossings(torch.from_numpy(known_map((10, 20), (100, 106), (300, 301)))[None])
    assert int(found.count) == 18, "nine columns cross two lines, and what is too thin is none"
    taken = windows_of(known_map((10, 20), (300, 301)))
    assert np.all(taken[:, 0] == 15) and np.all(taken[:, 2] == 10)
    assert np.array_equal(taken[:, 1], found.columns.numpy())
    assert len(set(taken[:, 1])) == 9
    to_the_edges = windows_of(known_map((0, 8), (391, 400)))
    assert set(to_the_edges[:, 0]) == {4.0, 395.5}
    assert len(windows_of(known_map())) == 0


def test_of_many_lines_some_are_taken_from_the_whole_page() -> None:
    taken = windows_of(known_map(*((top, top + 5) for top in range(0, 390, 10))))
    assert len(taken) == WINDOWS
    assert (taken[0, 0], taken[-1, 0]) == (2.5, 382.5)
    assert np.all(np.diff(taken[:, 0]) > 0)


@pytest.mark.parametrize("column", [150, 4, 296])
def test_a_window_shows_what_pillow_cuts_out_there(column: int) -> None:
    page = Image.new("RGB", (600, 800), "white")
    pen = ImageDraw.Draw(page)
    for x in range(0, 600, 20):
        pen.rectangle((x, 380 + x % 37, x + 9, 430), fill=(x % 255, 60, 90))
    pixels = torch.from_numpy(np.asarray(page).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    place = torch.tensor([[[198.0, column, 12.0]]])
    (found,) = cut(pixels.mean(1, keepdim=True), grid_of(place, (400, 300)))
    height = 12.0 * 2.2 * 2  # pixels of the page
    width = height * WINDOW_WIDTH / LETTER_HEIGHT
    left = min(max(0.0, 2 * column - width / 2), 600 - width)
    box = (left, 396 - height / 2, left + width, 396 + height / 2)
    grey = Image.fromarray(np.asarray(page).mean(2).astype(np.float32))
    # Neither is smoothed, as the window is about as large as what it shows.
    expected = grey.transform(
        (WINDOW_WIDTH, LETTER_HEIGHT), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR
    )
    difference = (found[0] + 1) * 127.5 - torch.from_numpy(np.array(expected))
    assert difference.abs().mean() < 1.0
    assert np.std(np.asarray(expected)) > 10


@pytest.mark.parametrize("quarters", [1, 3])
def test_a_page_that_lies_on_its_side_shows_the_same_letters(quarters: int) -> None:
    torch.manual_seed(1)
    letters = Letters().eval()
    likely = known_map((100, 110), (200, 212))
    likely[:, :140] = likely[:, 160:] = 0.0  # the middle one of the columns
    paler = torch.linspace(-1, 1, 600).expand(1, 3, 800, 600)
    page = 0.3 * (torch.rand(1, 3, 800, 600) * 2 - 1) + paler
    turned = torch.rot90(page, quarters, (2, 3))
    with torch.inference_mode():
        upright = letters(page, torch.from_numpy(likely)[None])
        found = letters(turned, torch.from_numpy(np.rot90(likely, quarters).copy())[None])
        head_down = torch.from_numpy(likely[::-1, ::-1].copy())[None]
        on_its_head = letters(torch.rot90(page, 2, (2, 3)), head_down)
    # Which end of a line is its beginning is not known.
    expected = upright if quarters == 1 else on_its_head
    assert (upright - on_its_head).abs().max() > 5e-4
    assert torch.allclose(found, expected, atol=1e-6)


def test_each_page_of_a_batch_has_its_own_direction() -> None:
    likely = torch.from_numpy(known_map((100, 110)))[:300]
    both = torch.stack([likely, likely.T])
    assert run_down(both).tolist() == [False, True]
    assert run_down(torch.zeros_like(both)).tolist() == [False, False]
    windows = find_windows(both)
    assert torch.equal(windows.count[0], windows.count[1])
    # Along a window of 2.2 * 10 * 192 / 48 pixels of 300 the column changes, or the row.
    changes = (windows.grid[:, 0, 0, -1] - windows.grid[:, 0, 0, 0]).tolist()
    assert changes[0] == [pytest.approx(0.5836, abs=0.001), 0.0]
    assert changes[1] == [0.0, pytest.approx(-0.5836, abs=0.001)]


def test_it_is_seen_which_way_the_lines_of_whole_pages_run() -> None:
    finder = LineFinder.open().network.eval()
    samples = [
        each
        for kind in ("LINE", "TEXT")
        for each in sorted((ROOT / "category_samples").glob(f"{kind}*/*.png"))
    ]
    right = []
    for sample in samples:
        page = Image.open(sample).convert("L")
        for quarters in range(4):
            # As the tower sees it: squashed, however it lies.
            seen = page.rotate(90 * quarters, expand=True).resize((544, 768))
            turned = torch.from_numpy(np.array(seen))[None, None]
            with torch.inference_mode():
                likely = finder(turned)[:, 0].float().sigmoid()
            right.append(run_down(likely).item() == bool(quarters % 2))
    assert len(right) == 4 * 21
    assert np.mean(right) > 0.95


def test_a_page_is_summed_up_alone_and_one_without_lines_has_no_numbers() -> None:
    torch.manual_seed(1)
    letters = Letters().eval()
    pages = torch.rand(3, 3, 800, 600) * 2 - 1
    maps = [known_map((100, 110), (200, 212)), known_map(), known_map((50, 60))]
    maps[2][:, 140:] = 0.0  # four of the columns
    likely = torch.from_numpy(np.stack(maps))
    with torch.inference_mode():
        together = letters(pages, likely)
        alone = torch.cat([letters(pages[n : n + 1], likely[n : n + 1]) for n in range(3)])
    assert together.shape == (3, SIZE)
    assert torch.equal(together.isnan(), alone.isnan())
    assert torch.allclose(together.nan_to_num(), alone.nan_to_num(), atol=1e-5)
    assert together[1, :-4].isnan().all() and not together[1, -4:].isnan().any()
    assert not together[[0, 2]].isnan().any()
    count = np.expm1(together[:, -4].numpy())
    assert np.allclose(count, [18, 0, 4], atol=1e-3)
    height, share, spread = np.expm1(together[0, -3:].numpy())
    assert height == pytest.approx(11.0, abs=1e-3)
    assert share == pytest.approx(22 / 400, abs=1e-3)
    assert spread == pytest.approx(np.std(np.log([10, 12])), abs=1e-3)
    assert not torch.allclose(together[0], together[2], atol=1e-3)


def test_a_page_without_lines_does_not_spoil_what_others_teach() -> None:
    torch.manual_seed(1)
    letters = Letters()
    likely = torch.from_numpy(np.stack([known_map((100, 110)), known_map()]))
    summaries = letters(torch.rand(2, 3, 800, 600) * 2 - 1, likely)
    assert summaries[1].isnan().any()
    summaries.nan_to_num(0.0).clamp(-5, 5).sum().backward()
    gradients = [each.grad for each in letters.parameters()]
    assert all(each is not None and each.isfinite().all() for each in gradients)
    assert any(each is not None and each.abs().max() > 0 for each in gradients)


def test_what_a_page_shows_between_its_lines_does_not_count() -> None:
    torch.manual_seed(1)
    letters = Letters().eval()
    page = torch.rand(1, 3, 800, 600) * 2 - 1
    other = page.clone()
    other[:, :, 300:] = 0.0
    likely = torch.from_numpy(known_map((50, 60)))[None]
    with torch.inference_mode():
        assert torch.equal(letters(page, likely), letters(other, likely))
        other[:, :, 100:120] = 0.0
        assert not torch.equal(letters(page, likely), letters(other, likely))
