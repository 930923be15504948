"""Which labels a model answers with, and in what words: the one place that settles both."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.models.descriptions import check_prompts, match_labels
from pagesort.models.metadata import METADATA_FILE, ModelMetadata


@dataclass(frozen=True)
class Table:
    """Descriptions from outside a model, label -> texts, and what messages call their source."""

    texts: Mapping[str, Sequence[str]]
    where: str | Path = "the descriptions"

    @property
    def has_several(self) -> bool:
        """Whether a label has more than one description, so that there is something to average."""
        return any(len(texts) > 1 for texts in self.texts.values())


def relabelled(metadata: ModelMetadata, labels: Sequence[str]) -> ModelMetadata:
    """Put other labels in place of a model's own; those that it knows keep their descriptions.

    The temperature was fitted to the model's own labels, and counts no more for others.
    """
    known = {label: metadata.descriptions.get(label) for label in labels}
    same = set(labels) == set(metadata.labels)
    return dataclasses.replace(
        metadata,
        labels=tuple(labels),
        descriptions={label: texts for label, texts in known.items() if texts},
        temperature=metadata.temperature if same else 1.0,
        precisions=metadata.precisions if same else {},
    )


def settled(
    metadata: ModelMetadata,
    table: Table | None = None,
    *,
    average: bool | None = None,
    prompts: str | Sequence[str] | None = None,
) -> ModelMetadata:
    """Give every label its descriptions: the table's, else the model's own, else its name's words.

    Args:
        metadata: what the model brings; without labels those of the table are taken.
        table: descriptions that replace the model's own; labels that it lacks keep theirs.
        average: whether all descriptions of a label count or only the first; None leaves it to the
            model, and means all where a table replaces its descriptions.
        prompts: one template or several that replace the model's own.

    Raises:
        PageSortError: there are no labels, those of table and model differ, or a prompt is wrong.
    """
    labels = metadata.labels or tuple(table.texts if table is not None else ())
    if not labels:
        raise no_labels()
    own = metadata.descriptions
    if table is None:
        texts = match_labels(own, labels, METADATA_FILE, otherwise={})
    else:
        # What did not count before does not count beside a table either.
        kept = own if metadata.average else {label: texts[:1] for label, texts in own.items()}
        texts = match_labels(table.texts, labels, table.where, otherwise=kept)
    if average is None:
        average = metadata.average or table is not None
    answers_alike = table is None and prompts is None and average == metadata.average
    return dataclasses.replace(
        metadata,
        labels=labels,
        descriptions=texts,
        average=average,
        prompt=metadata.prompt if prompts is None else check_prompts(prompts),
        precisions=metadata.precisions if answers_alike else {},
    )


def no_labels() -> PageSortError:
    """Say that a model has nothing to choose from."""
    return PageSortError(
        "the model carries no labels",
        remedy="Name a table of labels and descriptions with --cat_csv",
    )


def described_to_train(
    labels: Sequence[str],
    named: Table | None,
    own: Mapping[str, Sequence[str]],
    shipped: Mapping[str, Sequence[str]],
) -> dict[str, list[str]]:
    """Describe every label of the training pages.

    Args:
        labels: those of the pages.
        named: a table that a person named, which must not describe any other label.
        own: the starting model's descriptions, which serve for labels that are not described there.
        shipped: serves for labels that the model does not describe.

    Raises:
        PageSortError: the named table has labels that no page has.
    """
    known = {**shipped, **own}
    table = named or Table({}, METADATA_FILE)
    return match_labels(table.texts, labels, table.where, otherwise=known)
