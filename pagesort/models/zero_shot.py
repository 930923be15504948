"""Zero-shot: which categories a model chooses from that was not trained on them, and in what words.

The words come from a table of descriptions, from the model itself, or from the categories' names.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence

from pagesort.common.errors import PageSortError
from pagesort.common.text import named
from pagesort.models.descriptions import Table, match_labels, prompt_texts
from pagesort.models.label_words import words_from_label
from pagesort.models.metadata import ModelMetadata

logger = logging.getLogger(__name__)


def zero_shot_descriptions(
    folder_labels: Sequence[str] | None,
    table: Table | None,
    table_is_named: bool,
    *,
    own: ModelMetadata | None = None,
    prompts: str | Sequence[str] = (),
) -> Table | None:
    """Return the candidates of a zero-shot run, in words, and tell which they are.

    A table that a person named comes first. Else a model that brings categories and descriptions
    keeps them, if they include those of the folder. Else the default table serves, on the same
    condition. Else the categories are the folder's, or the model's, in the words of their names.
    A table's or a model's further categories compete too.

    Args:
        folder_labels: the labels of the pages to be evaluated; None where pages have none.
        table: the table of descriptions in use; None if there is none.
        table_is_named: whether a person named it, so that it must be used.
        own: what the model's folder tells; None for an untouched base model.
        prompts: the templates asked for, for the message; none stands for the model's own.

    Returns:
        The categories with their descriptions; None where the model's own stand.

    Raises:
        PageSortError: the named table lacks labels of the folder and has others instead; or neither
            folder nor table nor model names a category.
    """
    wanted = tuple(folder_labels or ())
    if table is not None and table_is_named:
        return _from_named_table(wanted, table, own)
    if own is not None and own.labels and own.descriptions and set(wanted) <= set(own.labels):
        logger.info("zero-shot: the model's own %d categories", len(own.labels))
        _log_further(own.labels, wanted)
        return None
    wanted = wanted or (own.labels if own is not None else ())
    if table is not None and set(wanted) <= set(table.texts):
        return _from_table(table, wanted)
    if not wanted:
        raise PageSortError(
            "neither the model nor a table names categories to choose from",
            remedy="Name a table of labels and descriptions with --cat_csv",
        )
    return _from_names(wanted, table, prompts or (own or ModelMetadata()).prompts, prompts)


def _from_named_table(wanted: tuple[str, ...], table: Table, own: ModelMetadata | None) -> Table:
    if set(wanted) <= set(table.texts):
        return _from_table(table, wanted)
    otherwise = own.descriptions if own is not None else {}
    return Table(match_labels(table.texts, wanted, table.where, otherwise=otherwise), table.where)


def _from_table(table: Table, wanted: Collection[str]) -> Table:
    logger.info("zero-shot: the %d categories of %s", len(table.texts), table.where)
    _log_further(table.texts, wanted)
    return table


def _from_names(
    wanted: tuple[str, ...],
    table: Table | None,
    used: str | Sequence[str],
    asked: str | Sequence[str],
) -> Table:
    """Describe labels by their names, with one message that shows what the model will read."""
    texts = {label: [words_from_label(label)] for label in wanted}
    if table is not None:
        lacking = [label for label in wanted if label not in table.texts]
        logger.info("zero-shot: %s does not describe %s", table.where, named(lacking))
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
                "%s are all described as '%s', so no model can tell them apart; describe them "
                "in a table and name it with --cat_csv",
                named(labels),
                words,
            )
    return Table(texts, "the labels' names")


def _log_further(candidates: Iterable[str], wanted: Collection[str]) -> None:
    """Say which candidates no page of the folder belongs to: they cost accuracy."""
    further = [label for label in candidates if label not in wanted]
    if wanted and further:
        logger.info(
            "categories without a folder of pages, which can be guessed all the same: %s",
            named(further),
        )
