"""The part of the speed benchmark that sorts folders, and the check that all answers agree."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from contenders import (
    DECODING,
    MODEL,
    OPEN_CLIP,
    OURS,
    OURS_FP32,
    OWN_PARTS,
    PIPELINE,
    PUBLISHED,
    PUBLISHED_TEXTS,
    Job,
    make_contender,
)
from rounds import Measured, in_turn, ratios, settle, workers
from speed_models import SHAPES, Model, get_model
from speed_report import spread, table

OTHERS = (PIPELINE, OPEN_CLIP, PUBLISHED, PUBLISHED_TEXTS)
LIMIT = "limit"
EXACT, NEAR_ALL, NEAR = 0.005, 0.02, 0.05
"""Greatest difference of a score among those that shrink pages just as we do, in fp32; and mean
difference of all scores, and of the first guess's, elsewhere: in fewer bits, with pages shrunk in
their decoder, and with `transformers`' processors, which shrink them as tensors. Random weights
magnify it; what trained ones make of fewer bits is measured by `precision.py`."""
CLEAR = 0.2
"""By so much the first guess is ahead of the second where it must be the same in all programs."""


def sections(arguments: argparse.Namespace, pages: Sequence[Path]) -> dict[str, str]:
    """Measure every model; a section of the report for each."""
    found = {}
    for name in arguments.models:
        model = get_model(name, arguments.models_folder)
        count = arguments.pages or SHAPES[name].pages
        job = _job(arguments, name, model, pages[:count])
        print(f"folder: {name}, {count} pages", file=sys.stderr, flush=True)
        measured = _measure(arguments, job)
        found[f"Folder, {name}"] = _section(job, measured)
    return found


def _job(arguments: argparse.Namespace, name: str, model: Model, pages: Sequence[Path]) -> Job:
    from speed_models import DESCRIPTIONS

    from classifier import choose_device
    from pagesort.models.descriptions import prompt_texts, read_descriptions
    from pagesort.models.image_tower import choose_precision
    from pagesort.models.metadata import read_metadata

    metadata = read_metadata(model.folder)
    described = metadata.descriptions or read_descriptions(DESCRIPTIONS)
    first = {label: texts[:1] for label, texts in described.items()}
    texts = prompt_texts({label: first[label] for label in metadata.labels}, metadata.prompt)
    device = choose_device(arguments.device)
    return Job(
        folder=model.folder,
        open_clip=model.open_clip,
        shape=name,
        pages=tuple(pages),
        texts=tuple(several[0] for several in texts.values()),
        temperature=metadata.temperature,
        device=str(device),
        precision=choose_precision(arguments.precision, device),
        batch=arguments.batch_size,
    )


def _names(arguments: argparse.Namespace, job: Job) -> list[str]:
    others = [name for name in OTHERS if job.open_clip or name != OPEN_CLIP]
    if arguments.only is not None:
        others = [name for name in others if any(word in name for word in arguments.only)]
    exact = [OURS_FP32] if job.precision != "fp32" else []
    return [OURS, *exact, *others, MODEL, DECODING]


def _measure(arguments: argparse.Namespace, job: Job) -> dict[str, Measured]:
    """Let all contenders sort the pages in turn, and compare what they found."""
    tried = tuple(arguments.batches or SHAPES[job.shape].batches)
    given = {OURS: (job.batch,), OURS_FP32: (job.batch,), DECODING: (job.batch,)}
    # OpenVINO's graph takes a page at a time.
    given[MODEL] = (OWN_PARTS,) if job.precision == "int8" else (OWN_PARTS, *tried)
    batches = {}

    def log_line(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with workers(_names(arguments, job), job, make_contender) as running:
        for worker in running:
            batches[worker.name] = settle(worker, len(job.pages), given.get(worker.name, tried))
            log_line(f"  {worker.name} is ready, best in batches of {batches[worker.name]}")
        measured = in_turn(running, arguments.rounds, len(job.pages), batches, log_line)
    compare(job, measured)
    return measured


def compare(job: Job, measured: Mapping[str, Measured]) -> None:
    """Insist that all programs, in all rounds, gave the same answers.

    Raises:
        SystemExit: naming the program whose answers differ.
    """
    from pagesort.pages.preprocessing import Preprocessing

    expected = measured[OURS_FP32 if OURS_FP32 in measured else OURS].answers[0]
    is_exact = Preprocessing.from_folder(job.folder).reducing_gap is None
    for name, each in measured.items():
        for scores in each.answers:
            if scores is None:
                continue
            exact = is_exact and name == OPEN_CLIP or name == OURS_FP32
            problem = difference(scores, expected, exact=exact)
            if problem:
                sys.exit(f"{name}: {problem}")


def difference(scores: np.ndarray, expected: np.ndarray, *, exact: bool) -> str | None:
    """Say in what scores, (pages, labels), differ from those expected; None if they agree.

    Where two guesses lie closer together than scores may differ, either may come first.
    """
    moved = np.abs(scores - expected)
    first = expected.argmax(axis=1)
    of_first = moved[np.arange(len(first)), first]
    if exact and moved.max() > EXACT:
        return f"a score differs by {moved.max():.4f}"
    if moved.mean() > NEAR_ALL:
        return f"scores differ by {moved.mean():.4f} on average"
    if of_first.mean() > NEAR:
        return f"the scores of first guesses differ by {of_first.mean():.4f} on average"
    best, second = np.sort(expected, axis=1)[:, :-3:-1].T
    others = (best - second > (2 * EXACT if exact else CLEAR)) & (scores.argmax(axis=1) != first)
    return f"{others.sum()} pages have another first guess" if others.any() else None


def limits(job: Job, measured: Mapping[str, Measured]) -> list[float]:
    """Pages a second that model and decoding alone allow in each round.

    A CPU does one after the other, a GPU leaves the CPU to the decoding.
    """
    both = zip(measured[MODEL].rates, measured[DECODING].rates, strict=True)
    if job.device == "cpu":
        return [1 / (1 / model + 1 / decoding) for model, decoding in both]
    return [min(pair) for pair in both]


def _section(job: Job, measured: Mapping[str, Measured]) -> str:
    ours, limit = measured[OURS].rates, limits(job, measured)
    rows = []
    for name, each in measured.items():
        precision = job.precision if name in (OURS, MODEL) else "fp32"
        batch = {OWN_PARTS: "ours"}.get(each.batch, str(each.batch))
        busy = statistics.median(each.processor) / each.pages
        rows.append(
            (
                name.replace(", fp32", ""),
                "" if name == DECODING else precision,
                "" if name == DECODING else batch,
                spread(each.rates),
                f"{1000 * busy:.0f}",
                "" if name == OURS else spread(ratios(ours, each.rates)),
            )
        )
    rows.append((LIMIT, job.precision, "", spread(limit), "", spread(ratios(ours, limit))))
    header = (
        "program",
        "precision",
        "batch",
        "pages/s",
        "CPU ms a page",
        "ours is × as fast",
    )
    share = statistics.median(ratios(ours, limit))
    scored = [name for name, each in measured.items() if each.answers[0] is not None]
    return (
        f"{len(job.pages)} pages, {len(ours)} rounds, {job.device}: {share:.0%} of the limit. "
        f"The answers of {len(scored)} programs agree.\n\n{table(header, rows)}"
    )
