"""The periodic split of labelled pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier import split_data_80_10_10
from pagesort.errors import PageSortError


def _pages(counts: dict[int, int]) -> tuple[list[Path], list[int]]:
    files = [Path(f"{label}/p{n:04}.png") for label, count in counts.items() for n in range(count)]
    return files, [label for label, count in counts.items() for _ in range(count)]


def _split(files: list[Path], labels: object, seed: int = 420, cap: int | None = None) -> list:
    return list(split_data_80_10_10(files, labels, seed, cap, safe_check=False))


def test_the_parts_are_disjoint_complete_and_of_80_10_10_a_label() -> None:
    files, labels = _pages({0: 100, 1: 57, 2: 10})
    train, validation, test, *parts = _split(files, labels)
    assert sorted([*train, *validation, *test]) == sorted(files)
    assert [list(np.bincount(part)) for part in parts] == [[80, 47, 8], [10, 5, 1], [10, 5, 1]]
    for part, its_labels in zip((train, validation, test), parts, strict=True):
        assert [int(path.parent.name) for path in part] == list(its_labels)


def test_the_same_seed_gives_the_same_split_whatever_the_order_of_the_files() -> None:
    files, labels = _pages({0: 83, 1: 41})
    first = _split(files, labels)
    shuffled = np.random.default_rng(0).permutation(len(files))
    again = _split([files[i] for i in shuffled], [labels[i] for i in shuffled])
    other = _split(files, labels, seed=421)
    for part in range(6):
        assert list(first[part]) == list(again[part])
    assert list(first[2]) != list(other[2])


@pytest.mark.parametrize("count", [30, 100, 999])
@pytest.mark.parametrize("seed", [0, 1, 420])
def test_test_pages_keep_their_order_and_steps(count: int, seed: int) -> None:
    files, labels = _pages({0: count})
    test = _split(files, labels, seed)[2]
    places = np.array([files.index(path) for path in test])
    step = count / len(test)
    middles = (np.arange(len(test)) + 0.5) * step
    assert (np.diff(places) > 0).all()
    assert (np.abs(places + 0.5 - middles) <= step / 4 + 0.5).all()


def test_validation_pages_cover_the_collection_too() -> None:
    files, labels = _pages({0: 400})
    places = np.array([files.index(path) for path in _split(files, labels)[1]])
    assert len(places) == 40
    assert np.diff(places).max() <= 20
    assert places.min() < 15
    assert places.max() > 385


@pytest.mark.parametrize(("count", "sizes"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1))])
def test_labels_with_a_page_or_two(count: int, sizes: tuple[int, int, int]) -> None:
    files, labels = _pages({4: count})
    assert tuple(len(part) for part in _split(files, labels)[:3]) == sizes


def test_labels_come_back_in_the_form_they_came_in() -> None:
    files, labels = _pages({0: 20, 1: 20})
    rows = np.eye(2)[labels]
    by_index, by_row = _split(files, labels), _split(files, rows)
    for part in range(3):
        assert list(by_index[part]) == list(by_row[part])
        assert by_row[part + 3].shape == (len(by_row[part]), 2)
        assert list(by_row[part + 3].argmax(axis=1)) == list(by_index[part + 3])


def test_a_cap_spreads_over_the_whole_label() -> None:
    files, labels = _pages({0: 1000, 1: 5})
    parts = _split(files, labels, cap=50)
    kept = sorted(int(path.stem[1:]) for part in parts[:3] for path in part if path.parts[0] == "0")
    assert len(kept) == 50
    assert max(np.diff(kept)) <= 30
    assert sum(len(part) for part in parts[:3]) == 55
    for cap in (0, -1):
        with pytest.raises(PageSortError, match="max_categ"):
            _split(files, labels, cap=cap)


def test_nothing_and_too_few_labels() -> None:
    assert [len(part) for part in _split([], [])] == [0] * 6
    with pytest.raises(PageSortError, match="2 pages, but 1 labels"):
        _split([Path("a"), Path("b")], [0])


def test_unreadable_pages_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = []
    for number in range(12):
        files.append(tmp_path / f"{number:02}.png")
        Image.new("L", (20, 30), number).save(files[-1])
    files[3].write_bytes(files[3].read_bytes()[:40])
    files[7].write_text("no image")
    labels = [0] * 12
    parts = split_data_80_10_10(files, labels, 420, 100)
    assert sorted([*parts[0], *parts[1], *parts[2]]) == [
        path for path in files if path not in (files[3], files[7])
    ]
    assert {"03.png", "07.png"} == {name for name in ("03.png", "07.png") if name in caplog.text}
    unchecked = split_data_80_10_10(files, labels, 420, 100, safe_check=False)
    assert sum(len(part) for part in unchecked[:3]) == 12
