"""Page names, page listings, result rows and the confusion plot; no torch."""

from __future__ import annotations

import gzip
import heapq
import io
import itertools
import logging
import numbers
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pagesort.common.drawing import plot_text, save_png

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

DECIMALS = 3  # of every score in every table
# Of a confusion matrix, which would take gigabytes to draw for 1,000 labels.
CELL_INCHES = 0.5
MOST_INCHES = 60.0
LEAST_INCHES_WITH_TEXT = 0.35
SORTED_AT_ONCE = 20_000  # names of a folder: 4 MB
PAGE_NUMBER = re.compile(r"[0-9]+\Z")
DIGITS = re.compile(r"[0-9]+")
# What counts as a page in a training folder, whose label folders may hold notes beside the scans.
IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".avif")
    + (".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".tga")
)
SCAN_SUFFIXES = IMAGE_SUFFIXES | {".pdf"}
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")  # of files that may hold pages
ALIKE = (("jpg", "jpeg", "jpe"), ("tif", "tiff"), ("tar", "tar.gz", "tgz"))  # by its first
# Folders that systems make for thumbnails, other halves of files and what was thrown away.
SYSTEM_FOLDERS = ("@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found")
SORTED_MARK = ".pagesort-sorted"  # in a folder of sorted copies, which nobody wants as pages

Formats = str | Iterable[str]
Entry = tuple[str, bool]  # a name in a folder, and whether it is one


@dataclass
class PassedOver:
    """What a listing passed over: folders that cannot be read, and scans with other extensions."""

    closed: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def page_name(path: str | Path) -> tuple[str, int]:
    """Split a page's file name into FILE and PAGE.

    The stem's trailing digits (0-9) are PAGE, what is before them, less one joining `-` or `_`, is
    FILE; without such digits PAGE is 1. Where nothing is before the digits, the name of the folder
    is FILE (`letters/007.png` → `letters`, 7), or the digits themselves if the path names no
    folder. Bytes that are not UTF-8 are written `\\udcXX`.
    """
    folder, name = os.path.split(path)  # as millions are asked for
    if name in ("", "."):
        folder, name = str(Path(path).parent), Path(path).name
    dot = name.rfind(".")
    stem = name[:dot] if 0 < dot < len(name) - 1 else name
    number = PAGE_NUMBER.search(stem)
    before = re.sub(r"[-_]\Z", "", stem[: number.start()]) if number else stem
    file = before or Path(folder).name or stem
    page = int(number.group()) if number else 1
    return file.encode("utf-8", "backslashreplace").decode("utf-8"), page


def list_pages(
    folder: str | Path,
    formats: Formats = ("png",),
    inner: bool = False,
    passed: PassedOver | None = None,
) -> Iterator[Path]:
    """Yield the pages of a folder in natural order: 2 before 10, whatever the case of letters.

    Hidden files and folders are left out, and subfolders that are a system's (`@eaDir`) or that
    pages were sorted into. A folder that links lead to twice is listed once; one that cannot be
    read is left out with a warning in the log.

    Args:
        folder: where to look; pages are yielded below it as it is written here.
        formats: endings without the dot, in any case, one or several (`"png,jpg"` too); `jpg`
            means `jpeg` and `jpe`, too, and `tif` means `tiff`.
        inner: whether to look into subfolders, in their place in the order.
        passed: what is passed over is added to it.

    Raises:
        OSError: the folder itself is missing or cannot be read.
    """
    return map(Path(folder).joinpath, list_names(folder, formats, inner, passed or PassedOver()))


def list_names(
    folder: str | Path, formats: Formats, inner: bool, passed: PassedOver
) -> Iterator[str]:
    """Yield what `list_pages` yields as paths below the folder, with `/`: many times faster."""
    endings, visited = endings_of(formats), {_identity(folder)}
    return _walk(Path(folder), "", _scan(folder, endings, passed), endings, inner, visited, passed)


