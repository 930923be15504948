"""Training, measuring and reading through the command line, with a small network."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import run
from pagesort.reading.ctc_reader import CtcReader
from pagesort.reading.decoding import greedy
from pagesort.reading.language import CharacterModel
from pagesort.reading.reader import Reader
from pagesort.reading.reader_folder import LANGUAGE_FILE, read_facts
from pagesort.reading.validation import ReaderReporter
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.killed import do_and_kill
from tests.reading.conftest import draw_line, write_lines

__all__ = ["command", "workplace"]  # fixtures

WORDS = ("abc", "bca", "cab")
LINES = [
    (f"hand {hand} ř/{number}.png", WORDS[(hand + number) % 3], f"h{hand}")
    for hand in range(5)
    for number in range(3)
]
TEACH = ("--train_reader", "--from_scratch", "--epochs", "2", "--batch_size", "4", "--lr", "1e-3")


@dataclass(frozen=True)
class Workplace:
    """A folder with a settings file, and what a training there has printed."""

    folder: Path
    table: Path
    reader: Path
    status: int

    def run(self, *arguments: str | Path) -> int:
        config = self.folder / "config.txt"
        words = ["--config", str(config), "--device", "cpu", *map(str, arguments)]
        return run.main(words)


def settings_of(folder: Path) -> None:
    keys = "FOLDER_RESULTS = result\nFOLDER_CPOINTS = state\nFOLDER_MODELS = models\n"
    (folder / "config.txt").write_text(f"[OUTPUT]\n{keys}[TRAIN]\nworkers = 0\n", encoding="utf-8")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, small_network: None) -> Workplace:
    """A reader that was trained on drawn lines, of which one cannot be read and one has no text."""
    folder = tmp_path_factory.mktemp("taught")
    settings_of(folder)
    table = write_lines(folder / "data", LINES)
    (folder / "data" / "text.png").write_text("no picture", encoding="utf-8")
    with table.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("text.png", "abc", "h0"), (LINES[0][0].replace("0.", "1."), "abc", "h0")]
        )
        csv.writer(file).writerows([("../config.txt", "abc", "h0"), ("gone.png", " ", "h1")])
    words = ["--config", str(folder / "config.txt"), "--device", "cpu", "--data", str(table)]
    status = run.main([*words, *TEACH, "--synthetic", "0.5"])
    (reader,) = (folder / "models").glob("reader_*")
    return Workplace(folder, table, reader, status)


def test_a_reader_is_trained_and_tells_how(taught: Workplace) -> None:
    facts = read_facts(taught.reader)
    assert facts.alphabet.characters == tuple("abc")
    assert facts.training["lines"] == {"train": 9, "validation": 3}
    assert facts.training["recipe"]["synthetic"] == 0.5
    assert len(facts.hands) == 4  # of five, one tests
    assert len(facts.seen) == 12
    assert facts.training["figures"]["cer"] >= 0.0
    (state,) = (taught.folder / "state").glob("reader_*")
    assert {path.name.partition("-")[0] for path in state.iterdir()} >= {"checkpoint", "best"}
    shown = b"".join(path.read_bytes() for path in (state / "runs").iterdir())
    assert b"readings" in shown
    assert b"| truth | reading |" in shown


def test_lines_that_cannot_be_used_are_listed(taught: Workplace) -> None:
    assert taught.status == 3
    (listed,) = (taught.folder / "result/tables").glob("*_LEFT_OUT.csv")
    reasons = {row["LINE"]: row["REASON"] for row in read_table(listed)}
    assert reasons.keys() == {"text.png", LINES[1][0], "../config.txt", "gone.png"}
    assert "twice" in reasons[LINES[1][0]]
    assert "outside" in reasons["../config.txt"]
    assert "no text" in reasons["gone.png"]


def test_lines_of_one_hand_lie_on_one_side_of_the_split(taught: Workplace) -> None:
    (split,) = (taught.folder / "result/stats").glob("split_*.json")
    parts = json.loads(split.read_text(encoding="utf-8"))
    hands = {
        part: {name.split("/")[0] for name in parts[part]}
        for part in ("train", "validation", "test")
    }
    assert sum(map(len, hands.values())) == len(set().union(*hands.values())) == 5


def test_a_trained_reader_reads_the_same_alone_and_among_others(
    taught: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader.open(taught.reader)
    pictures = [
        np.asarray(Image.open(taught.table.parent / name).convert("L")) for name, _, _ in LINES[:4]
    ]
    wide = np.full((80, 900), 200, dtype=np.uint8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    together = reader.read([*pictures, wide])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    alone = [reader.read([picture])[0] for picture in pictures]
    assert [each.text for each in together[:4]] == [each.text for each in alone]
    assert [each.confidence for each in together[:4]] == pytest.approx(
        [each.confidence for each in alone], abs=1e-5
    )
    assert all(0.0 <= each.confidence <= 1.0 for each in together)


def test_a_reader_considers_its_language_unless_that_is_declined(taught: Workplace) -> None:
    reader, without = (
        Reader.open(taught.reader, language_model=wanted) for wanted in (True, False)
    )
    assert isinstance(reader, CtcReader)
    assert isinstance(without, CtcReader)
    assert without.decode is greedy
    assert reader.decode is not greedy
    (taught.reader / LANGUAGE_FILE).rename(taught.folder / LANGUAGE_FILE)
    try:
        assert Reader.open(taught.reader).read([np.full((64, 90), 200, np.uint8)])
    finally:
        (taught.folder / LANGUAGE_FILE).rename(taught.reader / LANGUAGE_FILE)


@pytest.fixture(scope="module")
def measured(taught: Workplace) -> Iterator[list[dict[str, str]]]:
    """The table of the lines that were measured on."""
    assert taught.run("--eval_reader", "--data", taught.table, "--reader_path", taught.reader) == 3
    (table,) = (taught.folder / "result/tables").glob("reader_*_LINES.csv")
    yield read_table(table)


def test_only_lines_that_were_not_trained_on_are_measured(
    taught: Workplace, measured: list[dict[str, str]]
) -> None:
    facts = read_facts(taught.reader)
    assert len(measured) == 3
    assert {row["DOCUMENT"] for row in measured}.isdisjoint(facts.hands)
    assert {row["HAND"] for row in measured} == {"new"}


def test_figures_can_be_computed_from_the_table(
    taught: Workplace,
    measured: list[dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    taught.run("--eval_reader", "--data", taught.table, "--reader_path", taught.reader)
    printed = capsys.readouterr().out.splitlines()
    truths, readings = ([row[name] for row in measured] for name in ("TRUTH", "READING"))
    cer = jiwer.process_characters(truths, readings).cer
    assert printed[1].split("\t")[:2] == ["3", f"{100 * cer:.1f} %"]
    errors = sum(int(row["ERRORS"]) for row in measured)
    assert errors / sum(int(row["CHARACTERS"]) for row in measured) == pytest.approx(cer)
    hands = next(Path(line) for line in printed if line.endswith("_HANDS.csv"))
    assert [row["LINES"] for row in read_table(hands)] == ["3"]


def test_the_worst_lines_are_a_page_with_picture_truth_and_reading(
    taught: Workplace, measured: list[dict[str, str]]
) -> None:
    (page, *_) = sorted((taught.folder / "result/tables").glob("reader_*_WORST.html"))
    text = page.read_text(encoding="utf-8")
    assert text.count("<article>") == 3
    assert text.count("data:image/jpeg;base64,") == 3
    worst = max(measured, key=lambda row: float(row["CER"]))
    assert worst["FILE"] in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_reader_learns_new_characters_and_keeps_the_others(taught: Workplace) -> None:
    rows = [(f"{number}.png", "dab"[: 1 + number % 3], f"n{number % 3}") for number in range(6)]
    more = write_lines(taught.folder / "more", rows)
    before = set((taught.folder / "models").iterdir())
    words = ("--epochs", "1", "--batch_size", "4", "--lr", "1e-9")
    assert taught.run("--train_reader", "--data", more, "--reader_path", taught.reader, *words) in (
        0,
    )
    (new,) = set((taught.folder / "models").iterdir()) - before
    facts = read_facts(new)
    assert facts.alphabet.characters == tuple("abcd")
    assert facts.seen > read_facts(taught.reader).seen
    assert facts.training["start"] == taught.reader.name
    old, grown = (load_file(each / "model.safetensors") for each in (taught.reader, new))
    assert grown["head.weight"].shape[0] == old["head.weight"].shape[0] + 1
    assert torch.allclose(grown["head.weight"][:4], old["head.weight"], atol=1e-4)
    known, learnt = (CharacterModel.read(each / LANGUAGE_FILE) for each in (taught.reader, new))
    assert learnt.log_probability("d", "a") > known.log_probability("d", "a")


def test_a_training_that_was_stopped_ends_at_the_same_weights(
    taught: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings_of(tmp_path)
    again = Workplace(tmp_path, taught.table, tmp_path, 0)
    words = ("--data", taught.table, *TEACH, "--synthetic", "0.5")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReaderReporter, "after_step", stop_at(4))
        assert again.run(*words) == 130
    said = capsys.readouterr().err
    assert "up to step 3 is kept" in said
    assert "--resume" not in said
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())
    assert again.run(*words) == 3
    assert "going on with the interrupted training at step 3 of 6" in capsys.readouterr().err
    (reader,) = (tmp_path / "models").iterdir()
    undisturbed, stopped = (
        load_file(folder / "model.safetensors") for folder in (taught.reader, reader)
    )
    assert undisturbed.keys() == stopped.keys()
    assert all(torch.equal(undisturbed[name], stopped[name]) for name in stopped)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs kill -9")
def test_a_killed_training_ends_at_the_same_weights(tmp_path: Path) -> None:
    table = write_lines(tmp_path / "data", LINES)
    readers = []
    for name, killed_at in (("undisturbed", ()), ("killed", (5, 12, 19))):
        folder = tmp_path / name
        folder.mkdir()
        settings_of(folder)
        words = ("--config", folder / "config.txt", "--device", "cpu", "--data", table, *TEACH)
        do_and_kill((*killed_at, 0), folder, "train_reader", *words)
        (reader,) = (folder / "models").glob("reader_*")
        readers.append(load_file(reader / "model.safetensors"))
    undisturbed, killed = readers
    assert undisturbed.keys() == killed.keys()
    assert all(torch.equal(undisturbed[name], killed[name]) for name in killed)


def stop_at(step: int):
    """What a reporter does after a step, with Ctrl-C after one of them."""

    def after_step(_: ReaderReporter, done: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return after_step


def test_samples_hold_no_handwriting_of_lines_that_validate_or_test(taught: Workplace) -> None:
    data = taught.folder / "marked"
    hands = [f"h{number}" for number in range(6)]
    rows = [(f"{hand}/{number}.png", "ab ab", hand) for hand in hands for number in range(2)]
    table = write_lines(data, rows)
    assert taught.run("--data", table, "--synthetic_samples", "1") == 0
    (split,) = (
        path
        for path in (taught.folder / "result/stats").glob("split_*.json")
        if json.loads(path.read_text(encoding="utf-8"))["folder"] == "lines.csv"
        and "h5/0.png" in path.read_text(encoding="utf-8")
    )
    parts = json.loads(split.read_text(encoding="utf-8"))
    held = set(parts["validation"] + parts["test"])
    assert held
    for name, _, _ in rows:  # each side on paper of its own
        draw_line(data / name, "ab ab", paper=100 if name in held else 220)
    assert taught.run("--data", table, "--synthetic_samples", "20") == 0
    folder = taught.folder / "result/synthetic"
    samples = read_table(folder / "lines.csv")
    assert len(samples) == 20
    assert {sample["form"] for sample in samples} == {"line", "form"}
    for sample in samples:
        picture = np.asarray(Image.open(folder / sample["path"]))
        assert np.percentile(picture, 60) > 180, sample
        assert set(sample["text"]) <= set("ab \n")


def test_what_cannot_be_meant_is_one_line(command: Run, tmp_path: Path) -> None:
    line = error_line(command("--train_reader", model=False), 2)
    assert "--data" in line
    line = error_line(command("--eval_reader", "--data", tmp_path / "gone", model=False), 2)
    assert "gone" in line
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no line" in error_line(command("--eval_reader", "--data", empty, model=False))
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1,2\n", encoding="utf-8")
    assert "path and text" in error_line(command("--eval_reader", "--data", table, model=False))
    form = ("--train_reader", "--from_scratch", "--data_format", "form", "--data")
    lines = write_lines(tmp_path / "lines", LINES[:1])
    assert "--architecture seq2seq" in error_line(command(*form, lines, model=False))
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "reader.json").write_text('{"format": "x"}', encoding="utf-8")
    call = ("--eval_reader", "--data", write_lines(tmp_path / "ř", LINES[:1]), "--reader_path")
    assert "reader.json" in error_line(command(*call, damaged, model=False))
    assert "no reader" in error_line(command(*call, tmp_path / "nothing", model=False))
