"""The IAM Handwriting Database: forms, lines and words, their texts, and the Aachen splits.

Its folders, as its makers document them: `xml/a01-000u.xml` tells of a form, its writer, its lines
and their words; pictures are `forms/a01-000u.png`, `lines/a01/a01-000u/a01-000u-00.png` and
`words/a01/a01-000u/a01-000u-00-00.png`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.files import translate_unreadable
from pagesort.reading.examples import Example, Examples
from pagesort.reading.layout.xml_tree import Element, XmlFile, read_tree

if TYPE_CHECKING:
    from pagesort.reading.examples import Format

KEPT = frozenset(("form", "handwritten-part", "line", "word"))
FOLDERS: Mapping[str, str] = {"word": "words", "line": "lines", "form": "forms"}
NAME = re.compile(r"[a-z]\d\d-\d{3}[a-z]?(-\d\d){0,2}")
# The lists of forms, or of lines, of the splits of Aachen and of IAM's own task.
LISTS = {
    "train": ("train.uttlist", "trainset.txt", "tr.lst"),
    "validation": (
        *("validation.uttlist", "valid.uttlist", "validationset1.txt", "va.lst"),
        *("validationset2.txt",),
    ),
    "test": ("test.uttlist", "testset.txt", "te.lst"),
}
LIST_FOLDERS = ("", "splits", "aachen", "aachen_iam_splits", "split")
LARGEST_LIST = 10_000_000  # bytes


def is_iam(folder: Path) -> bool:
    """Whether a folder looks like IAM: it tells of forms, and holds pictures of some form."""
    first = next(iter(sorted((folder / "xml").glob("*.xml"))), None)
    return (
        first is not None
        and NAME.fullmatch(first.stem) is not None
        and any((folder / name).is_dir() for name in FOLDERS.values())
    )


def read_iam(folder: Path, form: Format) -> Examples:
    """Read the words, lines or forms of IAM, with the writers as hands.

    Of words those are left out whose line was cut into words wrongly (`segmentation="err"`); of a
    split, what its lists do not name.

    Raises:
        PageSortError: the folder has no pictures of that form, or a list cannot be read.
    """
    pictures = folder / FOLDERS[form]
    if not pictures.is_dir():
        raise PageSortError(
            f"IAM has no folder {FOLDERS[form]} here",
            where=folder,
            remedy="Fetch it, or name another --data_format",
        )
    parts = _parts(folder)
    lines: list[Example] = []
    left_out: list[tuple[str, str]] = []
    for path in sorted((folder / "xml").glob("*.xml")):
        try:
            file = read_tree(path, KEPT)
            found = list(_examples(file, pictures, form))
        except PageUnreadableError as error:
            left_out.append((path.name, f"{error.what}: {error.where}"))
            continue
        for example, fault in found:
            part = _part_of(example.name, parts)
            if fault or (parts and not part):
                left_out.append((example.name, fault or "no list of the split names it"))
            else:
                lines.append(replace(example, part=part))
    return Examples(folder, tuple(lines), tuple(left_out))


def _examples(file: XmlFile, pictures: Path, form: Format) -> Iterator[tuple[Example, str]]:
    """What a form's file tells of, each with what is wrong with it."""
    root = file.root
    written = root.first("handwritten-part")
    name = _name(file, root)
    if root.name != "form" or written is None:
        raise file.fault("it is no form of IAM", root)
    hand = root.get("writer-id") or name
    lines = list(written.all("line"))
    if form == "form":
        text = "\n".join(line.get("text") for line in lines)
        yield Example(name, _form_picture(pictures, name), text, hand, name), ""
        return
    inner = pictures / name.partition("-")[0] / name
    for line in lines:
        if form == "line":
            line_name = _name(file, line)
            yield (
                Example(line_name, inner / f"{line_name}.png", line.get("text"), hand, name),
                "",
            )
            continue
        fault = "its line was cut into words wrongly" if line.get("segmentation") == "err" else ""
        for word in line.all("word"):
            word_name = _name(file, word)
            yield (
                Example(word_name, inner / f"{word_name}.png", word.get("text"), hand, name),
                fault,
            )


def _name(file: XmlFile, element: Element) -> str:
    """The name of a form, line or word, which becomes part of a path."""
    name = element.get("id")
    if not NAME.fullmatch(name):
        raise file.fault(f"{element.name} has no id as IAM gives it", element)
    return name


def _form_picture(pictures: Path, name: str) -> Path:
    """The picture of a form; IAM is handed out in `formsA-D.tgz` and so on, too."""
    places = (pictures / f"{name}.png", *sorted(pictures.glob(f"*/{name}.png")))
    return next((place for place in places if place.is_file()), places[0])


def _parts(folder: Path) -> dict[str, str]:
    """The part of the split of each form or line that lists name; empty without all lists."""
    parts: dict[str, str] = {}
    found: set[str] = set()
    for place in LIST_FOLDERS:
        for part, names in LISTS.items():
            for path in (folder / place / name for name in names):
                if path.is_file():
                    found.add(part)
                    parts.update(dict.fromkeys(_listed(path), part))
        if found:
            break
    if found and len(found) < len(LISTS):
        missing = ", ".join(sorted(LISTS.keys() - found))
        raise PageSortError(
            f"the lists of a split are not all there ({missing} missing)",
            where=folder,
            remedy="Put the others beside them, or take them away to have a split made",
        )
    return parts


def _listed(path: Path) -> list[str]:
    with (
        translate_unreadable(path, "the list cannot be read", also=(UnicodeDecodeError,)),
        path.open(encoding="utf-8") as file,
    ):
        return file.read(LARGEST_LIST).split()


def _part_of(name: str, parts: Mapping[str, str]) -> str:
    """The part of a word, line or form, as a list names it or what it belongs to."""
    while name:
        if name in parts:
            return parts[name]
        name = name.rpartition("-")[0]
    return ""
