"""Page names, listings, result rows and the confusion plot."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import utils
from pagesort.common import drawing
from tests.helpers.plots import figures
from utils import (
    collect_images,
    confusion_plot,
    dataframe_results,
    directory_scraper,
    list_pages,
    page_name,
    percent,
    round_scores,
    top_guesses,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figures"]  # a fixture

LABELS = ["DRAW", "DRAW_L", "LINE_HW", "PHOTO"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("CTX193200994-24.png", ("CTX193200994", 24)),
        ("report_2021_003.png", ("report_2021", 3)),
        ("coverpage.png", ("coverpage", 1)),
        ("folder/scan0012.TIF", ("scan", 12)),
        ("doc--5.png", ("doc-", 5)),
        ("a.b-2.c-03.jpg", ("a.b-2.c", 3)),
        ("letters/007.png", ("letters", 7)),
        ("letters/-7.png", ("letters", 7)),
        ("007.png", ("007", 7)),
        ("x-" + "9" * 60 + ".png", ("x", int("9" * 60))),
        ("x-\u0663.png", ("x-\u0663", 1)),
        ("x-²³.png", ("x-²³", 1)),
        ("Příloha č. 3.png", ("Příloha č. ", 3)),
        ("-.png", ("-", 1)),
        ("x-1\n.png", ("x-1\n", 1)),
        (".png", (".png", 1)),
        ("caf\udce9-1.png", ("caf\\udce9", 1)),
        ("", ("", 1)),
        ("a/b-2/", ("b", 2)),
        ("a/./b-2/.", ("b", 2)),
        ("./-3.png", ("-3", 3)),
        ("x.", ("x.", 1)),
    ],
)
def test_page_names(path: str, expected: tuple[str, int]) -> None:
    assert page_name(path) == expected
    assert page_name(Path(path)) == expected


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def _listed(folder: Path, *arguments: object, **more: object) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in list_pages(folder, *arguments, **more)]


def test_pages_are_listed_in_natural_order_and_any_case(tmp_path: Path) -> None:
    names = ["b-2.png", "B-10.PNG", "b-1.Png", "a.png", "a10/x.png", "a2/y.png", "notes.txt"]
    _touch(tmp_path, *names, "c.jpg", ".hidden.png", ".cache/d.png", "a2/.z.tmp.png")
    assert _listed(tmp_path) == ["a.png", "b-1.Png", "b-2.png", "B-10.PNG"]
    everything = ["a.png", "a2/y.png", "a10/x.png", "b-1.Png", "b-2.png", "B-10.PNG", "c.jpg"]
    assert _listed(tmp_path, "PNG, .jpg,", inner=True) == everything
    assert _listed(tmp_path, ("png", "JPG"), inner=True) == everything


def test_numbers_of_equal_value_keep_one_order(tmp_path: Path) -> None:
    _touch(tmp_path, "p1.png", "p01.png", "p001.png", "p0.png", "p" + "1" * 50 + ".png")
    assert _listed(tmp_path) == [
        *("p0.png", "p001.png", "p01.png", "p1.png"),
        "p" + "1" * 50 + ".png",
    ]


def test_links_cannot_make_listing_endless(tmp_path: Path) -> None:
    _touch(tmp_path, "in/a.png")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "in" / "self.png").symlink_to(tmp_path / "in" / "self.png")
    (tmp_path / "twice").symlink_to(tmp_path / "in")
    assert _listed(tmp_path, inner=True) == ["in/a.png", "in/self.png"]


def test_a_folder_that_cannot_be_read_is_left_out_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _touch(tmp_path, "locked/a.png", "open/b.png")
    scan = os.scandir

    def refuse(path: str) -> object:  # root may read everything
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with caplog.at_level(logging.WARNING):
        assert _listed(tmp_path, inner=True) == ["open/b.png"]
    assert "locked" in caplog.text and "Permission denied" in caplog.text


def test_a_missing_folder_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list_pages(tmp_path / "nowhere")
    _touch(tmp_path, "file")
    with pytest.raises(NotADirectoryError):
        list_pages(tmp_path / "file")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_text_are_listed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9-1.png")).touch()
    (page,) = list_pages(tmp_path)
    assert os.fsencode(page.name) == b"caf\xe9-1.png"
    assert page_name(page) == ("caf\\udce9", 1)


def test_directory_scraper_adds_to_the_list_given(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", "in/b.PNG", "c.jpg")
    assert directory_scraper(tmp_path) == [tmp_path / "a.png", tmp_path / "in" / "b.PNG"]
    given: list = ["before.png"]
    assert directory_scraper(tmp_path, "jpg", file_list=given) is given
    assert given == ["before.png", tmp_path / "c.jpg"]
    assert directory_scraper(str(tmp_path), "tif") == []


def test_collect_images_labels_by_folder(tmp_path: Path) -> None:
    _touch(tmp_path, "TEXT/t-10.png", "TEXT/t-2.png", "DRAW/d.png", "stray.png", ".git/x.png")
    _touch(tmp_path, "TEXT/notes.txt", "TEXT/.hidden.png")
    (tmp_path / "EMPTY").mkdir()
    paths, rows, labels = collect_images(str(tmp_path))
    assert labels == ["DRAW", "EMPTY", "TEXT"]
    assert [Path(path).name for path in paths] == ["d.png", "t-2.png", "t-10.png"]
    assert [row.tolist() for row in rows] == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
    ordered, _, _ = collect_images(tmp_path, ordered=True)
    assert ordered == sorted(ordered)


def test_collect_images_caps_each_label(tmp_path: Path) -> None:
    _touch(tmp_path, *(f"A/{n:02}.png" for n in range(30)), "B/x.png")
    first, rows, _ = collect_images(tmp_path, 5, ordered=True)
    assert [Path(path).name for path in first] == [*(f"{n:02}.png" for n in range(5)), "x.png"]
    assert len(rows) == 6
    random.seed(3)
    drawn, _, _ = collect_images(tmp_path, max_categ=5)
    random.seed(3)
    assert collect_images(tmp_path, max_categ=5)[0] == drawn
    assert drawn != first and len(set(drawn)) == 6


def test_rows_of_indices_have_no_score() -> None:
    table, raw = dataframe_results(["d/doc-001.png", "cover.png"], [3, 0], LABELS, 1)
    assert table.to_dict("list") == {
        "FILE": ["doc", "cover"],
        "PAGE": [1, 1],
        "CLASS-1": ["PHOTO", "DRAW"],
        "CATEGORY": ["PHOTO", "DRAW"],
    }
    assert raw is None


def test_rows_of_pairs_keep_their_order_and_round() -> None:
    pairs = [[(3, 0.81234567), (0, 0.1876), (1, 0.0)], [(1, 0.5005), (2, 0.25), (0, 0.2)]]
    raw_scores = [[0.1876, 0.0, 0.0, 0.8123456], [0.2, 0.5005, 0.25, 0.05]]
    table, raw = dataframe_results(["a-2.png", "a-10.png"], pairs, LABELS, 2, raw_scores)
    assert list(table.columns) == ["FILE", "PAGE", "CLASS-1", "CLASS-2", "SCORE-1", "SCORE-2"]
    assert table.iloc[0].tolist() == ["a", 2, "PHOTO", "DRAW", 0.812, 0.188]
    assert raw is not None and list(raw.columns) == ["FILE", "PAGE", *LABELS]
    assert raw.iloc[0].tolist() == ["a", 2, 0.188, 0.0, 0.0, 0.812]
    one, _ = dataframe_results(["a-2.png"], pairs[:1], LABELS, 1)
    assert list(one.columns) == ["FILE", "PAGE", "CLASS-1", "SCORE-1"]
    bare, _ = dataframe_results(["a-2.png"], [(3, 0.8)], LABELS, 1)
    assert bare.iloc[0].tolist() == ["a", 2, "PHOTO", 0.8]


@pytest.mark.parametrize("kind", [np.array, list])
def test_rows_of_a_matrix_are_softmaxed_once(kind: type) -> None:
    matrix = kind([[1.0, 3.0, 2.0, -1000.0], [1e4, 0.0, 0.0, 0.0]])
    table, _ = dataframe_results(["a-1.png", "a-2.png"], matrix, LABELS, 2)
    assert table["CLASS-1"].tolist() == ["DRAW_L", "DRAW"]
    assert table["SCORE-1"].tolist() == [0.665, 1.0]
    assert table["CLASS-2"].tolist() == ["LINE_HW", "DRAW_L"]


def test_tensors_are_taken_as_arrays_are() -> None:
    import torch

    table, _ = dataframe_results(["a-1.png"], torch.tensor([[0.0, 2.0, 0.0, 0.0]]), LABELS, 1)
    assert table["CLASS-1"].tolist() == ["DRAW_L"]
    table, _ = dataframe_results(["a-1.png"], torch.tensor([2]), LABELS, 1)
    assert table["CATEGORY"].tolist() == ["LINE_HW"]


def test_no_pages_still_make_columns() -> None:
    for nothing in (np.empty((0, 4)), []):
        table, raw = dataframe_results([], [], LABELS, 2, nothing)
        assert list(table.columns) == ["FILE", "PAGE", "CLASS-1", "CLASS-2", "SCORE-1", "SCORE-2"]
        assert raw is not None and list(raw.columns) == ["FILE", "PAGE", *LABELS]
        assert len(table) == len(raw) == 0


def test_pairs_of_any_integer_and_tuples_of_scores() -> None:
    for index in (2, np.int64(2), np.uint8(2)):
        table, _ = dataframe_results(["a-1.png"], [(index, 0.9)], LABELS, 1)
        assert table.iloc[0].tolist() == ["a", 1, "LINE_HW", 0.9]
    table, _ = dataframe_results(["a-1.png"], [(1, 2, 4, 3)], LABELS, 2)
    assert table.iloc[0].tolist()[2:4] == ["LINE_HW", "PHOTO"]
    with pytest.raises(ValueError, match="3 scores for 4 labels"):
        dataframe_results(["a-1.png"], [(1, 2, 3)], LABELS, 1)
    with pytest.raises(ValueError, match="no list of"):
        dataframe_results(["a-1.png"], [[(1, 2, 3)]], LABELS, 1)


def test_missing_guesses_are_empty_cells() -> None:
    guesses = [[(0, 0.9), (1, 0.1)], [(3, 0.8)], 2]
    table, _ = dataframe_results(["a-1.png", "a-2.png", "a-3.png"], guesses, LABELS, 3)
    assert table.to_csv(index=False, lineterminator="\n").splitlines() == [
        "FILE,PAGE,CLASS-1,CLASS-2,CLASS-3,SCORE-1,SCORE-2,SCORE-3",
        "a,1,DRAW,DRAW_L,,0.9,0.1,",
        "a,2,PHOTO,,,0.8,,",
        "a,3,LINE_HW,,,,,",
    ]


@pytest.mark.parametrize(
    ("predictions", "raw"),
    [
        ([0], None),
        ([0.7, 0.9], None),
        ([0, 4], None),
        ([0, -1], None),
        ([[0.1, 0.9], [0.5, 0.5]], None),
    ]
    + [([0, 1], [[0.1] * 4]), ([0, 1], []), ([[], []], None)],
)
def test_rows_that_cannot_be_right_are_refused(predictions: list, raw: list | None) -> None:
    with pytest.raises(ValueError):
        dataframe_results(["a-1.png", "a-2.png"], predictions, LABELS, 2, raw)


def test_shared_rounding_and_ranking() -> None:
    scores = np.array([0.25, 0.5004999, 0.25, 0.0005], dtype=np.float32)
    assert top_guesses(scores, 3) == [(1, pytest.approx(0.5005)), (0, 0.25), (2, 0.25)]
    assert round_scores(scores).tolist() == [0.25, 0.5, 0.25, 0.001]


def _plots(folder: Path) -> list[Path]:
    return sorted((folder / "plots").glob("*.png"))


def test_confusion_plot_returns_top_1_accuracy(tmp_path: Path) -> None:
    assert confusion_plot([0, 1, 1, 3], [0, 1, 2, 3], LABELS, "m/v 1", 1, tmp_path) == 75.0
    (plot,) = _plots(tmp_path)
    assert "TOP-1" in plot.name and "m-v-1" in plot.name
    pairs = [[(0, 0.9), (1, 0.1)], [(0, 0.6), (1, 0.4)]]
    one_hot = [np.array([1, 0, 0, 0]), np.array([0, 1, 0, 0])]
    assert confusion_plot(pairs, one_hot, LABELS, "model", 2, str(tmp_path)) == 50.0
    confusion_plot(pairs, one_hot, LABELS, "model", 2, str(tmp_path), file_name="own.png")
    confusion_plot(pairs, one_hot, LABELS, "model", 2, str(tmp_path), file_name="own.png")
    assert {"own.png", "own-2.png"} < {path.name for path in _plots(tmp_path)}
    assert len(_plots(tmp_path)) == 4


def test_confusion_plot_writes_into_result_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    confusion_plot([0], [0], LABELS, "model")
    assert len(_plots(tmp_path / "result")) == 1


def test_confusion_plot_draws_normalised_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, object] = {}

    def keep(counts: np.ndarray, categories: list, title: str, *_: object) -> None:
        drawn.update(counts=counts.tolist(), title=title)

    monkeypatch.setattr(utils, "_draw_matrix", keep)
    pairs = [[(1, 0.9), (0, 0.1)], [(1, 0.6), (2, 0.4)], [(2, 1.0), (0, 0.0)]]
    confusion_plot(pairs, [0, 0, 2], LABELS, "name", 2, tmp_path)
    assert drawn["counts"] == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert "33.3 %" in str(drawn["title"]) and "66.7 %" in str(drawn["title"])


def test_confusion_plot_shows_counts_and_percentages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list = []
    monkeypatch.setattr(utils, "save_png", lambda figure, _: figures.append(figure))
    labels = ["a $x$", "long " * 20, "ř\n", "no pages"]
    guessed = [0] * 299 + [1, 1, 0, 2]
    confusion_plot(guessed, [0] * 300 + [1, 1, 2], labels, "$model", 1, tmp_path)
    (axes,) = figures[0].axes
    cells: dict = {}
    for text in axes.texts:
        column, row = text.get_position()
        cells.setdefault((int(row), int(column)), []).append(text.get_text())
    assert cells[0, 0] == ["299", "99.7 %"] and cells[0, 1] == ["1", "0.3 %"]
    assert cells[1, 0] == ["1", "50.0 %"] and cells[2, 2] == ["1", "100.0 %"]
    assert cells[3, 0] == cells[1, 2] == ["0"] and len(cells) == 16
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names[0] == r"a \$x\$" and len(names[1]) == 30 and names[2] == "ř?"
    assert axes.get_yticklabels()[3].get_text() == "no pages  (0)"


def test_a_plot_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.backends.backend_agg.FigureCanvasAgg.print_png", fail)
    with pytest.raises(OSError, match="No space"):
        confusion_plot([0], [0], LABELS, "model", 1, tmp_path)
    assert list((tmp_path / "plots").iterdir()) == []


def test_confusion_plot_of_very_many_labels_has_no_text_in_its_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list = []
    monkeypatch.setattr(utils, "save_png", lambda figure, _: figures.append(figure))
    labels = [f"L{n}" for n in range(300)]
    confusion_plot(range(300), range(300), labels, "model", 1, tmp_path)
    assert not figures[0].axes[0].texts
    assert max(figures[0].get_size_inches()) < 70


def test_shares_never_round_an_exception_away() -> None:
    shares = (0.0, 0.0001, 0.0005, 0.125, 0.9994, 0.9996, 1.0)
    assert list(map(percent, shares)) == ["0.0", "<0.1", "0.1", "12.5", "99.9", ">99.9", "100.0"]


@pytest.fixture
def fonts(tmp_path: Path) -> Iterator[Path]:
    """A font of this machine, for the time of the test, that has one Chinese letter."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib import font_manager

    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 900), (900, 900), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "middle"])
    font.setupCharacterMap({ord("中"): "middle"})
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "middle": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (1000, 0), "middle": (1000, 100)})
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": "Test Han", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(tmp_path / "han.ttf")
    before = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.addfont(tmp_path / "han.ttf")
    drawing._fonts_for.cache_clear()
    yield tmp_path
    font_manager.fontManager.ttflist[:] = before
    drawing._fonts_for.cache_clear()


