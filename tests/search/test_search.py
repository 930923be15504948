"""Finding pages through the command line, with the tiny model on real files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from classifier import CLIP
from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.search.nearest import nearest
from pagesort.search.same_scan import HEIGHT, WIDTH, agreement
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.distinct_pages import write_distinct_page
from tests.helpers.paths import ROOT

__all__ = ["command", "workplace"]  # fixtures


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A folder of eight pages, one of which no program can read."""
    folder = tmp_path / "pages ř"
    for number in range(1, 8):
        write_distinct_page(folder / f"letter-{number:02}.png", number)
    (folder / "letter-08.png").write_text("no page")
    return folder


def test_pages_are_found_by_a_text_in_a_folder_and_then_in_all_that_is_kept(
    command: Run, pages: Path, tiny_model_folder: Path
) -> None:
    status, out, err = command("--find", "a map", "-d", pages, "--nearest", 3)
    assert status == 3 and "letter-08.png" in err
    *lines, table = out.splitlines()
    rows = read_table(table)
    assert table.endswith("_FIND.csv") and len(rows) == len(lines) == 3
    clip = CLIP.open(tiny_model_folder, device="cpu", lean=True)
    texts = clip.embed_texts(["a scan of a map"]).numpy()[0]
    paths = sorted(pages.glob("letter-0[1-7].png"))
    expected = clip.embed(paths) @ texts
    best = np.argsort(-expected)[:3]
    assert [row["PATH"] for row in rows] == [paths[place].name for place in best]
    assert np.allclose([float(row["SCORE"]) for row in rows], expected[best], atol=2e-3)
    assert rows[0]["FILE"] == "letter"
    record = json.loads(Path(table).with_suffix(".json").read_text(encoding="utf-8"))
    assert record["counts"] == {"pages": 7, "unread": 1} and record["models"][0]["name"] == "tiny"
    assert command("--check", table, model=False)[0] == 0

    status, out, err = command("--find", "a map", "--nearest", 3)
    assert status == 0
    again = read_table(out.splitlines()[-1])
    assert [row["PATH"] for row in again] == [str(paths[place]) for place in best]
    write_distinct_page(pages / "new-1.png", 99)
    assert command("--find", "a map", "-d", pages, "--nearest", 99)[0] == 3
    assert len(read_table(command("--find", "a map")[1].splitlines()[-1])) == 8


def test_a_page_finds_its_like_but_not_itself(command: Run, pages: Path) -> None:
    shutil.copy(pages / "letter-03.png", pages / "copy-1.png")
    status, out, _ = command("--similar", pages / "letter-03.png", "-d", pages)
    rows = read_table(out.splitlines()[-1])
    assert status == 3 and len(rows) == 7
    assert rows[0]["PATH"] == "copy-1.png" and float(rows[0]["SCORE"]) == 1.0
    assert "letter-03.png" not in [row["PATH"] for row in rows]
    (pages / "letter-03.png").unlink()
    # What is kept of a page outlives its file.
    status, out, _ = command("--similar", pages / "letter-03.png", "--nearest", 1)
    assert read_table(out.splitlines()[-1])[0]["PATH"] == str(pages / "copy-1.png")


def test_one_page_of_a_document_is_asked_for_by_its_number(
    command: Run, pages: Path, tmp_path: Path
) -> None:
    sheets = [Image.open(pages / f"letter-0{n}.png") for n in (5, 2)]
    document = tmp_path / "all pages.tif"
    sheets[0].save(document, save_all=True, append_images=sheets[1:])
    status, out, _ = command("--similar", f"{document}:2", "-d", pages)
    assert read_table(out.splitlines()[-1])[0]["PATH"] == "letter-02.png"
    assert f"{document}:1" in error_line(command("--similar", document, "-d", pages), 2)
    assert "no page 9" in error_line(command("--similar", f"{document}:9", "-d", pages), 2)


