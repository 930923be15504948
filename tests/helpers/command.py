"""The command line in a test: a working folder, a call, and what it prints and writes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

import run

Run = Callable[..., tuple[int, str, str]]  # arguments → exit status, stdout, stderr


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a config.txt that keeps all output inside it."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "config.txt").write_text("[OUTPUT]\nFOLDER_RESULTS = result\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def command(workplace: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in the working folder, with the tiny model unless `model` is false."""

    def call(*arguments: str | Path, model: bool = True) -> tuple[int, str, str]:
        words = [str(argument) for argument in arguments]
        if model:
            words += ["--model_path", str(tiny_model_folder)]
        if "--device" not in words:
            words += ["--device", "cpu"]
        status = run.main(words)
        return status, *capsys.readouterr()

    return call


def read_table(path: str | Path) -> list[dict[str, str]]:
    """The rows of a table as Python's csv reads them."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def error_line(result: tuple[int, str, str], status: int = 1) -> str:
    """The one line that says what went wrong, of a command that failed with this status."""
    assert result[0] == status, result
    assert "Traceback" not in result[2]
    lines = [line for line in result[2].splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result[2]
    return lines[0]
