"""Lines of pages that have PAGE or ALTO files beside them, as kraken or Transkribus write these."""

from __future__ import annotations

from pathlib import Path

from pagesort.common.errors import PageUnreadableError
from pagesort.reading.examples import Example, Examples
from pagesort.reading.layout.layout_file import layout_beside
from utils import IMAGE_SUFFIXES, list_pages, page_name


def read_pairs(folder: Path) -> Examples:
    """Read the lines of all pages of a folder and its subfolders that have a layout file.

    A document is what pages of one subfolder have in common in their names: `letters/a-1.png` and
    `letters/a-2.png` are of one. Lines without text are left out, and pages whose layout file is
    wrong, with the line that is.
    """
    lines: list[Example] = []
    left_out: list[tuple[str, str]] = []
    formats = [suffix.lstrip(".") for suffix in IMAGE_SUFFIXES]
    for page in list_pages(folder, formats, inner=True):
        place = page.relative_to(folder)
        name = place.as_posix()
        try:
            found = layout_beside(page)
        except PageUnreadableError as error:
            left_out.append((name, f"{error.what}: {error.where}"))
            continue
        if found is None:
            left_out.append((name, "no PAGE or ALTO file lies beside it"))
            continue
        document = (place.parent / page_name(page)[0]).as_posix()
        lines += [
            Example(
                name=f"{name}#{number}",
                path=page,
                text=line.text or "",
                document=document,
                page=name,
                line=line,
                page_size=(found.width, found.height),
            )
            for number, line in enumerate(found.lines, 1)
        ]
    return Examples(folder, tuple(lines), tuple(left_out))
