"""Several models vote on each page: choosing them, running them one by one, counting votes."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagesort.common.errors import PageSortError, Stopped, UsageError
from pagesort.common.files import translate_unreadable
from pagesort.common.text import named
from pagesort.evaluation import accuracies
from pagesort.models import catalogue
from pagesort.models.protocols import Classifier
from pagesort.prediction import folder_run, scoring
from pagesort.prediction.request import Outcome, Request, check_request
from pagesort.prediction.result_tables import FinishedTables
from pagesort.voting import state
from pagesort.voting.joined_tables import Ballot, VoteCount, join_failures, join_results
from pagesort.voting.state import Voter, VoteRun
from utils import round_scores, top_guesses

logger = logging.getLogger(__name__)

MOST_VOTERS = 5
FEWEST_VOTERS = 2
CHECKPOINT_SUFFIX = ".pt"
WEIGHTS_SUFFIXES = (".safetensors", ".bin", CHECKPOINT_SUFFIX, ".pth")

OpenClassifier = Callable[[Path], Classifier]

_MORE_MODELS = (
    "Train one with --train, fetch one with --hf, or name a folder of several with --model_dir"
)


@dataclass(frozen=True)
class PageVote:
    """The vote on one page: class, share of the models that gave it, and each model's guess.

    `guesses` holds (model, label, score rounded as in tables), best model first.
    """

    label: str
    agreement: float
    guesses: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True)
class _Opened:
    """What is known of a model once it has been opened; the model itself may be gone."""

    folder: Path
    labels: tuple[str, ...]
    fingerprint: str
    precision: str
    ballot: Ballot = None


def choose_voters(model_dir: Path, table: Path) -> tuple[Path, ...]:
    """Choose up to five model folders that vote, best first, and say which and why.

    Models that `table` ranks come first, by their best TOP-1; if two or more of them are still
    there, no others vote. Else the published models follow, then all others, by name.

    Args:
        model_dir: the folder of models.
        table: what evaluation writes, `stats/model_accuracies.csv`; it may be missing.

    Raises:
        PageSortError: there are fewer than two models.
    """
    folders = {folder.name: folder for folder in model_folders(model_dir)}
    ranks = _top_1(table, folders)
    measured = sorted(ranks, key=lambda name: (-ranks[name], name))
    if len(measured) >= FEWEST_VOTERS:
        chosen, reason = measured, f"by their TOP-1 in {table}"
    else:
        others = [name for name in folders if name not in measured]
        others.sort(key=lambda name: (not catalogue.is_published_folder(name), name))
        chosen, reason = measured + others, f"as {table} ranks too few: published ones first"
    chosen = chosen[:MOST_VOTERS]
    if len(chosen) < FEWEST_VOTERS:
        what = f"only the model {chosen[0]} is there" if chosen else "there is no model"
        raise PageSortError(
            f"{what}, and a vote takes {FEWEST_VOTERS} to {MOST_VOTERS}",
            where=model_dir,
            remedy=_MORE_MODELS,
        )
    logger.info("%d models vote, %s: %s", len(chosen), reason, ", ".join(chosen))
    idle = [name for name in folders if name not in chosen]
    if idle:
        logger.info("models that do not vote: %s", ", ".join(idle))
    return tuple(folders[name] for name in chosen)


def model_folders(model_dir: Path) -> list[Path]:
    """List the visible subfolders and `.pt` files that are models of any known format, by name.

    What looks like a model and is none, as one that was fetched in part, is told.

    Raises:
        PageSortError: the folder of models cannot be read.
    """
    from pagesort.models import formats

    remedy = "Name another one with --model_dir"
    with translate_unreadable(model_dir, "the folder of models cannot be read", remedy):
        candidates = sorted(
            path
            for path in model_dir.iterdir()
            if path.is_dir() or path.suffix.lower() == CHECKPOINT_SUFFIX
        )
    found = []
    for path in candidates:
        if path.name.startswith("."):
            continue
        try:
            formats.recognise(path)
        except PageSortError as error:
            if _looks_like_a_model(path):
                logger.warning("left out: %s is no model that can be opened (%s)", path.name, error)
        else:
            found.append(path)
    return found


def _looks_like_a_model(path: Path) -> bool:
    """Whether a path was meant as a model: a checkpoint's file, or a folder with weights."""
    if path.is_file():
        return True
    with contextlib.suppress(OSError):
        return any(each.suffix.lower() in WEIGHTS_SUFFIXES for each in path.iterdir())
    return True  # what it holds cannot be seen


