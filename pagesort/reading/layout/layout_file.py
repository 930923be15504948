"""A layout file of any kind that is known, and the ones that lie beside a page."""

from __future__ import annotations

import logging
from pathlib import Path

from pagesort.reading.layout import alto, page_xml
from pagesort.reading.layout.xml_tree import XmlFile, read_tree
from pagesort.reading.text_line import PageText
from pagesort.records.layout_files import layout_files_beside

logger = logging.getLogger(__name__)


def read_layout(path: Path, number: int | None = None) -> PageText:
    """Read the lines of a page from a PAGE or ALTO file, which its root element tells apart.

    Args:
        path: the file.
        number: which page of it, from 1; needed if it holds several, as ALTO may.

    Raises:
        PageUnreadableError: it is neither, or something in it is wrong, with its line.
    """
    file = _opened(path)
    if page_xml.is_page_xml(file.root):
        return page_xml.page_text(file)
    if alto.is_alto(file.root):
        return alto.page_text(file, number)
    raise file.fault("it is neither PAGE nor ALTO", file.root)


def layout_beside(page: Path, number: int | None = None) -> PageText | None:
    """Read the lines of a page from the first layout file beside it that has them, if there is one.

    Args:
        page: the page's file; see `layout_files_beside` for where is looked.
        number: which page of the page's file, from 1, if that holds several.

    Raises:
        PageUnreadableError: a layout file is wrong, and where.
    """
    for path in layout_files_beside(page):
        root = _opened(path).root
        if page_xml.is_page_xml(root):
            pages = 1
        elif alto.is_alto(root):
            pages = alto.count_pages(root)
        else:
            logger.warning("%s is neither PAGE nor ALTO, and is left aside", path)
            continue
        if number is None or number <= pages:
            return read_layout(path, number)
    return None


def _opened(path: Path) -> XmlFile:
    return read_tree(path, alto.KEPT | page_xml.KEPT)
