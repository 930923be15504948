"""Zero-shot: which categories a model chooses from that was not trained on them, and in what words.

The words come from a table of descriptions, from the model itself, or from the categories' names.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.common.text import named
from pagesort.models.descriptions import match_labels, prompt_texts, words_from_label
from pagesort.models.metadata import ModelMetadata

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ZeroShotTexts:
    """What `CLIP.open` and `CLIP.variant` take as `labels` and `descriptions`.

    Both are None where the model's own stand; `where` is what messages call the source.
    """

    labels: tuple[str, ...] | None
    descriptions: dict[str, list[str]] | None
    where: str | Path


def zero_shot_descriptions(
    folder_labels: Sequence[str] | None,
    table: Mapping[str, Sequence[str]] | None,
    table_is_named: bool,
    *,
    own: ModelMetadata | None = None,
    where: str | Path = "the description table",
    prompts: str | Sequence[str] = (),
) -> ZeroShotTexts:
    """Settle the candidates of a zero-shot run, and tell which they are.

    A table that a person named comes first. Else a model that brings categories and descriptions
    keeps them, if they include those of the folder. Else the default table serves, on the same
    condition. Else the categories are the folder's, or the model's, in the words of their names.
    A table's or a model's further categories compete too.

    Args:
        folder_labels: the labels of the pages to be evaluated; None where pages have none.
        table: label -> descriptions of the table in use; None if there is none.
        table_is_named: whether a person named it, so that it must be used.
        own: what the model's folder tells; None for an untouched base model.
        where: the table's path, for messages.
        prompts: the templates asked for, for the message; none stands for the model's own.

    Raises:
        PageSortError: the named table lacks labels of the folder and has others instead; or neither
            folder nor table nor model names a category.
    """
    wanted = tuple(folder_labels or ())
    if table is not None and table_is_named:
        return _from_named_table(wanted, table, where)
    if own is not None and own.labels and own.descriptions and set(wanted) <= set(own.labels):
        logger.info("zero-shot: the model's own %d categories", len(own.labels))
        _log_further(own.labels, wanted)
        return ZeroShotTexts(None, None, "the model")
    wanted = wanted or (own.labels if own is not None else ())
    if table is not None and set(wanted) <= set(table):
        return _from_table(table, wanted, where)
    if not wanted:
        raise PageSortError(
            "neither the model nor a table names categories to choose from",
            remedy="Name a table of labels and descriptions with --cat_csv",
        )
    return _from_names(wanted, table, where, prompts or (own or ModelMetadata()).prompts, prompts)


def _from_named_table(
    wanted: tuple[str, ...], table: Mapping[str, Sequence[str]], where: str | Path
) -> ZeroShotTexts:
    if set(wanted) <= set(table):
        return _from_table(table, wanted, where)
    texts = match_labels(table, wanted, where, fill_missing=True)
    return ZeroShotTexts(wanted, texts, where)


def _from_table(
    table: Mapping[str, Sequence[str]], wanted: Collection[str], where: str | Path
) -> ZeroShotTexts:
    logger.info("zero-shot: the %d categories of %s", len(table), where)
    _log_further(table, wanted)
    return ZeroShotTexts(
        tuple(table), {label: list(texts) for label, texts in table.items()}, where
    )


def _from_names(
    wanted: tuple[str, ...],
    table: Mapping[str, Sequence[str]] | None,
    where: str | Path,
    used: str | Sequence[str],
    asked: str | Sequence[str],
) -> ZeroShotTexts:
    """Describe labels by their names, with one message that shows what the model will read."""
    texts = {label: [words_from_label(label)] for label in wanted}
    if table is not None:
        lacking = [label for label in wanted if label not in table]
        logger.info("zero-shot: %s does not describe %s", where, named(lacking))
    example = prompt_texts(texts, used)[wanted[0]][0]
    hint = "" if asked else "; --prompt sets other words, as in --prompt 'a photo of a {}'"
    logger.info(
        "zero-shot: %d categories in the words of their names, as in '%s'%s",
        len(wanted),
        example,
        hint,
    )
    by_words: dict[str, list[str]] = {}
    for label, (words,) in texts.items():
        by_words.setdefault(words, []).append(label)
    for words, labels in by_words.items():
        if len(labels) > 1:
            logger.warning(
                "%s are all described as '%s', so that no model can tell them apart; describe them "
                "in a table and name it with --cat_csv",
                named(labels),
                words,
            )
    return ZeroShotTexts(wanted, texts, "the labels' names")


def _log_further(candidates: Iterable[str], wanted: Collection[str]) -> None:
    """Say which candidates no page of the folder belongs to: they cost accuracy."""
    further = [label for label in candidates if label not in wanted]
    if wanted and further:
        logger.info(
            "categories without a folder of pages, which can be guessed all the same: %s",
            named(further),
        )