def vote(ballots: Sequence[Ballot]) -> tuple[str, float]:
    """Count one page's votes: the class that most models gave, and the share of all models.

    Of classes with equally many votes the one wins whose voters' scores have the larger sum; if
    these are equal too, that of the model that stands first. A model that could not read the page
    counts among all models.

    Args:
        ballots: each model's class and score, best model first; at least one is not None.
    """
    votes: Counter[str] = Counter()
    sureness: Counter[str] = Counter()
    for label, score in filter(None, ballots):
        votes[label] += 1
        # Whole thousandths, as the tables hold them: sums of fractions depend on their order.
        sureness[label] += round(score * 1000)
    winner = max(votes, key=lambda label: (votes[label], sureness[label]))
    return winner, votes[winner] / len(ballots)


def vote_page(
    open_classifier: OpenClassifier, folders: Sequence[Path], page: Path, max_megapixels: float
) -> PageVote:
    """Let models vote on one page; only one of them is in memory at a time.

    Args:
        open_classifier: opens one of `folders`.
        folders: the models, best first, as `choose_voters` returns them.
        page: an image file.
        max_megapixels: a larger page is refused.

    Raises:
        PageUnreadableError: the page cannot be used.
        PageSortError: fewer than two models can be opened and share a category.
    """

    def guess(classifier: Classifier) -> Ballot:
        scores = scoring.score_page(classifier, page, max_megapixels).scores
        ((index, score),) = top_guesses(scores, 1)
        return classifier.labels[index], float(round_scores(score))

    opened = _voters(list(_open_each(open_classifier, folders, guess)))
    label, agreement = vote([model.ballot for model in opened])
    names = state.distinct_names([model.folder for model in opened])
    guesses = tuple(
        (name, *model.ballot) for name, model in zip(names, opened, strict=True) if model.ballot
    )
    return PageVote(label, agreement, guesses)


def predict_vote(
    open_classifier: OpenClassifier,
    folders: Sequence[Path],
    request: Request,
    beside_voter: Callable[[Path], Callable[[FinishedTables], object]] | None = None,
) -> Outcome:
    """Let models vote on the pages of a folder, one model after the other.

    Each model's own tables are written as `folder_run.predict_folder` does, in a folder of the
    vote's name; the table of votes joins them.

    Args:
        open_classifier: opens one of `folders`.
        folders: the models, best first; with `request.resume` they are those of the interrupted
            vote, whatever is given here.
        request: the pages, and the tables of each model.
        beside_voter: gives for the folder of a model what is called with its own tables.

    Returns:
        The table of votes, and that of the pages that some model could not read.

    Raises:
        PageSortError: fewer than two models can be opened and share a category; there is no vote to
            go on with; or a model's run fails.
        UsageError: no model has as many categories as guesses are asked for.
        Stopped: the vote was stopped; it tells what is kept.
    """
    check_request(dataclasses.replace(request, resume=False))
    settings = {
        "files_format": ",".join(request.formats),
        "inner": request.inner,
        "top_N": request.top_n,
        "max_categ": request.max_categ,
        "absolute_paths": request.absolute_paths,
    }
    if request.resume:
        run = state.find_run(request.tables, request.folder, settings)
        logger.info("going on with the vote of %s", ", ".join(each.name for each in run.voters))
    else:
        _log_resumable(request, settings)
        opened = _voters(list(_open_each(open_classifier, folders)))
        _check_topn(request.top_n, opened)
        voters = [
            Voter(str(each.folder.resolve()), "", each.fingerprint, each.precision)
            for each in opened
        ]
        voters = state.renamed(voters)
        run = state.start_run(request.tables, request.folder, settings, request.options, voters)
    _run_voters(open_classifier, run, request, beside_voter)
    return _count(run, request)


