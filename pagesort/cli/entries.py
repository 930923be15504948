"""What `[SECTION] key = value` means: which option it sets, and to what."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from pagesort.cli.ini import Entry
from pagesort.cli.options import OPTIONS, Option
from pagesort.cli.parser import short
from pagesort.cli.value_types import Value
from pagesort.common.addresses import is_remote
from pagesort.common.errors import PageSortError, UsageError

SET = "--set"


def place_of(option: Option, entry: Entry) -> str:
    """Return where an entry stands, as messages write it."""
    return f"[{option.section}] {entry.key}" if option.is_section else option.place


def with_key(content: Value, key: str, value: str) -> dict[str, str]:
    """Return the content of a section with one key set, whose case does not matter."""
    assert isinstance(content, Mapping), "the default of a section"
    others = {each: text for each, text in content.items() if each.casefold() != key.casefold()}
    return {**others, key: value}


def option_of(entry: Entry, where: str) -> Option:
    """Return the option an entry sets; case does not matter, as in the published design.

    Args:
        where: the entry stands, for messages.

    Raises:
        UsageError: there is none of this name; it tells a near one.
    """
    sections = sorted({option.section for option in OPTIONS if option.section})
    if entry.section.upper() not in sections:
        near = difflib.get_close_matches(entry.section.upper(), sections, n=1)
        meant = f"Did you mean [{near[0]}]? " if near else ""
        allowed = ", ".join(f"[{section}]" for section in sections)
        remedy = f"{meant}The sections are {allowed}"
        raise UsageError(f"unknown section [{entry.section}]", where=where, remedy=remedy)
    whole = {option.section: option for option in OPTIONS if option.is_section}
    if entry.section.upper() in whole:
        return whole[entry.section.upper()]
    keyed = {(o.section, o.key.lower()): o for o in OPTIONS if o.key}
    wanted = entry.key.lower()
    option = keyed.get((entry.section.upper(), wanted))
    if option is not None:
        return option
    elsewhere = [o.place for o in OPTIONS if o.key and o.key.lower() == wanted]
    names = {o.key.lower(): o.place for o in OPTIONS if o.key}
    own = {o.key.lower(): o.place for o in OPTIONS if o.key and o.section == entry.section.upper()}
    names |= own  # of a key that several sections have, the one that stands here is meant
    near = elsewhere or [names[name] for name in difflib.get_close_matches(wanted, names, n=1)]
    keys = ", ".join(o.key for o in OPTIONS if o.key and o.section == entry.section.upper())
    meant = f"Did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"unknown key [{entry.section}] {entry.key}",
        where=where,
        remedy=f"{meant}Keys of this section: {keys}",
    )


def value_of(option: Option, entry: Entry, where: str, folder: Path) -> Value:
    """Read the value of an entry; an empty one means the default, where that makes sense.

    Args:
        where: the entry stands, for messages.
        folder: that relative paths are relative to.

    Raises:
        UsageError: the value cannot be meant.
    """
    place = place_of(option, entry)
    if not entry.value:
        if option.default is None or isinstance(option.default, Path | str):
            return None
        shown = "is empty"
    else:
        try:
            value = option.kind.read(entry.value)
        except ValueError:
            # A token may have been written under the wrong key.
            hidden = option.secret or entry.value.startswith("hf_")
            shown = "is not allowed" if hidden else f"= {short(entry.value)} is not allowed"
        except PageSortError as error:
            raise UsageError(f"{place}: {error.what}", where=where, remedy=error.remedy) from error
        else:
            if isinstance(value, Path) and not is_remote(value):
                return folder / value
            return value
    raise UsageError(f"{place} {shown}", where=where, remedy=f"Allowed: {option.kind.allowed}")


def read_assignment(text: str) -> tuple[Option, Entry, str]:
    """Read what `--set` was given, `section.key=value`, as the entry that it stands for.

    Returns:
        The option, the entry, and how the command line says it.

    Raises:
        UsageError: it is written otherwise, there is no such key, or its value is a secret.
    """
    parts = re.fullmatch(r"([^.=]+)\.([^=]+)=(.*)", text, re.DOTALL)
    if parts is None:
        key = text.partition("=")[0].strip().lower()
        meant = [
            f"{option.section}.{option.key}".lower()
            for option in OPTIONS
            if option.section and option.key and option.key.lower() == key
        ]
        hint = f"; perhaps {SET} {meant[0]}" if meant else ""
        raise UsageError(
            f"{SET} {short(text)} is not SECTION.KEY=VALUE",
            remedy=f"Write it as in {SET} train.ema=0.99{hint}",
        )
    entry = Entry(parts[1].strip(), parts[2].strip(), parts[3].strip(), 0)
    said = f"{SET} {entry.section}.{entry.key}"
    option = option_of(entry, "command line")
    if option.secret:
        raise UsageError(
            f"{said}: other people on this machine can read a command line",
            remedy=f"Write {option.place} into a settings file that only you can read",
        )
    return option, entry, said
