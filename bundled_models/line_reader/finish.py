"""The folder of the bundled reader: smaller weights, measured, with its card."""

from __future__ import annotations

import csv
from pathlib import Path
from string import Template

from bundled_models.line_reader.parts import set_of
from pagesort.reading.error_rates import Errors, errors_of, rates
from pagesort.reading.examples import Example, pictures_of
from pagesort.reading.language import CharacterModel
from pagesort.reading.reader import Reader
from pagesort.reading.reader_folder import (
    LANGUAGE_FILE,
    WEIGHTS_FILE,
    read_facts,
    read_weights,
    write_reader,
)
from pagesort.reading.split import LineSplit

CARD = Path(__file__).with_name("card.md")
README = "README.md"
KEPT = ("finder.safetensors",)  # what else the folder holds, made by `bundled_models.line_finder`
AT_ONCE = 256


def finish(trained: Path, split: LineSplit, sources: Path, out: Path, work: Path) -> str:
    """Write a trained reader's folder with half of its bytes, measure it, and write its card.

    Args:
        trained: the reader's folder.
        split: what it was trained on, and what it is measured on.
        sources: a table of whose lines these are.
        out: the folder to write, in place of one that is there.
        work: a folder for what is written on the way.

    Returns:
        The figures, for a person.

    Raises:
        PageSortError: a line cannot be read, or nothing can be written.
    """
    facts = read_facts(trained)
    weights = {name: value.half() for name, value in read_weights(trained).items()}
    # Of all lines that train, also where the last stretch has left some out.
    language = CharacterModel.of_texts(line.text for line in split.train)
    more = {LANGUAGE_FILE: language.as_bytes()}
    small = work / "small"
    write_reader(small, facts, weights, more)
    reader = Reader.open(small)
    new, known = (_errors(reader, lines) for lines in (split.test, split.validation))
    figures = {
        "new": _table(split.test, new),
        "known": _table(split.validation, known),
        "train": f"{len(split.train):,}",
        "hands": f"{len({line.document for line in split.train}):,}",
        "how": str(facts.training.get("how", "")),
        "credits": _credits(sources, {set_of(line) for line in split.train}),
    }
    card = Template(CARD.read_text(encoding="utf-8")).substitute(figures)
    kept = {name: (out / name).read_bytes() for name in KEPT if (out / name).is_file()}
    write_reader(out, facts, weights, more | {README: card.encode("utf-8")})
    for name, content in kept.items():
        (out / name).write_bytes(content)
    size = (out / WEIGHTS_FILE).stat().st_size / 1e6
    return f"{out}: {size:.1f} MB\n{figures['new']}\n\n{figures['known']}\n"


def _credits(table: Path, sets: set[str]) -> str:
    """Whose lines these are, as a list of the card."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] in sets]
    return "\n".join(
        f"* {row['attribution'].rstrip('. ')}. <{row['repo']}>, {row['licence']}" for row in rows
    )


def _errors(reader: Reader, lines: tuple[Example, ...]) -> list[Errors]:
    errors = []
    pictures = pictures_of(lines)
    for first in range(0, len(lines), AT_ONCE):
        part = lines[first : first + AT_ONCE]
        taken = [next(pictures) for _ in part]
        unread = next((each for each in taken if isinstance(each, Exception)), None)
        if unread is not None:
            raise unread
        readings = reader.read([each for each in taken if not isinstance(each, Exception)])
        errors += [
            errors_of(line.text, reading.text) for line, reading in zip(part, readings, strict=True)
        ]
    return errors


def _table(lines: tuple[Example, ...], errors: list[Errors]) -> str:
    """Figures by kind of writing and by set of data, as a table of the card."""
    groups: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        groups.setdefault(f"all {line.kind} lines", []).append(place)
    for place, line in enumerate(lines):
        groups.setdefault(set_of(line), []).append(place)
    rows = [
        "| lines of | lines | hands or documents | CER (95 %) | WER (95 %) |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, places in groups.items():
        hands = [lines[place].document for place in places]
        units = hands if len(set(hands)) > 1 else [lines[place].page for place in places]
        cer, wer = rates([errors[place] for place in places], units)
        rows.append(f"| {name} | {len(places)} | {len(set(hands))} | {cer} | {wer} |")
    return "\n".join(rows)
