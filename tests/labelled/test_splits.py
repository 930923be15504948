"""The periodic split of labelled pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier import split_data_80_10_10
from pagesort.common.errors import PageSortError
from pagesort.labelled.folder import LabelledPage
from pagesort.labelled.splits import PARTS, split_pages


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


def _labelled(documents: dict[str, dict[str, int]]) -> list[LabelledPage]:
    """Pages from document → label → count."""
    return [
        LabelledPage(Path(name), label, document, name)
        for document, labels in documents.items()
        for label, count in labels.items()
        for name in (f"{label}/{document}-{number:03}.png" for number in range(count))
    ]


def _counts(pages: list[LabelledPage], parts: dict[str, str]) -> dict[str, dict[str, int]]:
    """Label → part → pages, after checking that each document lies on one side."""
    sides: dict[str, set[str]] = {}
    counts: dict[str, dict[str, int]] = {}
    for page in pages:
        sides.setdefault(page.document, set()).add(parts[page.name])
        of_label = counts.setdefault(page.label, dict.fromkeys(PARTS, 0))
        of_label[parts[page.name]] += 1
    assert all(len(side) == 1 for side in sides.values())
    return counts


def by_document(pages: list[LabelledPage], seed: int = 420, share: float = 0.1) -> dict[str, str]:
    return split_pages(pages, seed=seed, test_size=share, by="document")


def test_by_page_each_label_is_picked_at_even_steps() -> None:
    pages = _labelled({"one": {"A": 200, "B": 57}, "two": {"C": 1, "D": 2, "E": 3}})
    parts = split_pages(pages, seed=420, test_size=0.2, by="page")
    counts = {
        label: [sum(parts[p.name] == part for p in pages if p.label == label) for part in PARTS]
        for label in "ABCDE"
    }
    assert counts == {
        "A": [120, 40, 40], "B": [35, 11, 11], "C": [1, 0, 0], "D": [1, 0, 1], "E": [1, 1, 1],
    }  # fmt: skip
    places = [int(page.path.stem[-3:]) for page in pages if parts[page.name] == "test"][:40]
    assert max(np.diff(places)) <= 8
    assert parts == split_pages(pages[::-1], seed=420, test_size=0.2, by="page")
    assert parts != split_pages(pages, seed=421, test_size=0.2, by="page")


def test_by_document_no_document_falls_on_both_sides() -> None:
    rng = np.random.default_rng(3)
    pages = _labelled(
        {
            f"doc{number:03}": {
                str(label): int(rng.integers(1, 12)) for label in rng.choice([*"ABCDE"], 2, False)
            }
            for number in range(150)
        }
    )
    parts = by_document(pages)
    for label, count in _counts(pages, parts).items():
        total = sum(count.values())
        assert 0.07 <= count["test"] / total <= 0.16, label
        assert 0.07 <= count["validation"] / total <= 0.16, label
    assert parts == by_document(pages[::-1])
    assert parts != by_document(pages, seed=421)


def test_documents_cover_the_collection() -> None:
    pages = _labelled({f"doc{number:03}": {"A": 2} for number in range(200)})
    parts = by_document(pages)
    tested = sorted({page.document for page in pages if parts[page.name] == "test"})
    places = [int(name[3:]) for name in tested]
    assert len(places) == 20
    assert max(np.diff(places)) <= 16
    assert places[0] < 10
    assert places[-1] >= 190


def test_pages_that_are_documents_of_their_own_reach_every_part() -> None:
    pages = _labelled({f"{label}{n}": {label: 1} for label in "ABCDEFGHIJK" for n in range(3)})
    for seed in range(10):
        for count in _counts(pages, by_document(pages, seed)).values():
            assert count == {"train": 1, "validation": 1, "test": 1}


def test_a_huge_document_trains() -> None:
    small = {f"doc{number}": {"A": 5} for number in range(20)}
    pages = _labelled(small | {"huge": {"A": 500}})
    for seed in range(10):
        parts = by_document(pages, seed)
        assert {parts[page.name] for page in pages if page.document == "huge"} == {"train"}
        assert _counts(pages, parts)["A"] == {"train": 560, "validation": 20, "test": 20}
    three = _labelled({"a": {"A": 100}, "b": {"A": 90}, "c": {"A": 1}})
    assert _counts(three, by_document(three))["A"] == {"train": 100, "validation": 90, "test": 1}


def test_a_document_is_not_tested_for_one_label_at_the_cost_of_another() -> None:
    """Of the only two documents of B one holds nearly all of A: both must go on training."""
    pages = _labelled({"mixed": {"A": 45, "B": 1}, "other": {"A": 2, "B": 6}, "c": {"C": 9}})
    counts = _counts(pages, by_document(pages))
    assert counts["A"] == {"train": 47, "validation": 0, "test": 0}
    assert counts["B"] == {"train": 7, "validation": 0, "test": 0}


def test_rare_labels_are_served_although_they_share_documents_with_a_common_one() -> None:
    documents = {f"doc{number:02}": {"COMMON": 4} for number in range(40)}
    for number in (3, 17, 29):
        documents[f"doc{number:02}"]["RARE"] = 1
    pages = _labelled(documents)
    for seed in range(20):
        counts = _counts(pages, by_document(pages, seed))
        assert counts["RARE"] == {"train": 1, "validation": 1, "test": 1}
        assert counts["COMMON"]["train"] >= 120


@pytest.mark.parametrize(
    ("documents", "told"),
    [
        ({"only": {"A": 9, "B": 4}}, "no test pages of A, B; no validation pages of A, B"),
        ({"a": {"A": 9}, "b": {"A": 9}}, "no validation pages of A"),
    ],
)
def test_labels_of_few_documents_are_told(
    documents: dict[str, dict[str, int]], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    pages = _labelled(documents)
    parts = by_document(pages)
    assert {parts[page.name] for page in pages} == {"train", "test"} - (
        {"test"} if len(documents) == 1 else set()
    )
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [told]
    assert "split = page" in caplog.text


def test_many_documents_are_split_at_once() -> None:
    pages = _labelled({f"doc{number}": {"AB"[number % 2]: 1} for number in range(20_000)})
    counts = _counts(pages, by_document(pages))
    assert counts["A"] == {"train": 8000, "validation": 1000, "test": 1000}


@pytest.mark.parametrize("share", [0.0, 0.5, -0.1, 1.0])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(PageSortError, match="test_size"):
        by_document(_labelled({"a": {"A": 3}}), share=share)