def test_what_cannot_be_searched_is_told(command: Run, pages: Path, tmp_path: Path) -> None:
    assert "no embeddings are kept yet" in error_line(command("--find", "a map"))
    assert "does not exist" in error_line(command("--similar", tmp_path / "none.png"))
    assert "a folder" in error_line(command("--similar", pages), 2)
    assert "contradict" in error_line(command("--find", "a", "--duplicates", "-d", pages), 2)
    assert "Allowed: some text" in error_line(command("--find", " ", "-d", pages), 2)
    assert "contradict" in error_line(command("--find", "a", "-d", pages, "--sort_to", "x"), 2)
    assert "add --inner" in error_line(command("--find", "a", "-d", tmp_path))
    assert ".npz or .parquet" in error_line(command("--embed", "a.csv", "-d", pages), 2)
    assert "needs something to do" in error_line(command("--embed", "a.npz"), 2)
    none = tmp_path / "unreadable"
    none.mkdir()
    (none / "a.png").write_text("no page")
    assert "none of the pages" in error_line(command("--find", "a", "-d", none))


def test_a_damaged_matrix_is_made_anew(command: Run, pages: Path, workplace: Path) -> None:
    command("--find", "a map", "-d", pages)
    whole = command("--find", "a map")[1].splitlines()[:-1]
    (vectors,) = (workplace / "result" / "embeddings").glob("*.vectors")
    for damage in (b"", b"x" * 100, vectors.read_bytes()[:-7]):
        vectors.write_bytes(damage)
        assert command("--find", "a map")[1].splitlines()[:-1] == whole


