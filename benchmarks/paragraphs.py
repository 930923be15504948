"""Reading paragraphs whole (seq2seq), and line by line with the bundled reader.

    python3 benchmarks/paragraphs.py ../shared/lines/lines.csv ../shared/lines/pages
        [--epochs 4] [--paragraphs 240] [--resnet 18] [--work FOLDER]

The table is that of `line_readers.py`, and hands are kept from training as there. Three lines of a
page that follow each other in the table, one below the other, are a paragraph. `run.py
--train_reader --architecture seq2seq --data_format form` learns from paragraphs by hands that
train, from nothing; read are paragraphs by hands that were kept, and real pages by them, brought to
the 640 columns that it takes. The bundled reader reads the same pictures by `run.py --read`, which
finds their lines first. WER is over all words, with intervals over hands.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bundled_models.line_reader.parts import HAND, split_by_set
from pagesort.reading.error_rates import errors_of, rates
from pagesort.reading.examples import Example, read_examples

ROOT = Path(__file__).resolve().parents[1]
LINES = 3  # of a paragraph
ROW, WIDEST = 30, 640  # pixels of a line's height and of a picture's width
MARGIN = 8


@dataclass(frozen=True)
class Paragraph:
    """A picture of several lines, what they say, and whose hand it is."""

    picture: Image.Image
    text: str
    hand: str


def composed(lines: Sequence[Example], most: int) -> list[Paragraph]:
    """Lines of one page below one another, evenly chosen of all such."""
    hands = [line for line in lines if line.kind == HAND]
    groups: list[list[Example]] = []
    for _, of_page in itertools.groupby(hands, key=lambda line: (line.document, line.page)):
        page = list(of_page)
        groups += [page[at : at + LINES] for at in range(0, len(page) - LINES + 1, LINES)]
    chosen = groups[:: max(1, -(-len(groups) // most))]
    return [
        Paragraph(
            stacked([line.path for line in group]),
            "\n".join(line.text for line in group),
            group[0].document,
        )
        for group in chosen
    ]


def stacked(paths: Sequence[Path]) -> Image.Image:
    """Pictures of lines one below the other, flush left."""
    pictures = []
    for path in paths:
        with Image.open(path) as opened:
            line = ImageOps.autocontrast(opened.convert("L"))
        wide = min(WIDEST - 2 * MARGIN, round(line.width * ROW / line.height))
        pictures.append(line.resize((max(1, wide), ROW), Image.Resampling.BICUBIC))
    across = max(picture.width for picture in pictures) + 2 * MARGIN
    sheet = Image.new("L", (across, ROW * len(pictures) + 2 * MARGIN), 255)
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (MARGIN, MARGIN + number * ROW))
    return sheet


def real_pages(folder: Path, hands: Mapping[str, str]) -> list[Paragraph]:
    """Pages by hands that were kept, as wide as a form may be.

    Args:
        folder: `<set>/<page>.jpg` and `.json`, whose `lines` have a `text`.
        hands: page -> its hand.
    """
    pages = []
    for path in sorted(folder.glob("*/*.json")):
        lines = [line["text"] for line in json.loads(path.read_text(encoding="utf-8"))["lines"]]
        if path.stem not in hands or not all(lines):
            continue
        with Image.open(path.with_suffix(".jpg")) as opened:
            page = opened.convert("L")
        page = page.resize((WIDEST, round(page.height * WIDEST / page.width)))
        pages.append(Paragraph(page, "\n".join(lines), hands[path.stem]))
    return pages


def write(paragraphs: Sequence[Paragraph], folder: Path) -> Path:
    """Write pictures and a table as `--data` takes them; returns the table."""
    folder.mkdir()
    table = folder / "forms.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "text", "document_or_hand"))
        for number, each in enumerate(paragraphs):
            each.picture.save(folder / f"{number:05d}.png")
            writer.writerow((f"{number:05d}.png", each.text, each.hand))
    return table


def run(words: Sequence[str], folder: Path) -> None:
    """Call the program in a folder that takes all it writes."""
    folder.mkdir(exist_ok=True)
    words = [*words, "--device", "cpu", "--set", "output.folder_results=result"]
    words += ["--set", "output.folder_cpoints=state", "--set", "output.folder_models=models"]
    subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *words], cwd=folder, check=True, stdout=sys.stderr
    )


def read_whole(table: Path, reader: Path, folder: Path) -> list[str]:
    """What a reader of forms makes of each picture of a table."""
    words = ["--eval_reader", "--data", str(table), "--data_format", "form"]
    run([*words, "--reader_path", str(reader)], folder)
    (found,) = (folder / "result" / "tables").glob("*_LINES*.csv")
    with found.open(encoding="utf-8", newline="") as file:
        rows = {row["FILE"]: row["READING"] for row in csv.DictReader(file)}
    return [rows[name] for name in sorted(rows)]


def read_lines(table: Path, folder: Path) -> list[str]:
    """What the bundled reader makes of the lines that are found on each picture of a table."""
    run(["--read", str(table.parent), "-ff", "png"], folder)
    texts = {path.stem: path for path in (folder / "result" / "texts").rglob("*.txt")}
    names = sorted(path.stem for path in table.parent.glob("*.png"))
    return [texts[name].read_text(encoding="utf-8") if name in texts else "" for name in names]


def row(name: str, paragraphs: Sequence[Paragraph], readings: Sequence[str]) -> str:
    """A row of the table: CER and WER with their intervals."""
    errors = [
        errors_of(each.text.replace("\n", " "), reading.replace("\n", " "))
        for each, reading in zip(paragraphs, readings, strict=True)
    ]
    cer, wer = rates(errors, [each.hand for each in paragraphs])
    return f"| {name} | {len(paragraphs)} | {cer} | {wer} |"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("pages", type=Path, help="pages with their lines as JSON")
    parser.add_argument("--epochs", type=int, default=4, help="%(default)s")
    parser.add_argument("--paragraphs", type=int, default=240, help="that train, %(default)s")
    parser.add_argument("--resnet", default="18", choices=["18", "34"])
    parser.add_argument("--work", type=Path, help="a new folder for all files; default: temporary")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary) / "work").absolute()
        work.mkdir()
        parts = split_by_set(read_examples(arguments.table))
        train = write(composed(parts.train, arguments.paragraphs), work / "train")
        kept = {line.page: line.document for line in parts.test if line.kind == HAND}
        measured = {
            "paragraphs": composed(parts.test, 60),
            "pages": real_pages(arguments.pages, kept),
        }
        words = ["--train_reader", "--data", str(train), "--data_format", "form", "--from_scratch"]
        words += ["--architecture", "seq2seq", "--set", f"train_reader.resnet={arguments.resnet}"]
        words += ["--epochs", str(arguments.epochs), "--batch_size", "6"]
        run(words, work / "training")
        (reader,) = (path.parent for path in (work / "training" / "models").glob("*/reader.json"))
        print("| read | pictures | CER (95 %) | WER (95 %) |")
        print("|---|--:|--:|--:|")
        for name, paragraphs in measured.items():
            table = write(paragraphs, work / name)
            whole = read_whole(table, reader, work / f"{name}-whole")
            print(row(f"{name}, seq2seq", paragraphs, whole), flush=True)
            by_lines = read_lines(table, work / f"{name}-lines")
            print(row(f"{name}, bundled reader", paragraphs, by_lines), flush=True)


if __name__ == "__main__":
    main()
