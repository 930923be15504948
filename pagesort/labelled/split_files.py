"""The split of a folder's pages, written down once so that training and evaluation agree on it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pagesort.common.checked_json import read_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import RESULTS_ELSEWHERE, translate_unwritable, write_whole
from pagesort.common.text import named
from pagesort.labelled.folder import LabelledFolder, LabelledPage, file_size
from pagesort.labelled.splits import (
    PARTS,
    By,
    extended_split,
    log_missing_parts,
    split_pages,
)
from pagesort.labelled.train_list import TrainList

logger = logging.getLogger(__name__)

FORMAT = "pagesort split"
VERSION = 1
NAME_DIGITS = 12
ANEW = "Delete this file, and the split is made anew (a model trained before has seen other pages)"
LEAST_SHARED = 0.5
"""An earlier split is of the same pages if it shares more than this with the smaller of the two."""


@dataclass(frozen=True)
class PageSplit:
    """Which pages train, validate and test.

    `fingerprint` (64 hex digits) stands for the pages' names and sizes and for all that decides the
    split; `path` is the file that holds it; `by` is `list` where a person has made it.
    """

    train: tuple[LabelledPage, ...]
    validation: tuple[LabelledPage, ...]
    test: tuple[LabelledPage, ...]
    labels: tuple[str, ...]
    fingerprint: str
    path: Path
    folder: Path
    by: By | Literal["list"]


def open_split(
    data: LabelledFolder,
    stats: str | Path,
    *,
    seed: int,
    test_size: float,
    by: By,
    max_categ: int | None,
    unit: str = "pages",
) -> PageSplit:
    """Read the split of these pages from `stats`, or make it and write it there.

    The same pages (names and sizes, wherever the folder lies) and settings find the same file.
    Pages that a check left out stay in the file and are missing in the parts only, so that a check
    moves no other page from one side to the other. Where pages came or went, those that an earlier
    split knows stay where they are; see `extended_split`.

    Args:
        stats: the folder of split files, made where it is missing.
        seed: whole number.
        test_size: share of a label's pages that are tested on, and as much to validate, below 0.5.
        by: whether a document's pages stay on one side.
        max_categ: the cap that `data` was read with; only noted in the file.
        unit: what is split, for the log.

    Raises:
        PageSortError: the file found is damaged or was changed, or a new one cannot be written.
    """
    listed = sorted((*data.pages, *(page for page, _ in data.left_out)), key=lambda page: page.name)
    settings = {"seed": seed, "test_size": test_size, "split": by}
    fingerprint = fingerprint_of(listed, settings)
    path = Path(stats) / f"split_{fingerprint[:NAME_DIGITS]}.json"
    parts = _read(path, fingerprint, listed)
    if parts is None:
        known = _earlier_parts(path.parent, data.folder.name, settings, listed)
        if known:
            parts = extended_split(listed, known, seed=seed, test_size=test_size, by=by)
            new = sum(page.name not in known for page in listed)
            done = f"split of an earlier run kept, {new} pages added"
            log_missing_parts(listed, parts, by, is_kept=True)
        else:
            parts = split_pages(listed, seed=seed, test_size=test_size, by=by)
            done = "split made"
        _write(path, fingerprint, settings | {"max_categ": max_categ}, data, listed, parts)
    else:
        log_missing_parts(listed, parts, by)
        done = "split of an earlier run used again"
    return _parted(data, parts, fingerprint, path, by, done, unit)


def open_list_split(
    pages: TrainList,
    stats: str | Path,
    *,
    seed: int,
    test_size: float,
    by: By,
    max_categ: int | None,
) -> PageSplit:
    """Return the split that a list tells; that of `open_split` where it tells none.

    Raises:
        PageSortError: as `open_split`.
    """
    data = pages.data
    if pages.parts is None:
        return open_split(data, stats, seed=seed, test_size=test_size, by=by, max_categ=max_categ)
    parts = {page.name: pages.parts.get(page.name, "train") for page in data.pages}
    sides: dict[str, set[str]] = {}
    for page in data.pages:
        sides.setdefault(page.document, set()).add(parts[page.name])
    both = sorted(document for document, found in sides.items() if len(found) > 1)
    if both:
        logger.warning(
            "documents with pages in several parts of the list, so that figures promise too much: "
            "%s",
            named(both),
        )
    said = {"split": "list", "parts": parts, "labels": [page.label for page in data.pages]}
    fingerprint = fingerprint_of(data.pages, said)
    return _parted(data, parts, fingerprint, pages.file, "list", "split of the list")


def _parted(
    data: LabelledFolder,
    parts: Mapping[str, str],
    fingerprint: str,
    path: Path,
    by: By | Literal["list"],
    done: str,
    unit: str = "pages",
) -> PageSplit:
    """Put the pages into their parts; tells how many each has."""
    train, validation, test = (
        tuple(page for page in data.pages if parts[page.name] == part) for part in PARTS
    )
    logger.info(
        "%s: %d %s train, %d validate, %d test (%s)",
        done, len(train), unit, len(validation), len(test), path,
    )  # fmt: skip
    return PageSplit(train, validation, test, data.labels, fingerprint, path, data.folder, by)


def _earlier_parts(
    stats: Path, folder: str, settings: Mapping[str, Any], listed: Sequence[LabelledPage]
) -> dict[str, str]:
    """Page name -> part, from all splits that were made of these pages when they were others.

    Of two that disagree, as those of an older version may, the later one counts.
    """
    present = {page.name for page in listed}
    parts: dict[str, str] = {}
    for path in sorted(stats.glob("split_*.json"), key=_age):
        try:
            content = read_json(path, ANEW)
        except (FileNotFoundError, PageSortError) as error:
            logger.warning("passed over, so that its pages may change sides: %s", error)
            continue
        said = content.get("settings")
        # A cap changes which pages are listed, and no page's side.
        same = isinstance(said, dict) and {**said, "max_categ": 0} == {**settings, "max_categ": 0}
        if not same or content.get("folder") != folder:
            continue
        if _problem(content, content.get("fingerprint")):
            logger.warning("passed over, so that its pages may change sides: %s", path)
            continue
        names = {name: part for part in PARTS for name in content[part]}
        if len(present & names.keys()) > LEAST_SHARED * min(len(present), len(names)):
            parts = names | parts
    return parts


def _age(path: Path) -> tuple[int, str]:
    """Orders files by when they were written, the newest first."""
    try:
        return -path.stat().st_mtime_ns, path.name
    except OSError:
        return 0, path.name


def fingerprint_of(listed: Sequence[LabelledPage], settings: Mapping[str, Any]) -> str:
    """Return 64 hex digits for the names and sizes of pages and how they are split."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode("ascii"))
    for page in listed:
        size = file_size(page.path)
        name = page.name.encode("utf-8", "surrogatepass")
        digest.update(b"\0%s\0%d" % (name, -1 if size is None else size))
    return digest.hexdigest()


