"""The file of JSON lines that programs read while a run goes on."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pagesort.common.errors import PageSortError
from pagesort.common.run_log import log_event, written_to
from tests.helpers.results import events


def test_events_and_warnings_are_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "ř log.jsonl"
    log_event("start", number=0)  # nobody listens yet
    with written_to(path):
        log_event("failed", path="a\nb\udce9.png", reason='"torn"')
        logging.getLogger("pagesort.x").warning("%s is\nodd", "ř")
        logging.getLogger("pagesort.x").info("nothing of interest")
    log_event("end")
    failed, warning = events(path)
    assert failed["event"] == "failed" and failed["path"] == "a\nb\\udce9.png"
    assert failed["time"] < warning["time"] or failed["time"] == warning["time"]
    assert (warning["event"], warning["message"]) == ("warning", "ř is\nodd")


def test_a_line_that_a_killed_run_left_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with written_to(path):
        log_event("start")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    with written_to(path):
        log_event("end")
    assert [each["event"] for each in events(path)] == ["start", "end"]
    path.write_bytes(whole[:7])
    with written_to(path):
        log_event("only")
    assert [each["event"] for each in events(path)] == ["only"]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader", encoding="utf-8")
    with pytest.raises(PageSortError, match="no log of the program"), written_to(path):
        pass
    assert path.read_text(encoding="utf-8") == "Dear reader"
    with pytest.raises(PageSortError, match="cannot be written"), written_to(tmp_path):
        pass


def test_two_runs_do_not_write_one_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with (
        written_to(path),
        pytest.raises(PageSortError, match="give each its own"),
        written_to(path),
    ):
        pass


def test_a_full_disk_is_told_once_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no disk that is always full")
    with written_to(full):
        log_event("start")
        log_event("end")
    said = [record for record in caplog.records if "any more" in record.getMessage()]
    assert len(said) == 1
