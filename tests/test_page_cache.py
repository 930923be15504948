"""Drawn and real pages on disk: the same for the same seed, whoever draws them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pagesort import page_cache
from pagesort.errors import PageSortError
from pagesort.page_cache import PageCache, draw_shard, read_real_pages
from pagesort.synth import LABELS


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "PAGES_PER_SHARD", len(LABELS))
    monkeypatch.setattr(page_cache, "_DRAWN_HEIGHT", 160)


@pytest.mark.usefixtures("small_shards")
def test_a_shard_depends_on_seed_and_number_alone(tmp_path: Path) -> None:
    caches = [PageCache(tmp_path / name, 7, 2 * len(LABELS)) for name in ("one", "two")]
    for cache in caches:
        cache.folder.mkdir(parents=True)
    for number in (0, 1):
        draw_shard(caches[0].folder, 7, number)
    draw_shard(caches[1].folder, 7, 1)
    assert caches[0].missing() == []
    assert caches[1].missing() == [0]
    mine, theirs = caches[0].shard(1), caches[1].shard(1)
    assert np.array_equal(mine.pages, theirs.pages)
    assert np.array_equal(mine.regions, theirs.regions)
    assert not np.array_equal(mine.pages, caches[0].shard(0).pages)
    assert sorted(mine.labels) == list(range(len(LABELS)))
    assert mine.pages.shape == (len(LABELS), *page_cache.STORED_SIZE, 3)
    assert mine.regions.shape == (len(LABELS), 6, *page_cache.REGION_SIZE)
    assert mine.regions.max() > 0


def test_real_pages_are_read_and_broken_ones_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for label, shade in (("TEXT_P", 200), ("DRAW", 90)):
        (tmp_path / label).mkdir()
        Image.new("L", (50, 80), shade).save(tmp_path / label / "page-1.png")
    (tmp_path / "DRAW" / "page-2.png").write_text("no image")
    with caplog.at_level(logging.WARNING):
        shard = read_real_pages(tmp_path, LABELS)
    assert [LABELS[label] for label in shard.labels] == ["DRAW", "TEXT_P"]
    assert (shard.pages[0] == 90).all()
    assert not shard.has_regions
    assert "page-2.png" in caplog.text


def test_a_folder_without_labels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PageSortError, match="no labelled pages"):
        read_real_pages(tmp_path, LABELS)
