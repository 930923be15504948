"""Parts of a folder that several processes sort, and the one run that they become."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pagesort.common.progress import Progress
from pagesort.prediction import folder_run, page_list
from pagesort.prediction.journal import RunJournal
from pagesort.prediction.request import Request
from pagesort.prediction.run_status import Heartbeat, run_statuses
from pagesort.prediction.shards import Shard, whole_base
from tests.helpers.brightness import ByBrightness
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.paths import ROOT
from tests.helpers.pdfs import Sheet, write_pdf

__all__ = ["command", "workplace"]  # fixtures

PARTS = 3
FOLDERS = ("box 1", "box 10", "box 2/ř'\"")


def draw(path: Path, grey: int) -> None:
    Image.new("L", (30, 40), grey).save(path)


@pytest.fixture
def scans(workplace: Path) -> Path:
    """Pages in three folders, of the same names, and one that cannot be read."""
    folder = workplace / "scans"
    for place, name in enumerate(FOLDERS):
        (folder / name).mkdir(parents=True)
        for number in range(1, 6):
            draw(folder / name / f"letter-{number}.png", 12 * number + 70 * place)
    (folder / "box 1" / "torn.png").write_bytes(b"no picture")
    return folder


def sort(scans: Path, shard: str = "", **more: object) -> list[Path]:
    """The tables of a part of the pages, or of all: of guesses, of scores, of failures."""
    settings = {
        "folder": scans, "formats": ("png", "pdf"), "inner": True,
        "tables": scans.parent / "result" / "tables", "top_n": 1, "raw": True, "max_categ": 2000,
        "batch_size": 4, "max_megapixels": 9.0, "resume": False,
        "shard": Shard.parse(shard) if shard else None,
    }  # fmt: skip
    request = Request(**(settings | more))
    return list(folder_run.predict_folder(ByBrightness(), request).tables)


def sort_parts(scans: Path, *parts: int) -> list[Path]:
    """The result table of each part."""
    return [sort(scans, f"{part}/{PARTS}")[0] for part in parts]


def merge(command: Run, *parts: str | Path) -> tuple[int, str, str]:
    return command("--merge", *parts, "--raw", model=False)


def test_every_page_is_in_one_part_whoever_asks() -> None:
    paths = [f"box {n % 7}/page-{n}.png" for n in range(3000)]
    held = [[path for path in paths if Shard(n, 4).holds(path)] for n in range(1, 5)]
    assert sorted(path for part in held for path in part) == sorted(paths)
    assert all(650 < len(part) < 850 for part in held)
    # As another machine, version or run must answer, too.
    assert [n for n in range(8) if Shard(1, 4).holds(f"page-{n}.png")] == [4, 5]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "1/3/5", "a/b", "1/99999999"])
def test_only_parts_that_there_are_can_be_asked_for(command: Run, scans: Path, text: str) -> None:
    line = error_line(command("-d", scans, "--shard", text), 2)
    assert "a part of how many, as in 2/8" in line


def test_merged_parts_give_the_tables_of_one_process(command: Run, scans: Path) -> None:
    write_pdf(scans / "report.pdf", [Sheet((60, 80), text="a"), Sheet((60, 80), text="b")])
    parts = sort_parts(scans, 3, 1, 2)
    assert "_part-3-of-3_" in parts[0].name
    assert all(len(read_table(part)) < 17 for part in parts)
    status, out, err = merge(command, *parts)
    assert status == 3, err  # one page cannot be read
    merged, whole = [Path(line) for line in out.splitlines()], sort(scans)
    assert len(merged) == len(whole) == 3
    for ours, theirs in zip(merged, whole, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
    assert len(read_table(whole[0])) == 17


def test_a_merged_run_can_be_gone_on_with(command: Run, scans: Path) -> None:
    (scans / "box 1" / "torn.png").unlink()
    assert merge(command, *sort_parts(scans, 1, 2, 3))[0] == 0
    Image.new("L", (40, 60), 9).save(scans / "new.png")
    assert len(read_table(sort(scans, update=True)[0])) == 16


def test_missing_parts_are_named_with_their_pages(command: Run, scans: Path) -> None:
    parts = sort_parts(scans, 1, 2)
    before = sorted(parts[0].parent.iterdir())
    line = error_line(merge(command, *parts))
    assert "missing: part 3/3" in line
    third = next(path for path in scans.rglob("*.png") if Shard(3, 3).holds(path_in(scans, path)))
    assert third.name.split("-")[0] in line
    assert sorted(parts[0].parent.iterdir()) == before


def path_in(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def test_pages_in_two_parts_are_named(command: Run, scans: Path) -> None:
    parts = sort_parts(scans, 1, 2, 3)
    other = sort(scans, "1/2")[0]
    line = error_line(merge(command, *parts, other))
    assert "in part 1/2 and in another one, too" in line
    assert ".png" in line


def test_a_part_named_twice_counts_once(command: Run, scans: Path) -> None:
    parts = sort_parts(scans, 1, 2, 3)
    raw = parts[0].parent / parts[0].name.replace("result_", "").replace("_1n_2000c", "_RAW")
    assert raw.exists()
    assert merge(command, *parts, raw, parts[1])[0] == 3


def test_parts_of_other_settings_are_refused(command: Run, scans: Path) -> None:
    parts = sort_parts(scans, 1, 2)
    third = sort(scans, "3/3", batch_size=3)[0]
    line = error_line(merge(command, *parts, third))
    assert "batch_size: 4, 3" in line


def test_an_unfinished_part_is_refused(command: Run, scans: Path) -> None:
    parts = sort_parts(scans, 1, 2, 3)
    journal = next(parts[0].parent.glob("*part-2-of-3*.sqlite"))
    with sqlite3.connect(journal) as connection:
        connection.execute("DELETE FROM scores WHERE idx = 0")
    connection.close()
    line = error_line(merge(command, *parts))
    assert "1 page of part 2/3" in line
    assert "--resume" in line


@pytest.mark.parametrize("name", ["nothing.csv", "result_*part-7*.csv"])
def test_a_table_that_is_not_there_is_named(command: Run, name: str) -> None:
    assert name in error_line(merge(command, name))


def test_a_table_without_its_scores_is_refused(command: Run, workplace: Path, scans: Path) -> None:
    table = sort_parts(scans, 1)[0]
    alone = shutil.copy(table, workplace / "alone.csv")
    assert "are not beside it" in error_line(merge(command, alone))


def test_a_pattern_means_all_its_tables(command: Run, scans: Path) -> None:
    parts = sort_parts(scans, 1, 2, 3)
    pattern = parts[0].parent / "result_*part*.csv"
    assert merge(command, pattern)[0] == 3


def test_pages_that_have_left_the_folder_stay(command: Run, scans: Path) -> None:
    parts = sort_parts(scans, 1, 2, 3)
    (scans / "box 1" / "letter-3.png").unlink()
    status, out, err = merge(command, *parts)
    assert status == 3
    assert "1 page of the parts no longer in the folder" in err
    assert len(read_table(out.splitlines()[0])) == 15


def test_a_part_without_pages_is_an_empty_table(command: Run, scans: Path) -> None:
    shutil.rmtree(scans / "box 1")
    shutil.rmtree(scans / "box 2")
    tables = [sort(scans, f"{part}/12")[0] for part in range(1, 13)]
    assert not all(read_table(table) for table in tables)
    assert merge(command, *tables)[0] == 0


def test_status_tells_of_running_and_finished_parts(command: Run, scans: Path) -> None:
    parts = sort_parts(scans, 1, 2)
    tables = parts[0].parent
    listing = [f"page-{n}.png" for n in range(1, 11)]
    settings = {"shard": "3/3"}
    with RunJournal.create(
        tables, folder=scans, base="model_part-3-of-3", settings=settings, listing=listing
    ) as journal:
        Heartbeat(journal).beat(Progress(10, 0))
        _, out, _ = command("--status", model=False)
        running = next(line for line in out.splitlines() if line.startswith("running"))
        assert "0 of 10 pages" in running
        together = next(line for line in out.splitlines() if line.startswith("together"))
        assert "3 of 3 parts begun (1 running, 2 finished)" in together
    assert {run.state for run in run_statuses(tables)} == {"interrupted", "finished"}
    assert whole_base("model_part-3-of-3") == "model"


def test_a_part_is_gone_on_with_as_that_part(command: Run, scans: Path) -> None:
    words = ("-d", scans, "--inner", "-ff", "png,pdf", "--raw")
    before = [command(*words, "--shard", f"{part}/2")[1].splitlines() for part in (1, 2)]
    status, out, err = command(*words[:2], "--shard", "1/2", "--resume")
    torn = int(Shard(2, 2).holds("box 1/torn.png"))
    assert (status, out.splitlines()) == ((1, []) if torn else (3, before[0]))
    error_line(command(*words[:2], "--resume"))


def test_status_without_runs_says_so(command: Run) -> None:
    status, out, _ = command("--status", model=False)
    assert status == 0
    assert out.startswith("no runs in ")


def test_a_list_says_which_pages_are_sorted(command: Run, workplace: Path, scans: Path) -> None:
    names = ["box 2/ř'\"/letter-2.png", "box 1/letter-4.png", "box 1/letter-4.png", "no.png"]
    listed = workplace / "some pages.txt"
    listed.write_text("\ufeff" + "\r\n".join(["", *names, str(scans / "box 1/letter-5.png")]))
    status, out, err = command("-d", scans, "--list", listed)
    assert status == 3, err
    table, failures = map(read_table, out.splitlines())
    assert sorted(row["PATH"] for row in table) == sorted([*names[:2], "box 1/letter-5.png"])
    assert [row["PATH"] for row in failures] == ["no.png"]
    draw(scans / "no.png", 3)
    assert command("-d", scans, "--list", listed, "--resume")[0] == 0


def test_a_list_is_divided_and_merged(command: Run, workplace: Path, scans: Path) -> None:
    listed = workplace / "pages.csv"
    paths = [path_in(scans, path) for path in sorted(scans.rglob("letter-*.png"))[:9]]
    rows = "".join('"' + path.replace('"', '""') + f'";{n}\n' for n, path in enumerate(paths))
    listed.write_text(f"Path;number\n{rows}")
    parts = [sort(scans, f"{n}/2", named=listed)[0] for n in (1, 2)]
    merged = merge(command, *parts)[1].splitlines()[0]
    assert Path(merged).read_bytes() == sort(scans, named=listed)[0].read_bytes()
    assert [row["PATH"] for row in read_table(merged)] == sorted(paths)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("out.txt", "../elsewhere.png\n", "line 1 names no page in"),
        ("empty.txt", "\n\n", "the list names no pages"),
        ("table.csv", "file,label\na.png,TEXT\n", "no column path"),
        ("gone.txt", None, "cannot read the list"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(
    command: Run, workplace: Path, scans: Path, name: str, content: str | None, said: str
) -> None:
    if content is not None:
        (workplace / name).write_text(content)
    assert said in error_line(command("-d", scans, "--list", name))


def test_a_list_comes_through_a_pipe(
    command: Run, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pipe(text: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))

    pipe("box 1/letter-1.png\nbox 2/ř'\"/letter-1.png\n".encode())
    status, out, err = command("-d", scans, "--list", "-")
    assert status == 0, err
    assert len(read_table(out.splitlines()[0])) == 2
    pipe(b"\n")
    assert "the list names no pages" in error_line(command("-d", scans, "--list", "-"))
    pipe(b"box 1/letter-2.png\n")
    _, out, _ = command("-d", scans, "--list", "-", "--update")
    assert len(read_table(out.splitlines()[0])) == 3
    assert (
        "write the list to a file"
        in error_line(command("-d", scans, "--list", "-", "--shard", "1/2"), 2).lower()
    )


def test_a_list_of_any_length_names_each_page_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_list, "NAMES_AT_ONCE", 3)
    names = [f"{number * number % 23}.png" for number in range(40)] + ["0.png"] * 7 + ["last.png"]
    named = tmp_path / "list.txt"
    named.write_text("\n".join(names), encoding="utf-8")
    assert list(page_list.list_named(named, tmp_path)) == list(dict.fromkeys(names))
    ours = list(page_list.list_named(named, tmp_path, lambda name: name.startswith("1")))
    assert ours == [name for name in dict.fromkeys(names) if name.startswith("1")]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a job array's script is one of bash")
def test_the_job_array_of_the_documentation_sorts_all_pages(workplace: Path, scans: Path) -> None:
    text = (ROOT / "docs" / "large_runs.md").read_text(encoding="utf-8")
    script = text[text.index("#!/bin/bash\n#SBATCH") :].partition("```")[0]
    script = script.replace("/data/scans", "scans")
    (workplace / "run.py").symlink_to(ROOT / "run.py")
    shutil.copy(ROOT / "config.txt", workplace)  # results go below the folder that it is in

    def start(part: int) -> subprocess.Popen[bytes]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        array = {"SLURM_ARRAY_TASK_ID": str(part), "SLURM_ARRAY_TASK_COUNT": "3"}
        return subprocess.Popen(["bash", "-c", script], env=os.environ | array | {"PATH": path})

    assert sorted(task.wait(300) for task in [start(part) for part in (1, 2, 3)]) == [0, 0, 3]
    torn = next(n for n in (1, 2, 3) if Shard(n, 3).holds("box 1/torn.png"))
    draw(scans / "box 1" / "torn.png", 100)
    assert start(torn).wait(300) == 0  # goes on with what could not be read
    tables = workplace / "result" / "tables"
    assert len(list(tables.glob("result_*.csv"))) == 3
    merge = [sys.executable, "run.py", "--merge", "result/tables/result_*part*.csv"]
    done = subprocess.run(merge, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(read_table(done.stdout.splitlines()[0])) == 16
