"""Reading INI text line by line, so that every value keeps the line it was written on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pagesort.common.errors import UsageError


@dataclass(frozen=True)
class Entry:
    """One `key = value` line; `line` counts from 1, section and key are as written."""

    section: str
    key: str
    value: str
    line: int


def read_entries(path: Path) -> list[Entry]:
    """Read the entries of an INI file, which is UTF-8 with or without a byte order mark.

    `configparser` does the same without telling lines, which our messages need. `%` has no meaning
    here; a comment starts at `#` or `;` after a blank, unless the value stands in double quotes.

    Raises:
        UsageError: the file cannot be read, or a line is neither section, entry nor comment.
    """
    entries: list[Entry] = []
    section: str | None = None
    # Not `splitlines`, which counts lines at characters where no editor does.
    for number, raw_line in enumerate(re.split(r"\r\n|\n|\r", _read_text(path)), start=1):
        line = raw_line.strip()
        if not line or line[0] in "#;":
            continue
        header = re.fullmatch(r"\[([^\]]*)\]\s*(?:[#;].*)?", line)
        if header:
            section = header[1].strip()
            continue
        entry = re.fullmatch(r"([^=:]*?)\s*[=:]\s*(.*)", line)
        if entry is None or not entry[1]:
            raise UsageError(
                "neither a [SECTION] nor a 'key = value' line",
                where=f"{path}, line {number}",
                remedy="Correct the line, or put # before it",
            )
        if section is None:
            raise UsageError(
                f"the key '{entry[1]}' stands before any [SECTION]",
                where=f"{path}, line {number}",
                remedy="Put a line such as [SETUP] above it",
            )
        entries.append(Entry(section, entry[1], _bare_value(entry[2]), number))
    return entries


def sections_of(path: Path) -> set[str]:
    """Return the names of the sections of any file, in capitals, whatever else is wrong with it."""
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    return {name.strip().upper() for name in re.findall(r"^\s*\[([^\]\n]*)\]", text, re.MULTILINE)}


def _read_text(path: Path) -> str:
    """Return the text of the file, or say why it cannot be had."""
    if path.is_dir():
        raise UsageError("this is a folder, not a settings file", where=path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            "the settings file does not exist",
            where=path,
            remedy="Correct --config, or leave it out to use config.txt",
        ) from None
    except OSError as error:
        raise UsageError(
            f"cannot read the settings ({error.strerror})",
            where=path,
            remedy="Check its permissions, or name another file with --config",
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            "the settings are not UTF-8 text",
            where=f"{path}, line {line}",
            remedy="Save the file with the encoding UTF-8",
        ) from error
    if "\0" in text:
        raise UsageError(
            "the settings are not text", where=path, remedy="Save the file with the encoding UTF-8"
        )
    return text


def _bare_value(text: str) -> str:
    """Return a written value without quotes and without the comment behind it."""
    quoted = re.fullmatch(r'"([^"]*)"\s*(?:[#;].*)?', text)
    if quoted:
        return quoted[1]
    return re.split(r"(?:^|\s)[#;]", text, maxsplit=1)[0].strip()
