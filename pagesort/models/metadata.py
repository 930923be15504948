"""What a model tells besides its weights, and what its labels and their texts are in the end."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

from pagesort.common.checked_json import parse_object
from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unreadable
from pagesort.models.descriptions import DEFAULT_PROMPT, Table, check_prompts, match_labels

METADATA_FILE = "pagesort.json"
CONFIG_FILE = "config.json"
UNKNOWN_BASE = "CLIP"
_VERSION = 1
_REMEDY = "Fetch or convert the model again"


@dataclass(frozen=True)
class ModelMetadata:
    """The content of `pagesort.json`.

    Args:
        labels: the categories in the order of the scores; empty where only a table tells them.
        descriptions: label -> its descriptions, without the prompt; may lack labels.
        prompt: the template with `{description}`, or several that are averaged. One is kept as a
            text, as programs that know no more than one expect it; `prompts` is always a tuple.
        average: whether all descriptions of a label count, or only the first.
        temperature: divides the scores before the softmax; above 0.
        base: base code, or any name, for file names.
        revision: the published revision, or empty.
        training: how the model was made; free-form JSON.
        precisions: what was measured of the image tower in fewer bits: `int8` -> `agreement`, the
            share of pages of sources not trained on that get the first guess of float32, and
            whatever else tells how that was found.
    """

    labels: tuple[str, ...] = ()
    descriptions: dict[str, list[str]] = field(default_factory=dict)
    prompt: str | tuple[str, ...] = DEFAULT_PROMPT
    average: bool = True
    temperature: float = 1.0
    base: str = UNKNOWN_BASE
    revision: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    precisions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise PageSortError where a value cannot be meant."""
        object.__setattr__(self, "labels", tuple(self.labels))
        if any(not isinstance(label, str) or not label for label in self.labels):
            raise PageSortError("a label is not a text", remedy=_REMEDY)
        if len(set(self.labels)) != len(self.labels):
            doubled = sorted({name for name in self.labels if self.labels.count(name) > 1})
            raise PageSortError(f"labels occur twice: {', '.join(doubled)}", remedy=_REMEDY)
        unknown = [name for name in self.descriptions if name not in self.labels]
        if unknown:
            raise PageSortError(f"descriptions of unknown labels: {', '.join(unknown)}")
        for label, texts in self.descriptions.items():
            proper = isinstance(texts, list) and texts and all(_is_text(text) for text in texts)
            if not proper:
                raise PageSortError(f"the descriptions of {label} are not texts", remedy=_REMEDY)
        prompts = check_prompts(self.prompt)
        object.__setattr__(self, "prompt", prompts[0] if len(prompts) == 1 else prompts)
        for name in ("base", "revision"):
            if not isinstance(getattr(self, name), str):
                raise PageSortError(f"{name} is not a text", remedy=_REMEDY)
        if not isinstance(self.average, bool):
            raise PageSortError("average is neither true nor false", remedy=_REMEDY)
        if not _is_number(self.temperature) or self.temperature <= 0:
            raise PageSortError(f"the temperature {self.temperature} is no positive number")
        if not isinstance(self.training, dict):
            raise PageSortError("training is not a JSON object", remedy=_REMEDY)
        if not isinstance(self.precisions, dict) or not all(
            isinstance(facts, dict) and _is_share(facts.get("agreement"))
            for facts in self.precisions.values()
        ):
            raise PageSortError("precisions have no agreement from 0 to 1", remedy=_REMEDY)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts, one or several, each with `{description}`."""
        return (self.prompt,) if isinstance(self.prompt, str) else self.prompt

    def agreement(self, precision: str) -> float:
        """Share of pages that get the first guess of float32; 0 where nobody measured it."""
        return float(self.precisions.get(precision, {}).get("agreement", 0.0))

    def relabelled(self, labels: Sequence[str]) -> ModelMetadata:
        """Put other labels in place of the model's own; known ones keep their descriptions.

        The temperature was fitted to the model's own labels, and counts no more for others.
        """
        known = {label: self.descriptions.get(label) for label in labels}
        same = set(labels) == set(self.labels)
        return replace(
            self,
            labels=tuple(labels),
            descriptions={label: texts for label, texts in known.items() if texts},
            temperature=self.temperature if same else 1.0,
            precisions=self.precisions if same else {},
        )

    def settled(
        self,
        table: Table | None = None,
        *,
        average: bool | None = None,
        prompts: str | Sequence[str] | None = None,
    ) -> ModelMetadata:
        """Give every label its texts: the table's, else the model's own, else its name's words.

        Args:
            table: descriptions that replace the model's own; labels that it lacks keep theirs. A
                model without labels takes those of the table.
            average: whether all descriptions of a label count or only the first; None leaves it to
                the model, and means all where a table replaces its descriptions.
            prompts: one template or several that replace the model's own.

        Raises:
            PageSortError: there are no labels, those of table and model differ, or a prompt
                is wrong.
        """
        labels = self.labels or tuple(table.texts if table is not None else ())
        if not labels:
            raise no_labels()
        own = self.descriptions
        if table is None:
            texts = match_labels(own, labels, METADATA_FILE, otherwise={})
        else:
            # What did not count before does not count beside a table either.
            kept = own if self.average else {label: texts[:1] for label, texts in own.items()}
            texts = match_labels(table.texts, labels, table.where, otherwise=kept)
        if average is None:
            average = self.average or table is not None
        answers_alike = table is None and prompts is None and average == self.average
        return replace(
            self,
            labels=labels,
            descriptions=texts,
            average=average,
            prompt=self.prompt if prompts is None else check_prompts(prompts),
            precisions=self.precisions if answers_alike else {},
        )

    def to_json(self) -> str:
        """Write the metadata as JSON that a person can read."""
        content = {"format": "pagesort", "version": _VERSION, **asdict(self)}
        if not self.precisions:  # which earlier releases do not know
            del content["precisions"]
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str | Path) -> ModelMetadata:
        """Read metadata back.

        Raises:
            PageSortError: not JSON, of a later version, with an unknown key or an impossible value.
        """
        content = parse_object(text, where, _REMEDY)
        if content.get("format") != "pagesort":
            raise PageSortError("not the metadata of a model", where=where, remedy=_REMEDY)
        if content.get("version") != _VERSION:
            raise PageSortError(
                f"metadata of version {content.get('version')}, this program reads {_VERSION}",
                where=where,
                remedy="Update this program",
            )
        values = {key: content[key] for key in content if key not in ("format", "version")}
        unknown = [key for key in values if key not in cls.__dataclass_fields__]
        if unknown:
            raise PageSortError(f"unknown key {', '.join(unknown)}", where=where, remedy=_REMEDY)
        for key, kind in (("labels", list), ("descriptions", dict)):
            if not isinstance(values.get(key, kind()), kind):
                raise PageSortError(f"{key} has a wrong form", where=where, remedy=_REMEDY)
        with located(where):
            return cls(**values)


@contextmanager
def located(where: str | Path) -> Iterator[None]:
    """Give errors that were raised without knowing the file the place they lack."""
    try:
        yield
    except PageSortError as error:
        if error.where is not None:
            raise
        raise PageSortError(error.what, where=where, remedy=error.remedy) from error


def read_metadata(folder: str | Path) -> ModelMetadata | None:
    """Read a model folder's metadata, or return None where it carries none."""
    path = Path(folder) / METADATA_FILE
    with translate_unreadable(path, remedy=_REMEDY):
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
    return ModelMetadata.from_json(text, path)


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


def _is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number that one can compute with; JSON's true is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
