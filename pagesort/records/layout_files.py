"""Copies of ALTO and PAGE files that tell the category of their page."""

from __future__ import annotations

import codecs
import itertools
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from pagesort.common.errors import UsageError
from pagesort.common.files import translate_unwritable, write_whole
from pagesort.common.tables import read_rows
from pagesort.common.text import MOST_NAMED, counted

logger = logging.getLogger(__name__)

LARGEST = 100_000_000  # bytes of a file; a page of dense print has some two millions
FOLDERS = ("", "alto", "page", "ALTO", "PAGE")  # beside a page, as eScriptorium, Transkribus write
NAMES = ("{stem}.xml", "{stem}.alto.xml", "{stem}.page.xml", "{name}.xml")
ALTO_SPACES = re.compile(
    r"http://www\.loc\.gov/standards/alto/ns-v\d#|http://schema\.ccs-gmbh\.com/.*|"
)
PAGE_SPACE = re.compile(r"http://schema\.primaresearch\.org/PAGE/gts/pagecontent/(\d{4}-\d\d-\d\d)")
FIRST_WITH_TYPE = "2013-07-15"  # the schema in which Page got the attributes type and custom
# https://github.com/PRImA-Research-Lab/PAGE-XML, PageTypeSimpleType
PAGE_TYPES = (
    "front-cover", "back-cover", "title", "table-of-contents", "index", "content", "blank", "other",
)  # fmt: skip
BLANK = "blank"  # in the column NOTE
OUR_CUSTOM = re.compile(r"\s*\bpagesort \{[^}]*\}")
START_TAG = re.compile(
    r"""<[^\s/>"'=]+(?P<attributes>(?:\s+[^\s=/>"']+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*/?>"""
)
ATTRIBUTE = re.compile(r"""\s+(?P<name>[^\s=/>"']+)\s*=\s*(?P<value>"[^"]*"|'[^']*')""")


class _Unfit(Exception):  # noqa: N818 - a reason, which becomes a line of the log
    """Why a file gets no copy, in a few words."""


@dataclass
class CopyReport:
    """How many copies were written, how many pages have no file, and what could not be copied."""

    written: int = 0
    without: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Layout:
    """The start tags of the pages in a file: byte offsets, and how to set a category in one."""

    starts: tuple[int, ...]
    change: Callable[[str, str, str], str]


def check_target(folder: Path, target: Path) -> None:
    """Refuse to put copies where the originals lie.

    Raises:
        UsageError: the folder of pages and that of the copies are the same.
    """
    if folder.resolve() == target.resolve():
        raise UsageError(
            "copies of ALTO and PAGE files cannot be written over the originals",
            where=target,
            remedy="Name another folder with --write_alto",
        )


def write_copies(table: Path, folder: Path, target: Path) -> CopyReport:
    """Write copies of the ALTO and PAGE files beside the pages of a table.

    A copy differs from its original in one attribute of each page only: `PAGECLASS` in ALTO; in
    PAGE `type` where the schema has a value for the category, and `custom` elsewhere. Originals are
    only read. A file in `target` is replaced if it is an earlier copy.

    Args:
        table: a finished table of guesses or votes.
        folder: what PATH in it is relative to.
        target: where copies are put, each in the subfolder that it has in `folder`.

    Raises:
        PageSortError: the table cannot be read, or a copy cannot be written.
    """
    check_target(folder, target)
    report = CopyReport()
    root = folder.resolve()
    for path, rows in itertools.groupby(read_rows(table), key=lambda row: row.get("PATH", "")):
        pages = list(rows)
        sources = [each for each in layout_files_beside(root / path) if root in each.parents]
        report.without += 0 if sources else len(pages)
        for source in sources:
            _copy(source, target / source.relative_to(root), pages, report)
    return report


def log_report(report: CopyReport, target: Path) -> None:
    """Say what became of the copies."""
    logger.info("%d ALTO and PAGE files with categories: %s", report.written, target)
    if report.without:
        logger.info("%s no ALTO or PAGE file beside them", _having(report.without))
    for problem in report.problems[:MOST_NAMED]:
        logger.warning("no copy of %s", problem)
    if len(report.problems) > MOST_NAMED:
        logger.warning("and %d more got no copy", len(report.problems) - MOST_NAMED)


def _having(pages: int) -> str:
    return f"{counted(pages)} {'has' if pages == 1 else 'have'}"


def layout_files_beside(page: Path) -> Iterator[Path]:
    """Yield the files that may tell of a page's layout, each once."""
    seen: set[tuple[int, int]] = set()
    for folder, name in itertools.product(FOLDERS, NAMES):
        path = page.parent / folder / name.format(stem=page.stem, name=page.name)
        try:
            status = path.stat()
        except (OSError, ValueError):
            continue
        identity = (status.st_dev, status.st_ino)
        if identity not in seen:  # where letters' case does not count, two names are one file
            seen.add(identity)
            yield path


def _copy(
    source: Path, target: Path, pages: Sequence[Mapping[str, str]], report: CopyReport
) -> None:
    """Write one copy, or note why there is none."""
    try:
        data = _read(source)
        content = _classified(data, pages)
        if target.exists() and not _is_earlier_copy(target, content, pages):
            raise _Unfit(f"another file is in the way: {target}")
    except _Unfit as reason:
        report.problems.append(f"{source}: {reason}")
        return
    with translate_unwritable(target, elsewhere="another folder with --write_alto"):
        target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, content)
    report.written += 1


def _is_earlier_copy(target: Path, content: bytes, pages: Sequence[Mapping[str, str]]) -> bool:
    """Whether a file differs from a new copy in nothing but the categories."""
    try:
        return _classified(_read(target), pages) == content
    except _Unfit:
        return False


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise _Unfit(f"it cannot be read ({error.strerror})") from error
    if len(data) > LARGEST:
        raise _Unfit(f"it is larger than {LARGEST:,} bytes")
    return data


