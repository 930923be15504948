"""What a model folder tells besides the weights: labels, descriptions, prompt, how it was made."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from pagesort.common.checked_json import parse_object
from pagesort.common.errors import PageSortError
from pagesort.models.descriptions import DEFAULT_PROMPT, check_prompts

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
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PageSortError(f"cannot be read ({error})", where=path, remedy=_REMEDY) from error
    return ModelMetadata.from_json(text, path)


def _is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number that one can compute with; JSON's true is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
