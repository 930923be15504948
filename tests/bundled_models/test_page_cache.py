"""Drawn pages on disk: the same for the same seed, whoever draws them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bundled_models.page_classifier import page_cache
from bundled_models.page_classifier.page_cache import PageCache, draw_shard
from bundled_models.synthetic_pages.page import LABELS


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
        draw_shard(caches[0].folder, 7, number, len(LABELS))
    draw_shard(caches[1].folder, 7, 1, len(LABELS))
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


def test_few_pages_are_a_small_shard_of_every_label_in_a_folder_of_its_own(tmp_path: Path) -> None:
    few, many = (PageCache(tmp_path, 7, count) for count in (3, 500))
    assert (few.shard_size, few.shard_count) == (len(LABELS), 1)
    assert (many.shard_size, many.shard_count) == (page_cache.PAGES_PER_SHARD, 3)
    assert few.folder != many.folder
