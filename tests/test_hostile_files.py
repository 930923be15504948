"""Whatever a file holds, it is taken or refused in one line: no other error, no endless work."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pagesort.common.checked_json import parse_object, read_json
from pagesort.common.errors import PageSortError
from pagesort.models import folder as model_files
from pagesort.models import formats
from pagesort.models.archive import LIST_FILE, export_model, import_model
from pagesort.models.fast.fast_loading import load_to_predict
from pagesort.models.metadata import read_metadata
from pagesort.pages.preprocessing import Preprocessing
from pagesort.prediction.journal import RunJournal
from pagesort.voting import state
from tests.helpers.hostile_json import damaged

ROUNDS = 120


def refused_or_taken(call: Callable[[], object]) -> bool:
    """Whether a call was refused in one line; any other error ends the test."""
    try:
        call()
    except PageSortError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000
        return True
    return False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": 1e400}', "too large"),
        (b'{"a": ' + b"1" * 400 + b"}", "too large"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", "nested too deeply"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"[]", "not a JSON object"),
        (b"{", "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"b": 1}', "the key 'a' is missing"),
        (b'{"a": true}', "'a' is True, not a whole number"),
    ],
)
def test_what_no_file_of_ours_holds_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(PageSortError, match=said):
        parse_object(text, "settings.json", shape={"a": int})


def test_what_files_do_hold_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"model_max_length": 1000000000000000019884624838656, "b": 1}')
    assert read_json(path, shape={"b": float})["model_max_length"] > 1e29
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "name",
    ["pagesort.json", "config.json", "preprocessor_config.json", "tokenizer_config.json"],
)
def test_a_models_files(tiny_model_folder: Path, tmp_path: Path, name: str) -> None:
    model = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    content = json.loads((model / name).read_bytes())
    refused = 0
    for text in damaged(content, 1, ROUNDS):
        (model / name).write_bytes(text)
        refused += refused_or_taken(lambda: formats.recognise(model))
        refused += refused_or_taken(lambda: model_files.check_complete(model))
        refused += refused_or_taken(lambda: read_metadata(model))
        refused += refused_or_taken(lambda: Preprocessing.from_folder(model))
    assert refused > 20


def test_models_that_cannot_be_loaded(tiny_model_folder: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    content = json.loads((model / "config.json").read_bytes())
    for text in list(damaged(content, 2, 0))[:12]:
        (model / "config.json").write_bytes(text)
        assert refused_or_taken(lambda: load_to_predict(model))


def test_archives(tiny_model_folder: Path, tmp_path: Path) -> None:
    whole = export_model(tiny_model_folder, tmp_path / "whole.zip")
    with zipfile.ZipFile(whole) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(parts[LIST_FILE])
    hostile = tmp_path / "hostile.zip"
    for text in damaged(content, 3, ROUNDS):
        with zipfile.ZipFile(hostile, "w") as archive:
            for name, data in (parts | {LIST_FILE: text}).items():
                archive.writestr(name, data)
        refused_or_taken(lambda: import_model(hostile, tmp_path / "models"))
        shutil.rmtree(tmp_path / "models", ignore_errors=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile.zip", "whole.zip"]


@pytest.mark.parametrize("name", ["", " ", "\0", "/", "\\", ".", "..", "x" * 60_000, "a\nb"])
def test_odd_names_in_archives(tiny_model_folder: Path, tmp_path: Path, name: str) -> None:
    whole = export_model(tiny_model_folder, tmp_path / "whole.zip")
    hostile = tmp_path / "hostile.zip"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(hostile, "w") as archive:
        head = json.loads(old.read(LIST_FILE))
        head["files"][name] = {"size": 4, "sha256": "0" * 64}
        for each in old.namelist():
            data = json.dumps(head).encode() if each == LIST_FILE else old.read(each)
            archive.writestr(each, data)
        entry = zipfile.ZipInfo("x")
        entry.filename = name
        archive.writestr(entry, b"evil")
    assert refused_or_taken(lambda: import_model(hostile, tmp_path / "models"))
    assert not (tmp_path / "models").exists()


def test_journals(tmp_path: Path) -> None:
    pages, tables = tmp_path / "pages", tmp_path / "tables"
    facts: dict[str, Any] = {"folder": pages, "base": "m", "settings": {"model": "a", "size": 1}}
    with RunJournal.create(tables, listing=["a-1.png"], **facts) as journal:
        path = journal.path
    with contextlib.closing(sqlite3.connect(path)) as connection:
        run = {key: json.loads(value) for key, value in connection.execute("SELECT * FROM run")}

    def resume() -> None:
        journal = RunJournal.open_for_resume(tables, folder=pages, settings=facts["settings"])
        journal.close()

    assert not refused_or_taken(resume)
    refused = 0
    for key, value in run.items():
        for text in damaged(value, 4, 0):
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                change = "UPDATE run SET value = ? WHERE key = ?"
                connection.execute(change, (text.decode("latin-1"), key))
            refused += refused_or_taken(resume)
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                connection.execute(change, (json.dumps(value), key))
    assert refused > 100 and not refused_or_taken(resume)


def test_votes(tmp_path: Path) -> None:
    tables, pages = tmp_path / "tables", tmp_path / "pages"
    tables.mkdir()
    settings: Mapping[str, Any] = {"top_n": 1}
    voters = [state.Voter(str(tmp_path / name), name, "f" * 64) for name in "ab"]
    run = state.start_run(tables, pages, settings, {}, voters)
    content = json.loads(run.state.read_bytes())
    for text in damaged(content, 5, ROUNDS):
        run.state.write_bytes(text)
        refused_or_taken(lambda: state.find_run(tables, pages, settings))
        state.interrupted_votes(tables, pages)


def test_pictures_with_a_note_that_is_none(tmp_path: Path) -> None:
    from PIL import Image, PngImagePlugin

    from pagesort.pages.pdf_stamp import KEY, read_stamp

    for number, text in enumerate(damaged({"page": 1}, 6, 30)):
        notes = PngImagePlugin.PngInfo()
        notes.add_text(KEY, text.decode("latin-1"))
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(path, pnginfo=notes)
        with Image.open(path) as image:
            found = read_stamp(image)
        assert found is None or isinstance(found, dict)
