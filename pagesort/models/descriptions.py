"""Category descriptions: tables of `label` and `description`, and the prompts made of them."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.common.text import named
from pagesort.models.label_words import sentence_from_label

logger = logging.getLogger(__name__)

DEFAULT_PROMPT = "a scan of {description}"

_PLACEHOLDER = "{description}"
_SHORT_PLACEHOLDER = "{}"
_TABLE_SUFFIXES = (".tsv", ".csv")
_REMEDY = "It needs a header with the columns label and description, parted by tabs or commas"


@dataclass(frozen=True)
class Table:
    """Descriptions from outside a model, label -> texts, and what messages call their source."""

    texts: Mapping[str, Sequence[str]]
    where: str | Path = "the descriptions"

    @property
    def has_several(self) -> bool:
        """Whether a label has more than one description, so that there is something to average."""
        return any(len(texts) > 1 for texts in self.texts.values())


def read_descriptions(path: str | Path) -> dict[str, list[str]]:
    """Read one table of descriptions, tab- or comma-separated, UTF-8 with or without a BOM.

    Returns:
        The descriptions of each label, both in the order of the table, repeated ones once.

    Raises:
        PageSortError: the file is missing, not UTF-8, lacks a column, or has an empty cell.
    """
    path = Path(path)
    rows = _rows(_text_of(path), path)
    header_line, header = rows[0]
    names = [cell.strip().lower() for cell in header]
    if "label" not in names or "description" not in names:
        found = ", ".join(cell for cell in names if cell) or "nothing"
        raise PageSortError(
            f"the description table's header has {found}", where=path, remedy=_REMEDY
        )
    at_label, at_description = names.index("label"), names.index("description")
    descriptions: dict[str, list[str]] = {}
    for line, row in rows[1:]:
        label = _cell(row, at_label)
        # A table saved as UTF-7 by a spreadsheet writes the underscore like this.
        label, description = label.replace("+AF8-", "_"), _cell(row, at_description)
        if not label or not description:
            missing = "description" if label else "label"
            raise PageSortError(f"an empty {missing} in line {line}", where=path, remedy=_REMEDY)
        known = descriptions.setdefault(label, [])
        if description not in known:
            known.append(description)
    if not descriptions:
        raise PageSortError("the description table has no rows", where=path, remedy=_REMEDY)
    return descriptions


def description_tables(folder: str | Path, prefix: str) -> list[Path]:
    """List every `.tsv` and `.csv` table in `folder` whose name starts with `prefix`, by name.

    Raises:
        PageSortError: the folder is missing or holds no such table.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise PageSortError(
            "the folder of description tables does not exist",
            where=folder,
            remedy="Set [SETUP] description_folder or --cat_dir to a folder of description tables",
        )
    tables = sorted(
        path
        for path in folder.iterdir()
        if path.name.startswith(prefix) and path.suffix.lower() in _TABLE_SUFFIXES
    )
    if not tables:
        raise PageSortError(
            f"no .tsv or .csv table whose name starts with '{prefix}'",
            where=folder,
            remedy="Check [SETUP] categories_prefix or --cat_prefix",
        )
    return tables


def read_description_tables(folder: str | Path, prefix: str) -> dict[str, list[str]]:
    """Read and merge the tables that `description_tables` lists.

    Raises:
        PageSortError: there are none, one cannot be read, or two describe different labels.
    """
    tables = description_tables(folder, prefix)
    first = read_descriptions(tables[0])
    merged = {label: list(texts) for label, texts in first.items()}
    for path in tables[1:]:
        table = match_labels(read_descriptions(path), list(first), path)
        for label, texts in table.items():
            merged[label].extend(text for text in texts if text not in merged[label])
    return merged