def _write(
    path: Path,
    fingerprint: str,
    settings: Mapping[str, Any],
    data: LabelledFolder,
    listed: Iterable[LabelledPage],
    parts: Mapping[str, str],
) -> None:
    names: dict[str, list[str]] = {part: [] for part in PARTS}
    counts: dict[str, Counter[str]] = {label: Counter() for label in data.labels}
    for page in listed:
        names[parts[page.name]].append(page.name)
        counts[page.label][parts[page.name]] += 1
    content = {
        "format": FORMAT,
        "version": VERSION,
        "folder": data.folder.name,
        "settings": dict(settings),
        "fingerprint": fingerprint,
        "checksum": _checksum(names),
        "counts": {label: {part: count[part] for part in PARTS} for label, count in counts.items()},
        **names,
    }
    text = json.dumps(content, ensure_ascii=False, indent=1)
    with translate_unwritable(
        path.parent,
        "the split cannot be written",
        RESULTS_ELSEWHERE,
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Bytes of a name that are no UTF-8 become \udcXX, which JSON reads back as they were.
        write_whole(path, text.encode("utf-8", "backslashreplace") + b"\n")
    except PageSortError:
        # Windows refuses to replace a file that another process of this training reads just now.
        if not path.exists():
            raise


def _checksum(names: Mapping[str, Sequence[str]]) -> str:
    lists = json.dumps([list(names[part]) for part in PARTS])
    return hashlib.sha256(lists.encode("ascii")).hexdigest()


def _read(path: Path, fingerprint: str, listed: Sequence[LabelledPage]) -> dict[str, str] | None:
    """The part of each page name as an earlier run has written it; None if there is no file."""
    try:
        content = read_json(path, ANEW)
    except FileNotFoundError:
        return None
    problem = _problem(content, fingerprint)
    if problem is None:
        parts = {name: part for part in PARTS for name in content[part]}
        names = sum(len(content[part]) for part in PARTS)
        if names == len(parts) == len(listed) and all(page.name in parts for page in listed):
            return parts
        problem = "the split file lists other pages than the folder"
    raise PageSortError(problem, where=path, remedy=ANEW)


def _problem(content: Mapping[str, Any], fingerprint: object) -> str | None:
    """What is wrong with a split file's content; None if it is as it was written."""
    if content.get("format") != FORMAT:
        return "this is no split file"
    if content.get("version") != VERSION:
        return f"the split file is of version {content.get('version')}, not {VERSION}"
    if content.get("fingerprint") != fingerprint:
        return "the split file is of other pages or settings than its name says"
    lists = [content.get(part) for part in PARTS]
    if not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists
    ):
        return "the split file is damaged"
    if content.get("checksum") != _checksum(content):
        return "the split file was changed by hand"
    return None
