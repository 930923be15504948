"""Where tables come from: the record beside each, and checking a table against it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import run
from pagesort import __version__
from tests.helpers.command import Run, command, error_line, workplace
from tests.helpers.pages import write_page
from tests.helpers.plots import no_plots

__all__ = ["command", "workplace", "no_plots"]  # fixtures


@pytest.fixture
def model(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may change."""
    folder = tmp_path / "models" / "mine"
    shutil.copytree(tiny_model_folder, folder)
    (folder / "README.md").write_text("# a card\n", encoding="utf-8")
    return folder


def record_of(table: str | Path) -> dict[str, Any]:
    found = json.loads(Path(table).with_suffix(".json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_table_tells_where_it_comes_from(
    command: Run, workplace: Path, tmp_path: Path, model: Path
) -> None:
    folder = tmp_path / "scans ř"
    for name in ('q"u<o>-1.png', "ř\n-1.png", "p-2.png"):
        write_page(folder / name)
    (folder / "broken-9.png").write_bytes(b"no page")
    secret = "hf_abcdefghijklmnop"
    text = (workplace / "config.txt").read_text(encoding="utf-8")
    (workplace / "config.txt").write_text(f"{text}[HF]\ntoken = {secret}\n", encoding="utf-8")
    arguments = ("-d", folder, "--raw", "--model_path", model)
    status, out, _ = command(*arguments, model=False)
    assert status == 3
    tables = workplace / "result" / "tables"
    written = sorted(path for path in tables.glob("*.csv"))
    assert len(written) == 4 and {Path(line) for line in out.splitlines()} < set(written)
    for table in written:
        facts = record_of(table)
        assert facts["table"] == {"name": table.name, "sha256": digest(table)}
        assert facts["program"] == {"name": "pagesort", "version": __version__}
        assert secret not in json.dumps(facts) and "token" not in facts["settings"]
        assert facts["settings"]["raw"] == {"value": True, "origin": "command line --raw"}
        assert facts["settings"]["seed"]["origin"] == "default"
        assert "config.txt, line 2" in facts["settings"]["results_folder"]["origin"]
        assert facts["command"].startswith("python3 run.py -d ") and "--raw" in facts["command"]
        assert facts["counts"]["pages"] == 3 and facts["counts"]["unread"] == 1
        (told,) = facts["models"]
        assert told["files"]["model.safetensors"] == digest(model / "model.safetensors")
        assert told["card"]["sha256"] == digest(model / "README.md")
        assert told["precision"] == "fp32" and told["device"] == "cpu"
        assert facts["machine"]["processors"] >= 1 and facts["times"]["seconds"] >= 0
        listing = tables / facts["pages"]["listing"]
        assert facts["pages"]["sha256"] == digest(listing) and facts["pages"]["files"] == 4
        lines = gzip.decompress(listing.read_bytes()).decode().splitlines()
        listed = {json.loads(line.split("\t")[2]): int(line.split("\t")[0]) for line in lines}
        assert listed == {path.name: path.stat().st_size for path in folder.iterdir()}


def test_check_names_what_differs(command: Run, tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "scans"
    for number in range(1, 9):
        write_page(folder / f"p-{number}.png")
    table = Path(command("-d", folder, "--model_path", model, model=False)[1].splitlines()[0])

    def check() -> tuple[int, str, str]:
        return command("--check", table, model=False)

    status, out, err = check()
    assert status == 0, err
    assert [line.split(":")[0] for line in out.splitlines()] == ["table", "model", "pages"]
    assert "8 files unchanged" in out
    page = folder / "p-3.png"
    os.utime(page, (1, 1))
    (folder / "p-5.png").unlink()
    (folder / "p-4.png").write_bytes(b"x")
    result = check()
    assert "3 of 8 files differ: p-3.png was written anew, p-4.png has another size" in result[1]
    assert "p-5.png is not there" in result[1]
    assert error_line(result).endswith(f"when the table was written: pages: {table}")
    (model / "README.md").write_text("# another card\n", encoding="utf-8")
    assert "model: README.md differs" in check()[1]
    shutil.rmtree(model)
    table.write_bytes(table.read_bytes() + b"x")
    result = check()
    assert "model: is not there" in result[1] and "table: differs" in result[1]
    assert "table, model, pages" in error_line(result)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no record beside this table"),
        ("{", "not valid JSON"),
        ('{"format": 1}', "the key 'table' is missing"),
        ('{"format": 9, "table": {}, "models": [], "pages": {}}', "another version"),
        (
            '{"format": 1, "table": {"sha256": "x"}, "models": [], "pages": '
            '{"folder": "/", "listing": "../../x"}}',
            "'listing' is no file's name",
        ),
        ('{"format": 1, "table": {"sha256": "x"}, "models": [1], "pages": {}}', "tells no files"),
    ],
)
def test_records_that_tell_nothing(
    command: Run, tmp_path: Path, content: str | None, said: str
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("FILE\n", encoding="utf-8")
    if content is not None:
        table.with_suffix(".json").write_text(content, encoding="utf-8")
    assert said in error_line(command("--check", table, model=False))


def test_a_record_goes_with_its_table_and_update_renews_it(command: Run, tmp_path: Path) -> None:
    write_page(tmp_path / "scans" / "p-1.png")
    bad = tmp_path / "scans" / "p-2.png"
    bad.write_bytes(b"no page")
    out = command("-d", tmp_path / "scans")[1]
    table, failed = (Path(line) for line in out.splitlines())
    assert record_of(failed)["counts"]["unread"] == 1
    write_page(bad)
    assert command("-d", tmp_path / "scans", "--resume")[0] == 0
    assert not failed.with_suffix(".json").exists() and record_of(table)["counts"]["pages"] == 2
    write_page(tmp_path / "scans" / "p-3.png")
    write_page(tmp_path / "scans" / "p-1.png", size=(300, 90))
    before = table.read_text(encoding="utf-8").splitlines()[1]
    status, _, err = command("-d", tmp_path / "scans", "--update")
    assert status == 0 and "1 page new" in err and "1 page replaced since then" in err
    assert table.read_text(encoding="utf-8").splitlines()[1] != before
    assert record_of(table)["pages"]["files"] == 3
    assert "replaced" not in command("-d", tmp_path / "scans", "--update")[2]
    assert command("--check", table, model=False)[0] == 0


@pytest.mark.usefixtures("no_plots")
def test_tables_of_an_evaluation_and_a_vote(
    command: Run, workplace: Path, tmp_path: Path, model: Path
) -> None:
    for label in ("TEXT", "PHOTO"):
        write_page(tmp_path / "pages" / label / "p-1.png")
    out = command("--eval", "--eval_folder", tmp_path / "pages")[1]
    (table,) = (line for line in out.splitlines() if "EVAL_table" in line)
    assert record_of(table)["counts"] == {"pages": 2, "unread": 0}
    assert command("--check", table, model=False)[0] == 0
    other = model.with_name("other")
    shutil.copytree(model, other)
    facts = json.loads((other / "pagesort.json").read_text(encoding="utf-8"))
    (other / "pagesort.json").write_text(json.dumps(facts | {"temperature": 2.0}), encoding="utf-8")
    words = ["-d", str(tmp_path / "pages"), "--inner", "--best", "--device", "cpu"]
    status = run.main([*words, "--model_dir", str(model.parent)])
    assert status == 0
    (table,) = map(str, (workplace / "result" / "tables").glob("vote_*m.csv"))
    assert [told["name"] for told in record_of(table)["models"]] == ["mine", "other"]
    assert command("--check", table, model=False)[0] == 0


def test_merged_parts_tell_their_model_and_any_of_their_tables_names_them(
    command: Run, workplace: Path, tmp_path: Path
) -> None:
    for number in range(1, 5):
        write_page(tmp_path / "scans" / f"p-{number}.png")
    for part in ("1/2", "2/2"):
        assert command("-d", tmp_path / "scans", "--shard", part)[0] == 0
    pattern = workplace / "result" / "tables" / "*part*.csv"
    status, out, err = command("--merge", pattern, model=False)
    assert status == 0, err
    (table,) = out.splitlines()
    assert [told["name"] for told in record_of(table)["models"]] == ["tiny"]
    assert record_of(table)["counts"]["pages"] == 4
    assert command("--check", table, model=False)[0] == 0
