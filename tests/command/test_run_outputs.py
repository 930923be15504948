"""What a run writes for programs: `--format` and `--log`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.results import events

__all__ = ["command", "workplace"]  # fixtures


def pages(workplace: Path) -> Path:
    folder = workplace / "scans ř"
    folder.mkdir()
    for number in range(3):
        Image.new("L", (40, 30), 80 * number).save(folder / f"page-{number}.png")
    (folder / "torn.png").write_text("no picture", encoding="utf-8")
    return folder


def test_a_run_writes_its_tables_for_programs_and_its_log(command: Run, workplace: Path) -> None:
    folder = pages(workplace)
    how = ("-d", folder, "--raw", "--log", "run.jsonl", "--format", "jsonl,parquet")
    status, out, err = command(*how)
    assert status == 3, err
    paths = [Path(line) for line in out.splitlines()]
    endings = [".csv"] * 3 + [".parquet"] * 3 + [".jsonl"] * 3
    assert [path.suffix for path in paths] == endings
    rows = [json.loads(line) for line in paths[6].read_text(encoding="utf-8").splitlines()]
    for row, cells in zip(rows, read_table(paths[0]), strict=True):
        assert {key: str(value) for key, value in row.items()} == cells

    told = events(workplace / "run.jsonl")
    assert [each["event"] for each in told][:2] == ["start", "settings"]
    assert told[1]["settings"]["raw"]["value"] is True
    (failed,) = (each for each in told if each["event"] == "failed")
    assert failed["path"].endswith("torn.png") and "text file" in failed["reason"]
    last = [each for each in told if each["event"] == "pages"][-1]
    assert (last["total"], last["scored"], last["failed"]) == (4, 3, 1)
    assert {each["path"] for each in told if each["event"] == "table"} >= set(out.splitlines())
    assert any(each["event"] == "warning" for each in told)
    assert (told[-1]["event"], told[-1]["status"]) == ("end", 3)

    # Once mended, the tables of failures go in every form, and the log goes on.
    Image.new("L", (40, 30)).save(folder / "torn.png")
    status, out, err = command("-d", folder, "--resume", "--log", "run.jsonl")
    assert status == 0, err
    assert len(out.splitlines()) == 6
    assert not any("_FAILED" in path.name for path in paths[0].parent.iterdir())
    again = events(workplace / "run.jsonl")
    assert again[: len(told)] == told
    assert [each["event"] for each in again].count("end") == 2


def test_a_call_that_fails_ends_its_log_with_the_reason(command: Run, workplace: Path) -> None:
    line = error_line(command("-d", "nowhere", "--log", "run.jsonl", model=False))
    last = events(workplace / "run.jsonl")[-1]
    assert (last["event"], last["status"]) == ("end", 1)
    assert last["error"] in line


@pytest.mark.parametrize("text", ["xlsx", "csv,pickle", ","])
def test_other_formats_are_refused(command: Run, workplace: Path, text: str) -> None:
    line = error_line(command("-d", pages(workplace), "--format", text, model=False), 2)
    assert "csv, parquet or jsonl" in line
