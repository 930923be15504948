"""Ways of teaching a reader of lines, compared on hands that none of them has seen.

    python3 benchmarks/line_readers.py ../shared/lines/lines.csv [--lines 900] [--rows ROW ...]
        [--kraken PYTHON] [--work FOLDER]

The table needs the columns path, text, dataset, document_or_hand, page and kind. Hands are kept
from training as for the bundled reader; of their handwriting, and of that of the hands that train,
lines are drawn evenly. Every row is one training on the same lines, about as long as the others by
processor time, and one `run.py --eval_reader` on the lines of the hands that were kept. `ctc start`
starts from the weights that the bundled reader started from, the other rows from nothing.

`kraken` is `ketos train` with its defaults (https://kraken.re), which stops after `--minutes` of
processor; its best epoch counts. PYTHON is that of an environment of its own, since `run.py` reads
the lines there: first `pip install kraken`, then `pip install -r requirements.txt` as a second
command, because kraken 7.1.1 asks for an older safetensors than we do, and works with ours.
"""

from __future__ import annotations

import argparse
import csv
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bundled_models.line_reader.build import start_reader
from bundled_models.line_reader.parts import HAND, split_by_set
from pagesort.reading.examples import Example, read_examples

ROOT = Path(__file__).resolve().parents[1]
SEED = 420  # as in config.txt
VALIDATE = 0.1  # of the lines that are given to a training
MEASURED = 400  # lines of hands that were kept
SEQ2SEQ = ("--architecture", "seq2seq", "--from_scratch")
RESNET_34 = ("--set", "train_reader.resnet=34")
SYNTHETIC = ("--synthetic", "0.3")
# Epochs are such that 900 lines take about ten minutes of one core of an AMD EPYC with AVX2.
ROWS: dict[str, tuple[str, ...]] = {
    "ctc start": ("--epochs", "4", "--lr", "4e-4"),
    "ctc": ("--epochs", "4", "--lr", "1e-3", "--from_scratch"),
    "ctc synthetic": ("--epochs", "4", "--lr", "1e-3", "--from_scratch", *SYNTHETIC),
    "seq2seq 18": ("--epochs", "3", *SEQ2SEQ),
    "seq2seq 18 synthetic": ("--epochs", "3", *SEQ2SEQ, *SYNTHETIC),
    "seq2seq 34": ("--epochs", "2", *SEQ2SEQ, *RESNET_34),
    "seq2seq 34 synthetic": ("--epochs", "2", *SEQ2SEQ, *RESNET_34, *SYNTHETIC),
    "kraken": (),
}


@dataclass(frozen=True)
class Row:
    """How one way of training reads the lines of new hands: rates as `run.py` says them."""

    name: str
    cer: str
    wer: str
    minutes: float


