"""Embeddings that are kept, with the tiny model on real files."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from classifier import CLIP
from pagesort.common.errors import PageSortError
from pagesort.embeddings.embed import Describer, embed_pages
from pagesort.embeddings.page import EmbeddedPage
from pagesort.embeddings.store import EmbeddingStore
from pagesort.pages.loader import Failure, PageRef
from tests.helpers.distinct_pages import write_distinct_page


@pytest.fixture
def seen(clip: CLIP, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many pages the model is shown, call by call."""
    counts: list[int] = []
    original = CLIP.embed_images

    def counted(self: CLIP, pixels: np.ndarray) -> Any:
        counts.append(int(pixels.any(axis=(1, 2, 3)).sum()))
        return original(self, pixels)

    monkeypatch.setattr(CLIP, "embed_images", counted)
    yield counts


def write_pages(folder: Path, count: int = 7) -> list[PageRef]:
    paths = [write_distinct_page(folder / f"page {n} ř.png", seed=n) for n in range(count)]
    return [PageRef(n, path) for n, path in enumerate(paths)]


def embed(
    clip: CLIP, refs: list[PageRef], folder: Path, **options: Any
) -> list[EmbeddedPage | Failure]:
    with EmbeddingStore.open(folder, clip) as store:
        return list(embed_pages(clip, iter(refs), store, batch_size=3, **options))


def vectors(results: list[EmbeddedPage | Failure]) -> np.ndarray:
    assert all(isinstance(result, EmbeddedPage) for result in results), results
    return np.stack([result.vector for result in results if isinstance(result, EmbeddedPage)])


def test_a_second_run_sees_nothing_and_tells_the_same(
    clip: CLIP, tmp_path: Path, seen: list[int]
) -> None:
    refs = write_pages(tmp_path / "pages")
    first = embed(clip, refs, tmp_path / "kept")
    assert sum(seen) == 7 and [result.ref for result in first] == refs
    expected = clip.embed_images(np.stack([_pixels(clip, ref.path) for ref in refs])).numpy()
    assert np.allclose(vectors(first), expected, atol=1e-3)
    assert np.allclose(np.linalg.norm(vectors(first), axis=1), 1, atol=1e-6)
    seen.clear()
    second = embed(clip, refs, tmp_path / "kept")
    assert not seen
    assert np.array_equal(vectors(second), vectors(first))
    assert [page.size for page in second] == [Image.open(ref.path).size for ref in refs]  # type: ignore[union-attr]


def _pixels(clip: CLIP, path: Path) -> np.ndarray:
    from pagesort.pages.loader import load_page

    return clip.preprocessing.apply(load_page(path))


def test_only_new_and_changed_pages_are_seen_wherever_they_lie(
    clip: CLIP, tmp_path: Path, seen: list[int]
) -> None:
    refs = write_pages(tmp_path / "pages")
    before = vectors(embed(clip, refs, tmp_path / "kept"))
    seen.clear()
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "pages", moved)
    elsewhere = [PageRef(ref.index, moved / ref.path.name) for ref in refs]
    write_distinct_page(elsewhere[2].path, seed=99)
    elsewhere.insert(5, PageRef(9, write_distinct_page(moved / "another.png", seed=98)))
    after = vectors(embed(clip, elsewhere, tmp_path / "kept"))
    assert sum(seen) == 2
    kept = [0, 1, 3, 4]
    assert np.array_equal(after[kept], before[kept])
    assert np.array_equal(after[6:], before[5:]) and not np.array_equal(after[2], before[2])


def test_a_page_that_cannot_be_read_keeps_its_place(
    clip: CLIP, tmp_path: Path, seen: list[int]
) -> None:
    refs = write_pages(tmp_path / "pages")
    refs[3].path.write_bytes(b"no page")
    refs[5].path.unlink()
    for _ in range(2):
        results = embed(clip, refs, tmp_path / "kept")
        assert [result.ref for result in results] == refs
        failed = {each.ref.index: each.reason for each in results if isinstance(each, Failure)}
        assert failed.keys() == {3, 5} and "no longer there" in failed[5]
    assert sum(seen) == 5
    write_distinct_page(refs[3].path, seed=3)
    assert isinstance(embed(clip, refs, tmp_path / "kept")[3], EmbeddedPage)


