"""Splitting labelled pages into training, validation and test parts that cover the collection."""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pagesort.common.errors import PageSortError
from pagesort.common.text import named
from pagesort.labelled.page import LabelledPage, document_of

logger = logging.getLogger(__name__)

By = Literal["document", "page"]
PARTS = ("train", "validation", "test")
_HELD_OUT = 0.1
_SEED_BITS = 0xFFFFFFFF
_ATTEMPTS = 10
_LARGEST_EXCESS = 1.25
_LARGEST_SIDE_EFFECT = 1.5
_LEAST_TRAINING = 0.33
_MOST_DOCUMENTS = 2.0  # times their share

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def split_data_80_10_10(
    files: Sequence[str | Path],
    labels: Sequence[Any] | np.ndarray,
    random_seed: int,
    max_categ: int | None,
    safe_check: bool = True,
) -> Split:
    """Split pages label by label: a tenth to test, a tenth to validation, the rest to training.

    The pages of a label are taken in alphabetical order, and the two tenths picked from them at
    even steps with a random shift, so that each part covers the whole collection.

    Args:
        files: paths of the pages.
        labels: of each page its index, or its one-hot row.
        random_seed: the same seed and pages give the same split.
        max_categ: at most so many pages a label, spread evenly; None for all.
        safe_check: leave out pages that cannot be read, with a warning each.

    Returns:
        Files of training, validation and test, then their labels in the form they came in.

    Raises:
        PageSortError: `files` and `labels` differ in length, or `max_categ` is no count.
    """
    paths = np.array([str(path) for path in files], dtype=object)
    given = np.asarray(labels)
    if len(paths) != len(given):
        raise PageSortError(f"{len(paths)} pages, but {len(given)} labels")
    if max_categ is not None and max_categ < 1:
        raise PageSortError(f"max_categ is {max_categ}", remedy="Use a number from 1 on")
    classes = given.argmax(axis=1) if given.ndim == 2 else given
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for label in np.unique(classes):
        indices = np.flatnonzero(classes == label).tolist()
        members = sorted(indices, key=lambda index: paths[index])
        # Each label draws from its own stream, so that a new label leaves the others' split alone.
        stream = np.random.default_rng([random_seed & _SEED_BITS, zlib.crc32(str(label).encode())])
        if max_categ is not None and len(members) > max_categ:
            members = [members[position] for position in spread(len(members), max_categ, stream)]
        if safe_check:
            members = [index for index in members if _is_readable(paths[index])]
        for part, chosen in zip(parts, _split_one(members, stream, _HELD_OUT), strict=True):
            part.extend(chosen)
    kept = [np.array(part, dtype=int) for part in parts]
    originals = np.empty(len(paths), dtype=object)
    originals[:] = list(files)
    train, validation, test = (originals[part] for part in kept)
    return (train, validation, test, *(given[part] for part in kept))


def _split_one(
    members: Sequence[int], stream: np.random.Generator, share: float
) -> tuple[list[int], list[int], list[int]]:
    """Training, validation and test members of one label; training is served first.

    One page trains; of two the second is tested on; from three on every part has one.
    """
    count = len(members)
    held_out = held_out_pages(count, share)
    n_test = held_out if count > 1 else 0
    n_validation = held_out if count > 2 else 0
    test = set(spread(count, n_test, stream))
    rest = [position for position in range(count) if position not in test]
    validation = {rest[position] for position in spread(len(rest), n_validation, stream)}
    train = [position for position in rest if position not in validation]
    chosen = (train, sorted(validation), sorted(test))
    first, second, third = ([members[position] for position in part] for part in chosen)
    return first, second, third


def held_out_pages(count: int, share: float) -> int:
    """How many of a label's pages are tested on, and how many more validate: one at least."""
    return max(1, int(count * share + 1e-9))