def has_pages(folder: str | Path, formats: Formats = ("png",), inner: bool = False) -> bool:
    """Whether `list_pages` would list any: one look if the first file of the folder is a page."""
    endings = endings_of(formats)
    with os.scandir(folder) as entries:
        if any(not is_folder for _, is_folder in _visible(entries, endings, PassedOver())):
            return True
    return inner and next(list_pages(folder, formats, inner), None) is not None


def endings_of(formats: Formats) -> tuple[str, ...]:
    """The endings, with their dot and in small letters, of files that are asked for."""
    names = formats.split(",") if isinstance(formats, str) else formats
    asked = (name.strip().lstrip(".").lower() for name in names if name.strip())
    return tuple(f".{extension}" for name in asked for extension in _alike(name))


def _alike(extension: str) -> tuple[str, ...]:
    return next((each for each in ALIKE if extension in each), (extension,))


def is_page_folder(name: str) -> bool:
    """Whether a folder of this name may hold pages: it is neither hidden nor the system's."""
    return not name.startswith(".") and name.lower() not in SYSTEM_FOLDERS


def _walk(
    folder: Path,
    above: str,
    content: Iterable[Entry],
    endings: tuple[str, ...],
    inner: bool,
    visited: set[tuple[int, int]],
    passed: PassedOver,
) -> Iterator[str]:
    for name, is_folder in content:
        if not is_folder:
            yield above + name
        elif inner:
            path = folder / name
            try:
                identity = _identity(path)
                if identity in visited:
                    continue
                if os.path.lexists(path / SORTED_MARK):
                    logger.info("Folder left out: %s (pages were sorted into it)", path)
                    continue
                inside = _scan(path, endings, passed)
            except OSError as error:
                logger.warning("Folder left out: %s (%s)", path, error.strerror)
                passed.closed.append(path)
                continue
            visited.add(identity)
            yield from _walk(path, f"{above}{name}/", inside, endings, inner, visited, passed)


def _identity(folder: str | Path) -> tuple[int, int]:
    status = Path(folder).stat()
    return status.st_dev, status.st_ino


def _scan(folder: str | Path, endings: tuple[str, ...], passed: PassedOver) -> Iterator[Entry]:
    """The visible subfolders and the files with these endings, in order; and which are folders."""
    with os.scandir(folder) as entries:
        return _in_order(_visible(entries, endings, passed))


def _visible(
    entries: Iterable[os.DirEntry[str]], endings: tuple[str, ...], passed: PassedOver
) -> Iterator[Entry]:
    for entry in entries:
        name = entry.name
        if name.startswith("."):
            continue
        if _is_folder(entry):
            if name.lower() not in SYSTEM_FOLDERS:
                yield name, True
        elif name.lower().endswith(endings):
            yield name, False
        elif (suffix := name[name.rfind(".") :].lower()) in SCAN_SUFFIXES:
            passed.others[_alike(suffix[1:])[0]] += 1
        elif name.lower().endswith(ARCHIVE_SUFFIXES):
            passed.others["zip" if suffix == ".zip" else "tar"] += 1


