"""Two models see the pages of a folder, which are decoded once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from classifier import CLIP
from pagesort.pages import loader
from pagesort.prediction import journal
from pagesort.review.finished_run import pages_of_table
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.pages import write_page

__all__ = ["command", "workplace"]  # fixtures


@pytest.fixture
def second(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """A model that wants its pages squashed and answers otherwise: its texts are exchanged."""
    folder = tmp_path / "models" / "second"
    shutil.copytree(tiny_model_folder, folder)
    facts = json.loads((folder / "pagesort.json").read_text(encoding="utf-8"))
    labels, texts = list(facts["descriptions"]), list(facts["descriptions"].values())
    facts["descriptions"] = dict(zip(labels, texts[1:] + texts[:1], strict=True))
    (folder / "pagesort.json").write_text(json.dumps(facts), encoding="utf-8")
    settings = folder / "preprocessor_config.json"
    how = json.loads(settings.read_text(encoding="utf-8"))
    how |= {"size": {"height": 32, "width": 32}, "do_center_crop": False}
    settings.write_text(json.dumps(how), encoding="utf-8")
    return folder


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    for number in range(1, 6):
        write_page(folder / f"p-{number}.png", number, (60 + 40 * number, 120))
    (folder / "q-1.png").write_bytes(b"no page")
    return folder


def test_a_second_model_says_what_it_says_alone_and_pages_are_decoded_once(
    command: Run, scans: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = read_table(command("-d", scans)[1].splitlines()[0])
    other = read_table(command("-d", scans, "--model_path", second, model=False)[1].splitlines()[0])
    opened: list[Path] = []
    original = loader.opened_scan

    def counted(path: Path, *more: object) -> Iterator[object]:
        opened.append(Path(path))
        return original(path, *more)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(loader, "opened_scan", counted)
    status, out, err = command("-d", scans, "--compare_with", second)
    assert status == 3 and sorted(opened) == sorted(scans.iterdir())
    table = Path(out.splitlines()[0])
    rows = read_table(table)
    assert list(rows[0])[-5:] == ["OTHER-CLASS", "OTHER-SCORE", "DISAGREE", "NOTE", "PATH"]
    for row, first, beside in zip(rows, alone, other, strict=True):
        assert {key: row[key] for key in first} == first
        assert (row["OTHER-CLASS"], row["OTHER-SCORE"]) == (beside["CLASS-1"], beside["SCORE-1"])
        assert row["DISAGREE"] == ("yes" if row["CLASS-1"] != row["OTHER-CLASS"] else "")
    differing = [row for row in rows if row["DISAGREE"]]
    assert differing and f"the second model differs on {len(differing)} of them" in err
    models = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))["models"]
    assert [Path(model["folder"]).name for model in models] == ["tiny", "second"]
    shown = [page.other for page in pages_of_table(table) if not page.problem]
    assert shown == [row["OTHER-CLASS"] if row["DISAGREE"] else "" for row in rows]


def test_a_run_of_two_models_is_gone_on_with_those_two(
    command: Run, scans: Path, second: Path, monkeypatch: pytest.MonkeyPatch, workplace: Path
) -> None:
    whole = Path(command("-d", scans, "--compare_with", second)[1].splitlines()[0])
    record, done = journal.RunJournal.record, 0

    def stop(self: journal.RunJournal, results: list[object]) -> None:
        nonlocal done
        if done:
            raise KeyboardInterrupt
        done = 1
        record(self, results)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(journal.RunJournal, "record", stop)
        arguments = ("-d", scans, "--compare_with", second, "--batch_size", "2")
        assert command(*arguments)[0] == 130
    third = second.with_name("third")
    shutil.copytree(second, third)
    facts = json.loads((third / "pagesort.json").read_text(encoding="utf-8"))
    (third / "pagesort.json").write_text(json.dumps(facts | {"temperature": 3.0}), encoding="utf-8")
    line = error_line(command("-d", scans, "--resume", "--compare_with", third))
    assert "second model: then" in line
    status, out, _ = command("-d", scans, "--resume")
    assert status == 3
    assert Path(out.splitlines()[0]).read_bytes() == whole.read_bytes()


def test_second_models_that_make_no_sense_are_refused(
    command: Run, scans: Path, tiny_model_folder: Path, second: Path
) -> None:
    def refused(model: Path | str, *more: str) -> str:
        return error_line(command("-d", scans, "--compare_with", model, *more))

    assert "the second model does not exist" in refused("no such")
    assert "the same as the first" in refused(tiny_model_folder)
    names = command("-d", scans, "--compare_with", "second", "--model_dir", second.parent)
    assert names[0] == 3, names
    result = command("-d", scans, "--compare_with", second, "--best", model=False)
    assert "contradict" in error_line(result, status=2)


def test_decoding_serves_the_model_that_sees_more(scans: Path, tiny_model_folder: Path) -> None:
    clip = CLIP.open(tiny_model_folder, device="cpu", lean=True)
    exact = clip.preprocessing
    with loader.PageLoader(exact, second=exact) as both:
        page = both.page(loader.PageRef(0, scans / "p-1.png"))
    assert isinstance(page, loader.Page) and page.other is page.pixels
