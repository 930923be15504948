"""Searching pages, listing duplicates, and writing embeddings."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli import opening
from pagesort.cli.actions.records import opened_facts, write_provenance
from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit
from pagesort.cli.settings import Settings
from pagesort.common.errors import PageSortError, Stopped, UsageError

if TYPE_CHECKING:
    import numpy as np

    from classifier import CLIP
    from pagesort.embeddings.store import EmbeddingStore
    from pagesort.pages.loader import PageRef
    from pagesort.search.collection import Collection, Folder
    from pagesort.search.tables import Row


logger = logging.getLogger(__name__)


def search_pages(settings: Settings, model: Path | None = None) -> int:
    """Find pages by a text, a page or each other, or write their embeddings; prints what is found.

    Pages of the folder that are not known yet are looked at first; what the model makes of them is
    kept for the next time.
    """
    from pagesort.embeddings.store import EmbeddingStore

    folder = _folder(settings)
    if settings.similar is not None:
        _check_page(settings.similar)
    if settings.embed is not None:
        from pagesort.search.tables import check_embedding_file

        check_embedding_file(settings.embed)
    started = datetime.now().astimezone()
    opened = opening.open_classifier(settings, model)
    classifier = opened.classifier
    with EmbeddingStore.open(settings.results_folder / "embeddings", classifier) as store:
        try:
            if settings.embed is not None:
                return _write_embeddings(settings, classifier, store, folder)
            question = None if settings.duplicates else _question(settings, classifier, store)
            with _collection(settings, classifier, store, folder) as collection:
                if question is None:
                    table = _list_duplicates(settings, classifier, collection, folder)
                else:
                    table = _list_nearest(settings, classifier, question, collection, folder)
                _write_record(settings, opened, table, folder, collection, started)
                return UNREADABLE_PAGES_STATUS if collection.failed else 0
        except KeyboardInterrupt:
            kept = f"what was made of the pages so far is kept in {store.path}"
            raise Stopped(kept, "The same command goes on from there") from None


def _folder(settings: Settings) -> Folder | None:
    """Where to search; None is everything that is kept."""
    from pagesort.search.collection import Folder

    path = settings.directory or (settings.input_folder if settings.dir else None)
    if path is None:
        return None
    if path.is_file():
        raise UsageError("-d takes a folder, and this is a file", where=path)
    return Folder(path, settings.file_format, settings.inner)


def _check_page(page: Path) -> None:
    """Refuse a folder in place of a page before a model is opened."""
    if page.is_dir():
        raise UsageError("--similar takes one page, and this is a folder", where=page)


@contextlib.contextmanager
def _collection(
    settings: Settings, classifier: CLIP, store: EmbeddingStore, folder: Folder | None
) -> Iterator[Collection]:
    from pagesort.search import collection

    if folder is None:
        yield collection.all_kept(store)
        return
    results = collection.embedded(
        classifier, store, folder.refs(), settings.batch_size, settings.max_megapixels
    )
    with contextlib.closing(results), collection.collected(results, store.path.parent) as found:
        yield found


@dataclass(frozen=True)
class _Question:
    """What pages shall be near to: float32 (D,), and the page that it is of, if it is."""

    vector: np.ndarray
    page: PageRef | None


def _question(settings: Settings, classifier: CLIP, store: EmbeddingStore) -> _Question:
    """Embed the text or the page that is asked about."""
    if settings.find is not None:
        return _Question(_embedded_text(classifier, settings.find), None)
    assert settings.similar is not None
    asked = _asked_page(settings.similar)
    return _Question(_embedded_page(settings, classifier, store, asked), asked)


def _list_nearest(
    settings: Settings,
    classifier: CLIP,
    question: _Question,
    collection: Collection,
    folder: Folder | None,
) -> Path:
    """Print the nearest pages, a line each, and write them into a table."""
    from pagesort.search.nearest import nearest

    asked = question.page
    kind = "FIND" if asked is None else "SIMILAR"
    # One more, as the page that is asked about is its own nearest.
    ranked = nearest(collection.rows, question.vector, settings.nearest + (asked is not None))
    found = [(collection.places(place), score) for place, score in ranked]
    found = [(ref, score) for ref, score in found if asked is None or not _is_same(ref, asked)]
    rows = [
        (*_cells(settings, ref, folder), round(score, 4))
        for ref, score in found[: settings.nearest]
    ]
    for file, page, path, score in rows:
        emit(f"{score:.3f}\t{path}\t{file}\t{page}")
    return _write(settings, classifier, kind, [("FILE", "PAGE", "PATH", "SCORE"), *rows])


def _list_duplicates(
    settings: Settings, classifier: CLIP, collection: Collection, folder: Folder | None
) -> Path:
    """Write the groups of pages that were scanned twice into a table, and say how many."""
    from pagesort.search.duplicates import find_duplicates

    found = find_duplicates(collection, settings.duplicate_similarity, settings.max_megapixels)
    head = ("GROUP", "FILE", "PAGE", "PATH", "SIMILARITY")
    rows = [
        (each.group, *_cells(settings, each.ref, folder), round(each.similarity, 3))
        for each in found
    ]
    groups = found[-1].group if found else 0
    logger.info(
        "%d pages looked at: %d of them in %d groups of the same scan",
        len(collection.rows),
        len(found),
        groups,
    )
    return _write(settings, classifier, "DUPLICATES", [head, *rows])


def _write(
    settings: Settings, classifier: CLIP, kind: str, rows: Sequence[Sequence[object]]
) -> Path:
    from pagesort.common.tables import table_form
    from pagesort.search.tables import write_table

    form = table_form(settings.csv_excel)
    tables = settings.results_folder / "tables"
    table = write_table(tables, classifier.name, kind, rows, form)
    emit(str(table))
    return table


def _write_record(
    settings: Settings,
    opened: opening.Opened,
    table: Path,
    folder: Folder | None,
    collection: Collection,
    started: datetime,
) -> None:
    """Write where a table of found pages comes from, beside it."""
    from pagesort.records.provenance import Written

    root = Path.cwd() if folder is None else folder.path  # without a folder, paths are whole
    listing = table.with_name(f"{table.stem}_PAGES.txt.gz")
    write_provenance(
        settings,
        Written((table,), None, root, listing),
        models=[opened_facts(opened)],
        started=started,
        counts={"pages": len(collection.rows), "unread": collection.failed},
    )


def _cells(settings: Settings, ref: PageRef, folder: Folder | None) -> tuple[str, str, str]:
    from pagesort.search.tables import cells_of

    is_whole = folder is None or settings.absolute_paths
    return cells_of(ref, None if is_whole or folder is None else folder.path)


def _write_embeddings(
    settings: Settings, classifier: CLIP, store: EmbeddingStore, folder: Folder | None
) -> int:
    """Write every page of a folder with its category and embedding into one file."""
    from pagesort.embeddings.page import EmbeddedPage
    from pagesort.search.collection import embedded
    from pagesort.search.tables import write_embeddings
    from utils import round_scores, top_guesses

    assert folder is not None and settings.embed is not None
    refs = folder.refs()
    results = embedded(classifier, store, refs, settings.batch_size, settings.max_megapixels)

    def rows() -> Iterator[Row]:
        for page in results:
            if isinstance(page, EmbeddedPage):
                index, score = top_guesses(classifier.scores(page.vector[None])[0], 1)[0]
                label, share = classifier.labels[index], float(round_scores(score))
                yield (*_cells(settings, page.ref, folder), label, share, page.vector)

    with contextlib.closing(results):
        pages = rows()
        first = next(pages, None)
        if first is None:
            raise PageSortError("none of the pages could be read", where=folder.path)
        count = write_embeddings(settings.embed, chain([first], pages))
    emit(str(settings.embed))
    return 0 if count == len(refs) else UNREADABLE_PAGES_STATUS


def _embedded_text(classifier: CLIP, text: str) -> np.ndarray:
    """The mean of a text in every prompt of the model, float32 (D,) of length 1."""
    import numpy as np

    from pagesort.models.descriptions import prompt_texts

    (prompts,) = prompt_texts({"": [text]}, classifier.metadata.prompt).values()
    mean = classifier.embed_texts(prompts).numpy().mean(axis=0)
    return mean / np.linalg.norm(mean)


def _asked_page(written: Path) -> PageRef:
    """Read `letters.pdf:3` as page 3 of letters.pdf, unless a file has that very name."""
    from pagesort.pages.loader import PageRef

    name, colon, number = str(written).rpartition(":")
    if colon and number.isdigit() and int(number) and not written.exists():
        return PageRef(0, Path(name), int(number))
    return PageRef(0, written)


def _embedded_page(
    settings: Settings, classifier: CLIP, store: EmbeddingStore, asked: PageRef
) -> np.ndarray:
    """The embedding of a page, float32 (D,); of a file that has gone, the one that is kept."""
    from pagesort.embeddings.embed import embed_pages
    from pagesort.pages.documents import pages_of
    from pagesort.pages.loader import Failure, PageRef
    from pagesort.pages.places import exists

    if not exists(asked.path):
        kept = store.last_seen(asked)
        if kept is None:
            raise PageSortError("the page does not exist", where=asked.path)
        return kept.vector
    parts = pages_of(asked.path)
    if asked.page is None and len(parts) > 1:
        raise UsageError(
            f"--similar takes one page, and this document has {len(parts)}",
            where=asked.path,
            remedy=f"Name one of them, as {asked.path}:1",
        )
    ref = PageRef(0, asked.path, asked.page or parts[0].page)
    if ref.page not in [each.page for each in parts]:
        raise UsageError(f"the document has no page {ref.page}", where=asked.path)
    limit = settings.max_megapixels
    (page,) = embed_pages(classifier, [ref], store, batch_size=1, max_megapixels=limit)
    if isinstance(page, Failure):
        raise PageSortError(page.reason, where=asked.path)
    return page.vector


def _is_same(ref: PageRef, asked: PageRef) -> bool:
    is_part = ref.page == asked.page or (asked.page is None and ref.page == 1)
    return is_part and ref.path.absolute() == asked.path.absolute()
