"""Training, evaluation, zero-shot and votes through the command line, on small drawn pages."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.command import Run, command, error_line, read_table, workplace
from tests.helpers.paths import ROOT
from tests.helpers.plots import no_plots
from tests.helpers.sst2_pages import write_rendered_sst2

__all__ = ["command", "workplace", "no_plots"]  # fixtures

SHADES = {"dark": 40, "grey": 128, "light": 215}


def write_shades(folder: Path, pages: int = 8) -> Path:
    """Three labels that any model can learn: dark, grey and light pages, two a document."""
    for label, level in SHADES.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(pages):
            rng = np.random.default_rng((level, number))
            noise = rng.integers(-30, 30, (12, 8, 3)) + level
            image = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
            document, page = divmod(number, 2)
            name = f"{label}{document:02d}-{page + 1}.png"
            image.resize((64, 96), Image.Resampling.NEAREST).save(folder / label / name)
    return folder


@pytest.fixture(autouse=True)
def settings(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models and checkpoints stay in the working folder, too, and no hub is asked."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write_config(workplace)


def write_config(folder: Path, train: str = "", more: str = "") -> None:
    output = "[OUTPUT]\nFOLDER_RESULTS = result\nFOLDER_CPOINTS = cp\nFOLDER_MODELS = models\n"
    content = f"{output}[TRAIN]\nworkers = 0\ntest_size = 0.25\n{train}\n{more}"
    (folder / "config.txt").write_text(content, encoding="utf-8")


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the curves of trainings, too."""
    monkeypatch.setattr("pagesort.training.train.draw_curves", lambda *_: None)


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    return write_shades(tmp_path / "labelled pages")


def test_train_export_predict_evaluate_compare(command: Run, shades: Path, workplace: Path) -> None:
    status, out, err = command("--train", "--train_folder", shades, "--lr", "1e-3", "--epochs", "4")
    assert status == 0, err
    model, curves = map(Path, out.splitlines())
    assert model.parent == workplace / "models"
    assert curves.parent == workplace / "result" / "plots"
    assert Image.open(curves).width > 300
    for word in ("epoch 4 of 4", "loss", "lr", "pages/s", "left", "validation"):
        assert word in err, word

    page = shades / "light" / "light00-1.png"
    status, out, _ = command("-f", page, "--model_path", model, "-tn", "3", model=False)
    assert status == 0
    assert sorted(line.split("\t")[0] for line in out.splitlines()[1:]) == sorted(SHADES)
    assert out.splitlines()[1].split("\t")[0] == "light"

    arguments = ("--eval", "--eval_folder", shades, "--train_folder", shades)
    status, out, err = command(*arguments, "--model_path", model, "-tn", "2", model=False)
    assert status == 0, err
    files = [Path(line) for line in out.splitlines() if line.startswith(str(workplace))]
    table = read_table(next(path for path in files if path.name.startswith("EVAL_table_2n")))
    split = json.loads(next((workplace / "result" / "stats").glob("split_*.json")).read_text())
    tested = {Path(name).stem for name in split["test"]}
    assert {f"{row['FILE']}-{row['PAGE']}" for row in table} == tested
    assert "test part of" in out
    assert "split of an earlier run used again" in err
    right = np.mean([row["TRUE"] == row["CLASS-1"] for row in table])
    report = json.loads(next(path for path in files if path.suffix == ".json").read_text())
    assert f"{right:.1%}".replace("%", " %") in out
    assert str(round(right, 4)) in json.dumps(report)

    shutil.copytree(model, workplace / "models" / "another")
    status, out, err = command(
        "--eval_dir", "--eval_folder", shades, "--train_folder", shades, model=False
    )
    assert status == 0, err
    rows = read_table(workplace / "result" / "stats" / "model_accuracies.csv")
    assert {row["MODEL"] for row in rows} >= {"another", model.name}
    tables = [Path(line) for line in out.splitlines() if "EVAL_table" in line]
    records = [json.loads(table.with_suffix(".json").read_text()) for table in tables]
    assert len(records) >= 2
    for record in records:
        assert record["counts"]["pages"] == len(tested)
    assert "not used" not in err
    plot = workplace / "result" / "stats" / "model_accuracies.png"
    plot.unlink()
    status, out, _ = command("--vis", model=False)
    assert (status, Path(out.strip())) == (0, plot)
    assert plot.exists()