def test_pages_of_documents_are_kept_apart(clip: CLIP, tmp_path: Path, seen: list[int]) -> None:
    sheets = [Image.fromarray(np.full((60, 40), 50 * n, np.uint8)) for n in range(1, 5)]
    sheets[0].save(tmp_path / "all.tif", save_all=True, append_images=sheets[1:])
    refs = [PageRef(n - 1, tmp_path / "all.tif", n) for n in range(1, 5)]
    first = vectors(embed(clip, refs, tmp_path / "kept"))
    assert len(np.unique(first, axis=0)) == 4
    seen.clear()
    assert np.array_equal(vectors(embed(clip, refs[::-1], tmp_path / "kept")), first[::-1])
    assert not seen


def test_what_a_stopped_run_has_seen_is_kept(clip: CLIP, tmp_path: Path, seen: list[int]) -> None:
    refs = write_pages(tmp_path / "pages", 12)
    with (
        EmbeddingStore.open(tmp_path / "kept", clip) as store,
        closing(embed_pages(clip, refs, store, batch_size=3)) as pages,
    ):
        for _ in range(4):
            next(pages)
    seen.clear()
    embed(clip, refs, tmp_path / "kept")
    assert sum(seen) == 6  # two batches were done


def test_features_are_kept_beside_and_seen_again_in_another_version(
    clip: CLIP, tmp_path: Path, seen: list[int]
) -> None:
    refs = write_pages(tmp_path / "pages", 4)

    def sizes(page: Image.Image) -> np.ndarray:
        return np.array([page.width, page.height, 7.5], np.float32)

    without = embed(clip, refs, tmp_path / "kept")
    assert all(isinstance(page, EmbeddedPage) and page.features is None for page in without)
    for describer, expected in (
        (Describer("one", sizes), 4),
        (Describer("one", sizes), 0),
        (Describer("two", lambda page: sizes(page)[:1]), 4),
        (Describer("one", sizes), 0),
    ):
        seen.clear()
        for page in embed(clip, refs, tmp_path / "kept", describer=describer):
            assert isinstance(page, EmbeddedPage) and page.features is not None
            assert page.features.tolist() == [32, 42, 7.5][: len(page.features)]
        assert sum(seen) == expected, describer


def damage_text(path: Path) -> None:
    path.write_text("no database at all, but long enough to be taken for one\n" * 20)


def damage_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x99" * (len(data) - 4096)
    path.write_bytes(data)


def damage_columns(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE vectors")
        connection.execute("CREATE TABLE vectors (id INTEGER PRIMARY KEY, other TEXT)")


def damage_row(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE vectors SET vector = x'00'")


def damage_model(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE store SET value = 'other' WHERE key = 'fingerprint'")


@pytest.mark.parametrize(
    "damage", [damage_text, damage_middle, damage_columns, damage_row, damage_model]
)
def test_a_damaged_file_is_told_and_made_anew(
    clip: CLIP, tmp_path: Path, seen: list[int], caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    refs = write_pages(tmp_path / "pages")
    first = vectors(embed(clip, refs, tmp_path / "kept"))
    (path,) = (tmp_path / "kept").iterdir()
    damage(path)
    seen.clear()
    assert np.array_equal(vectors(embed(clip, refs, tmp_path / "kept")), first)
    assert sum(seen) == 7 and len(caplog.records) == 1 and str(path) in caplog.text
    seen.clear()
    embed(clip, refs, tmp_path / "kept")
    assert not seen and len(caplog.records) == 1


def test_two_runs_at_once_share_a_file(clip: CLIP, tmp_path: Path, seen: list[int]) -> None:
    refs = write_pages(tmp_path / "pages")
    with EmbeddingStore.open(tmp_path / "kept", clip) as one:
        first = embed_pages(clip, refs[:4], one, batch_size=2)
        pages = [next(first)]
        second = embed(clip, refs[3:], tmp_path / "kept")
        pages += list(first)
    assert len(second) == 4
    seen.clear()
    assert np.array_equal(vectors(embed(clip, refs[:4], tmp_path / "kept")), vectors(pages))
    assert np.array_equal(vectors(embed(clip, refs[3:], tmp_path / "kept")), vectors(second))
    assert not seen


def test_a_folder_that_cannot_be_written_is_told(clip: CLIP, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    with pytest.raises(PageSortError, match="embeddings cannot be kept.*FOLDER_RESULTS"):
        EmbeddingStore.open(tmp_path / "kept", clip)


def test_scores_come_from_embeddings_that_are_kept(clip: CLIP, tmp_path: Path) -> None:
    refs = write_pages(tmp_path / "pages")
    embed(clip, refs, tmp_path / "kept")
    kept = clip.scores(vectors(embed(clip, refs, tmp_path / "kept")))
    pixels = np.stack([_pixels(clip, ref.path) for ref in refs])
    assert np.allclose(kept, clip.probabilities(pixels), atol=0.01)