def _in_order(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Sort all entries; where they are many, most lie packed, in some five bytes a name."""
    chunks = iter(lambda: sorted(itertools.islice(entries, SORTED_AT_ONCE), key=natural_key), [])
    first = next(chunks, [])
    if len(first) < SORTED_AT_ONCE:
        return iter(first)
    packed = [_packed(first), *map(_packed, chunks)]
    return heapq.merge(*map(_unpacked, packed), key=natural_key)


def _packed(entries: Iterable[Entry]) -> bytes:
    # Names hold no slashes, so that one can stand for a line break.
    names = ((is_folder, os.fsencode(name).replace(b"\n", b"/")) for name, is_folder in entries)
    return gzip.compress(b"\n".join(b"%d%s" % entry for entry in names), 1)


def _unpacked(packed: bytes) -> Iterator[Entry]:
    """Yield what was packed, with little of it in memory at a time."""
    with gzip.open(io.BytesIO(packed)) as lines:
        for line in lines:
            name = line[1:].rstrip(b"\n").replace(b"/", b"\n")
            yield os.fsdecode(name), line[:1] == b"1"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself: listed like a file, so that the loader can tell
        return False


def natural_key(entry: Entry) -> str:
    """Sorts numbers by value, as each gets its length in front; the name itself breaks ties."""
    name, _ = entry
    return f"{DIGITS.sub(_sized, name.casefold())}\0{name}"


def _sized(number: re.Match[str]) -> str:
    return f"{len(digits := number.group().lstrip('0')):03d}{digits}"


def directory_scraper(
    folder_path: str | Path, file_format: str = "png", file_list: list[Any] | None = None
) -> list[Any]:
    """List a folder's files of one format, subfolders included; a given `file_list` is added to."""
    files = [] if file_list is None else file_list
    files.extend(list_pages(folder_path, file_format, inner=True))
    return files


def collect_images(
    directory: str | Path, max_categ: int | None = None, ordered: bool = False
) -> tuple[list[str], list[np.ndarray], list[str]]:
    """List a training folder, whose visible subfolders are the labels.

    Args:
        max_categ: the most pages of one label; with `ordered` the first ones are kept, else a draw
            of `random`.
        ordered: whether the files are in plain alphabetical order, else in natural order.

    Returns:
        Paths, one-hot rows (float64, as many as paths), and the sorted labels.
    """
    with os.scandir(directory) as entries:
        folders = [entry.name for entry in entries if entry.is_dir()]
    labels = sorted(filter(is_page_folder, folders))
    paths: list[str] = []
    rows: list[np.ndarray] = []
    for index, label in enumerate(labels):
        folder = Path(directory) / label
        content = _scan(folder, tuple(IMAGE_SUFFIXES), PassedOver())
        names = [name for name, is_folder in content if not is_folder]
        if ordered:
            names.sort()
        if max_categ is not None and len(names) > max_categ:
            every = range(len(names))
            kept = every[:max_categ] if ordered else sorted(random.sample(every, max_categ))
            names = [names[position] for position in kept]
        paths.extend(str(folder / name) for name in names)
        rows.extend(np.eye(len(labels))[[index] * len(names)])
    return paths, rows, labels


def round_scores(scores: float | Sequence[Any] | np.ndarray) -> np.ndarray:
    """Scores as every table and the console show them: float64, 3 places; None becomes NaN."""
    return np.round(np.asarray(scores, dtype=np.float64), DECIMALS)


def top_guesses(scores: Sequence[float] | np.ndarray, top_n: int) -> list[tuple[int, float]]:
    """The N best scores of a page as (label index, score); equal ones in label order."""
    values = np.asarray(scores)
    best = np.argsort(-values, kind="stable")[:top_n]
    return [(int(index), float(values[index])) for index in best]


def dataframe_results(
    test_images: Sequence[str | Path],
    test_predictions: Sequence[Any] | np.ndarray,
    categories: Sequence[str],
    top_N: int,  # noqa: N803 - the published name
    raw_scores: Sequence[Sequence[float]] | np.ndarray | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Make the rows of the result table and, if `raw_scores` are given, of the RAW table.

    Args:
        test_images: the pages' paths; FILE and PAGE are told from them.
        test_predictions: one entry a page: a label's index (columns CLASS-1 and its alias
            CATEGORY), or a list of (index, score), best first, or a row of a score matrix, to which
            softmax is applied (columns CLASS-1 … and SCORE-1 …). A tuple of two that starts with an
            integer is one (index, score).
        top_N: how many guesses a page, at most as many as labels; missing ones are empty cells.
        raw_scores: (pages, labels), written as they are.

    Raises:
        ValueError: there are not as many predictions or raw scores as pages, or an index names no
            label, or a prediction is of no such kind.
    """
    import pandas as pd

    if len(test_images) != len(test_predictions):
        raise ValueError(f"{len(test_images)} pages, but {len(test_predictions)} predictions")
    names = pd.DataFrame([page_name(path) for path in test_images], columns=["FILE", "PAGE"])
    guesses = [_guesses(prediction, len(categories)) for prediction in test_predictions]
    if guesses and all(row[0][1] is None for row in guesses):
        table = names.copy()
        table["CLASS-1"] = table["CATEGORY"] = [categories[row[0][0]] for row in guesses]
    else:
        ranks = range(min(top_N, len(categories)))
        indices = [[row[rank][0] if rank < len(row) else None for row in guesses] for rank in ranks]
        scores = [[row[rank][1] if rank < len(row) else None for row in guesses] for rank in ranks]
        table = names.assign(**guess_columns(indices, scores, categories))
        table = table.astype({f"SCORE-{rank + 1}": float for rank in ranks})
    if raw_scores is None:
        return table, None
    matrix = round_scores(raw_scores)
    if matrix.shape == (0,):  # an empty list tells nothing of its columns
        matrix = matrix.reshape(0, len(categories))
    if matrix.shape != (len(test_images), len(categories)):
        raise ValueError(f"Raw scores of shape {matrix.shape} for {len(test_images)} pages")
    return table, pd.concat([names, pd.DataFrame(matrix, columns=list(categories))], axis=1)


def guess_columns(
    indices: Iterable[Iterable[int | None]],
    scores: Iterable[Sequence[Any] | np.ndarray],
    categories: Sequence[str],
) -> dict[str, list[Any]]:
    """The columns CLASS-1 … and SCORE-1 …, of indices and scores by rank; None is an empty cell."""
    columns: dict[str, list[Any]] = {}
    for rank, places in enumerate(indices, 1):
        columns[f"CLASS-{rank}"] = [None if at is None else categories[at] for at in places]
    for rank, values in enumerate(scores, 1):
        columns[f"SCORE-{rank}"] = round_scores(values).tolist()
    return columns


def _guesses(prediction: Any, labels: int) -> list[tuple[int, Any]]:
    """One prediction of any accepted kind as (index, score); a bare index has the score None."""
    dimensions = np.ndim(prediction)
    if dimensions == 0:
        if int(prediction) != prediction:
            raise ValueError(f"{prediction} is no label's index")
        rows: list[tuple[int, Any]] = [(int(prediction), None)]
    elif _is_pair(prediction):
        rows = [(int(prediction[0]), float(prediction[1]))]  # one that was not put into a list
    elif dimensions == 1:
        scores = np.asarray(prediction, dtype=np.float64)
        if len(scores) != labels:
            raise ValueError(f"A prediction has {len(scores)} scores for {labels} labels")
        powers = np.exp(scores - scores.max())
        rows = top_guesses(powers / powers.sum(), labels)
    elif all(len(pair) == 2 for pair in prediction):
        rows = [(int(index), float(score)) for index, score in prediction]
    else:
        raise ValueError(f"{prediction} is no list of (index, score)")
    wrong = [index for index, _ in rows if not 0 <= index < labels]
    if wrong:
        raise ValueError(f"There is no label {wrong[0]} among {labels}")
    return rows


def _is_pair(prediction: Any) -> bool:
    if not isinstance(prediction, tuple) or len(prediction) != 2:
        return False
    return isinstance(prediction[0], numbers.Integral) and np.ndim(prediction[1]) == 0


def confusion_plot(
    predictions: Sequence[Any] | np.ndarray,
    true_labels: Sequence[Any] | np.ndarray,
    categories: Sequence[str],
    model_name: str,
    top_N: int = 1,  # noqa: N803 - the published name
    output_dir: str | Path | None = None,
    file_name: str | None = None,
) -> float:
    """Draw the confusion matrix, counts and row percentages, as a PNG in `<output_dir>/plots/`.

    With `top_N` above 1, a page whose label is among its first N guesses counts as recognised in
    the matrix; the title tells both accuracies.

    Args:
        predictions: label indices, or lists of (index, score), best first.
        true_labels: label indices, or one-hot rows.
        output_dir: by default `result`.
        file_name: by default `conf_mat_TOP-<N>_<model name>_<date-time>.png`; no earlier plot is
            overwritten.

    Returns:
        Top-1 accuracy in percent.

    Raises:
        ValueError: there is no page, not one prediction for each, or an index names no label.
    """
    true = [int(each) if np.ndim(each) == 0 else int(np.argmax(each)) for each in true_labels]
    if not true or len(true) != len(predictions):
        raise ValueError(f"{len(true)} true labels, but {len(predictions)} predictions")
    if not all(0 <= label < len(categories) for label in true):
        raise ValueError(f"A true label is not among the {len(categories)} labels")
    first = [
        [index for index, _ in _guesses(each, len(categories))[:top_N]] for each in predictions
    ]
    right = sum(row[0] == label for row, label in zip(first, true, strict=True))
    accuracy = 100.0 * right / len(true)
    shown = [label if label in row else row[0] for row, label in zip(first, true, strict=True)]
    counts = np.zeros((len(categories), len(categories)), dtype=int)
    np.add.at(counts, (true, shown), 1)
    first_right = f"top-1 accuracy {percent(right / len(true))} % of {len(true)} pages"
    title = f"{plot_text(model_name, 90)}\n{first_right}"
    if top_N > 1:
        title += f"; top-{top_N} {percent(counts.trace() / len(true))} % (drawn)"
    if file_name is None:
        safe = re.sub(r"[^\w.+@-]+", "-", model_name)
        file_name = f"conf_mat_TOP-{top_N}_{safe}_{time.strftime('%Y%m%d-%H%M')}.png"
    _draw_matrix(counts, categories, title, Path(output_dir or "result") / "plots", file_name)
    return accuracy


def _draw_matrix(
    counts: np.ndarray, categories: Sequence[str], title: str, folder: Path, name: str
) -> None:
    """Draw counts (true, guessed), each with its percentage of the row under it."""
    from matplotlib.figure import Figure

    size = len(categories)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    cell = min(CELL_INCHES, MOST_INCHES / size)
    names = [plot_text(label) for label in categories]
    margin = 2.0 + 0.07 * max(len(label) for label in names)
    figure = Figure(figsize=(max(4.5, cell * size) + margin,) * 2, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    points = min(9.0, 72 * cell * 0.7)
    if cell >= LEAST_INCHES_WITH_TEXT:
        _write_cells(axes, counts, shares, 72 * cell)
        axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="#d8dde3", linewidth=0.5)
        axes.tick_params(which="minor", length=0)
    axes.set_xticks(range(size), names, rotation=90, fontsize=points)
    rows = [f"{label}  ({total})" for label, total in zip(names, totals[:, 0], strict=True)]
    axes.set_yticks(range(size), rows, fontsize=points)
    heading = 11 + size // 10
    axes.set_xlabel("guessed label", fontsize=heading)
    axes.set_ylabel("true label (its pages); cells: pages, percent of the row", fontsize=heading)
    axes.set_title(title, fontsize=heading)
    save_png(figure, _unused(folder / name))


def _write_cells(axes: Any, counts: np.ndarray, shares: np.ndarray, points: float) -> None:
    """Write count and percentage into every cell of a row that has pages; zeros are pale."""
    digits = max(3, len(str(counts.max())))
    large, small = min(10.0, points / (0.6 * digits)), min(7.5, 0.23 * points)
    for (row, column), count in np.ndenumerate(counts):
        share = float(shares[row, column])
        colour = "#b4bcc6" if not count else "white" if share > 0.5 else "black"
        look = {"ha": "center", "color": colour}
        if not count:
            axes.text(column, row, "0", va="center", fontsize=small, **look)
            continue
        axes.text(column, row, str(count), va="bottom", fontsize=large, **look)
        axes.text(column, row + 0.04, f"{percent(share)} %", va="top", fontsize=small, **look)


def percent(share: float) -> str:
    """A share, 0..1, in percent with one decimal that never rounds an exception away.

    Reports and plots both write shares so.
    """
    if 0.0 < share < 0.0005:
        return "<0.1"
    return ">99.9" if 0.9995 <= share < 1.0 else f"{100.0 * share:.1f}"


def _unused(path: Path) -> Path:
    """The path, or if it exists, the first of `-2`, `-3`, … before its ending that does not."""
    candidate, number = path, 2
    while candidate.exists():
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return candidate
