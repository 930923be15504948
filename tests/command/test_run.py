"""The command, through `run.main`: one page, folders, models, descriptions, messages, statuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import run
from pagesort.cli.actions import prediction
from pagesort.common.paths import BUNDLED_MODEL
from pagesort.common.progress import Progress, duration
from pagesort.common.text import MOST_NAMED
from pagesort.prediction import folder_run
from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.paths import ROOT

__all__ = ["command", "workplace"]  # fixtures


def draw_page(path: Path, seed: int) -> Path:
    """Write a small page of coarse random patches, different for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    patches = np.random.default_rng(seed).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    Image.fromarray(patches).resize((60, 90), Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with seven pages of two documents, two of them in a subfolder."""
    folder = tmp_path / "scans"
    for number in (1, 2, 3, 9, 10):
        draw_page(folder / f"CTX1932-{number}.png", number)
    draw_page(folder / "příloha" / "map_001.PNG", 20)
    draw_page(folder / "příloha" / "cover.png", 21)
    return folder


# ----- one page


def test_one_page_prints_guesses_that_add_up(command: Run, archive: Path) -> None:
    page = archive / "CTX1932-1.png"
    status, out, err = command("-f", page, "-tn", "11")
    first, *rows = out.splitlines()
    assert (status, first) == (0, str(page))
    percents = [float(row.split("\t")[1].rstrip("%")) for row in rows]
    assert len(rows) == 11
    assert percents == sorted(percents, reverse=True)
    assert sum(percents) == pytest.approx(100, abs=1)
    assert "on cpu" in err


def test_topn_comes_from_the_settings_file(command: Run, archive: Path, workplace: Path) -> None:
    (workplace / "config.txt").write_text("[SETUP]\ntop_N = 4\nraw = True\n")
    status, out, err = command("-f", archive / "CTX1932-1.png")
    assert (status, len(out.splitlines())) == (0, 5)
    assert "warning" not in err


def test_what_nobody_reads_is_told_beside_a_single_page(command: Run, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (600, 800), (235, 230, 215)).save(blank)
    status, out, err = command("-f", blank)
    assert status == 0 and out.splitlines()[0] == str(blank)
    assert f"{blank} is blank: its category means little" in err


def test_scores_agree_between_page_table_and_raw(command: Run, archive: Path) -> None:
    status, out, _ = command("-d", archive, "--inner", "--raw", "-tn", "11")
    result, raw = (read_table(line) for line in out.splitlines())
    assert status == 0
    page = archive / "CTX1932-9.png"
    _, shown, _ = command("-f", page, "-tn", "11")
    told = dict(line.split("\t") for line in shown.splitlines()[1:])
    row = next(row for row in result if (row["FILE"], row["PAGE"]) == ("CTX1932", "9"))
    scores = next(row for row in raw if (row["FILE"], row["PAGE"]) == ("CTX1932", "9"))
    for rank in range(1, 12):
        label, score = row[f"CLASS-{rank}"], row[f"SCORE-{rank}"]
        assert float(scores[label]) == float(score)
        assert told[label] == f"{float(score):.1%}"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", "empty"),
        ("text.png", b"this is not an image\n", "not an image"),
        ("cut.png", None, "cut short"),
    ],
)
def test_unreadable_page_is_one_line(
    command: Run, archive: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is None:
        noise = np.random.default_rng(1).integers(0, 256, (90, 60, 3), dtype=np.uint8)
        Image.fromarray(noise).save(archive / name)
        content = (archive / name).read_bytes()[:2000]
    (archive / name).write_bytes(content)
    line = error_line(command("-f", archive / name), 1)
    assert reason in line
    assert name in line


def test_missing_page_and_folder_for_page(command: Run, archive: Path) -> None:
    assert "does not exist" in error_line(command("-f", archive / "none.png"), 1)
    assert "Use -d" in error_line(command("-f", archive), 2)
    assert "Use -f" in error_line(command("-d", archive / "CTX1932-1.png"), 2)


def test_folder_flags_with_a_page_are_told(command: Run, archive: Path) -> None:
    status, _, err = command("-f", archive / "CTX1932-1.png", "--raw", "--inner")
    assert status == 0
    assert "warning: --inner: for -d, --dir, --read only, not used" in err
    assert (
        "warning: --raw: for -d, --dir, --eval, --eval_dir, --compare_models, --merge only" in err
    )


def test_too_large_page_names_the_flag(command: Run, archive: Path) -> None:
    page = archive / "CTX1932-1.png"
    line = error_line(command("-f", page, "--max_megapixels", "0.001"), 1)
    assert "--max_megapixels" in line


# ----- folders


def test_folder_tables_are_sorted_and_named(command: Run, archive: Path, workplace: Path) -> None:
    status, out, err = command("-d", archive, "-tn", "2", "--raw")
    result, raw = (Path(line) for line in out.splitlines())
    assert status == 0
    assert result.parent == raw.parent == workplace / "result" / "tables"
    assert result.name.startswith("result_")
    assert result.name.endswith("_tiny_2n_2000c.csv")
    assert raw.name.endswith("_tiny_RAW.csv")
    rows = read_table(result)
    assert [(row["FILE"], row["PAGE"]) for row in rows] == [
        ("CTX1932", str(page)) for page in (1, 2, 3, 9, 10)
    ]
    columns = ["FILE", "PAGE", "CLASS-1", "CLASS-2", "SCORE-1", "SCORE-2", "NOTE", "PATH"]
    assert list(rows[0]) == columns and rows[0]["PATH"] == "CTX1932-1.png"
    assert "5 pages sorted, 0 could not be read" in err
    assert str(result) in err
    assert sum(int(line.split()[1]) for line in err.splitlines() if line.startswith("  ")) == 5


def test_inner_and_any_case_of_the_extension(command: Run, archive: Path) -> None:
    status, out, _ = command("-d", archive, "--inner")
    files = {row["FILE"] for row in read_table(out.strip())}
    assert (status, files) == (0, {"CTX1932", "map", "cover"})


def test_dir_reads_the_configured_folder(command: Run, archive: Path, workplace: Path) -> None:
    config = "[INPUT]\nFOLDER_INPUT = ../scans\n[SETUP]\ninner = True\n"
    (workplace / "config.txt").write_text(config)
    assert len(read_table(command("--dir")[1].strip())) == 7
    assert len(read_table(command("--dir", "--no-inner")[1].strip())) == 5


def test_unreadable_pages_are_listed_and_end_in_status_3(command: Run, archive: Path) -> None:
    (archive / "broken-7.png").write_bytes(b"not an image")
    status, out, err = command("-d", archive)
    result, failed = out.splitlines()
    assert status == 3
    assert len(read_table(result)) == 5
    (row,) = read_table(failed)
    assert (row["FILE"], row["PAGE"], row["PATH"]) == ("broken", "7", "broken-7.png")
    assert "not an image" in row["REASON"]
    assert "broken-7.png: it is a text file, not an image" in err
    assert failed in err


def test_a_flood_of_failures_is_told_briefly(command: Run, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for number in range(40):
        (folder / f"p-{number}.png").write_bytes(b"")
    status, out, err = command("-d", folder, "--batch_size", "8")
    assert status == 3
    assert err.count("cannot read ") == MOST_NAMED
    assert len(read_table(out.splitlines()[1])) == 40


def test_folders_without_pages_say_what_they_hold(command: Run, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    line = error_line(command("-d", folder), 1)
    assert "extension png" in line
    assert str(folder) in line
    draw_page(folder / "a.jpg", 1)
    draw_page(folder / "b.tif", 2)
    assert "but 1 jpg, 1 tif" in error_line(command("-d", folder), 1)
    assert "Add -ff jpg,tif" in error_line(command("-d", folder), 1)
    draw_page(folder / "inside" / "c.png", 3)
    line = error_line(command("-d", folder, "-ff", "bmp,png"), 1)
    assert "but 1 in its subfolders" in line
    assert "--inner" in line
    assert command("-d", folder, "-ff", "jpg,tif")[0] == 0


def test_missing_folder(command: Run, tmp_path: Path) -> None:
    assert "the folder does not exist" in error_line(command("-d", tmp_path / "none"), 1)


def test_results_folder_that_cannot_be_written(
    command: Run, archive: Path, workplace: Path
) -> None:
    (workplace / "result").write_text("a file")
    line = error_line(command("-d", archive), 1)
    assert "cannot write tables" in line
    assert "FOLDER_RESULTS" in line


def test_two_runs_in_one_minute_keep_both_tables(command: Run, archive: Path) -> None:
    first = Path(command("-d", archive)[1].strip())
    second = Path(command("-d", archive)[1].strip())
    assert first != second
    assert first.read_bytes() == second.read_bytes()


def test_batches_do_not_change_scores(command: Run, archive: Path) -> None:
    tables = [
        Path(command("-d", archive, "--inner", "--batch_size", size)[1].strip()).read_text()
        for size in ("1", "3", "16")
    ]
    assert tables[0] == tables[1] == tables[2]


def test_chunk_size_bounds_the_batch(command: Run, archive: Path, workplace: Path) -> None:
    (workplace / "config.txt").write_text("[INPUT]\nchunk_size = 2\n[OUTPUT]\nFOLDER_RESULTS=r\n")
    sizes: list[int] = []
    original = folder_run.RunJournal.record

    def record(self: folder_run.RunJournal, batch: list) -> None:
        sizes.append(len(batch))
        original(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_run.RunJournal, "record", record)
        command("-d", archive)
    assert sizes == [2, 2, 1]


# ----- resuming


def interrupt_after(batches: int, command: Run, *arguments: str | Path) -> tuple[int, str, str]:
    """Run a command whose model is stopped, as by Ctrl-C, after so many batches."""
    from classifier import CLIP

    original, calls = CLIP.probabilities, iter(range(1000))

    def probabilities(self: CLIP, pixels: np.ndarray) -> np.ndarray:
        if next(calls) == batches:
            raise KeyboardInterrupt
        return original(self, pixels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CLIP, "probabilities", probabilities)
        return command(*arguments)


def test_interrupted_run_goes_on_to_the_same_bytes(command: Run, archive: Path) -> None:
    (archive / "broken-7.png").write_bytes(b"")
    arguments = ("-d", archive, "--inner", "--raw", "-tn", "3", "--batch_size", "3")
    whole = [Path(line).read_bytes() for line in command(*arguments)[1].splitlines()]
    status, out, err = interrupt_after(1, command, *arguments)
    assert (status, out) == (130, "")
    assert "To go on, type: python3 run.py -d" in err
    assert err.strip().endswith("--resume")
    assert "of 8 pages are scored and kept in" in err
    status, out, err = command(*arguments, "--resume")
    assert status == 3
    assert "going on:" in err
    assert [Path(line).read_bytes() for line in out.splitlines()] == whole


def test_an_interrupted_run_goes_on_in_the_precision_it_began_in(
    command: Run, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("-d", archive, "--raw", "--batch_size", "2")
    exact = [Path(p).read_bytes() for p in command(*arguments, "--precision", "fp32")[1].split()]
    monkeypatch.setattr("pagesort.models.image_tower.has_bf16", lambda _: False)
    assert interrupt_after(1, command, *arguments)[0] == 130
    # As on another machine, where `auto` means something else.
    monkeypatch.setattr("pagesort.models.image_tower.has_bf16", lambda _: True)
    status, out, err = command(*arguments, "--resume")
    assert status == 0
    assert "cpu in fp32" in err
    assert [Path(line).read_bytes() for line in out.split()] == exact
    interrupt_after(1, command, *arguments)
    line = error_line(command(*arguments, "--precision", "fp32", "--resume"), 1)
    assert "precision: then bf16, now fp32" in line


@pytest.mark.parametrize("is_installed", [False, True])
def test_a_long_run_in_float32_says_once_how_it_would_be_quicker(
    command: Run, archive: Path, monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    monkeypatch.setattr("pagesort.common.progress.RATE_KNOWN_AFTER", 0.0)
    monkeypatch.setattr("pagesort.common.progress.LONG_RUN", 0.0)
    monkeypatch.setattr("pagesort.models.image_tower.has_int8", lambda: is_installed)
    monkeypatch.setattr("pagesort.models.image_tower.has_bf16", lambda _: False)
    err = command("-d", archive, "--batch_size", "1")[2]
    hints = [line for line in err.splitlines() if "half the time" in line]
    assert len(hints) == 1
    assert "the same command with --precision int8" in hints[0]
    assert ("pip install -r requirements-int8.txt" in hints[0]) is not is_installed
    assert "half the time" not in command("-d", archive, "--precision", "fp32")[2]
    monkeypatch.setattr("pagesort.models.image_tower.has_bf16", lambda _: True)
    assert "half the time" not in command("-d", archive, "--batch_size", "1")[2]


def test_mended_pages_are_sorted_into_the_same_tables(command: Run, archive: Path) -> None:
    broken = archive / "CTX1932-1.png"
    content = broken.read_bytes()
    broken.write_bytes(b"")
    status, before, err = command("-d", archive)
    assert status == 3
    assert "--resume" in err
    broken.write_bytes(content)
    status, after, _ = command("-d", archive, "--resume")
    assert status == 0
    assert after.splitlines() == before.splitlines()[:1]
    assert len(read_table(after.strip())) == 5
    assert "no interrupted run" in error_line(command("-d", archive, "--resume"), 1)


def test_resume_refuses_other_settings_and_retries_failed_pages(
    command: Run, archive: Path
) -> None:
    broken = archive / "CTX1932-1.png"
    content = broken.read_bytes()
    broken.write_bytes(b"")
    interrupt_after(1, command, "-d", archive, "--batch_size", "2")
    line = error_line(command("-d", archive, "--resume", "--batch_size", "3"), 1)
    assert "batch_size: then 2, now 3" in line
    line = error_line(command("-d", archive, "--resume", "-ff", "jpg"), 1)
    assert "files_format: then png, now jpg" in line
    line = error_line(command("-d", archive, "--resume", "--no-avg"), 1)
    assert "model or descriptions" in line
    broken.write_bytes(content)
    status, out, _ = command("-d", archive, "--resume")
    assert status == 0
    assert len(read_table(out.strip())) == 5


def test_resume_takes_what_is_left_out_from_the_run_that_it_goes_on_with(
    command: Run, archive: Path, tmp_path: Path
) -> None:
    given = ["-d", archive, "--raw", "-tn", "2", "--prompt", "a page with {description}", "--avg"]
    given += ["--precision", "bf16", "--batch_size", "2", "--absolute_paths"]
    whole = [Path(path) for path in command(*given)[1].split()]
    expected = [path.read_bytes() for path in whole]
    interrupt_after(1, command, *given, "--sort_to", tmp_path / "sorted")
    status, out, err = command("-d", archive, "--resume")
    assert status == 0 and "bf16" in err
    tables = [Path(path) for path in out.split()]
    assert [path.read_bytes() for path in tables[:2]] == expected
    assert tables[2].parent == tmp_path / "sorted"
    assert len(list((tmp_path / "sorted").rglob("*.png"))) == 5


def test_resume_may_change_what_changes_no_score(command: Run, archive: Path) -> None:
    interrupt_after(1, command, "-d", archive, "--batch_size", "2", "--max_megapixels", "0.001")
    more = ("--max_megapixels", "9", "--raw", "-tn", "3")
    status, out, _ = command("-d", archive, "--resume", *more)
    assert status == 0
    result, raw = out.split()
    assert "CLASS-3" in read_table(result)[0] and len(read_table(raw)) == 5


def test_new_run_mentions_the_interrupted_one(command: Run, archive: Path) -> None:
    interrupt_after(1, command, "-d", archive, "--batch_size", "2")
    status, _, err = command("-d", archive, "--batch_size", "2")
    assert status == 0
    assert "2 of 5 pages" in err
    assert "--resume would go on with the others" in err


def test_update_adds_pages_in_the_settings_of_the_run(command: Run, archive: Path) -> None:
    given = ["-d", archive, "--raw", "-tn", "2", "--batch_size", "2"]
    (archive / "CTX1932-1.png").rename(archive.parent / "later.png")
    _, before, _ = command(*given)
    (archive.parent / "later.png").rename(archive / "CTX1932-1.png")
    status, out, err = command("-d", archive, "--update")
    assert status == 0 and out == before and "1 page new" in err
    added = [Path(path).read_bytes() for path in out.split()]
    assert added == [Path(path).read_bytes() for path in command(*given)[1].split()]
    assert "--update" in error_line(command("-d", archive, "--update", "--resume"), 2)


def test_update_does_not_repeat_a_sorting(command: Run, archive: Path, workplace: Path) -> None:
    sorted_to = workplace / "sorted"
    assert command("-d", archive, "--sort_to", sorted_to)[0] == 0
    assert command("--sort_to", sorted_to, "--undo", model=False)[0] == 0
    draw_page(archive / "new.png", 30)
    assert command("-d", archive, "--update")[0] == 0
    assert not any(path.is_file() for path in sorted_to.rglob("*.png"))


def test_resume_without_a_run(command: Run, archive: Path) -> None:
    line = error_line(command("-d", archive, "--resume"), 1)
    assert "no interrupted run" in line
    assert "Leave out --resume" in line


# ----- models and descriptions


def test_missing_model_on_the_command_line_lists_those_there(
    command: Run, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "kept" / "ViT-B32_rev_v12").mkdir(parents=True)
    page, kept = archive / "CTX1932-1.png", tmp_path / "kept"
    result = command("-f", page, "-m", "ViT-L/14", "--model_dir", kept, model=False)
    line = error_line(result, 1)
    assert "ViT-L/14 revision v2.1" in line
    assert "ViT-B32_rev_v12" in line
    result = command("-f", page, "--model_path", tmp_path / "none.pt", model=False)
    assert "the model does not exist" in error_line(result, 1)


def test_contradicting_model_and_revision(command: Run, archive: Path) -> None:
    page = archive / "CTX1932-1.png"
    result = command("-f", page, "-m", "ViT-B/32", "-rev", "v2.1", model=False)
    line = error_line(result, 2)
    assert "ViT-B/32" in line
    assert "v2.1" in line


def test_named_model_beats_configured_revision(
    command: Run, archive: Path, workplace: Path, tiny_model_folder: Path
) -> None:
    (workplace / "config.txt").write_text(
        "[OUTPUT]\nFOLDER_MODELS = kept\nFOLDER_RESULTS = r\n[HF]\nrevision = v1.1\n"
    )
    kept = workplace / "kept" / "ViT-L14-336px_rev_v22"
    shutil.copytree(tiny_model_folder, kept)
    metadata = (kept / "pagesort.json").read_text(encoding="utf-8")
    as_large = metadata.replace('"base": "tiny"', '"base": "ViT-L/14@336px"')
    (kept / "pagesort.json").write_text(as_large, encoding="utf-8")
    page = archive / "CTX1932-1.png"
    assert command("-f", page, "-m", "ViT-L/14@336", model=False)[0] == 0
    assert command("-f", page, "-rev", "v2.2", model=False)[0] == 0


@pytest.fixture
def tiny_bundled(tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the bundled model one that is opened in no time."""
    folder = shutil.copytree(tiny_model_folder, tmp_path / "shipped" / BUNDLED_MODEL.name)
    monkeypatch.setattr("pagesort.cli.opening.BUNDLED_MODEL", folder)


@pytest.mark.usefixtures("tiny_bundled")
def test_configured_model_that_is_missing_gives_way_to_the_bundled_one(
    command: Run, archive: Path, workplace: Path
) -> None:
    (workplace / "kept").mkdir()
    (workplace / "config.txt").write_text("[OUTPUT]\nFOLDER_MODELS = kept\n")
    page = archive / "CTX1932-1.png"
    status, out, err = command("-f", page, model=False)
    assert status == 0
    lines = [line for line in err.splitlines() if "bundled" in line]
    assert len(lines) == 1
    assert lines[0].endswith("To fetch the full one: python3 run.py --hf -rev v1.1")
    # Said once, until another model is missing; which one answers stands in every run.
    again = command("-f", page, model=False)
    assert again[:2] == (0, out)
    assert "bundled" not in again[2]
    assert "model " in again[2] and BUNDLED_MODEL.name in again[2]
    config = "[OUTPUT]\nFOLDER_MODELS = kept\n[HF]\nrevision = v2.1\n"
    (workplace / "config.txt").write_text(config)
    assert "--hf -rev v2.1" in command("-f", page, model=False)[2]


@pytest.mark.usefixtures("tiny_bundled")
def test_a_missing_model_is_told_where_nothing_can_be_kept(
    command: Run, archive: Path, workplace: Path
) -> None:
    (workplace / "config.txt").write_text("[OUTPUT]\nFOLDER_MODELS = none\n")
    for _ in range(2):
        status, _, err = command("-f", archive / "CTX1932-1.png", model=False)
        assert status == 0
        assert "--hf -rev v1.1" in err


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
def test_the_first_example_of_the_readme_is_what_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    example = text.split("```\n$ python3 run.py ")[1].split("```")[0]
    arguments, printed = example.split("\n", 1)
    assert run.main([*arguments.split(), "--device", "cpu", "--precision", precision]) == 0
    shown = capsys.readouterr().out
    if precision == "fp32":
        assert shown == printed
    # Fewer bits move a score that is not near 100 % by a point or two.
    (label, score), (expected, of_readme) = (
        text.splitlines()[-1].removesuffix("%").split("\t") for text in (shown, printed)
    )
    assert label == expected and float(score) == pytest.approx(float(of_readme), abs=2.0)


def test_base_that_contradicts_the_model_path(
    command: Run, archive: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "b16")
    metadata = json.loads((folder / "pagesort.json").read_text())
    (folder / "pagesort.json").write_text(json.dumps(metadata | {"base": "ViT-B/16"}))
    page = archive / "CTX1932-1.png"
    result = command("-f", page, "--model_path", folder, "-m", "ViT-L/14", model=False)
    assert "contradicts" in error_line(result, 2)
    assert command("-f", page, "-model_path", folder, "-m", "ViT-B/16", model=False)[0] == 0


def test_too_many_guesses(command: Run, archive: Path, workplace: Path) -> None:
    line = error_line(command("-f", archive / "CTX1932-1.png", "-tn", "12"), 2)
    assert "1 to 11" in line
    (workplace / "config.txt").write_text("[SETUP]\ntop_N = 99\n")
    line = error_line(command("-f", archive / "CTX1932-1.png"), 2)
    assert "config.txt, line " in line and "[SETUP] top_N" in line


def write_descriptions(path: Path, texts: dict[str, str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = "".join(f"{label}\t{text}\n" for label, text in texts.items())
    path.write_text("label\tdescription\n" + rows, encoding="utf-8")
    return path


def test_descriptions_on_the_command_line_replace_the_models(
    command: Run, archive: Path, tmp_path: Path, tiny_model_folder: Path
) -> None:
    labels = json.loads((tiny_model_folder / "pagesort.json").read_text())["labels"]
    page = archive / "CTX1932-1.png"
    own = command("-f", page, "-tn", "11")[1]
    one = {label: f"page number {number}" for number, label in enumerate(labels)}
    two = {label: f"sheet of kind {number}" for number, label in enumerate(labels)}
    first = write_descriptions(tmp_path / "tables" / "mine_1.tsv", one)
    write_descriptions(tmp_path / "tables" / "mine_2.tsv", two)
    single = command("-f", page, "-tn", "11", "-cc", first)[1]
    folder = ("--cat_dir", first.parent, "--cat_prefix", "mine")
    both = command("-f", page, "-tn", "11", *folder)[1]
    assert len({own, single, both}) == 3
    assert command("-f", page, "-tn", "11", "--avg", *folder)[1] == both
    assert command("-f", page, "-tn", "11", "--no-avg", *folder)[1] == single
    assert command("-f", page, "-tn", "11", "--prompt", "{description}")[1] != own
    wrong = write_descriptions(tmp_path / "wrong.tsv", {"NEW": "something"} | one)
    assert "unknown NEW" in error_line(command("-f", page, "-cc", wrong), 1)
    assert "cannot read" in error_line(command("-f", page, "-cc", tmp_path / "no.tsv"), 1)


def test_average_needs_several_descriptions(
    command: Run, archive: Path, workplace: Path, tiny_model_folder: Path
) -> None:
    labels = json.loads((tiny_model_folder / "pagesort.json").read_text())["labels"]
    texts = {label: f"page number {number}" for number, label in enumerate(labels)}
    write_descriptions(workplace / "one.tsv", texts)
    write_descriptions(workplace / "many" / "page_categories_a.tsv", texts)
    (workplace / "config.txt").write_text(
        "[SETUP]\ncategories_file = one.tsv\ndescription_folder = many\n"
    )
    status, _, err = command("-f", archive / "CTX1932-1.png", "--avg")
    assert status == 0
    assert f"averaging the tables page_categories* in {workplace / 'many'}" in err


def test_device_that_is_not_there(command: Run, archive: Path, tiny_model_folder: Path) -> None:
    arguments = ("-f", archive / "CTX1932-1.png", "--model_path", tiny_model_folder)
    line = error_line(command(*arguments, "--device", "cuda:7", model=False), 1)
    assert "'cuda:7' is not on this machine" in line


# ----- the console


def test_no_action_prints_help_and_fails(command: Run) -> None:
    status, out, err = command(model=False)
    assert (status, out) == (2, "")
    assert err.startswith("usage: run.py")


def test_help_succeeds_even_with_a_broken_settings_file(command: Run, workplace: Path) -> None:
    (workplace / "config.txt").write_text("nonsense")
    status, out, _ = command("--help", model=False)
    assert status == 0
    assert "exit status" in out
    assert "config.txt, line 1" in error_line(command("--dir", model=False), 2)


def test_standing_orders_of_the_settings_file_wait_until_nothing_else_is_asked(
    command: Run, archive: Path, workplace: Path
) -> None:
    (workplace / "config.txt").write_text("[TRAIN]\nTraining = True\nTesting = yes\n")
    status, out, err = command("-f", archive / "CTX1932-1.png")
    assert status == 0
    assert "training" not in err
    assert not (workplace / "model_checkpoints").exists()


def test_unexpected_errors_show_a_traceback_only_on_request(
    command: Run, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from classifier import CLIP

    def fail(*_: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(CLIP, "probabilities", fail)
    page = archive / "CTX1932-1.png"
    line = error_line(command("-f", page), 1)
    assert "ZeroDivisionError: two lines" in line
    assert "--debug" in line
    assert "Traceback" in command("-f", page, "--debug")[2]


@pytest.mark.parametrize("key", ["[INPUT]\nFOLDER_INPUT", "[OUTPUT]\nFOLDER_RESULTS"])
def test_a_configured_path_that_cannot_be_used_is_one_line(
    command: Run, workplace: Path, archive: Path, key: str
) -> None:
    (workplace / "config.txt").write_text(f"{key} = {'x' * 300}\n")
    action = ["--dir"] if "INPUT" in key else ["-d", archive]
    line = error_line(command(*action), 1)
    assert "unexpected" not in line
    assert "x" * 300 in line
    assert "too long" in line


def test_sorting_the_samples_is_said(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "classify_folder", lambda *_: 0)
    status, _, err = command("--dir")
    assert status == 0
    assert "FOLDER_INPUT is not set, so the sample pages are sorted" in err


def test_a_page_named_html_is_told_for_what_it_is(command: Run, archive: Path) -> None:
    page = archive / "letter-1.pdf"
    page.write_text("<!doctype html><title>Sign in</title>")
    assert "it is an HTML page, not an image" in error_line(command("-f", page), 1)


def test_out_of_memory_names_the_flag(
    command: Run, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from classifier import CLIP

    def fail(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(CLIP, "probabilities", fail)
    assert "--batch_size" in error_line(command("-d", archive), 1)


def test_progress_lines_tell_rate_time_and_document(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr("pagesort.common.progress.time.monotonic", lambda: now[0])
    caplog.set_level("INFO")
    with Progress(100, 20, is_terminal=False) as progress:
        for step in (5, 10, 15, 20):
            now[0] = float(step)
            progress.advance(10, f"letters/page-{step}.png")
    assert [record.getMessage() for record in caplog.records] == [
        "40 of 100 pages, 2.0 pages/s, 30 s left, now at letters/page-10.png",
        "60 of 100 pages, 2.0 pages/s, 20 s left, now at letters/page-20.png",
    ]
    assert duration(3 * 3600 + 59) == "3 h 0 min"


def test_a_hint_waits_until_the_run_is_known_to_be_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr("pagesort.common.progress.time.monotonic", lambda: now[0])
    caplog.set_level("INFO")
    with Progress(10_000, 0, is_terminal=True, hint="Be quick") as progress:
        for now[0] in (20.0, 40.0, 60.0):
            progress.advance(100, "page.png")
    assert [record.getMessage() for record in caplog.records] == ["32 min 40 s are left. Be quick"]
    with Progress(800, 0, is_terminal=True, hint="Be quick") as progress:
        now[0] += 40.0
        progress.advance(100, "page.png")
    assert len(caplog.records) == 1


def test_progress_bar_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(100, 20, is_terminal=True) as progress:
        progress.advance(30, "a very long folder name/" * 4 + "page-1.png")
        assert progress.done == 50
    assert "20/100" in capsys.readouterr().err


# ----- the console, as a program


def start(code: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run a few lines that use `run` in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("environment", {})
    return subprocess.run([sys.executable, "-c", code], env=environment, check=False, **options)


PRINT_NAME = (
    "import os\nfrom pagesort.cli.console import console, emit\n"
    "with console(False): emit(os.fsdecode({name!r}))"
)


def test_names_the_console_cannot_show_do_not_end_the_program() -> None:
    code = PRINT_NAME.format(name="třída.png")
    done = start(code, capture_output=True, environment={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout.strip()) == (0, b"t\\u0159\\xedda.png")


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_undecodable_file_names_keep_their_bytes(command: Run, archive: Path) -> None:
    name = b"t\xf8\xedda-4.png"
    done = start(PRINT_NAME.format(name=name), capture_output=True)
    assert (done.returncode, done.stdout.strip()) == (0, name)
    content = (archive / "CTX1932-1.png").read_bytes()
    Path(os.fsdecode(os.fsencode(archive) + b"/" + name)).write_bytes(content)
    status, out, _ = command("-d", archive)
    assert status == 0
    assert len(read_table(out.strip())) == 6


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX pipe")
def test_a_reader_that_goes_away_is_no_error() -> None:
    code = (
        "import run\nfrom pagesort.cli.console import emit\n"
        "def main():\n    emit('a line')\n    emit('another')\n    return 3\n"
        "run.main = main\nrun._leave()"
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = start(code, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (3, b"")


def test_errors_are_told_before_torch_loads(archive: Path, workplace: Path) -> None:
    code = (
        "import sys, run\n"
        "for line in ['-f none.png', '-d none', '-tn 0', '--resume --dir']:\n"
        "    assert run.main(line.split()) in (1, 2)\n"
        f"assert run.main(['-f', {str(archive / 'CTX1932-1.png')!r}, '-m', 'ViT-L/14']) == 1\n"
        f"assert run.main(['-d', {str(archive)!r}, '--model_path', 'none.pt']) == 1\n"
        "assert not {'torch', 'transformers', 'pandas'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=workplace,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_names_with_line_breaks_stay_in_one_line(
    command: Run, archive: Path, tmp_path: Path
) -> None:
    if os.name == "nt":
        pytest.skip("Windows has no such names")
    odd = tmp_path / "two\nlines-1.png"
    odd.write_bytes((archive / "CTX1932-1.png").read_bytes())
    status, out, _ = command("-f", odd)
    assert status == 0
    assert len(out.splitlines()) == 2
    assert "two\\nlines-1.png" in out
    (archive / "cut\x1b[2J\n-9.png").write_bytes(b"")
    _, _, err = command("-d", archive)
    assert "cut\\x1b[2J\\n-9.png" in err


def test_revision_that_contradicts_the_model_path(
    command: Run, archive: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "b16")
    metadata = json.loads((folder / "pagesort.json").read_text())
    (folder / "pagesort.json").write_text(json.dumps(metadata | {"base": "ViT-B/16"}))
    page = archive / "CTX1932-1.png"
    result = command("-f", page, "--model_path", folder, "-rev", "v2.2", model=False)
    line = error_line(result, 2)
    assert "v2.2" in line
    assert "ViT-B/16" in line


def test_a_configured_table_that_the_model_passes_over_is_told(command: Run, archive: Path) -> None:
    (Path.cwd() / "config.txt").write_text("[SETUP]\ncategories_file = mine.tsv\n")
    status, _, err = command("-f", archive / "CTX1932-1.png")
    assert status == 0
    assert "brings its own descriptions" in err
    assert "mine.tsv" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written(
    archive: Path, workplace: Path, tiny_model_folder: Path
) -> None:
    words = [sys.executable, str(ROOT / "tests" / "helpers" / "stand_in.py"), "0"]
    words += ["-f", str(archive / "CTX1932-1.png"), "--model_path", str(tiny_model_folder)]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - no file, a device
        done = subprocess.run(words, cwd=workplace, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "cannot write the output" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
