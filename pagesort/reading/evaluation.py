"""How well a reader reads lines whose text is known: figures, and all that they come from."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.files import RESULTS_ELSEWHERE, translate_unwritable, whole_text
from pagesort.common.progress import Progress
from pagesort.common.tables import PLAIN, TableForm, TableWriter
from pagesort.reading.error_rates import Errors, Rate, confusions, errors_of, folded, rates
from pagesort.reading.examples import Example, Examples, picture_of, pictures_of
from pagesort.reading.pictures import digest_of
from pagesort.reading.reader import Reader, Reading
from pagesort.reading.worst_lines import WorstLine, worst_lines_page

logger = logging.getLogger(__name__)

AT_ONCE = 256
WORST = 100
MOST_CONFUSIONS = 500
COLUMNS = (
    *("FILE", "DOCUMENT", "PAGE", "KIND", "HAND", "TRUTH", "READING", "CONFIDENCE"),
    *("CHARACTERS", "ERRORS", "CER", "WORDS", "WORD_ERRORS", "WER"),
)
HANDS_COLUMNS = ("DOCUMENT", "HAND", "KIND", "LINES", *("CER", "CER_LOW", "CER_HIGH"), "WER")
CONFUSION_COLUMNS = ("TRUTH", "READING", "COUNT")
KNOWN, UNKNOWN = "known", "new"
"""Whether the reader was trained on other lines of the document or hand."""


@dataclass(frozen=True)
class ReadLine:
    """A line with its text, what it was read as, and how far that is off."""

    example: Example
    reading: Reading
    errors: Errors
    hand: str


@dataclass(frozen=True)
class ReaderEvaluation:
    """Lines for a person, files that were written, and how many lines could not be read."""

    lines: tuple[str, ...]
    files: tuple[Path, ...]
    unread: int


def evaluate_reader(
    reader: Reader,
    examples: Examples,
    results: Path,
    form: TableForm = PLAIN,
) -> ReaderEvaluation:
    """Read all lines that the reader was not trained on, and write down how well.

    Under `results`, in `tables`: a row for each line, from which all figures can be computed again;
    the figures of each document or hand; the most frequent confusions; and the worst lines as a
    page for the browser.

    Raises:
        PageSortError: no line is left, or nothing can be written.
    """
    counts: Counter[str] = Counter()
    read = list(_read_all(reader, examples.lines, counts))
    if counts["seen"]:
        logger.info("%d lines were trained on, and do not count", counts["seen"])
    if not read:
        raise PageSortError(
            "no line is left to measure on"
            + (": the reader was trained on all of them" if counts["seen"] else ""),
            where=examples.source,
            remedy="Give lines of other documents with --data",
        )
    stem = results / "tables" / f"reader_{reader.name}_{time.strftime('%Y%m%d-%H%M%S')}"
    with translate_unwritable(stem, "the figures cannot be written", RESULTS_ELSEWHERE):
        stem.parent.mkdir(parents=True, exist_ok=True)
        files = (
            _write(stem, "LINES", form, COLUMNS, map(_line_cells, read)),
            _write(stem, "HANDS", form, HANDS_COLUMNS, _hand_rows(read)),
            _write(stem, "CONFUSIONS", form, CONFUSION_COLUMNS, _confusion_rows(read)),
            _write_worst(stem, read, reader.name),
        )
    lines = tuple(figures_of(read, knows=reader.facts is not None))
    return ReaderEvaluation(lines, files, counts["unread"])


def figures_of(read: Sequence[ReadLine], knows: bool = True) -> Iterator[str]:
    """Yield lines for a person: CER and WER with their intervals, of all lines and of parts.

    Args:
        read: lines that were read.
        knows: whether it is known which lines the reader was trained on.
    """
    if not knows:
        yield "It is not known which lines this reader was trained on."
    yield "lines\tCER (95 %)\tWER (95 %)\tof\twithout case and punctuation: CER, WER"
    yield _figures("all", read)
    for name, what in ((UNKNOWN, "hands it was not trained on"), (KNOWN, "hands it knows")):
        part = [each for each in read if each.hand == name]
        if knows and 0 < len(part) < len(read):
            yield _figures(what, part)
    kinds = sorted({each.example.kind for each in read} - {""})
    for kind in kinds if len(kinds) > 1 else ():
        yield _figures(kind, [each for each in read if each.example.kind == kind])


def _figures(name: str, read: Sequence[ReadLine]) -> str:
    cer, wer = _rates(read)
    bare = [errors_of(folded(each.example.text), folded(each.reading.text)) for each in read]
    total = sum(bare, Errors())
    folded_rates = ", ".join(
        str(Rate(value, math.nan, math.nan)) for value in (total.cer, total.wer)
    )
    return f"{len(read)}\t{cer}\t{wer}\t{name}\t{folded_rates}"


def _rates(read: Sequence[ReadLine]) -> tuple[Rate, Rate]:
    """CER and WER; of one document the interval is over its pages."""
    groups = [each.example.document for each in read]
    if len(set(groups)) < 2:
        groups = [each.example.page for each in read]
    return rates([each.errors for each in read], groups)


def _read_all(
    reader: Reader, examples: Sequence[Example], counts: Counter[str]
) -> Iterator[ReadLine]:
    """Read lines, some hundreds at a time; counts those that were seen or cannot be read."""
    facts = reader.facts
    hands = frozenset(facts.hands) if facts else frozenset()
    seen = facts.seen if facts else frozenset()
    pairs = zip(examples, pictures_of(examples), strict=True)
    with Progress(len(examples), 0, unit="lines") as progress:
        while part := list(itertools.islice(pairs, AT_ONCE)):
            fresh: list[tuple[Example, np.ndarray]] = []
            for example, picture in part:
                if isinstance(picture, PageUnreadableError):
                    logger.warning("left out: %s (%s)", example.name, picture.what)
                    counts["unread"] += 1
                elif digest_of(picture) in seen:
                    counts["seen"] += 1
                else:
                    fresh.append((example, picture))
            readings = reader.read([picture for _, picture in fresh])
            for (example, _), reading in zip(fresh, readings, strict=True):
                hand = KNOWN if example.document in hands else UNKNOWN
                yield ReadLine(
                    example, reading, errors_of(example.text, reading.text), hand if facts else ""
                )
            progress.advance(len(part), part[-1][0].name)


def _write(
    stem: Path, what: str, form: TableForm, columns: Sequence[str], rows: Iterable[Iterable[object]]
) -> Path:
    path = stem.with_name(f"{stem.name}_{what}.csv")
    with whole_text(path) as file:
        writer = TableWriter(file, form)
        writer.write(columns)
        for row in rows:
            writer.write(row)
    return path


def _line_cells(line: ReadLine) -> tuple[object, ...]:
    example, errors = line.example, line.errors
    return (
        *(example.name, example.document, example.page, example.kind, line.hand),
        *(example.text, line.reading.text, round(line.reading.confidence, 4)),
        *(errors.characters, errors.character_errors, round(errors.cer, 4)),
        *(errors.words, errors.word_errors, round(errors.wer, 4)),
    )


def _hand_rows(read: Sequence[ReadLine]) -> Iterator[tuple[object, ...]]:
    """The figures of each document or hand, with intervals over its pages, the worst first."""
    by_hand: dict[str, list[ReadLine]] = {}
    for line in read:
        by_hand.setdefault(line.example.document, []).append(line)
    rows: list[tuple[float, tuple[object, ...]]] = []
    for name, lines in by_hand.items():
        cer, wer = rates([line.errors for line in lines], [line.example.page for line in lines])
        kinds = "+".join(sorted({line.example.kind for line in lines} - {""}))
        figures = (round(value, 4) for value in (cer.value, cer.low, cer.high, wer.value))
        rows.append((cer.value, (name, lines[0].hand, kinds, len(lines), *figures)))
    yield from (row for _, row in sorted(rows, key=lambda row: -row[0]))


def _confusion_rows(read: Sequence[ReadLine]) -> Iterator[tuple[object, ...]]:
    found = confusions((line.example.text, line.reading.text) for line in read)
    for (true, taken), count in found.most_common(MOST_CONFUSIONS):
        yield true, taken, count


def _write_worst(stem: Path, read: Sequence[ReadLine], name: str) -> Path:
    """Write a page of the lines that were read worst, with their pictures."""
    worst = sorted(read, key=lambda line: (-line.errors.cer, -line.errors.character_errors))[:WORST]
    lines = []
    for line in worst:
        try:
            picture = picture_of(line.example)
        except PageUnreadableError as error:  # read a moment ago
            logger.warning("left out: %s (%s)", line.example.name, error.what)
            continue
        lines.append(
            WorstLine(
                line.example.name, picture, line.example.text, line.reading.text, line.errors.cer
            )
        )
    path = stem.with_name(f"{stem.name}_WORST.html")
    with whole_text(path) as file:
        file.write(worst_lines_page(name, len(read), lines))
    return path