@pytest.mark.usefixtures("no_plots", "no_curves")
def test_train_and_evaluate_in_one_call_then_train_on(command: Run, shades: Path) -> None:
    arguments = ("--train", "--train_folder", shades, "--eval", "--eval_folder", shades)
    status, out, err = command(*arguments, "--epochs", "1")
    assert status == 0, err
    model = Path(out.splitlines()[0])
    assert f"model {model} on cpu" in err
    again = command(
        "--train", "--train_folder", shades, "--epochs", "1", "--model_path", model, model=False
    )
    assert again[0] == 0, again[2]
    assert Path(again[1].splitlines()[0]) != model
    assert f"training starts from {model}" in again[2]


@pytest.mark.usefixtures("no_plots", "no_curves")
def test_pages_that_a_model_has_seen_never_count(command: Run, shades: Path) -> None:
    _, out, _ = command("--train", "--train_folder", shades, "--epochs", "1")
    model = Path(out.splitlines()[0])
    copies = shades.parent / "copies"
    shutil.copytree(shades, copies)
    status, out, err = command(
        "--eval", "--eval_folder", copies, "--model_path", model, model=False
    )
    assert status == 0, err
    path = next(line for line in out.splitlines() if "EVAL_table" in line)
    split = json.loads(next((Path("result") / "stats").glob("split_*.json")).read_text())
    shown = {f"{row['FILE']}-{row['PAGE']}" for row in read_table(path)}
    assert shown == {Path(name).stem for name in split["test"]}
    assert str(len(split["train"]) + len(split["validation"])) in err
    # Another seed would test pages that trained: they are left out all the same.
    write_config(Path(), more="[SETUP]\nseed = 1\n")
    _, out, _ = command(
        "--eval", "--eval_folder", shades, "--train_folder", shades, "--model_path", model,
        model=False,
    )  # fmt: skip
    path = next(line for line in out.splitlines() if "EVAL_table" in line)
    assert {f"{row['FILE']}-{row['PAGE']}" for row in read_table(path)} <= shown


@pytest.mark.usefixtures("no_plots", "no_curves")
def test_a_list_says_what_trains_and_what_tests(command: Run, shades: Path) -> None:
    parts = ("train",) * 4 + ("val", "val", "test", "test")
    listed = shades / "split ř.csv"
    rows = [
        f"{label}/{path.name},{'night' if label == 'dark' else 'day'},{part}"
        for label in SHADES
        for path, part in zip(sorted((shades / label).iterdir()), parts, strict=True)
    ]
    listed.write_text("\n".join(["path,label,split", *rows, "dark/none-1.png,night,train"]))
    status, out, err = command("--train", "--train_list", listed, "--epochs", "1", "--eval")
    assert status == 3, err
    assert "split of the list: 13 pages train, 6 validate, 6 test" in err
    assert "none-1.png" in err
    table = read_table(next(line for line in out.splitlines() if "EVAL_table" in line))
    assert {row["PATH"] for row in table} == {
        row.split(",")[0] for row in rows if row.endswith("test")
    }
    assert {row["TRUE"] for row in table} == {"night", "day"}
    both = command("--train", "--train_list", listed, "--train_folder", shades)
    assert "contradict each other" in error_line(both, 2)
    assert "line 2" in error_line(command("--train", "--train_list", write_broken_list(shades)))


