"""Votes of several tiny models: who votes, the tables, interruptions, failures."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from classifier import CLIP
from pagesort.common.errors import PageSortError, UsageError
from pagesort.evaluation import accuracies
from pagesort.models.metadata import METADATA_FILE
from pagesort.pages.loader import load_page
from pagesort.prediction.request import Outcome, Request
from pagesort.voting.vote import choose_voters, model_folders, predict_vote, vote, vote_page
from tests.helpers.command import read_table
from tests.helpers.labels import LABELS
from utils import round_scores

Opener = Callable[[Path], CLIP]


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


@pytest.fixture
def models(tiny_model_folder: Path, tmp_path: Path) -> list[Path]:
    """Three models that answer differently, by their prompts."""
    prompts = {"first": "a map of {}", "second": "{}, written by hand", "third": "no {} at all"}
    return [_model(tiny_model_folder, tmp_path / "models" / name, p) for name, p in prompts.items()]


def _model(source: Path, target: Path, prompt: str, labels: Sequence[str] = LABELS) -> Path:
    shutil.copytree(source, target)
    path = target / METADATA_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    texts = {label: content["descriptions"].get(label, [label]) for label in labels}
    content |= {"prompt": prompt, "labels": list(labels), "descriptions": texts}
    path.write_text(json.dumps(content), encoding="utf-8")
    return target


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Twelve pages that the models judge differently."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for number in range(1, 13):
        patches = np.random.default_rng(number).integers(0, 256, (6, 5, 3), dtype=np.uint8)
        page = Image.fromarray(patches).resize((90, 120), Image.Resampling.NEAREST)
        page.save(folder / f"doc-{number}.png")
    return folder


@pytest.fixture
def request_(pages: Path, tmp_path: Path) -> Request:
    return Request(
        folder=pages,
        formats=("png",),
        inner=False,
        tables=tmp_path / "result" / "tables",
        top_n=2,
        raw=False,
        max_categ=5,
        batch_size=4,
        max_megapixels=10.0,
        resume=False,
    )


def _open(folder: Path) -> CLIP:
    return CLIP.open(folder, device="cpu", lean=True)


_opened = cache(_open)


def _guesses(model: Path, page: Path) -> tuple[str, float]:
    clip = _opened(model)
    scores = clip.probabilities(clip.preprocessing.apply(load_page(page))[None])[0]
    return clip.labels[int(scores.argmax())], float(round_scores(scores.max()))


def _row(model: str, top_1: float, **facts: Any) -> accuracies.Row:
    own = dict.fromkeys((each.name for each in fields(accuracies.Row)), 0)
    texts = {"base": "tiny", "revision": "", "descriptions": "own", "date": "20260101-1200"}
    places = {"folder": "samples", "part": "all", "averaged": True}
    return accuracies.Row(**(own | texts | places | {"model": model, "top_1": top_1} | facts))


def _write_accuracies(stats: Path, rows: dict[str, float], **facts: Any) -> Path:
    table = [_row(model, top_1, **facts) for model, top_1 in rows.items()]
    return accuracies.record(stats, table, zero_shot=False)


def test_every_page_gets_the_vote_of_all_models(
    models: list[Path], request_: Request, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = predict_vote(_open, models, request_)
    (table,) = outcome.tables
    assert outcome.failed == 0
    assert table.parent == request_.tables
    assert table.name.startswith("vote_20")
    assert table.name.endswith("_3m.csv")
    rows = read_table(table)
    names = ["first", "second", "third"]
    assert list(rows[0]) == ["FILE", "PAGE", "VOTE", "AGREEMENT", *names, "PATH"]
    assert [row["PAGE"] for row in rows] == [str(number) for number in range(1, 13)]
    for row in rows:
        ballots = [_guesses(m, request_.folder / f"doc-{row['PAGE']}.png") for m in models]
        label, agreement = vote(ballots)
        assert [row["VOTE"], row["AGREEMENT"]] == [label, f"{agreement:.3f}"]
        assert [row["first"], row["second"], row["third"]] == [each[0] for each in ballots]
    # Otherwise the votes would prove nothing.
    assert len({row["VOTE"] for row in rows}) > 1
    assert len({row["first"] for row in rows}) > 1
    own = table.parent / table.stem
    assert sorted(path.name for path in own.iterdir()) == ["first", "second", "third"]
    assert all(len(read_table(next((own / name).iterdir()))) == 12 for name in ("first", "third"))
    assert {path.name for path in table.parent.iterdir()} == {table.name, own.name}
    assert "3 models voted on 12 pages" in caplog.text


def test_one_page_gets_the_same_vote_alone_and_in_its_folder(
    models: list[Path], request_: Request
) -> None:
    rows = read_table(predict_vote(_open, models, request_).tables[0])
    for row in rows[::4]:
        page = request_.folder / f"doc-{row['PAGE']}.png"
        result = vote_page(_open, models, page, 100.0)
        assert [result.label, f"{result.agreement:.3f}"] == [row["VOTE"], row["AGREEMENT"]]
        assert [(name, label) for name, label, _ in result.guesses] == [
            (name, row[name]) for name in ("first", "second", "third")
        ]
        assert result.guesses[0][2] == _guesses(models[0], page)[1]


def test_two_votes_in_a_minute_stay_apart(models: list[Path], request_: Request) -> None:
    tables = [predict_vote(_open, models[:2], request_).tables[0] for _ in range(2)]
    assert len(set(tables)) == 2
    assert read_table(tables[0]) == read_table(tables[1])
    assert sorted(len(list(path.parent.glob(f"{path.stem}/*"))) for path in tables) == [2, 2]


class _Counting:
    """Opens models, counts the pages that each scores, and stops where it is told to."""

    def __init__(self, stop_at: int | None = None, error: type[BaseException] = KeyboardInterrupt):
        self.batches: list[str] = []
        self.stop_at, self.error = stop_at, error

    def __call__(self, folder: Path) -> CLIP:
        clip = _open(folder)
        score = clip.probabilities

        def counted(pixels: np.ndarray) -> np.ndarray:
            if len(self.batches) == self.stop_at:
                raise self.error
            self.batches.append(folder.name)
            return score(pixels)

        clip.probabilities = counted
        return clip


@pytest.mark.parametrize("done", [0, 2, 3, 5, 8])
def test_a_stopped_vote_goes_on_without_doing_anything_twice(
    models: list[Path], request_: Request, done: int, tmp_path: Path
) -> None:
    whole = predict_vote(_open, models, replace(request_, tables=tmp_path / "other"))
    stopped = _Counting(done)
    with pytest.raises(KeyboardInterrupt, match=f"{done // 3} of 3 models are done; of "):
        predict_vote(stopped, models, request_)
    assert not list(request_.tables.glob("vote_*.csv"))
    assert len(list(request_.tables.glob("vote_*.partial.json"))) == 1
    rest = _Counting()
    outcome = predict_vote(rest, (), replace(request_, resume=True))
    assert stopped.batches + rest.batches == ["first"] * 3 + ["second"] * 3 + ["third"] * 3
    assert outcome.tables[0].read_bytes() == whole.tables[0].read_bytes()
    assert not list(request_.tables.glob("*.partial.json"))
    with pytest.raises(PageSortError, match="no interrupted vote"):
        predict_vote(_open, (), replace(request_, resume=True))


def test_a_stop_between_two_models_or_while_counting_loses_nothing(
    models: list[Path], request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def stopping(folder: Path) -> CLIP:
        opened.append(folder.name)
        if len(opened) == 5:  # three to look at, the first to run, and now the second
            raise KeyboardInterrupt
        return _open(folder)

    with pytest.raises(KeyboardInterrupt, match="1 of 3 models are done; second has not begun"):
        predict_vote(stopping, models, request_)
    resumed = replace(request_, resume=True)
    with monkeypatch.context() as patch:

        def stop(*_: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr("pagesort.voting.vote.join_results", stop)
        with pytest.raises(KeyboardInterrupt, match="their votes remain to be counted"):
            predict_vote(_open, (), resumed)
    rest = _Counting()
    assert len(read_table(predict_vote(rest, (), resumed).tables[0])) == 12
    assert rest.batches == []


def test_a_run_that_was_killed_while_it_listed_pages_is_begun_again(
    models: list[Path], request_: Request
) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict_vote(_Counting(3), models, request_)
    (state,) = request_.tables.glob("vote_*.partial.json")
    stem = state.name.removesuffix(".partial.json")
    (second,) = (request_.tables / stem / "second").glob("*.partial.sqlite")
    second.write_bytes(b"")
    rest = _Counting()
    assert predict_vote(rest, (), replace(request_, resume=True)).failed == 0
    assert rest.batches == ["second"] * 3 + ["third"] * 3
    assert not second.exists()


def test_only_the_same_vote_goes_on(
    models: list[Path], request_: Request, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict_vote(_Counting(4), models, request_)
    resumed = replace(request_, resume=True)
    with pytest.raises(PageSortError, match=r"other settings \(top_N: then 2, now 3\)"):
        predict_vote(_open, (), replace(resumed, top_n=3))
    (state,) = request_.tables.glob("vote_*.partial.json")
    text = state.read_text(encoding="utf-8")
    path = models[1] / METADATA_FILE
    own = path.read_text(encoding="utf-8")
    path.write_text(own.replace("written by hand", "typed"), encoding="utf-8")
    with pytest.raises(PageSortError, match="not those that the vote began with.*second"):
        predict_vote(_open, (), resumed)
    path.write_text(own, encoding="utf-8")
    assert text.count('"precision": "fp32"') == 3
    state.write_text(text.replace('"fp32"', '"bf16"'), encoding="utf-8")
    with pytest.raises(PageSortError, match="in bf16, and now it is in fp32.*--precision bf16"):
        predict_vote(_open, (), resumed)
    of_earlier_version = re.sub(r',\s*"precision": "fp32"', "", text)
    assert "precision" not in of_earlier_version
    state.write_text(of_earlier_version, encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        predict_vote(_Counting(0), (), resumed)
    for damaged in (text[:50], text.replace('"version": 1', '"version": 9'), "[]"):
        state.write_text(damaged, encoding="utf-8")
        with pytest.raises(PageSortError, match="file of an interrupted vote cannot be read"):
            predict_vote(_open, (), resumed)
    state.write_text(text, encoding="utf-8")
    caplog.clear()
    # A new vote is not kept from starting, and tells of the other.
    predict_vote(_open, models[:2], request_)
    assert "--resume would go on with it" in caplog.text
    assert predict_vote(_open, (), resumed).tables[0].name.endswith("_3m.csv")


def test_pages_that_cannot_be_read_are_listed_and_tried_again(
    models: list[Path], request_: Request, caplog: pytest.LogCaptureFixture
) -> None:
    broken = request_.folder / "doc-7.png"
    sound = broken.read_bytes()
    broken.write_bytes(sound[:60])
    outcome = predict_vote(_open, models, request_)
    assert outcome.failed == 1
    table, failures = outcome.tables
    assert [row["PAGE"] for row in read_table(table)] == [str(n) for n in range(1, 13) if n != 7]
    (row,) = read_table(failures)
    assert [row["FILE"], row["PAGE"], row["MODELS"]] == ["doc", "7", "first; second; third"]
    assert "--resume sorts them and counts the votes anew" in caplog.text
    broken.write_bytes(sound)
    rest = _Counting()
    mended = predict_vote(rest, (), replace(request_, resume=True))
    assert mended == Outcome((table,), 0)
    assert len(read_table(table)) == 12
    assert rest.batches == ["first", "second", "third"]
    assert {path.name for path in request_.tables.iterdir()} == {table.name, table.stem}


def test_a_page_that_one_model_has_no_score_for_keeps_the_votes_of_the_others(
    models: list[Path], request_: Request
) -> None:
    def without_numbers(folder: Path) -> CLIP:
        clip = _open(folder)
        if folder.name == "second":
            clip.probabilities = lambda pixels: np.full((len(pixels), 11), np.nan, np.float32)
        return clip

    outcome = predict_vote(without_numbers, models, request_)
    assert outcome.failed == 12
    rows = read_table(outcome.tables[0])
    assert len(rows) == 12
    assert {row["second"] for row in rows} == {""}
    # A share of all three models, as two that agree are less sure than three.
    assert {row["AGREEMENT"] for row in rows} <= {"0.333", "0.667"}
    assert {row["MODELS"] for row in read_table(outcome.tables[1])} == {"second"}


def test_a_model_that_cannot_be_opened_is_told_and_two_are_enough(
    models: list[Path], request_: Request, caplog: pytest.LogCaptureFixture
) -> None:
    (models[0] / "tokenizer.json").unlink()
    (table,) = predict_vote(_open, models, request_).tables
    assert table.name.endswith("_2m.csv")
    assert list(read_table(table)[0])[4:-1] == ["second", "third"]
    assert "first does not vote" in caplog.text
    assert "tokenizer.json" in caplog.text
    (models[1] / "config.json").write_text("{")
    for attempt in (
        lambda: predict_vote(_open, models, request_),
        lambda: vote_page(_open, models, next(request_.folder.iterdir()), 100.0),
    ):
        with pytest.raises(PageSortError, match="a vote takes 2 models, and one is left"):
            attempt()
    (models[2] / "config.json").unlink()
    with pytest.raises(PageSortError, match="none is left"):
        predict_vote(_open, models, request_)


def test_models_with_other_categories_vote_by_name(
    tiny_model_folder: Path,
    models: list[Path],
    request_: Request,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    def more(name: str, labels: Sequence[str]) -> Path:
        return _model(tiny_model_folder, tmp_path / "models" / name, "{}", labels)

    fewer = more("fewer", ["TEXT_T", "TEXT", "MAP"])
    films = more("films", ["negative", "positive"])
    (table,) = predict_vote(_open, [films, models[0], fewer, models[2]], request_).tables
    assert list(read_table(table)[0])[4:-1] == ["first", "fewer", "third"]
    assert "films shares no category with the others: left out" in caplog.text
    assert "first has no MAP; fewer has no DRAW, DRAW_L, LINE_HW" in caplog.text
    for row in read_table(table):
        assert row["fewer"] in ("TEXT_T", "TEXT", "MAP")
        ballots = [_guesses(m, request_.folder / f"doc-{row['PAGE']}.png") for m in models]
        assert row["first"] == ballots[0][0]
    with pytest.raises(PageSortError, match=r"share no category \(films: negative, positive; fir"):
        predict_vote(_open, [films, models[0]], request_)
    with pytest.raises(UsageError, match="12 guesses.*1 to 11"):
        predict_vote(_open, [models[0], fewer], replace(request_, top_n=12))


def test_a_copy_of_a_model_has_no_second_vote(
    models: list[Path], request_: Request, caplog: pytest.LogCaptureFixture
) -> None:
    copy = shutil.copytree(models[0], models[0].parent / "copy")
    (table,) = predict_vote(_open, [*models[:2], copy], request_).tables
    assert table.name.endswith("_2m.csv")
    assert "copy is the same model as first" in caplog.text


def test_models_of_one_name_and_of_a_columns_name_get_names_of_their_own(
    models: list[Path], request_: Request, tmp_path: Path
) -> None:
    renamed = [models[0].rename(tmp_path / "vote"), models[1].rename(tmp_path / "models" / "x y,z")]
    renamed.append(shutil.move(models[2], tmp_path / "X-y-z"))
    (table,) = predict_vote(_open, renamed, request_).tables
    assert list(read_table(table)[0])[4:-1] == ["vote-2", "x-y-z", "X-y-z-2"]


def test_the_measured_models_vote_best_first(
    models: list[Path], tiny_model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, stats = models[0].parent, tmp_path / "stats"
    table = _write_accuracies(stats, {"first": 0.715, "gone": 0.99, "third": 0.8025})
    assert [path.name for path in choose_voters(folder, table)] == ["third", "first"]
    assert "third, first" in caplog.text
    assert "do not vote: second" in caplog.text
    # A model has several rows, one a set of descriptions: the best counts.
    _write_accuracies(stats, {"first": 0.9}, descriptions="other")
    _write_accuracies(stats, {"first": 0.1}, averaged=False)
    assert [path.name for path in choose_voters(folder, table)] == ["first", "third"]
    for number in range(6):
        _model(tiny_model_folder, folder / f"more{number}", "{}")
    _write_accuracies(stats, {f"more{number}": number / 10 for number in range(6)})
    _write_accuracies(stats, {"first": 0.35}, descriptions="other")
    names = ["third", "first", "more5", "more4", "more3"]
    assert [path.name for path in choose_voters(folder, table)] == names


def test_only_figures_on_the_same_pages_are_compared(models: list[Path], tmp_path: Path) -> None:
    folder, stats = models[0].parent, tmp_path / "stats"
    _write_accuracies(stats, {"first": 0.5, "second": 0.6}, date="20260101-1200")
    table = _write_accuracies(stats, {"third": 0.99}, folder="easy", date="20260301-1200")
    assert [path.name for path in choose_voters(folder, table)] == ["second", "first"]
    # Of evaluations of as many models the newest counts.
    _write_accuracies(stats, {"first": 0.97}, folder="easy", date="20260301-1201")
    assert [path.name for path in choose_voters(folder, table)] == ["third", "first"]


def test_figures_that_do_not_compare_choose_no_voter(models: list[Path], tmp_path: Path) -> None:
    folder, stats = models[0].parent, tmp_path / "stats"
    table = _write_accuracies(stats, {"first": 0.5, "second": 0.6}, pages=99, labels=11)
    # One with fewer categories has the easier pages of the folder.
    _write_accuracies(stats, {"third": 0.99}, pages=27, labels=3)
    assert [path.name for path in choose_voters(folder, table)] == ["second", "first"]
    # Equally many pages are not the same ones.
    _write_accuracies(stats, {"third": 0.98}, pages=99, labels=11, page_set="others")
    assert [path.name for path in choose_voters(folder, table)] == ["second", "first"]
    names = dict.fromkeys(("first", "second", "third"), 1.0)
    _write_accuracies(stats, names, pages=99, labels=11, part="all" + accuracies.REMEMBERED)
    assert [path.name for path in choose_voters(folder, table)] == ["second", "first"]


def test_a_damaged_model_is_told_and_a_checkpoints_file_is_a_model(
    models: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = models[0].parent
    weights = models[1] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    (folder / "notes").mkdir()
    (folder / "notes" / "list.txt").touch()
    torch.save({"model_state_dict": {}}, folder / "loose.pt")
    (folder / "empty.pt").touch()
    found = [path.name for path in model_folders(folder)]
    assert found == ["first", "loose.pt", "third"]
    told = [line for line in caplog.messages if "left out" in line]
    assert [line.split()[2] for line in told] == ["empty.pt", "second"]


def test_without_a_table_the_published_models_come_first(
    models: list[Path], tiny_model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, stats = models[0].parent, tmp_path / "stats"
    table = stats / "model_accuracies.csv"
    (folder / "notes").mkdir()
    (folder / "file.txt").touch()
    shutil.copytree(tiny_model_folder, folder / ".hidden")
    shutil.copytree(tiny_model_folder, folder / "converted" / "inner")
    assert [path.name for path in choose_voters(folder, table)] == ["first", "second", "third"]
    for name in ("ViT-L14_rev_v21", "ViT-B16_rev_v11", "ViT-B16_mine"):
        _model(tiny_model_folder, folder / name, "{}")
    names = ["ViT-B16_rev_v11", "ViT-L14_rev_v21", "ViT-B16_mine", "first", "second"]
    assert [path.name for path in choose_voters(folder, table)] == names
    # One measured model is no vote, so that the others join it.
    _write_accuracies(stats, {"second": 0.5})
    assert [path.name for path in choose_voters(folder, table)] == ["second", *names[:4]]
    caplog.clear()
    table.write_text("something else\n1\n")
    assert [path.name for path in choose_voters(folder, table)] == names
    assert "the models are not ranked" in caplog.text


def test_too_few_models_are_told_with_a_way_to_get_more(models: list[Path], tmp_path: Path) -> None:
    shutil.rmtree(models[0])
    shutil.rmtree(models[2])
    with pytest.raises(PageSortError, match=r"only the model second is there.*--train.*--hf"):
        choose_voters(models[1].parent, tmp_path / "none.csv")
    with pytest.raises(PageSortError, match="there is no model"):
        choose_voters(tmp_path, tmp_path / "none.csv")
    with pytest.raises(PageSortError, match=r"cannot be read.*--model_dir"):
        choose_voters(tmp_path / "absent", tmp_path / "none.csv")


def test_pages_of_one_name_in_two_folders_keep_their_rows(
    models: list[Path], request_: Request
) -> None:
    original = request_.folder.rename(request_.folder.with_name("original"))
    for name in (".", "a", "b"):
        shutil.copytree(original, request_.folder / name)
    (table,) = predict_vote(_open, models[:2], replace(request_, inner=True)).tables
    rows = read_table(table)
    assert len(rows) == 36
    assert {row["FILE"] for row in rows} == {"doc", "a/doc", "b/doc"}
    assert all(row["first"] and row["second"] for row in rows)


def test_a_vote_that_cannot_begin_is_told_before_a_model_is_opened(
    models: list[Path], request_: Request
) -> None:
    def never(folder: Path) -> CLIP:
        pytest.fail(f"{folder} was opened")

    with pytest.raises(PageSortError, match="folder does not exist"):
        predict_vote(never, models, replace(request_, folder=request_.folder / "absent"))
    with pytest.raises(PageSortError, match="no interrupted vote over"):
        predict_vote(never, models, replace(request_, resume=True))
    empty = request_.folder / "empty"
    empty.mkdir()
    with pytest.raises(PageSortError, match="no pages with the extension"):
        predict_vote(never, models, replace(request_, folder=empty))


def test_pages_of_all_names_meet_in_the_join(models: list[Path], request_: Request) -> None:
    page = request_.folder / "doc-1.png"
    names = [
        "Z-1",
        "a-2",
        "a-10",
        "é-1",
        "\U0001f600-3",
        "\ufb00",
        "a b_7",
        'x,"y"',
        "a-0002x",
        "0",
    ]
    names += ["a-123456789012345678901234567890", "A-2"]
    if os.name != "nt":
        names += ["line\nbreak-2", os.fsdecode(b"latin\xe9-1")]
    for name in names:
        shutil.copy(page, request_.folder / f"{name}.png")
    outcome = predict_vote(_open, models[:2], request_)
    rows = read_table(outcome.tables[0])
    assert outcome.failed == 0
    assert len(rows) == 12 + len(names)
    assert all(row["first"] and row["second"] for row in rows)
