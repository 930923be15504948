"""Pages from Python: `CLIP.predict` and `CLIP.embed` on files, documents and images."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import classifier
from classifier import CLIP
from pagesort.common.errors import PageSortError, PageUnreadableError
from tests.helpers.pdfs import Sheet, scan_pixels, write_pdf


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`letter-1.png`, `letter-2.png`, a TIFF and a PDF of two pages each, and a text named .png."""
    folder = tmp_path_factory.mktemp("my scans ř")
    pages = [Image.fromarray(scan_pixels(seed, 60, 80)) for seed in range(4)]
    for number, page in enumerate(pages[:2], 1):
        page.save(folder / f"letter-{number}.png")
    pages[2].save(folder / "two.tif", save_all=True, append_images=pages[3:])
    write_pdf(folder / "report.pdf", [Sheet(scan=scan_pixels(seed, 60, 80)) for seed in (1, 2)])
    (folder / "no.png").write_text("a text", encoding="utf-8")
    return folder


def test_files_and_documents_become_a_data_frame(clip: CLIP, scans: Path) -> None:
    given = [scans / "letter-2.png", str(scans / "report.pdf"), (scans / "two.tif", 2)]
    table = clip.predict(given, top_n=2)
    assert list(table.columns) == [
        "FILE", "PAGE", "CLASS-1", "CLASS-2", "SCORE-1", "SCORE-2", "NOTE", "PATH",
    ]  # fmt: skip
    names = list(table[["FILE", "PAGE"]].itertuples(index=False, name=None))
    assert names == [("letter", 2), ("report", 1), ("report", 2), ("two", 2)]
    assert [Path(path).name for path in table["PATH"]] == [
        "letter-2.png", "report.pdf", "report.pdf", "two.tif",
    ]  # fmt: skip
    rows = clip.embed([given[0], (given[1], 1), (given[1], 2), given[2]])
    scores = clip.scores(rows)
    assert table["CLASS-1"].tolist() == [clip.labels[best] for best in scores.argmax(axis=1)]
    assert np.allclose(table["SCORE-1"], scores.max(axis=1), atol=1e-5)
    assert np.allclose(table["SCORE-2"], np.sort(scores)[:, -2], atol=1e-5)


def test_one_page_stands_for_itself_and_images_keep_their_order(clip: CLIP, scans: Path) -> None:
    path = scans / "letter-1.png"
    image = Image.open(path)
    memory = Image.fromarray(np.asarray(image))
    table = clip.predict([memory, path, image, memory])
    assert table["FILE"].tolist() == ["", "letter", "letter", ""]
    assert table["PAGE"].isna().tolist() == [True, False, False, True]
    assert np.ptp(table["SCORE-1"]) < 1e-5
    for one in (path, str(path), image, (path, 1)):
        assert len(clip.predict(one)) == len(clip.embed(one)) == 1
    assert len(clip.predict([])) == 0 and clip.embed_texts([]).shape == (0, clip.dimension)
    assert clip.embed_texts("a map").shape == (1, clip.dimension)


def test_more_pages_than_a_batch_keep_their_places(clip: CLIP, scans: Path) -> None:
    good, bad = scans / "letter-1.png", scans / "none.png"
    table = clip.predict([good] * 15 + [bad] + [scans / "letter-2.png"] * 3, unreadable="keep")
    assert table["CLASS-1"].isna().tolist() == [False] * 15 + [True] + [False] * 3
    assert table["PATH"].tolist()[15:17] == [str(bad), str(scans / "letter-2.png")]
    alone = clip.predict(scans / "letter-2.png")
    assert np.allclose(table["SCORE-1"][16:], alone["SCORE-1"][0], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("no.png", "text"), ("none.png", "does not exist"), ("", "folder")],
)
def test_a_page_that_cannot_be_read_is_named_or_kept(
    clip: CLIP, scans: Path, name: str, reason: str
) -> None:
    path = scans / name
    with pytest.raises(PageUnreadableError, match=reason) as told:
        clip.predict([scans / "letter-1.png", path])
    assert str(path) in str(told.value)
    table = clip.predict([path, scans / "letter-1.png"], unreadable="keep")
    assert table["CLASS-1"].isna().tolist() == [True, False] and reason in table["NOTE"][0]


def test_what_is_no_page_gets_a_clear_error(clip: CLIP, scans: Path, tmp_path: Path) -> None:
    image = Image.open(scans / "letter-1.png")
    with pytest.raises(PageSortError, match=r"uint8 \(N, 32, 32, 3\), and this is PngImageFile"):
        clip.embed_images(image)  # type: ignore[arg-type]
    for pixels in (np.zeros((32, 32, 3), np.uint8), np.zeros((1, 32, 32, 3), np.float32)):
        with pytest.raises(PageSortError, match="CLIP.embed and CLIP.predict take files"):
            clip.probabilities(pixels)
    with pytest.raises(PageSortError, match=r"this is a ndarray.*Image.fromarray"):
        clip.predict([np.zeros((32, 32, 3), np.uint8)])  # type: ignore[list-item]
    with pytest.raises(PageSortError, match="needs the number of one"):
        clip.embed(scans / "report.pdf")
    with pytest.raises(PageSortError, match="no page 3"):
        clip.predict((scans / "report.pdf", 3))
    with pytest.raises(PageSortError, match="12 guesses are not possible. The model has 11"):
        clip.predict([], top_n=12)
    with pytest.raises(PageSortError, match=r"\(N, 24\), and these are \(24,\)"):
        clip.scores(np.zeros(24, np.float32))
    with pytest.raises(PageSortError, match=r"there is no such model: .*nowhere"):
        CLIP.open(tmp_path / "nowhere")


def test_every_public_name_is_described() -> None:
    """Also what arrays hold, and that an error may come, wherever the name takes something."""
    members = dict(inspect.getmembers(CLIP, lambda each: not inspect.isclass(each)))
    public = {name: each for name, each in members.items() if not name.startswith("_")}
    public |= {name: getattr(classifier, name) for name in classifier.__all__}
    for name, each in public.items():
        text = inspect.getdoc(each) or ""
        assert len(text) > 20, name
        wanted = str(getattr(each, "__annotations__", {}).get("return", ""))
        if re.search("ndarray|Tensor", wanted):
            assert re.search(r"\([A-Za-z]+, [^)]*\)", text), f"{name}: its shape"
    raising = ("open", "variant", "embed", "predict", "embed_images", "probabilities", "scores")
    for name in (*raising, "label_embeddings", "export_onnx", "model_fingerprint"):
        assert "Raises:" in (inspect.getdoc(public[name]) or ""), name