def spread(count: int, picks: int, stream: np.random.Generator) -> list[int]:
    """Choose `picks` different positions of `count`, in order, at even steps.

    With a step S the i-th pick lies in the middle of its step, shifted by at most S/4 either way.
    """
    if picks <= 0:
        return []
    if picks >= count:
        return list(range(count))
    step = count / picks
    centres = (np.arange(picks) + 0.5) * step
    shifted = np.floor(centres + stream.uniform(-step / 4, step / 4, size=picks)).astype(int)
    positions = np.clip(shifted, 0, count - 1).tolist()
    # A step under two pages can round two picks onto one page: the later one moves on.
    for index in range(1, picks):
        positions[index] = max(positions[index], positions[index - 1] + 1)
    for index in range(picks - 1, -1, -1):
        positions[index] = min(positions[index], count - picks + index)
    return positions


def split_pages(
    pages: Sequence[LabelledPage], *, seed: int, test_size: float, by: By
) -> dict[str, str]:
    """Decide which pages train, validate and test: page name → "train", "validation" or "test".

    Both ways pick at even steps of the alphabetical order, so that each part covers the whole
    collection. By page, each page is picked on its own, as the published design does. By document,
    all pages of a document, whatever their labels, fall on one side: pages of one document look
    alike, and figures from pages whose neighbours were trained on promise too much.

    Args:
        pages: with names that differ.
        seed: the same seed and pages give the same split, in whatever order the pages come.
        test_size: share of each label's pages that are tested on, and as much to validate.

    Raises:
        PageSortError: `test_size` is not between 0 and 0.5.
    """
    parts = new_parts(pages, seed, test_size, by)
    log_missing_parts(pages, parts, by)
    return parts


def new_parts(pages: Sequence[LabelledPage], seed: int, test_size: float, by: By) -> dict[str, str]:
    """Split pages as `split_pages` does, without a word of labels that lack a part."""
    if not 0.0 < test_size < 0.5:
        raise PageSortError(
            f"test_size is {test_size:g}",
            remedy="Use a number between 0 and 0.5, as so many pages again are kept to validate",
        )
    ordered = sorted(pages, key=lambda page: page.name)
    if by == "document":
        return _split_by_document(ordered, seed, test_size)
    return _split_by_page(ordered, seed, test_size)


def _split_by_page(ordered: Sequence[LabelledPage], seed: int, test_size: float) -> dict[str, str]:
    members: dict[str, list[int]] = {}
    for index, page in enumerate(ordered):
        members.setdefault(page.label, []).append(index)
    parts: dict[str, str] = {}
    for label, indices in members.items():
        stream = label_stream(seed, label)
        for part, chosen in zip(PARTS, _split_one(indices, stream, test_size), strict=True):
            parts.update((ordered[index].name, part) for index in chosen)
    return parts


def _split_by_document(
    ordered: Sequence[LabelledPage], seed: int, test_size: float
) -> dict[str, str]:
    """Try a few random shifts until every label has all the parts its documents allow.

    Of 59 archive pages in 51 documents, scikit-learn's StratifiedGroupKFold leaves 8 of the parts
    of labels that have to be filled without a page (the mean of ten seeds), this way leaves none.
    """
    table = _DocumentTable(ordered, test_size)
    best = table.assign(seed, 0)
    for attempt in range(1, _ATTEMPTS):
        if not table.missing(best):
            break
        best = min(best, table.assign(seed, attempt), key=table.missing)
    return {page.name: best[table.place[page.document]] for page in ordered}