def drawn(lines: Sequence[Example], count: int) -> list[Example]:
    """Every n-th handwritten line, so that `count` are left at most."""
    hands = [line for line in lines if line.kind == HAND]
    return hands[:: max(1, -(-len(hands) // count))]


def write_lines(lines: Sequence[Example], folder: Path) -> Path:
    """Write lines as `--data` takes them, and as kraken does; returns the table."""
    folder.mkdir()
    table = folder / "lines.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "text", "document_or_hand", "page", "kind"))
        for number, line in enumerate(lines):
            picture = folder / f"{number:05d}{line.path.suffix}"
            shutil.copyfile(line.path, picture)
            picture.with_suffix(".gt.txt").write_text(line.text, encoding="utf-8")
            writer.writerow((picture.name, line.text, line.document, line.page, line.kind))
    return table


def train(name: str, table: Path, start: Path, folder: Path) -> Path:
    """Teach one of our readers; returns its folder."""
    words = ["--train_reader", "--data", str(table), *ROWS[name], "--batch_size", "12"]
    words += ["--set", f"train_reader.test_size={VALIDATE / 2}", "--device", "cpu"]
    words += ["--set", "output.folder_results=result", "--set", "output.folder_cpoints=state"]
    words += ["--set", "output.folder_models=models"]
    if name == "ctc start":
        words += ["--reader_path", str(start)]
    subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *words], cwd=folder, check=True, stdout=sys.stderr
    )
    (reader,) = (path.parent for path in (folder / "models").glob("*/reader.json"))
    return reader


def train_kraken(python: Path, table: Path, folder: Path, minutes: float) -> Path:
    """Have kraken train on the same lines until its time is over; returns its best model."""
    words = [str(python.with_name("ketos")), "--device", "cpu", "--workers", "0", "-s", str(SEED)]
    words += ["train", "-f", "path", "-p", str(1 - VALIDATE), "-o", "model"]
    words += [str(picture) for picture in sorted(table.parent.glob("*.jpg"))]
    seconds = round(60 * minutes)
    subprocess.run(
        words, cwd=folder, check=False, stdout=sys.stderr,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds)),
    )  # fmt: skip
    best = max((folder / "model").glob("checkpoint_*.ckpt"), key=_accuracy)
    subprocess.run(
        [words[0], "convert", "-o", "model.safetensors", str(best)],
        cwd=folder, check=True, stdout=sys.stderr,
    )  # fmt: skip
    return folder / "model.safetensors"


def _accuracy(model: Path) -> float:
    """What kraken puts into the names of its files: the share that it reads right."""
    found = re.search(r"(\d\.\d+)\.ckpt$", model.name)
    return float(found[1]) if found else -1.0


def rates(reader: Path, table: Path, folder: Path, python: Path) -> tuple[str, str]:
    """CER and WER of all lines of a table, with their intervals, as `--eval_reader` says them."""
    words = [str(python), str(ROOT / "run.py"), "--eval_reader", "--data", str(table)]
    words += ["--reader_path", str(reader), "--device", "cpu"]
    words += ["--set", "output.folder_results=result"]
    done = subprocess.run(words, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    fields = next(line for line in done.stdout.splitlines() if "\tall\t" in line).split("\t")
    return fields[1], fields[2]


def measure(name: str, arguments: argparse.Namespace, work: Path) -> Row:
    """Train and measure one row."""
    folder = work / name.replace(" ", "-")
    folder.mkdir()
    table, used = work / "train" / "lines.csv", processor_seconds()
    python = Path(sys.executable)
    if name == "kraken":
        python = arguments.kraken.absolute()
        reader = train_kraken(python, table, folder, arguments.minutes)
    else:
        reader = train(name, table, work / "start", folder)
    minutes = (processor_seconds() - used) / 60
    return Row(name, *rates(reader, work / "measured" / "lines.csv", folder, python), minutes)


def processor_seconds() -> float:
    """Processor seconds of all commands until now."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure all rows, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--lines", type=int, default=900, help="that train, %(default)s")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--kraken", type=Path, help="the Python of kraken's environment")
    parser.add_argument("--minutes", type=float, default=10, help="that kraken has, %(default)s")
    parser.add_argument("--work", type=Path, help="a new folder for all files; default: temporary")
    arguments = parser.parse_args()
    rows = [name for name in arguments.rows if name != "kraken" or arguments.kraken]
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary) / "work").absolute()
        work.mkdir()
        examples = read_examples(arguments.table)
        parts = split_by_set(examples)
        write_lines(drawn(parts.train, arguments.lines), work / "train")
        write_lines(drawn(parts.test, MEASURED), work / "measured")
        start_reader(examples, work / "start")
        print("| reader | CER (95 %) | WER (95 %) | minutes of processor |")
        print("|---|--:|--:|--:|")
        for name in rows:
            row = measure(name, arguments, work)
            print(f"| {row.name} | {row.cer} | {row.wer} | {row.minutes:.1f} |", flush=True)


if __name__ == "__main__":
    main()
