"""Pages as they are read: grey, upright, PDFs drawn large enough for their letters."""

from __future__ import annotations

import numpy as np

from pagesort.common.closing import Closing
from pagesort.common.errors import PageUnreadableError
from pagesort.pages.image_file import DEFAULT_MAX_MEGAPIXELS
from pagesort.pages.loader import WHOLE, PageRef, load_page
from pagesort.pages.pdf_renderers import PdfRenderers, is_pdf
from pagesort.reading.line_images import Grey

PDF_SIZE = (1700, 2400)  # pixels of a PDF's page, at least: 200 to the inch of A4


class PageImages(Closing):
    """Loads pages; use as a context manager, or call `close`.

    Args:
        max_megapixels: larger pages are refused.
    """

    def __init__(self, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> None:
        self._max_megapixels = max_megapixels
        self._renderers = PdfRenderers()

    def close(self) -> None:
        """End what draws PDFs."""
        self._renderers.close()

    def grey(self, ref: PageRef) -> Grey:
        """A page as uint8 (height, width).

        Raises:
            PageUnreadableError: it cannot be used.
        """
        try:
            if ref.page is not None and is_pdf(ref.path):
                if ref.page == WHOLE:
                    self._renderers.survey(ref.path)
                    raise PageUnreadableError("it can be opened now; read it anew")
                image = self._renderers.render(ref.path, ref.page, *PDF_SIZE)
            else:
                image = load_page(ref.path, self._max_megapixels, ref.page)
            return np.asarray(image.convert("L"))
        except MemoryError:
            raise PageUnreadableError("there is not enough memory for it", where=ref.path) from None