class _DocumentTable:
    """Documents in alphabetical order, with their pages of each label, to be put on three sides."""

    def __init__(self, ordered: Sequence[LabelledPage], test_size: float) -> None:
        names = sorted({page.document for page in ordered})
        self.place = {name: place for place, name in enumerate(names)}
        self.pages: list[Counter[str]] = [Counter() for _ in names]
        for page in ordered:
            self.pages[self.place[page.document]][page.label] += 1
        self.documents: dict[str, list[int]] = {}
        self.total: Counter[str] = Counter()
        for place, counts in enumerate(self.pages):
            self.total.update(counts)
            for label in counts:
                self.documents.setdefault(label, []).append(place)
        self.target = {label: held_out_pages(n, test_size) for label, n in self.total.items()}
        # Where one huge document holds most pages, the small ones must not all be tested on.
        self.most_documents = {
            label: max(1, round(_MOST_DOCUMENTS * test_size * len(places)))
            for label, places in self.documents.items()
        }

    def due(self, label: str) -> tuple[str, ...]:
        """The parts besides training that a label's documents suffice for; testing goes first."""
        return ("test", "validation")[: len(self.documents[label]) - 1]

    def missing(self, parts: Sequence[str]) -> int:
        """How many due parts labels do not have."""
        return sum(
            len(set(self.due(label)) - {parts[place] for place in places})
            for label, places in self.documents.items()
        )

    def assign(self, seed: int, attempt: int) -> list[str]:
        """Put each document into a part: labels of few documents choose first, later any."""
        state = _Assignment(self)
        labels = sorted(self.documents, key=lambda name: (len(self.documents[name]), name))
        if attempt:
            np.random.default_rng([seed & _SEED_BITS, attempt]).shuffle(labels)
        for label in labels:
            stream = label_stream(seed, label, attempt)
            for part in self.due(label):
                state.hold_out(label, part, stream)
        return state.parts


class _Assignment:
    """Documents on their way from training to testing or validation."""

    def __init__(self, table: _DocumentTable) -> None:
        self.table = table
        self.parts = ["train"] * len(table.pages)
        self.training = {label: len(places) for label, places in table.documents.items()}
        self.training_pages = table.total.copy()
        self.held: dict[str, Counter[str]] = {"test": Counter(), "validation": Counter()}

    def hold_out(self, label: str, part: str, stream: np.random.Generator) -> None:
        """Move documents to a part until it has about as many pages of a label as it should."""
        need = self.table.target[label] - self.held[part][label]
        free = [place for place in self.table.documents[label] if self.parts[place] == "train"]
        if need <= 0 or not free:
            return
        sizes = {place: self.table.pages[place][label] for place in free}
        largest = max(need, min(sizes.values()))
        fitting = [place for place in free if sizes[place] <= largest]
        mean = sum(sizes[place] for place in fitting) / len(fitting)
        picks = set(spread(len(fitting), max(1, round(need / mean)), stream))
        # The picks at even steps come first; the others stand in for those that must not go.
        order = stream.permutation(len(fitting)).tolist()
        order.sort(key=lambda position: position not in picks)
        well_sized = [fitting[position] for position in order]
        too_large = sorted(set(free) - set(fitting), key=lambda place: (sizes[place], place))
        for goes in (self._goes_freely, self._goes_at_all):
            for candidates in (well_sized, too_large):
                self._take(candidates, label, part, need, goes)
                if self.held[part][label]:
                    return

    def _take(
        self,
        candidates: Sequence[int],
        label: str,
        part: str,
        need: int,
        goes: Callable[[int, str, str], bool],
    ) -> None:
        """Move candidates, in order, until `need` pages of a label have gone."""
        taken, most = 0, self.table.most_documents[label]
        for place in candidates:
            size = self.table.pages[place][label]
            too_much = taken and taken + size > need * _LARGEST_EXCESS
            if taken >= need or most == 0:
                return
            if not too_much and goes(place, part, label):
                self._move(place, part)
                taken += size
                most -= 1

    def _move(self, place: int, part: str) -> None:
        self.parts[place] = part
        for label, count in self.table.pages[place].items():
            self.held[part][label] += count
            self.training[label] -= 1
            self.training_pages[label] -= count

    def _goes_at_all(self, place: int, part: str, label: str) -> bool:
        """Whether every label keeps enough to train on, and `label` documents for its due."""
        return self._reserve(label, part) < self.training[label] and all(
            self.training[each] > 1
            and self.training_pages[each] - count >= self.table.total[each] * _LEAST_TRAINING
            for each, count in self.table.pages[place].items()
        )

    def _goes_freely(self, place: int, part: str, label: str) -> bool:
        """Whether, besides, no other label loses its due or gets far too many pages held."""
        return self._goes_at_all(place, part, label) and all(
            self._reserve(each, part) < self.training[each]
            and (
                each == label
                or self.held[part][each] + count
                <= self.table.target[each] * _LARGEST_SIDE_EFFECT + 1
            )
            for each, count in self.table.pages[place].items()
        )

    def _reserve(self, label: str, part: str) -> int:
        """How many documents a label still needs besides one for `part`: to train, and its due."""
        others = (each for each in self.table.due(label) if each != part)
        return 1 + sum(not self.held[each][label] for each in others)


