"""The card of the bundled model: a text with the figures of its making put in, and their plots."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from bundled_models.page_classifier.cross_validation import OutOfFold, Turned
from bundled_models.page_classifier.source_figures import (
    SEED,
    Scored,
    bands,
    by_group,
    calibration_error,
    main_figures,
    recalls,
    surest_errors,
)
from bundled_models.page_classifier.stages import Workshop
from pagesort.labelled.folder import LabelledPage

_ERRORS_SHOWN = 20
# What weights hold beside parameters.
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked", "joint.centre", "joint.scale")
_CREDITS = ("repo", "commit", "licence", "attribution")


def write(
    out: Path,
    text: Path,
    workshop: Workshop,
    measured: OutOfFold,
    turned: Turned,
    facts: dict[str, Any],
) -> None:
    """Write `README.md`, from a text in which figures are left open, and `plots/` of a model."""
    assert workshop.real is not None
    scored = measured.scored()
    strangers = np.flatnonzero(~measured.in_archive)
    archive = np.flatnonzero(measured.in_archive)
    others = scored.chosen(strangers)
    values = {
        "main": _main_table(others, scored.chosen(archive)),
        "labels": _label_table(scored, measured, workshop.labels),
        "bands": _band_table(others),
        "sources": _source_list(others),
        "turned": _turned_line(turned),
        "errors": _error_list(scored, measured, workshop),
        "texts": _text_line(facts["texts"]),
        "hours": f"{sum(facts['hours'].values()):.1f}",
        "temperature": f"{measured.temperature:.3f}",
        **_sizes(out),
    }
    filled = Template(text.read_text(encoding="utf-8")).substitute(values)
    (out / "README.md").write_text(filled, encoding="utf-8")
    for name, places in (("sources", strangers), ("archive", archive)):
        pages = [workshop.real.pages[row].page for row in measured.rows[places]]
        _draw(out, name, scored.chosen(places), pages, workshop.labels)


def _sizes(out: Path) -> dict[str, str]:
    """How large the weights are: millions of parameters, and megabytes."""
    from safetensors import safe_open

    file = out / "model.safetensors"
    with safe_open(file, "np") as weights:
        learnt = [name for name in weights.keys() if not name.endswith(_STATISTICS)]  # noqa: SIM118
        shapes = [weights.get_slice(name).get_shape() for name in learnt]
    parameters = sum(int(np.prod(shape)) for shape in shapes)
    return {
        "parameters": f"{parameters / 1e6:.1f}",
        "megabytes": f"{file.stat().st_size / 1e6:.1f}",
    }


def write_credits(out: Path, folders: Sequence[Path]) -> None:
    """Write whose pages were trained on, from `FOLDER-licences.csv` beside each folder."""
    rows: list[tuple[str, ...]] = []
    for folder in folders:
        table = folder.with_name(f"{folder.name}-licences.csv")
        if table.exists():
            with table.open(encoding="utf-8", newline="") as file:
                rows += [tuple(row[key] for key in _CREDITS) for row in csv.DictReader(file)]
    with (out / "data-credits.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([_CREDITS, *rows])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _main_table(others: Scored, archive: Scored) -> str:
    rows = []
    for name, part, sources in (
        ("other archives", others, others.counted_sources),
        ("the Czech archive", archive, archive.sources),
    ):
        if not len(part):
            continue
        found = main_figures(part, sources, SEED)
        rows.append(
            [
                name,
                str(len(part)),
                str(len(np.unique(part.sources))),
                *(str(found[key]) for key in ("top_1", "top_3")),
                f"{calibration_error(part, sources):.3f}",
                *(str(found.get(key, "–")) for key in ("sure", "sure_right")),
            ]
        )
    head = ["pages of", "pages", "sources", "first guess right", "among first three"]
    head += ["calibration error", "score 0.9 and more", "of these right"]
    return _table(head, rows)


def _label_table(scored: Scored, measured: OutOfFold, labels: Sequence[str]) -> str:
    archive = scored.chosen(np.flatnonzero(measured.in_archive))
    of_archive = {name: (right, pages) for name, right, pages in recalls(archive, labels)}
    guesses = np.array(labels)[scored.scores.argmax(axis=1)]
    rows = []
    for label, right, pages in recalls(scored, labels):
        guessed = int((guesses == label).sum())
        own = of_archive.get(label, (0, 0))
        precision = f"{100 * right / guessed:.0f} %" if guessed else "–"
        of_own = f"{own[0]} of {own[1]}"
        rows.append(
            [label, f"{right} of {pages}", f"{100 * right / pages:.0f} %", precision, of_own]
        )
    head = ["label", "right", "recall", "precision", "of these in the Czech archive"]
    return _table(head, rows)


def _band_table(others: Scored) -> str:
    rows = [
        [f"{low:g} to {high:g}", str(pages), str(figure)]
        for low, high, pages, figure in bands(others, others.counted_sources, SEED)
    ]
    return _table(["score", "pages", "right"], rows)


def _source_list(others: Scored) -> str:
    found = by_group(others, others.counted_sources)
    return "; ".join(f"{name} {right}/{pages}" for name, right, pages in found)


def _turned_line(turned: Turned) -> str:
    pages = len(turned.rows)
    return (
        f"Of {pages} pages that were left out, {int(turned.upright_right.sum())} are right upright "
        f"and {int(turned.right.sum())} when turned by a quarter or a half."
    )


def _error_list(scored: Scored, measured: OutOfFold, workshop: Workshop) -> str:
    assert workshop.real is not None
    lines = []
    for row, label, guess, score in surest_errors(scored, workshop.labels, _ERRORS_SHOWN):
        page = workshop.real.pages[measured.rows[row]]
        lines.append(f"* {page.page.path.name}: {label}, taken for {guess}, {score:.2f}")
    return "\n".join(lines)


def _text_line(texts: dict[str, Any]) -> str:
    singles = [value for name, value in texts.items() if name.startswith("single")]
    words = [f"With its own descriptions {100 * texts['own']:.1f} % of the clear pages are right"]
    if singles:
        words.append(f"with the average of six others {100 * texts['averaged']:.1f} %")
        words.append(f"with one alone {100 * min(singles):.1f} to {100 * max(singles):.1f} %")
    groups = [value for name, value in texts.items() if name.startswith("grouping")]
    for value in groups:
        words.append(
            f"{100 * value['top_1']:.1f} % with {value['groups']} mixtures of traits that were "
            f"never a group in training (the largest has {100 * value['largest_group']:.0f} %)"
        )
    return "; ".join(words) + "."


def _draw(
    out: Path, name: str, scored: Scored, pages: Sequence[LabelledPage], labels: Sequence[str]
) -> None:
    """Draw the confusion matrix and the reliability diagram of some pages."""
    from pagesort.evaluation.files import evaluation_table
    from pagesort.evaluation.metrics import report_of_table
    from pagesort.evaluation.plots import reliability_diagram
    from utils import confusion_plot

    if not len(scored):
        return
    plots = out / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    matrix = f"{name}_confusion.png"
    (plots / matrix).unlink(missing_ok=True)  # of an earlier measurement
    guesses = scored.scores.argmax(axis=1)
    confusion_plot(guesses, scored.true, labels, out.name, 1, out, file_name=matrix)
    true = [labels[index] for index in scored.true]
    names = [page.name for page in pages]
    table = evaluation_table(pages, names, true, scored.scores, labels, 3)[0]
    report = report_of_table(table, labels, SEED)
    reliability_diagram(report, out.name, plots / f"{name}_reliability.png")
