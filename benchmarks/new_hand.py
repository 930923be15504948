"""How well a reader reads a hand once it was taught some pages of it.

    python3 benchmarks/new_hand.py ../shared/lines/lines.csv
        [--hand cremma-mss-19/manuscrit-sand-fadette] [--epochs 12] [--work FOLDER]

The table needs the columns path, text, document_or_hand, page and kind. Every page of the hand is
read twice: by the reader as it is, and after `run.py --train_reader` on all other pages of the hand
(the last epoch counts, as nothing is kept to choose one by). The hand must be one that the reader
was not trained on; of the bundled one, the largest such hand of our lines is the default. The
intervals of the last row are over pages.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pagesort.common.paths import BUNDLED_READER
from pagesort.reading.error_rates import Errors, errors_of, rates
from pagesort.reading.examples import Example, read_examples

ROOT = Path(__file__).resolve().parents[1]

HAND = "cremma-mss-19/manuscrit-sand-fadette"


def write_lines(lines: Sequence[Example], folder: Path) -> Path:
    """Write lines as `--data` takes them, without pages, so that all train; returns the table."""
    folder.mkdir()
    table = folder / "lines.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "text", "document_or_hand", "kind"))
        for number, line in enumerate(lines):
            picture = folder / f"{number:05d}{line.path.suffix}"
            shutil.copyfile(line.path, picture)
            writer.writerow((picture.name, line.text, line.document, line.kind))
    return table


def run(words: Sequence[str], folder: Path) -> None:
    """Call the program in a folder that takes all it writes."""
    words = [*words, "--device", "cpu", "--set", "output.folder_results=result"]
    words += ["--set", "output.folder_cpoints=state", "--set", "output.folder_models=models"]
    subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *words], cwd=folder, check=True, stdout=sys.stderr
    )


def teach(lines: Sequence[Example], epochs: int, folder: Path) -> Path:
    """Teach the bundled reader these lines; returns the new reader's folder."""
    table = write_lines(lines, folder / "taught")
    words = ["--train_reader", "--data", str(table), "--reader_path", str(BUNDLED_READER)]
    run([*words, "--epochs", str(epochs), "--lr", "3e-4", "--batch_size", "8"], folder)
    (reader,) = (path.parent for path in (folder / "models").glob("*/reader.json"))
    return reader


def errors_on(lines: Sequence[Example], reader: Path, folder: Path) -> list[Errors]:
    """What the program's own evaluation found wrong with each line."""
    folder.mkdir()
    table = write_lines(lines, folder / "lines")
    run(["--eval_reader", "--data", str(table), "--reader_path", str(reader)], folder)
    (found,) = (folder / "result" / "tables").glob("*_LINES*.csv")
    with found.open(encoding="utf-8", newline="") as file:
        return [errors_of(row["TRUTH"], row["READING"]) for row in csv.DictReader(file)]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--hand", default=HAND, help="%(default)s")
    parser.add_argument("--epochs", type=int, default=12, help="%(default)s")
    parser.add_argument("--work", type=Path, help="a new folder for all files; default: temporary")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary) / "work").absolute()
        work.mkdir()
        lines = [
            line for line in read_examples(arguments.table).lines if line.document == arguments.hand
        ]
        pages = sorted({line.page for line in lines})
        if len(pages) < 2:
            parser.error(f"the table has {len(pages)} pages by {arguments.hand}, not two or more")
        before: list[Errors] = []
        after: list[Errors] = []
        groups: list[str] = []
        print("| page | lines taught | lines read | CER before | CER after |")
        print("|---|--:|--:|--:|--:|")
        for number, page in enumerate(pages):
            folder = work / str(number)
            folder.mkdir()
            of_page = [line for line in lines if line.page == page]
            others = [line for line in lines if line.page != page]
            plain = errors_on(of_page, BUNDLED_READER, folder / "before")
            taught = errors_on(of_page, teach(others, arguments.epochs, folder), folder / "after")
            first, second = (rates(each, [page] * len(each))[0] for each in (plain, taught))
            print(f"| {page} | {len(others)} | {len(of_page)} | {first} | {second} |", flush=True)
            before, after, groups = before + plain, after + taught, groups + [page] * len(plain)
        first, second = (rates(each, groups)[0] for each in (before, after))
        print(f"| all | | {len(groups)} | {first} | {second} |")


if __name__ == "__main__":
    main()