def match_labels(
    descriptions: Mapping[str, Sequence[str]],
    labels: Sequence[str],
    where: str | Path,
    *,
    otherwise: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, list[str]]:
    """Put descriptions into the order of `labels`, insisting that both name the same labels.

    Args:
        descriptions: label -> descriptions.
        labels: the labels of the model or of the data.
        where: where the descriptions come from, for the message.
        otherwise: descriptions of labels that have none in `descriptions`, by the words of their
            names where it has none either; None: every label must have one.

    Raises:
        PageSortError: labels differ; the message names those missing and those unknown.
    """
    missing = [label for label in labels if label not in descriptions]
    unknown = [label for label in descriptions if label not in labels]
    if unknown or (missing and otherwise is None):
        parts = [f"missing {', '.join(missing)}"] if missing else []
        parts += [f"unknown {', '.join(unknown)}"] if unknown else []
        raise PageSortError(
            f"the described labels are not those of the model or the data ({'; '.join(parts)})",
            where=where,
            remedy=f"Describe each of {', '.join(labels)} and nothing else",
        )
    known = {**(otherwise or {}), **descriptions}
    kept = [label for label in missing if label in known]
    if kept and descriptions:
        logger.info(
            "%s does not describe %s: the model's own descriptions stand", where, named(kept)
        )
    return {label: list(known[label]) if label in known else [_sentence(label)] for label in labels}


def _sentence(label: str) -> str:
    """Describe a label by its name, and log that this was needed."""
    sentence = sentence_from_label(label)
    logger.warning("no description for label %s: using '%s'", label, sentence)
    return sentence


def prompt_texts(
    descriptions: Mapping[str, Iterable[str]], prompt: str | Sequence[str] = DEFAULT_PROMPT
) -> dict[str, list[str]]:
    """Set every description into every prompt; words that it shares with one are said once.

    Args:
        descriptions: label -> descriptions.
        prompt: one template or several.

    Returns:
        Label -> texts: the first description in all prompts, then the second, and so on.

    Raises:
        PageSortError: a prompt does not hold `{description}` or `{}` exactly once.
    """
    prompts = check_prompts(prompt)
    return {
        label: [_prompted(text, template) for text in texts for template in prompts]
        for label, texts in descriptions.items()
    }


def check_prompts(prompt: str | Sequence[str]) -> tuple[str, ...]:
    """Return one prompt or several as a tuple, `{}` written out, repeated ones once.

    Raises:
        PageSortError: there is none, one is no text, or one does not hold `{description}` or `{}`
            exactly once.
    """
    several = (prompt,) if isinstance(prompt, str) else prompt
    if not isinstance(several, Sequence) or not several:
        raise PageSortError("there is no prompt", remedy=f"The default is '{DEFAULT_PROMPT}'")
    return tuple(dict.fromkeys(_check_prompt(template) for template in several))


def _check_prompt(prompt: object) -> str:
    if not isinstance(prompt, str):
        raise PageSortError("the prompt is not a text", remedy=f"The default is '{DEFAULT_PROMPT}'")
    if prompt.count(_PLACEHOLDER) + prompt.count(_SHORT_PLACEHOLDER) != 1:
        raise PageSortError(
            f"the prompt '{prompt}' must hold {_PLACEHOLDER} or {_SHORT_PLACEHOLDER} exactly once",
            remedy=f"The default is '{DEFAULT_PROMPT}'",
        )
    return prompt.replace(_SHORT_PLACEHOLDER, _PLACEHOLDER)


def _prompted(description: str, prompt: str) -> str:
    before, after = prompt.split(_PLACEHOLDER)
    shown = description.lower()
    begin = "" if shown.startswith(before.lower()) else before
    end = "" if shown.endswith(after.lower()) else after
    return f"{begin}{description}{end}"


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PageSortError(
            "the description table is not UTF-8 text", where=path, remedy="Save it as UTF-8"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise PageSortError(
            f"cannot read the description table ({reason})",
            where=path,
            remedy="Name an existing table with --cat_csv or [SETUP] categories_file",
        ) from error


def _rows(text: str, path: Path) -> list[tuple[int, list[str]]]:
    """Split a table into (line number, cells), without blank lines; tabs win over commas."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((mark for mark in "\t,;" if mark in header), "\t")
    # An apostrophe or a quotation mark inside a TSV cell is just a character unless it opens it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise PageSortError(
            f"the description table is malformed in line {reader.line_num} ({error})",
            where=path,
            remedy=_REMEDY,
        ) from error
    if not rows:
        raise PageSortError("the description table is empty", where=path, remedy=_REMEDY)
    for line, row in rows:
        if len(row) > len(rows[0][1]) and any(cell.strip() for cell in row[len(rows[0][1]) :]):
            raise PageSortError(
                f"line {line} has {len(row)} cells, the header {len(rows[0][1])}",
                where=path,
                remedy="Put descriptions that hold the separator in quotation marks",
            )
    return rows


def _cell(row: Sequence[str], column: int) -> str:
    return " ".join(row[column].split()) if column < len(row) else ""