def rescanned(page: Image.Image) -> Image.Image:
    """A page as another scan shows it: smaller, turned a little, shifted, darker."""
    turned = page.convert("L").rotate(0.8, Image.Resampling.BICUBIC, fillcolor=235)
    smaller = turned.crop((9, 12, *turned.size)).resize((page.width * 4 // 5, page.height * 4 // 5))
    return ImageEnhance.Brightness(smaller).enhance(0.85)


def test_scans_of_one_sheet_are_listed_and_other_pages_of_its_kind_are_not(
    command: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    samples = sorted(ROOT.glob("category_samples/LINE_*/*.png"))[:6]
    for number, path in enumerate(samples):
        shutil.copy(path, folder / f"form-{number}.png")
    rescanned(Image.open(samples[2])).save(folder / "again-7.png")
    status, out, err = command("--duplicates", "-d", folder)
    rows = read_table(out.splitlines()[-1])
    assert status == 0 and [row["PATH"] for row in rows] == ["again-7.png", "form-2.png"]
    assert {row["GROUP"] for row in rows} == {"1"} and float(rows[0]["SIMILARITY"]) > 0.8
    strict = command("--duplicates", "-d", folder, "--duplicate_similarity", 1.0)[1]
    assert read_table(strict.splitlines()[-1]) == []


def test_agreement_tells_a_sheet_from_another() -> None:
    pages = [Image.open(path) for path in sorted(ROOT.glob("category_samples/TEXT*/*.png"))[:4]]
    small = [page.convert("L").resize((WIDTH, HEIGHT)) for page in pages]
    again = [rescanned(page).resize((WIDTH, HEIGHT)) for page in pages]
    for one, first in enumerate(small):
        for other, second in enumerate(again):
            assert (agreement(first, second) > 0.8) == (one == other)


@pytest.mark.parametrize("way", ["on its side", "upside down", "cut closer"])
def test_a_sheet_is_known_whichever_side_is_up_and_without_its_edges(way: str) -> None:
    def again(page: Image.Image) -> Image.Image:
        if way == "cut closer":
            return page.crop((page.width // 40, page.height // 40, page.width, page.height))
        return page.rotate(90 if way == "on its side" else 180, expand=True)

    pages = [Image.open(path) for path in sorted(ROOT.glob("category_samples/TEXT*/*.png"))[:3]]
    small = [page.convert("L").resize((WIDTH, HEIGHT)) for page in pages]
    for one, page in enumerate(pages):
        copy = again(page.convert("L")).resize((WIDTH, HEIGHT))
        for other, sheet in enumerate(small):
            for pair in ((sheet, copy), (copy, sheet)):
                assert (agreement(*pair) > 0.6) == (one == other)


@pytest.mark.parametrize("spread", [1.0, 0.003])  # apart, and nearer than float16 tells lengths
def test_the_nearest_are_those_of_a_full_comparison(
    monkeypatch: pytest.MonkeyPatch, spread: float
) -> None:
    random = np.random.default_rng(3)
    values = random.standard_normal(24) + spread * random.standard_normal((1000, 24))
    rows = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16)
    rows.setflags(write=False)  # as those of a file that is mapped
    monkeypatch.setattr("pagesort.search.nearest.BLOCK", 64)
    monkeypatch.setattr("pagesort.search.nearest.SPAN", 192)
    exact = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1)[:, None]
    for query in exact[:5]:
        found = nearest(rows, query.astype(np.float32), 10)
        cosines = exact @ query
        assert np.allclose([score for _, score in found], np.sort(cosines)[::-1][:10], atol=1e-6)
        assert np.allclose([cosines[place] for place, _ in found], [score for _, score in found])
    assert len(nearest(rows[:3], exact[0].astype(np.float32), 10)) == 3
    twice = np.concatenate([rows, rows])
    assert [place for place, _ in nearest(twice, exact[7].astype(np.float32), 2)] == [7, 1007]


def test_embeddings_are_written_for_other_programs(
    command: Run, pages: Path, tmp_path: Path, tiny_model_folder: Path
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    paths = sorted(pages.glob("letter-0[1-7].png"))
    expected = CLIP.open(tiny_model_folder, device="cpu", lean=True).embed(paths)
    status, out, _ = command("--embed", tmp_path / "all.npz", "-d", pages)
    assert status == 3 and out.strip() == str(tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz", allow_pickle=False) as content:
        arrays = dict(content)
    assert arrays["embedding"].dtype == np.float32
    assert np.allclose(arrays["embedding"], expected, atol=2e-3)
    assert arrays["PATH"].tolist() == [path.name for path in paths]
    command("--embed", tmp_path / "all.parquet", "-d", pages)
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.column_names == ["FILE", "PAGE", "PATH", "CLASS", "SCORE", "embedding"]
    assert np.array_equal(np.array(table["embedding"].to_pylist(), np.float32), arrays["embedding"])
    assert table["CLASS"].to_pylist() == arrays["CLASS"].tolist()
    command("-d", pages)
    (result,) = Path("result/tables").glob("result_*.csv")
    known = {row["PATH"]: row for row in read_table(result)}
    for path, label, score in zip(arrays["PATH"], arrays["CLASS"], arrays["SCORE"], strict=True):
        assert float(known[path]["SCORE-1"]) == pytest.approx(score, abs=0.01)
        assert known[path]["CLASS-1"] == label


def test_pages_are_embedded_from_python(tiny_model_folder: Path, pages: Path) -> None:
    clip = CLIP.open(tiny_model_folder, device="cpu", lean=True)
    path = pages / "letter-01.png"
    rows = clip.embed([path, str(path), Image.open(path)])
    assert rows.shape == (3, 24) and rows.dtype == np.float32
    assert np.allclose(rows, rows[0], atol=1e-5)
    assert clip.embed([]).shape == (0, 24)
    with pytest.raises(PageUnreadableError, match="none.png"):
        clip.embed([pages / "none.png"])
    with pytest.raises(PageUnreadableError, match="letter-08.png"):
        clip.embed([pages / "letter-08.png"])
    with pytest.raises(PageSortError, match="no page 2"):
        clip.embed([(path, 2)])
    with pytest.raises(PageSortError, match=r"uint8 \(N, 32, 32, 3\)"):
        clip.embed_images(np.zeros((1, 40, 40, 3), np.uint8))