def label_stream(seed: int, label: str, *more: int) -> np.random.Generator:
    """A label's own random numbers, so that a new label leaves the others' split alone."""
    name = zlib.crc32(label.encode("utf-8", "surrogatepass"))
    return np.random.default_rng([seed & _SEED_BITS, name, *more])


def extended_split(
    pages: Sequence[LabelledPage],
    known: Mapping[str, str],
    *,
    seed: int,
    test_size: float,
    by: By,
) -> dict[str, str]:
    """Split pages so that those of an earlier split stay where they are.

    Pages that came since train, but for two kinds. By document, pages of a document that was split
    before go where it is. And labels that had no test page are split as if they were new.

    Args:
        known: page name -> part, of pages that may be gone meanwhile.
        seed, test_size, by: as for `split_pages`.

    Returns:
        Page name -> part.

    Raises:
        PageSortError: `test_size` cannot be meant.
    """
    parts = {page.name: known[page.name] for page in pages if page.name in known}
    places: dict[str, str] = {}
    if by == "document":
        documents = {page.name: page.document for page in pages}
        for name, part in known.items():
            document = documents.get(name) or document_of(Path(name))
            # A document that was split page by page is kept from training as far as it can be.
            places[document] = max(places.get(document, "train"), part, key=PARTS.index)
    tested = {page.label for page in pages if parts.get(page.name) == "test"}
    new = [page for page in pages if page.name not in parts]
    untested = [page for page in new if page.label not in tested and page.document not in places]
    fresh = new_parts(untested, seed, test_size, by)
    if by == "document":
        places |= {page.document: fresh[page.name] for page in untested}
    for page in new:
        parts[page.name] = fresh.get(page.name) or places.get(page.document, "train")
    return parts


def log_missing_parts(
    pages: Sequence[LabelledPage], parts: Mapping[str, str], by: By, *, is_kept: bool = False
) -> None:
    """Warn, in one line, of labels that have no test or no validation pages.

    Args:
        is_kept: whether the parts are those of an earlier split.
    """
    found: dict[str, set[str]] = {}
    for page in pages:
        found.setdefault(page.label, set()).add(parts[page.name])
    untested = [label for label, has in found.items() if "test" not in has]
    unvalidated = [label for label, has in found.items() if "validation" not in has]
    if not unvalidated and not untested:
        return
    gaps = [
        f"no {what} pages of {named(labels)}"
        for what, labels in (("test", untested), ("validation", unvalidated))
        if labels
    ]
    if by == "document":
        reason = (
            "three documents of a label are needed, as the pages of a document stay on one side "
            "(split = page in [TRAIN] spreads them, with figures that promise too much)"
        )
    else:
        reason = "three pages of a label are needed"
    if is_kept:
        reason += "; pages that are added to a split train"
    logger.warning("%s: %s", "; ".join(gaps), reason)


def _is_readable(path: str) -> bool:
    from pagesort.common.errors import PageUnreadableError
    from pagesort.pages.loader import load_page

    try:
        load_page(Path(path))
    except PageUnreadableError as error:
        logger.warning("left out: %s", error)
        return False
    return True
