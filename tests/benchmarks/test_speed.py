"""The speed benchmark: all programs that sort the same pages give the same answers."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.helpers.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def folder_part() -> Iterator[ModuleType]:
    """The module that sorts folders; the benchmarks import one another by name."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import speed_folder

        yield speed_folder
    finally:
        sys.path.remove(str(BENCHMARKS))


def _expected() -> np.ndarray:
    return np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], np.float32)


def test_answers_that_differ_are_told(folder_part: ModuleType) -> None:
    expected = _expected()
    assert folder_part.difference(expected, expected, exact=True) is None
    assert "differs by 0.6" in folder_part.difference(expected[::-1], expected, exact=True)
    moved = expected + np.array([[-0.1, 0.1, 0.0]], np.float32)
    found = folder_part.difference(moved, expected, exact=False)
    assert found == "scores differ by 0.0667 on average"
    # Half of the pages moved little, one moved much: its first guess still counts.
    many = np.repeat(expected, 50, axis=0)
    other = many.copy()
    other[0] = other[0][::-1]
    assert folder_part.difference(other, many, exact=False) == "1 pages have another first guess"


def test_close_guesses_may_change_places(folder_part: ModuleType) -> None:
    expected = np.array([[0.501, 0.499]], np.float32)
    swapped = np.array([[0.499, 0.501]], np.float32)
    assert folder_part.difference(swapped, expected, exact=True) is None


@pytest.mark.slow
def test_all_programs_agree(folder_part: ModuleType, tmp_path: Path) -> None:
    import contenders
    from rounds import Measured
    from speed_models import get_model, get_pages

    pages = get_pages(ROOT / "category_samples", 5, workers=1)
    arguments = argparse.Namespace(device="cpu", precision="bf16", batch_size=2)
    job = folder_part._job(arguments, "tiny", get_model("tiny", tmp_path), pages)
    measured = {}
    for name in (*folder_part.OTHERS, contenders.OURS, contenders.OURS_FP32):
        contender = contenders.make_contender(name, job)
        contender.prepare(len(pages), 3)
        contender.run()
        measured[name] = Measured(len(pages), 3, answers=[contender.scores()])
    folder_part.compare(job, measured)
    assert {each.answers[0].shape for each in measured.values()} == {(5, 11)}
    turned = measured[contenders.PUBLISHED].answers[0][:, ::-1]
    with pytest.raises(SystemExit, match="published design"):
        folder_part.compare(
            job, measured | {contenders.PUBLISHED: Measured(5, 3, answers=[turned])}
        )


def test_sections_replace_those_of_the_same_title(folder_part: ModuleType, tmp_path: Path) -> None:
    import speed_report

    path = tmp_path / "results" / "speed.md"
    speed_report.write_sections(path, {"Start": "first", "Folder, B": "kept"})
    speed_report.write_sections(path, {"Start": "second"})
    text = path.read_text(encoding="utf-8")
    assert text.count("## ") == 2
    assert "kept" in text
    assert "second" in text
    assert "first" not in text


@pytest.mark.slow
def test_the_command_writes_its_tables(tmp_path: Path) -> None:
    words = ["--models", "tiny", "--rounds", "1", "--pages", "4", "--batches", "2"]
    folders = ["--pages_folder", str(ROOT / "category_samples"), "--models_folder", str(tmp_path)]
    out = tmp_path / "speed.md"
    command = [sys.executable, str(BENCHMARKS / "speed.py"), *words, *folders, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    text = out.read_text(encoding="utf-8")
    for told in (
        "## Folder, tiny",
        "## Start",
        "## Training, tiny",
        "commit",
        "| limit",
        "open_clip",
    ):
        assert told in text
        assert told in done.stdout
