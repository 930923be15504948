"""A collection that is unlike a model's training pages is told, once and with a figure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier import CLIP
from pagesort.common.paths import BUNDLED_MODEL, SMALL_MODEL
from pagesort.models.training_pages import read_training_pages, sum_up, write_training_pages
from tests.helpers.command import Run, command, error_line, workplace
from tests.helpers.pages import write_page

__all__ = ["command", "workplace"]  # fixtures

SUMMARY = "training_pages.json"


def write_scans(folder: Path, count: int) -> list[Path]:
    """Bright pages that are as good as alike, of ten sources."""
    return [write_page(folder / f"p-{n}.png", n, (60 + n % 5, 80)) for n in range(count)]


@pytest.fixture(scope="module")
def trained(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, trained on the pages of `write_scans`; tests leave it as it is."""
    place = tmp_path_factory.mktemp("likeness")
    folder = place / "models" / "mine"
    shutil.copytree(tiny_model_folder, folder)
    vectors = CLIP.open(folder, lean=True).embed(write_scans(place / "trained", 30))
    write_training_pages(folder, sum_up(vectors, [str(n % 10) for n in range(30)], 0))
    return folder


@pytest.fixture
def own_model(trained: Path, tmp_path: Path) -> Path:
    """The same, for a test that changes it."""
    return shutil.copytree(trained, tmp_path / "models" / "mine")


def write_strangers(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        Image.new("L", (60, 80), 3 * number).save(folder / f"s-{number}.png")


def test_strangers_are_told_with_a_figure_and_ordinary_pages_are_not(
    command: Run, tmp_path: Path, trained: Path
) -> None:
    write_strangers(tmp_path / "strange", 24)
    ordinary = write_scans(tmp_path / "ordinary", 24)[0].parent
    status, out, err = command("-d", tmp_path / "strange", "--model_path", trained, model=False)
    (line,) = [line for line in err.splitlines() if "unlike" in line]
    assert status == 0 and "% of 24 pages scored now are unlike any that mine was trained" in line
    facts = json.loads(Path(out.splitlines()[0]).with_suffix(".json").read_text(encoding="utf-8"))
    told = facts["counts"]["training_pages"]
    assert told["pages"] == 24 and f"{100 * told['unlike'] / 24:.0f} % of 24" in line
    assert told["unlike"] > 24 * told["ordinary_up_to"]
    _, _, err = command("-d", ordinary, "--model_path", trained, model=False)
    assert "unlike" not in err
    _, _, err = command("-d", tmp_path / "strange")
    assert "unlike" not in err, "this model tells nothing of its training pages"


@pytest.mark.parametrize("folder", [BUNDLED_MODEL, SMALL_MODEL])
def test_the_bundled_models_know_their_training_pages(folder: Path) -> None:
    known = read_training_pages(folder, 256)
    assert known is not None
    assert known.centres.shape == (64, 256)
    assert np.allclose(np.linalg.norm(known.centres, axis=1), 1.0, atol=1e-3)
    assert 0.0 < known.limit < 1.0 and 0.0 < known.usual < known.most < 1.0


def test_few_pages_and_black_slots_of_a_batch_tell_nothing(
    command: Run, tmp_path: Path, trained: Path
) -> None:
    write_strangers(tmp_path / "few", 19)
    _, out, err = command("-d", tmp_path / "few", "--model_path", trained, model=False)
    assert "unlike" not in err
    (tmp_path / "few" / "t-1.png").write_bytes(b"no page")
    status, out, err = command("-d", tmp_path / "few", "--model_path", trained, model=False)
    assert status == 3 and "unlike" not in err
    facts = json.loads(Path(out.splitlines()[0]).with_suffix(".json").read_text(encoding="utf-8"))
    assert facts["counts"]["training_pages"]["pages"] == 19


def test_scores_are_the_same_to_the_bit(command: Run, tmp_path: Path, own_model: Path) -> None:
    folder = write_scans(tmp_path / "scans", 7)[0].parent
    tables = []
    for known in (True, False):
        if not known:
            (own_model / SUMMARY).unlink()
        arguments = ("-d", folder, "--raw", "--batch_size", "4", "--model_path", own_model)
        _, out, _ = command(*arguments, model=False)
        tables.append([Path(line).read_bytes() for line in out.splitlines()])
    assert len(tables[0]) == 2 and tables[0] == tables[1]


@pytest.mark.parametrize(
    "change",
    [
        {"centres": []},
        {"centres": ["AAAA"]},
        {"centres": [3]},
        {"centres": ["é"]},
        {"centres": ["AAAA" * 16]},
        {"limit": "far"},
        {"most": 7},
    ],
    ids=str,
)
def test_a_damaged_summary_is_one_error(
    command: Run, tmp_path: Path, own_model: Path, change: dict[str, object]
) -> None:
    folder = write_scans(tmp_path / "scans", 1)[0].parent
    content = json.loads((own_model / SUMMARY).read_text(encoding="utf-8"))
    (own_model / SUMMARY).write_text(json.dumps(content | change), encoding="utf-8")
    line = error_line(command("-d", folder, "--model_path", own_model, model=False))
    assert SUMMARY in line and "Fetch or train the model again" in line


def test_sources_left_out_say_what_is_usual() -> None:
    rng = np.random.default_rng(1)
    rows = np.abs(rng.normal(size=(200, 8))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    training = sum_up(rows, [str(n // 10) for n in range(200)], 0)
    assert training.usual == pytest.approx(0.05) and training.usual < training.most < 0.5
    assert (training.distances(rows) > training.limit).mean() < 0.05
    assert (training.distances(-rows) > training.limit).all()
