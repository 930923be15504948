"""The one way in for JSON from a file: whatever it holds, a value of a known form or one error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pagesort.common.errors import PageSortError

LARGEST = 100_000_000
"""Bytes; the tokenizers of models have some millions."""
DEEPEST = 100
LARGEST_NUMBER = 1e40
"""Above what any setting means, tokenizers' 1e30 for "no limit" included."""
LONGEST_SHOWN = 60

Kind = type | tuple[type, ...]
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_WORDS |= {list: "a list", dict: "an object", type(None): "nothing"}


def parse_json(
    text: str | bytes, where: str | Path, remedy: str | None = None, largest: int = LARGEST
) -> Any:
    """Return what a JSON text holds: finite numbers of a sensible size, nested a hundred deep.

    Raises:
        PageSortError: it is no such text.
    """
    if len(text) > largest:
        raise PageSortError(
            f"the file is longer than {largest:,} bytes", where=where, remedy=remedy
        )
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        content = json.loads(
            text.removeprefix("\ufeff"),
            parse_int=lambda digits: _checked(int(digits)),
            parse_float=lambda digits: _checked(float(digits)),
            parse_constant=_refuse,
        )
        _check_depth(content)
    except RecursionError:
        reason = "it is nested too deeply"
        raise PageSortError(f"not valid JSON ({reason})", where=where, remedy=remedy) from None
    except ValueError as error:
        raise PageSortError(f"not valid JSON ({error})", where=where, remedy=remedy) from error
    return content


def parse_object(
    text: str | bytes,
    where: str | Path,
    remedy: str | None = None,
    *,
    shape: Mapping[str, Kind] | None = None,
    largest: int = LARGEST,
) -> dict[str, Any]:
    """Return the JSON object that a text holds.

    Args:
        text: the text.
        where: the file, for messages.
        remedy: what to do about a damaged one.
        shape: the keys that it must have, and of which types their values are.
        largest: more bytes are refused.

    Raises:
        PageSortError: it holds something else.
    """
    content = parse_json(text, where, remedy, largest)
    if not isinstance(content, dict):
        raise PageSortError("not a JSON object", where=where, remedy=remedy)
    for key, kind in (shape or {}).items():
        if key not in content:
            raise PageSortError(f"the key '{key}' is missing", where=where, remedy=remedy)
        if not is_of(content[key], kind):
            raise PageSortError(
                f"'{key}' is {shortened(content[key])}, not {_in_words(kind)}",
                where=where,
                remedy=remedy,
            )
    return content


def read_json(
    path: Path, remedy: str | None = None, *, shape: Mapping[str, Kind] | None = None
) -> dict[str, Any]:
    """Read a file that holds a JSON object; see `parse_object`.

    Raises:
        FileNotFoundError: there is no such file.
        PageSortError: it cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise PageSortError(f"cannot be read ({error.strerror or error})", where=path) from error
    return parse_object(data, path, remedy, shape=shape)


def is_of(value: object, kind: Kind) -> bool:
    """Whether a value is of a type; true and false are no numbers, and whole numbers are some."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kinds) or (float in kinds and isinstance(value, int))


def shortened(value: object) -> str:
    """Return a value for a message, so that it cannot fill or act on a terminal."""
    text = ascii(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def _in_words(kind: Kind) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(_WORDS[each] for each in kinds)


def _checked(number: float) -> float:
    if abs(number) > LARGEST_NUMBER:
        raise ValueError("a number is too large")
    return number


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _check_depth(content: object) -> None:
    """Refuse what is nested so deeply that whoever walks through it would stumble."""
    layer = [content]
    for _ in range(DEEPEST):
        layer = [inner for outer in layer for inner in _inner(outer)]
        if not layer:
            return
    raise RecursionError


def _inner(content: object) -> Iterator[object]:
    """The objects and lists right inside of one."""
    if isinstance(content, dict | list):
        values = content.values() if isinstance(content, dict) else content
        yield from (value for value in values if isinstance(value, dict | list))