def _log_resumable(request: Request, settings: Mapping[str, Any]) -> None:
    """Mention an interrupted vote that `--resume` would have gone on with."""
    with contextlib.suppress(PageSortError):
        earlier = state.find_run(request.tables, request.folder, settings)
        logger.info(
            "starting anew; an earlier vote over this folder is not complete (%s), and --resume "
            "would go on with it",
            earlier.state,
        )


def _open_each(
    open_classifier: OpenClassifier,
    folders: Sequence[Path],
    guess: Callable[[Classifier], Ballot] = lambda _: None,
) -> Iterator[_Opened]:
    """Open models one by one, each freed before the next; those that cannot be opened are told."""
    for folder in folders:
        try:
            classifier = open_classifier(folder)
        except PageSortError as error:
            logger.warning("%s does not vote: %s", folder.name, error)
            continue
        labels = tuple(classifier.labels)
        ballot = guess(classifier)
        fingerprint, precision = classifier.fingerprint, classifier.precision
        del classifier
        yield _Opened(folder, labels, fingerprint, precision, ballot)


def _voters(opened: list[_Opened]) -> list[_Opened]:
    """Leave out second copies of a model and models that have no category in common with most.

    Raises:
        PageSortError: fewer than two are left.
    """
    distinct: dict[str, _Opened] = {}
    for model in opened:
        first = distinct.setdefault(model.fingerprint, model)
        if first is not model:
            logger.warning(
                "%s is the same model as %s and does not vote", model.folder.name, first.folder.name
            )
    models = list(distinct.values())

    def related(model: _Opened) -> list[_Opened]:
        return [other for other in models if set(model.labels) & set(other.labels)]

    kept = max((related(model) for model in models), key=len, default=[])
    for model in models:
        if model not in kept and len(kept) >= FEWEST_VOTERS:
            logger.warning("%s shares no category with the others: left out", model.folder.name)
    if len(kept) < FEWEST_VOTERS:
        labels = "; ".join(f"{model.folder.name}: {named(model.labels)}" for model in models)
        reason = f"the models share no category ({labels})" if len(models) > 1 else "one is left"
        raise PageSortError(
            f"a vote takes {FEWEST_VOTERS} models, and {reason if models else 'none is left'}",
            remedy=_MORE_MODELS,
        )
    _log_different_labels(kept)
    return kept


def _log_different_labels(models: Sequence[_Opened]) -> None:
    every = list(dict.fromkeys(label for model in models for label in model.labels))
    lacking = [
        f"{model.folder.name} has no {named(missing)}"
        for model in models
        if (missing := [label for label in every if label not in model.labels])
    ]
    if lacking:
        logger.warning(
            "the models have different categories and vote by name: %s", "; ".join(lacking)
        )


def _check_topn(top_n: int, models: Sequence[_Opened]) -> None:
    most = max(len(model.labels) for model in models)
    if top_n > most:
        raise UsageError(
            f"{top_n} guesses are more than any of the models has categories",
            remedy=f"Allowed: a whole number, 1 to {most}",
        )


def _check_same(classifier: Classifier, voter: Voter) -> None:
    """Raise PageSortError if a model would not answer as it did when the vote began."""
    if classifier.fingerprint != voter.fingerprint:
        raise PageSortError(
            "the model or its descriptions are not those that the vote began with",
            where=voter.model,
            remedy="Leave out --resume to start a new vote",
        )
    if voter.precision != classifier.precision:
        raise PageSortError(
            f"the vote began with this model in {voter.precision}, and now it is in "
            f"{classifier.precision}",
            where=voter.model,
            remedy=f"Add --precision {voter.precision}, or leave out --resume",
        )