def _classified(data: bytes, pages: Sequence[Mapping[str, str]]) -> bytes:
    """Return a file with the categories of its pages."""
    encoding = _encoding(data)
    layout = _layout(data)
    numbers = [1] if len(pages) == len(layout.starts) == 1 else [_number(page) for page in pages]
    if max(numbers) > len(layout.starts):
        raise _Unfit(f"it holds {len(layout.starts)} pages, and the table page {max(numbers)}")
    if len(set(numbers)) < len(numbers):
        raise _Unfit("several pages of the table have it")
    wanted = dict(zip(numbers, pages, strict=True))
    # From the last one on, so that the places of the others stay what they are.
    for number in sorted(wanted, reverse=True):
        start, page = layout.starts[number - 1], wanted[number]
        end = _end_of_tag(data, start, encoding)
        tag = data[start:end].decode(encoding)
        label = page.get("CLASS-1") or page.get("VOTE", "")
        changed = layout.change(tag, label, page.get("NOTE", ""))
        data = data[:start] + changed.encode(encoding, "xmlcharrefreplace") + data[end:]
    return data


def _number(page: Mapping[str, str]) -> int:
    return int(page["PAGE"]) if page.get("PAGE", "").isdecimal() else LARGEST


def _encoding(data: bytes) -> str:
    """The encoding of an XML file, as its first bytes and its declaration tell."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(mark):
            return encoding
    declared = re.match(rb"""(?:\xef\xbb\xbf)?<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)""", data)
    name = declared[1].decode("ascii") if declared else "utf-8"
    try:
        if "<".encode(name) == b"<":
            return name
    except (LookupError, UnicodeError):
        pass
    raise _Unfit(f"its encoding is not known ({name})")


def _layout(data: bytes) -> _Layout:
    """Find the pages of a file; nothing outside of it is read, and no entity is expanded."""
    parser = expat.ParserCreate(namespace_separator="\n")
    starts: list[int] = []
    path: list[str] = []
    roots: list[str] = []

    def open_element(name: str, _: Mapping[str, str]) -> None:
        local = name.rpartition("\n")[2]
        roots[:] = roots or [name]
        # ALTO: alto/Layout/Page. PAGE: PcGts/Page.
        if local == "Page" and path[1:] in (["Layout"], []) and path:
            starts.append(parser.CurrentByteIndex)
        path.append(local)

    def close_element(_: str) -> None:
        path.pop()

    def refuse(*_: Any) -> None:
        raise _Unfit("it has a DOCTYPE, which may name other files or grow without end")

    parser.StartElementHandler, parser.EndElementHandler = open_element, close_element
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise _Unfit(f"it is not valid XML ({error})") from error
    if not starts:
        raise _Unfit("it is neither ALTO nor PAGE with a page")
    return _Layout(tuple(starts), _changer(roots[0]))


def _changer(root: str) -> Callable[[str, str, str], str]:
    """How a category is set in the files of a root element, whose namespace stands before it."""
    space, _, local = root.rpartition("\n")
    if local == "alto" and ALTO_SPACES.fullmatch(space):
        return lambda tag, label, _: _with_attribute(tag, "PAGECLASS", _escaped(label))
    page = PAGE_SPACE.fullmatch(space)
    if local == "PcGts" and page:
        if page[1] < FIRST_WITH_TYPE:
            raise _Unfit(f"PAGE of {page[1]} has no place for a category")
        return _change_page
    raise _Unfit("it is neither ALTO nor PAGE")


def _change_page(tag: str, label: str, note: str) -> str:
    """Set the category in a start tag of PAGE."""
    fitting = BLANK if note == BLANK else label.casefold().replace("_", "-")
    if fitting in PAGE_TYPES:
        return _with_attribute(tag, "type", fitting)
    found = _attribute(tag, "custom")
    others = OUR_CUSTOM.sub("", found["value"][1:-1]) if found else ""
    # Written as Transkribus does, where these letters have a meaning.
    safe = re.sub(r"[\\{};:]", lambda letter: f"\\u{ord(letter[0]):04x}", label)
    ours = _escaped(f"pagesort {{category:{safe};}}")
    return _with_attribute(tag, "custom", f"{others} {ours}".strip())


def _escaped(value: str) -> str:
    return escape(value, {'"': "&quot;", "'": "&apos;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _attribute(tag: str, name: str) -> re.Match[str] | None:
    """Find an attribute of a start tag."""
    whole = START_TAG.fullmatch(tag)
    assert whole is not None, "the parser took it for one"
    found = ATTRIBUTE.finditer(tag, *whole.span("attributes"))
    return next((each for each in found if each["name"] == name), None)


def _with_attribute(tag: str, name: str, value: str) -> str:
    """Return a start tag in which an attribute has an escaped value, all else as it was."""
    found = _attribute(tag, name)
    if found:
        start, end = found.span("value")
        return f"{tag[: start + 1]}{value}{tag[end - 1 :]}"
    whole = START_TAG.fullmatch(tag)
    assert whole is not None, "the parser took it for one"
    place = whole.end("attributes")
    return f'{tag[:place]} {name}="{value}"{tag[place:]}'


def _end_of_tag(data: bytes, start: int, encoding: str) -> int:
    """Where a start tag ends that the parser has found."""
    window = 4096
    while True:
        text = data[start : start + window].decode(encoding, "ignore")
        if found := START_TAG.match(text):
            return start + len(found[0].encode(encoding))
        if start + window > len(data):
            raise _Unfit("its page has a start tag that cannot be read")
        window *= 8