def test_letters_of_other_scripts_are_drawn_with_a_font_that_has_them(
    fonts: Path, figures: list[Figure]
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    confusion_plot([0, 1], [0, 1], ["中", "plan ř"], "a model", output_dir=fonts)
    (axes,) = figures[-1].axes
    labels = {text.get_text(): text.get_fontfamily() for text in axes.get_xticklabels()}
    assert labels["中"][-1] == "Test Han" and "Test Han" not in labels["plan ř"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FigureCanvasAgg(figures[-1]).draw()


def test_letters_that_no_font_has_are_spelled_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from matplotlib import font_manager

    usual = font_manager.findfont(font_manager.FontProperties())
    alone = [entry for entry in font_manager.fontManager.ttflist if entry.fname == usual]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", alone)
    drawing._fonts_for.cache_clear()
    assert drawing.plot_text("中 かな 한 ř") == "[4E2D] kana han ř"
    assert "no font of this machine has か な 中 한" in caplog.text
    drawing._fonts_for.cache_clear()


def test_confusion_plot_leaves_pyplot_alone(tmp_path: Path) -> None:
    script = (
        "import sys; from utils import confusion_plot; "
        "confusion_plot([0], [0], ['A', 'B'], 'model', 1, sys.argv[1]); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    assert subprocess.run(command, cwd=Path(utils.__file__).parent, check=False).returncode == 0
    assert len(_plots(tmp_path)) == 1


def test_confusion_plot_of_many_labels_is_large_enough_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(utils, "save_png", lambda figure, _: figures.append(figure))
    labels = [f"LABEL_{n}" for n in range(40)]
    true = np.arange(400) % 40
    guessed = np.where(np.arange(400) % 7 == 0, (true + 3) % 40, true)
    confusion_plot(guessed, true, labels, "many", 1, tmp_path)
    (plot,) = figures
    assert min(plot.get_size_inches()) * plot.dpi >= 1500


def test_the_confusion_plot_shows_counts_and_shares(tmp_path: Path, figures: list[Figure]) -> None:
    confusion_plot([0, 1, 1, 0], [0, 0, 1, 0], ["A", "$B$", "C"], "model", 1, tmp_path)
    (axes,) = figures[0].axes
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells[0, 0] == "2" and cells[0, 0.04] == "66.7 %"
    assert cells[1, 0] == "1" and cells[1, 0.04] == "33.3 %"
    assert cells[0, 1] == "0" and cells[1, 1] == "1" and cells[1, 1.04] == "100.0 %"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["A", r"\$B\$", "C"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "A  (3)", r"\$B\$  (1)", "C  (0)",
    ]  # fmt: skip
    assert "top-1 accuracy 75.0 % of 4 pages" in axes.get_title()


def test_confusion_plot_refuses_what_cannot_be_right(tmp_path: Path) -> None:
    for predictions, true in (([0, 1], [0]), ([], []), ([0], [4]), ([0], [-1])):
        with pytest.raises(ValueError):
            confusion_plot(predictions, true, LABELS, "model", 1, tmp_path)


def test_importing_is_light() -> None:
    script = (
        "import sys, utils; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'pandas', 'matplotlib', 'sklearn')))"
    )
    root = Path(utils.__file__).parent
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0