def _run_voters(
    open_classifier: OpenClassifier,
    run: VoteRun,
    request: Request,
    beside_voter: Callable[[Path], Callable[[FinishedTables], object]] | None,
) -> None:
    """Run every model that is not finished yet, going on where it was stopped."""
    for place, voter in enumerate(run.voters):
        interrupted = run.is_interrupted(voter)
        if run.result_of(voter) is not None and not interrupted:
            continue
        logger.info("model %d of %d: %s", place + 1, len(run.voters), voter.name)
        try:
            classifier = open_classifier(Path(voter.model))
            _check_same(classifier, voter)
            folder = run.folder_of(voter)
            beside = () if beside_voter is None else (beside_voter(Path(voter.model)),)
            own = dataclasses.replace(
                request, tables=folder, resume=interrupted, keep_scores=False, beside=beside
            )
            folder_run.predict_folder(classifier, own)
            del classifier
        except KeyboardInterrupt as stop:
            is_begun = isinstance(stop, Stopped)
            kept = f"of {voter.name} {stop}" if is_begun else f"{voter.name} has not begun"
            raise Stopped(f"{place} of {len(run.voters)} models are done; {kept}") from None


def _count(run: VoteRun, request: Request) -> Outcome:
    """Join the models' tables, write what belongs beside, and say what the vote found."""
    names = [voter.name for voter in run.voters]
    results = [run.result_of(voter) for voter in run.voters]
    try:
        count = join_results(results, names, run.votes, vote, request.form)
        failures = [run.failures_of(voter) for voter in run.voters]
        failed = join_failures(failures, names, run.failures, request.form)
        written = FinishedTables(
            run.votes,
            None,
            run.failures if failed else None,
            dict(count.categories),
            run.stem,
            request.folder,
            tuple(Path(voter.model) for voter in run.voters),
        )
        for write in request.beside:
            write(written)
    except KeyboardInterrupt:
        raise Stopped("all models are done; their votes remain to be counted") from None
    _log_count(run, count, failed)
    if not failed:
        run.complete()
        return Outcome((run.votes,), 0)
    return Outcome((run.votes, run.failures), failed)


def _log_count(run: VoteRun, count: VoteCount, failed: int) -> None:
    pages = count.categories.total()
    logger.info(
        "%d models voted on %d pages and agree on %d of them",
        len(run.voters),
        pages,
        count.unanimous,
    )
    width = max((len(label) for label in count.categories), default=0)
    for label, number in sorted(count.categories.items()):
        logger.info("  %-*s %6d", width, label, number)
    logger.info("table of votes: %s; each model's own tables: %s", run.votes, run.tables / run.stem)
    if failed:
        logger.warning(
            "%d pages could not be read by every model, listed in %s; once they are mended, the "
            "same command with --resume sorts them and counts the votes anew",
            failed,
            run.failures,
        )


def _top_1(table: Path, present: Collection[str]) -> dict[str, float]:
    """Read model -> its best TOP-1 of those that are present; empty without a table.

    Figures on other pages or among other categories cannot be compared: of the evaluations on one
    set of pages those count that most models had, or of equally many the newest. Figures on pages
    that a model was trained on never count.
    """
    if not table.exists():
        return {}
    try:
        rows = accuracies.read_rows(table)
    except PageSortError as error:
        logger.warning("the models are not ranked: %s", error)
        return {}
    by_pages: defaultdict[tuple[str, str, str, int, int], list[accuracies.Row]] = defaultdict(list)
    for row in rows:
        if row.model in present and not row.part.endswith(accuracies.REMEMBERED):
            by_pages[row.folder, row.part, row.page_set, row.pages, row.labels].append(row)

    def weight(group: list[accuracies.Row]) -> tuple[int, str]:
        return len({row.model for row in group}), max(row.date for row in group)

    ranks: dict[str, float] = {}
    for row in max(by_pages.values(), key=weight, default=[]):
        ranks[row.model] = max(row.top_1, ranks.get(row.model, 0.0))
    return ranks