@pytest.mark.slow
def test_folds_score_every_page_by_a_training_that_has_not_seen_it(
    command: Run, shades: Path, workplace: Path
) -> None:
    (shades / "light" / "light00-1.png").replace(shades / "dark" / "wrong00-1.png")
    words = ("--train", "--train_folder", shades, "--folds", "3", "--epochs", "2", "--lr", "1e-3")
    status, out, err = command(*words, "--train_all")
    assert status == 0, err
    assert "fold 3 of 3" in err
    assert "top-1, mean of 3 folds" in out
    assert "standard deviation" in out
    paths = [Path(line) for line in out.splitlines() if line.startswith(str(workplace))]
    table = read_table(next(path for path in paths if path.name.startswith("EVAL_table")))
    raw = read_table(next(path for path in paths if path.name.endswith("RAW.csv")))
    assert list(table[0])[-3:] == list(raw[0])[-3:] == ["TRUE", "FOLD", "PATH"]
    assert sorted(row["PATH"] for row in raw) == sorted(
        path.relative_to(shades).as_posix() for path in shades.rglob("*.png")
    )
    folds = {(row["FILE"], row["FOLD"]) for row in table}
    assert len(folds) == len({row["FILE"] for row in table})  # whole documents
    assert {row["FOLD"] for row in table} == {"1", "2", "3"}
    report = json.loads(next(path for path in paths if path.suffix == ".json").read_text())
    for fold, accuracy in enumerate(report["folds"]["accuracy"]["folds"], 1):
        own = [row["TRUE"] == row["CLASS-1"] for row in table if row["FOLD"] == str(fold)]
        assert accuracy == pytest.approx(np.mean(own))
    suspects = next(path for path in paths if path.name.endswith("SUSPECTS.csv"))
    assert suspects.is_file()
    models = list((workplace / "models").iterdir())
    assert models == [path for path in paths if path.parent.name == "models"]
    facts = json.loads((models[0] / "pagesort.json").read_text())["training"]
    assert facts["out_of_fold"]["pages"] == 24
    assert sum(facts["pages"]["train"].values()) + sum(facts["pages"]["validation"].values()) == 24
    left = next((workplace / "cp").glob("folds_*"))
    assert sorted(path.name for path in left.iterdir()) == [f"fold-{n}.npz" for n in (1, 2, 3)]

    again = command(*words)
    assert again[2].count("was finished before") == 3
    raw_again = read_table(next(line for line in again[1].splitlines() if "RAW.csv" in line))
    assert raw_again == raw
    assert "belongs to --folds" in error_line(command("--train", "--train_all"), 2)
    assert "keeps none" in error_line(command(*words, "--eval"), 2)
    assert "too few" in error_line(command(*words[:3], "--folds", "50"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo needs a network there")
def test_two_processes_train_the_folds_together(
    tiny_model_folder: Path, shades: Path, workplace: Path
) -> None:
    words = ["--train", "--train_folder", shades, "--folds", "2", "--train_all", "--epochs", "1"]
    words += ["--model_path", tiny_model_folder, "--device", "cpu"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(ROOT / "run.py"), *map(str, words)]
    done = subprocess.run(
        command, cwd=workplace, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True, timeout=900,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("fold 2 of 2: ") == 1
    paths = [Path(line) for line in done.stdout.splitlines() if line.startswith(str(workplace))]
    (table,) = (path for path in paths if path.name.startswith("EVAL_table"))
    assert sorted(row["PATH"] for row in read_table(table)) == sorted(
        path.relative_to(shades).as_posix() for path in shades.rglob("*.png")
    )
    (model,) = (path for path in paths if path.parent.name == "models")
    training = json.loads((model / "pagesort.json").read_text())["training"]
    assert training["processes"] == 2
    assert training["out_of_fold"]["pages"] == 24


def write_broken_list(folder: Path) -> Path:
    path = folder / "broken.csv"
    path.write_text("path,label,split\n../page.png,night,train\n")
    return path


@pytest.mark.slow
def test_a_fresh_checkout_trains_and_evaluates_with_the_bundled_model(
    command: Run, shades: Path
) -> None:
    status, out, err = command(
        "--train", "--train_folder", shades, "--epochs", "1", "--batch_size", "4", model=False
    )
    assert status == 0, err
    assert "training starts from the bundled model" in err
    assert "no description for label dark" in err
    status, out, err = command("--eval", "--zero_shot", "--eval_folder", shades, model=False)
    assert status == 0, err
    assert "the bundled model" in err
    assert "model_accuracies_zero.csv" in out


@pytest.mark.slow
def test_rendered_sst2_runs_zero_shot_end_to_end(command: Run, tmp_path: Path) -> None:
    folder = write_rendered_sst2(tmp_path, ("test",)) / "test"
    words = ("--prompt", "a {} review of a movie.", "--prompt", "{} words about a film")
    status, out, err = command("--eval", "--zero_shot", "--eval_folder", folder, *words)
    assert status == 0, err
    table = read_table(next(line for line in out.splitlines() if "EVAL_table" in line))
    assert len(table) == 8
    assert {row["TRUE"] for row in table} == {"negative", "positive"}
    assert {row["CLASS-1"] for row in table} <= {"negative", "positive"}
    assert "a negative review of a movie." in err
    figure = [line for line in out.splitlines() if "samples" in line and line.endswith(".png")]
    assert len(figure) == 1
    assert Image.open(figure[0]).width > 300


def test_zero_shot_predicts_with_a_table_of_ones_own(
    command: Run, shades: Path, workplace: Path
) -> None:
    table = workplace / "mine.tsv"
    table.write_text("label\tdescription\nnight\ta dark page\nday\ta light page\n")
    page = shades / "light" / "light00-1.png"
    status, out, _ = command("-f", page, "--zero_shot", "-cc", table, "-tn", "2")
    assert status == 0
    assert {line.split("\t")[0] for line in out.splitlines()[1:]} == {"night", "day"}


def test_best_lets_models_vote(
    command: Run, shades: Path, workplace: Path, tiny_model_folder: Path
) -> None:
    page = shades / "light" / "light00-1.png"
    assert "--model_dir" in error_line(command("--best", "-f", page, model=False))
    for number, name in enumerate(("first", "second", "third")):
        folder = workplace / "models" / name
        shutil.copytree(tiny_model_folder, folder)
        metadata = json.loads((folder / "pagesort.json").read_text())
        metadata["temperature"] = 1.0 + number  # the same guesses, less sure
        (folder / "pagesort.json").write_text(json.dumps(metadata))
    status, out, err = command("--best", "-f", page, model=False)
    assert status == 0, err
    assert "100% of 3 models" in out
    status, out, err = command("--best", "-d", shades, "--inner", model=False)
    assert status == 0, err
    rows = read_table(out.splitlines()[0])
    models = ["first", "second", "third"]
    assert list(rows[0]) == ["FILE", "PAGE", "VOTE", "AGREEMENT", *models, "PATH"]
    assert len(rows) == 24
    assert all(row["VOTE"] == row["first"] for row in rows)
    votes = Path(out.splitlines()[0])
    for name in models:
        (own,) = (votes.parent / votes.stem / name).glob("result_*.csv")
        record = json.loads(own.with_suffix(".json").read_text(encoding="utf-8"))
        assert [model["name"] for model in record["models"]] == [name]
        assert command("--check", own, model=False)[0] == 0


@pytest.mark.usefixtures("no_plots", "no_curves")
@pytest.mark.parametrize("safe", [True, False])
def test_broken_pages_are_left_out_and_told(command: Run, shades: Path, safe: bool) -> None:
    broken = shades / "dark" / "dark09-1.png"
    broken.write_bytes(b"no image")
    flags = ("--safe",) if safe else ()
    status, out, err = command("--train", "--train_folder", shades, "--epochs", "1", *flags)
    assert status == 3, err
    assert broken.name in err
    assert Path(out.splitlines()[0]).is_dir()


def test_bad_training_folders_are_one_line_each(
    command: Run, shades: Path, workplace: Path, tmp_path: Path
) -> None:
    train = ("--train", "--epochs", "1", "--train_folder")
    assert "is not there" in error_line(command(*train, tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    assert "subfolder" in error_line(command(*train, tmp_path / "empty"))
    assert "subfolder" in error_line(command(*train, shades / "dark"))
    (shades / "unseen").mkdir()
    assert "unseen" in error_line(command(*train, shades))
    shutil.rmtree(shades / "unseen")
    table = workplace / "mine.tsv"
    table.write_text("label\tdescription\ndark\ta dark page\nblue\ta blue page\n")
    line = error_line(command(*train, shades, "-cc", table))
    assert "blue" in line
    for label in ("grey", "light"):
        shutil.rmtree(shades / label)
    assert "label" in error_line(command(*train, shades))
    assert not list((workplace / "models").glob("*")) if (workplace / "models").exists() else True


def test_an_evaluation_that_cannot_be_is_one_line(
    command: Run, shades: Path, tmp_path: Path
) -> None:
    assert "is not there" in error_line(command("--eval", "--eval_folder", tmp_path / "none"))
    line = error_line(command("--eval", "--eval_folder", shades))
    assert "dark" in line
    error_line(command("--eval_dir", "--model_dir", tmp_path / "none", model=False))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs kill -9")
def test_a_killed_training_ends_at_the_same_weights(
    shades: Path, workplace: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    words = [sys.executable, str(ROOT / "run.py"), "--train", "--train_folder", str(shades)]
    words += ["--epochs", "6", "--batch_size", "2", "--device", "cpu"]
    words += ["--model_path", str(tiny_model_folder)]
    other = tmp_path / "other"
    other.mkdir()
    write_config(other)
    whole = subprocess.run(words, cwd=other, capture_output=True, text=True, check=True)

    process = subprocess.Popen(words, cwd=workplace, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 3"):
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stderr.close()
    time.sleep(0.1)
    assert not list((workplace / "models").glob("*_2*"))
    again = subprocess.run(words, cwd=workplace, capture_output=True, text=True, check=True)
    assert "going on" in again.stderr
    weights = [
        Path(done.stdout.splitlines()[0], "model.safetensors").read_bytes()
        for done in (whole, again)
    ]
    assert weights[0] == weights[1]
