"""Real pages for the bundled model: what tables tell of them, their folds, their figures."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundled_models.page_classifier.real_pages import (
    RealPage,
    RealPages,
    folds_of,
    list_real_pages,
    read_real_pages,
)
from bundled_models.page_classifier.sampling import Sampler
from bundled_models.page_classifier.source_figures import (
    FEW,
    Scored,
    bands,
    calibration_error,
    main_figures,
    of_sources,
    surest_errors,
)
from bundled_models.synthetic_pages.page import LABELS
from pagesort.common.errors import PageSortError
from pagesort.labelled.folder import LabelledPage


def write_page(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (50, 80), shade).save(path)


def test_pages_of_every_folder_are_read_and_broken_ones_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder, label, shade in (("a", "TEXT_P", 200), ("a", "DRAW", 90), ("b", "DRAW", 30)):
        write_page(tmp_path / folder / label / "page-1.png", shade)
    (tmp_path / "a" / "DRAW" / "page-2.png").write_text("no image")
    write_page(tmp_path / "b" / "NOTHING_KNOWN" / "page-3.png", 0)
    kept = tmp_path / "cache" / "pixels.npy"
    with caplog.at_level(logging.WARNING):
        real = read_real_pages([tmp_path / "a", tmp_path / "b"], LABELS, kept)
    assert [LABELS[label] for label in real.labels] == ["DRAW", "TEXT_P", "DRAW"]
    assert [int(page.mean()) for page in real.pixels] == [90, 200, 30]
    assert real.sources.tolist() == ["a/page", "a/page", "b/page"]
    assert "page-2.png" in caplog.text
    again = read_real_pages([tmp_path / "a", tmp_path / "b"], LABELS, kept)
    assert np.array_equal(again.pixels, real.pixels)
    assert again.pages == real.pages


def test_a_folder_without_pages_of_these_labels_is_an_error(tmp_path: Path) -> None:
    write_page(tmp_path / "OTHER" / "page-1.png", 0)
    with pytest.raises(PageSortError, match="no labelled pages"):
        list_real_pages([tmp_path], LABELS)


def test_the_table_beside_a_folder_tells_sources_and_what_may_be_shipped(tmp_path: Path) -> None:
    for name in ("x__1.jpg", "nasa-a__2.jpg", "nasa-b__3.jpg"):
        write_page(tmp_path / "sources" / "DRAW" / name, 100)
    (tmp_path / "sources.csv").write_text(
        "path,source,label,sure,picture_only\n"
        "DRAW/x__1.jpg,x,DRAW,0,1\n"
        "DRAW/nasa-a__2.jpg,nasa-a,DRAW,1,0\n"
        "DRAW/nasa-b__3.jpg,nasa-b,DRAW,1,0\n"
    )
    write_page(tmp_path / "more" / "TEXT_HW" / "c-1.jpg", 100)
    (tmp_path / "more.csv").write_text(
        "label,page,data set,its file\nTEXT_HW,c-1.jpg,Copiste-d-un-jour,f.jpg\n"
    )
    pages = list_real_pages([tmp_path / "sources", tmp_path / "more"], LABELS)
    facts = {
        each.page.path.name: (each.source, each.clear, each.picture_only, each.may_train)
        for each in pages
    }
    assert facts == {
        "x__1.jpg": ("x", False, True, True),
        "nasa-a__2.jpg": ("nasa", True, False, True),
        "nasa-b__3.jpg": ("nasa", True, False, True),
        "c-1.jpg": ("Copiste-d-un-jour", True, False, False),
    }


def real_pages(sizes: dict[str, int], unclear: tuple[str, ...] = ()) -> RealPages:
    """Sources of so many pages, their labels 0 and 1 by turns."""
    pages = []
    for source, size in sizes.items():
        for number in range(size):
            name = f"{source}-{number}.png"
            page = LabelledPage(Path(name), "AB"[number % 2], source, name)
            pages.append(RealPage(page, "folder", source, clear=source not in unclear))
    labels = np.array(["AB".index(page.page.label) for page in pages])
    return RealPages(tuple(pages), np.zeros((len(pages), 1, 1, 3), np.uint8), labels)


def test_a_source_never_lies_on_both_sides_of_a_fold() -> None:
    real = real_pages({f"s{n}": 2 + n % 3 for n in range(24)} | {"vague": 3}, ("vague",))
    folds = folds_of(real, 4, seed=1)
    for source in np.unique(real.sources):
        assert len(np.unique(folds[real.sources == source])) == 1
    assert set(folds[real.sources != "vague"]) == {0, 1, 2, 3}
    assert set(folds[real.sources == "vague"]) == {-1}  # nothing can be measured on it
    for label in (0, 1):
        assert len(np.unique(folds[(real.labels == label) & real.clear])) == 4
    assert np.array_equal(folds, folds_of(real, 4, seed=1))


def test_a_large_source_does_not_drown_a_small_one() -> None:
    real = real_pages({"large": 200, "small": 6, "vague": 6}, ("vague",))
    sampler = Sampler(real, np.arange(len(real)), 2)
    choice = sampler.of_label[0]
    share = {
        source: choice.probabilities[real.sources[choice.rows] == source].sum()
        for source in ("large", "small", "vague")
    }
    assert share["large"] / share["small"] == pytest.approx((100 / 3) ** 0.4)
    assert share["vague"] / share["small"] == pytest.approx(0.3)
    assert choice.worth == pytest.approx(100 + 3 + 3 * 0.3)
    assert sampler.label_probabilities.sum() == pytest.approx(1.0)
    assert sampler.label_probabilities[0] == pytest.approx(0.5)


def scored(right: list[bool], confidence: list[float], sources: list[str]) -> Scored:
    """Pages of label 0 of two, so sure and so right."""
    first = np.array([c if r else 1 - c for r, c in zip(right, confidence, strict=True)])
    scores = np.stack([first, 1 - first], axis=1)
    return Scored(np.zeros(len(right), dtype=int), scores, np.array(sources))


def test_every_source_counts_alike() -> None:
    pages = scored([True] * 90 + [False] * 10, [0.95] * 100, ["big"] * 90 + ["other"] * 10)
    figure = of_sources(pages.right.astype(float), pages.counted_sources, seed=1)
    assert figure.value == pytest.approx(0.5)
    assert (figure.low, figure.high) == (0.0, 1.0)  # two sources say next to nothing
    assert calibration_error(pages, pages.counted_sources) == pytest.approx(0.45)
    assert calibration_error(pages, np.full(100, "one")) == pytest.approx(0.05)
    found = main_figures(pages, pages.counted_sources, seed=1)
    assert found["top_3"].value == 1.0
    assert found["sure"].value == 1.0
    assert found["sure_right"].value == pytest.approx(0.5)


def test_small_sources_count_together_as_one() -> None:
    pages = scored([True] * 9, [0.9] * 9, ["a"] * 5 + ["b"] * 4)
    assert pages.counted_sources.tolist() == ["a"] * 5 + [FEW] * 4


def test_intervals_come_from_drawing_sources() -> None:
    sources = [f"s{n}" for n in range(40) for _ in range(10)]
    alike = scored([n % 2 == 0 for n in range(40) for _ in range(10)], [0.9] * 400, sources)
    figure = of_sources(alike.right.astype(float), alike.sources, seed=1)
    # Forty draws, not four hundred: 1.96 * sqrt(0.25 / 40) is 0.155.
    assert figure.high - figure.low == pytest.approx(2 * 0.155, abs=0.03)


def test_bands_and_surest_errors() -> None:
    pages = scored([True, False, True, False], [0.99, 0.97, 0.85, 0.6], ["a", "a", "b", "b"])
    told = [
        (low, high, count, figure.value)
        for low, high, count, figure in bands(pages, pages.sources, 1)
    ]
    assert told == [(0.5, 0.7, 1, 0.0), (0.8, 0.9, 1, 1.0), (0.95, 1.0, 2, 0.5)]
    assert surest_errors(pages, ("A", "B"), 1) == [(1, "A", "B", pytest.approx(0.97))]


def test_where_no_page_is_sure_nothing_is_told_of_sure_ones() -> None:
    pages = scored([True] * 10, [0.7] * 10, ["a"] * 5 + ["b"] * 5)
    found = main_figures(pages, pages.counted_sources, seed=1)
    assert found["sure"].value == 0.0
    assert "sure_right" not in found
