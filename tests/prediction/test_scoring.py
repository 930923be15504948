"""The one path from pages to scores."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.pages.loader import Failure, PageLoader, PageRef
from pagesort.prediction.scoring import NO_SCORE, FailureLog, score_page, score_pages
from tests.helpers.brightness import SQUASH, ByBrightness


@pytest.fixture
def refs(tmp_path: Path) -> list[PageRef]:
    """Seven pages from dark to light, the third of which is damaged."""
    paths = [tmp_path / f"page-{number}.png" for number in range(7)]
    for number, path in enumerate(paths):
        Image.new("L", (40, 60), 36 * number).save(path)
    paths[2].write_bytes(b"no page")
    return [PageRef(number, path) for number, path in enumerate(paths)]


def test_every_page_of_a_listing_gets_what_it_gets_alone(refs: list[PageRef]) -> None:
    model = ByBrightness()
    with PageLoader(SQUASH) as loader:
        results = list(score_pages(model, loader, refs, 3))
    assert [result.ref for result in results] == refs
    for result in results:
        if isinstance(result, Failure):
            assert result.ref is refs[2] and "not an image" in result.reason
        else:
            assert np.array_equal(result.scores, score_page(model, result.ref.path, 1.0).scores)


def test_a_single_page_tells_why_it_cannot_be_used(refs: list[PageRef]) -> None:
    with pytest.raises(PageUnreadableError, match="--max_megapixels"):
        score_page(ByBrightness(), refs[0].path, 0.001)


def test_pages_that_get_no_number_fail_alone(
    refs: list[PageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ByBrightness()

    def damaged(pixels: np.ndarray) -> np.ndarray:
        scores = ByBrightness().probabilities(pixels)
        scores[pixels.mean(axis=(1, 2, 3)) > 200, 1] = np.nan
        return scores

    monkeypatch.setattr(model, "probabilities", damaged)
    with PageLoader(SQUASH) as loader:
        results = list(score_pages(model, loader, refs, 4))
    failed = {result.ref.index: result.reason for result in results if isinstance(result, Failure)}
    assert failed.keys() == {2, 6} and failed[6] == NO_SCORE


@pytest.mark.parametrize("fault", [MemoryError(), RuntimeError("CUDA out of memory")])
def test_a_batch_too_large_for_the_memory_names_the_flag(
    refs: list[PageRef], fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ByBrightness()

    def exhausted(pixels: np.ndarray) -> np.ndarray:
        raise fault

    monkeypatch.setattr(model, "probabilities", exhausted)
    with PageLoader(SQUASH) as loader, pytest.raises(PageSortError, match="--batch_size"):
        list(score_pages(model, loader, refs, 4))


def test_the_first_failures_are_named_and_the_others_in_a_table(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = FailureLog()
    for number in range(30):
        log.add([Failure(PageRef(number, Path(f"page-{number}.pdf"), 7), "it is torn")])
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 21
    assert warnings[0] == "cannot read page-0.pdf, page 7: it is torn"
    assert "only listed in a table" in warnings[20]
