"""Settings that make no sense together, refused before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli.options import (
    BY_NAME,
    EVALUATIONS,
    FOLDER_ACTIONS,
    PREDICTIONS,
    READER_ACTIONS,
    SEARCHES,
)
from pagesort.common.addresses import is_remote
from pagesort.common.errors import UsageError
from pagesort.models import catalogue

if TYPE_CHECKING:
    from pagesort.cli.settings import Settings


# Options of which only one can be given, and options that need one of some actions.
_EITHER: tuple[tuple[str, ...], ...] = (
    PREDICTIONS,
    ("best", "model_path"),
    ("best", "zero_shot"),
    ("eval_dir", "model_path"),
    ("train_list", "train_folder"),
    *(("export_onnx", other) for other in ("best", "zero_shot")),
    *(("compare_models", other) for other in ("model_path", "best", "zero_shot")),
    *(("group", other) for other in ("best", "update", "zero_shot", "groups")),
    ("items", "sizes"),
    ("undo", *PREDICTIONS),
    ("audit", "audit_result"),
    *((audit, other) for audit in ("audit", "audit_result") for other in ("review", "dir")),
    ("audit_result", "directory"),
    *(("best", other) for other in ("sort_to", "update", "max_error", "compare_with", "page_list")),
    *(("shard", other) for other in ("best", "sort_to", "max_error", "compare_with")),
    ("resume", "update"),
    ("merge", *PREDICTIONS),
    ("status", *PREDICTIONS),
    *(("read", other) for other in ("group", "shard", "merge", "update", "undo", "file")),
    ("train", "train_reader"),
    ("from_scratch", "reader_path"),
)
# What a model that was trained by the same command serves for.
_USE_NEW_MODEL = ("hf", "train_groups", *EVALUATIONS, *PREDICTIONS, *SEARCHES)
_NEEDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("best", PREDICTIONS),
    ("group", FOLDER_ACTIONS),
    ("sort_to", (*FOLDER_ACTIONS, "undo")),
    ("shard", FOLDER_ACTIONS),
    ("page_list", FOLDER_ACTIONS),
    ("zero_shot", ("eval", "eval_dir", *PREDICTIONS)),
    ("resume", (*FOLDER_ACTIONS, "train", "train_reader", "read")),
    ("data", READER_ACTIONS),
)


def check_together(settings: Settings) -> None:
    """Refuse options that contradict each other."""
    _check_revision(settings)
    _check_model(settings)
    _check_folders_of_pages(settings)
    for names in _EITHER:
        _refuse_together(settings, *names)
    if settings.is_named("zero_shot"):
        _refuse_together(settings, "train", "zero_shot")
        _refuse_together(settings, "hf", "zero_shot")
    for name, actions in _NEEDS:
        _need(settings, name, actions)
    _check_reader(settings)
    _check_grouping(settings)
    _check_search(settings)
    _check_sorting(settings)
    _check_review(settings)
    if settings.shard is not None and settings.page_list == Path("-"):
        raise UsageError(
            "--shard needs a list that all parts and --merge can read",
            remedy="Write the list to a file, and give that to --list",
        )
    _check_hub(settings)
    _check_remote(settings)
    _check_folds(settings)
    _check_engine(settings)
    if settings.is_named("cat_csv") and settings.is_named("cat_dir", "cat_prefix"):
        raise UsageError(
            "one table of descriptions (--cat_csv) and a folder of them (--cat_dir, --cat_prefix) "
            "contradict each other",
            remedy="Give one of them",
        )


def _check_reader(settings: Settings) -> None:
    """Refuse to teach or to measure without lines, and to read what nobody names."""
    if settings.read is not None and settings.read_source is None:
        _need(settings, "read", FOLDER_ACTIONS)
        if settings.data_format != "page":
            raise UsageError(
                "--data_format is for images that --read names, and pages are sorted",
                remedy="Name what is to be read: --read PATH",
            )
    elif settings.read is not None:
        for name in FOLDER_ACTIONS:
            _refuse_together(settings, "read", name)
    for name in READER_ACTIONS:
        if getattr(settings, name) and settings.data is None:
            raise UsageError(
                f"{settings.flag(name)} needs lines with their text",
                remedy="Add --data FOLDER or --data TABLE.csv",
            )


def _check_engine(settings: Settings) -> None:
    """Refuse on a cluster what only one process does."""
    if settings.engine != "ray":
        return
    names = ("best", "group", "embed", *SEARCHES) if settings.is_named("engine") else ()
    for name in ("compare_with", *names):
        if settings.is_named(name) and getattr(settings, name):
            raise UsageError(
                f"{settings.flag(name)} and --engine ray contradict each other",
                remedy="Add --engine local",
            )


def _check_remote(settings: Settings) -> None:
    """Refuse what needs pages on this machine for a place that is elsewhere."""
    if settings.directory is None or not is_remote(settings.directory):
        return
    for name in ("group", "review", "audit", "write_alto", "embed", *SEARCHES):
        if settings.is_named(name) and getattr(settings, name):
            raise UsageError(
                f"{settings.flag(name)} works on folders of this machine only",
                where=settings.directory,
                remedy="Copy the pages here first",
            )


def _check_grouping(settings: Settings) -> None:
    """Refuse what is said of groups where there are none."""
    _check_sorting_by_group(settings)
    if settings.compare is not None and not (settings.group or settings.groups):
        raise UsageError(
            "--compare needs groups to compare",
            remedy="Add --group with -d FOLDER, or --groups TABLE",
        )
    for name in ("order", "items", "sizes"):
        if settings.is_named(name) and not settings.group:
            raise UsageError(f"{settings.flag(name)} belongs to --group", remedy="Add --group")


def _check_sorting(settings: Settings) -> None:
    """Refuse what is said of a sorting into folders where there is none."""
    for name in ("link", "min_score", "dry_run", "undo"):
        if settings.is_named(name) and settings.sort_to is None:
            flag = settings.flag(name)
            raise UsageError(f"{flag} belongs to --sort_to", remedy="Add --sort_to FOLDER")


def _check_review(settings: Settings) -> None:
    """Refuse what a person said, or wants to see, where there is nothing to use it for."""
    if settings.reviewed_table is None:
        _need(settings, "review", FOLDER_ACTIONS)
    is_begun = settings.resume or settings.update  # a run that may have an error budget
    if settings.budget is not None and settings.max_error is None and not is_begun:
        raise UsageError("--budget belongs to --max_error", remedy="Add --max_error 1%")
    uses = settings.sort_to, settings.train, settings.eval
    if settings.corrections is not None and not any(uses):
        raise UsageError(
            f"{settings.flag('corrections')} needs something to do",
            remedy="Add --sort_to FOLDER, --train or --eval",
        )


def _check_folds(settings: Settings) -> None:
    """Refuse to use a model that folds do not leave, and a model on all pages without folds."""
    if settings.train_all and not settings.folds:
        raise UsageError("--train_all belongs to --folds", remedy="Add --folds 5")
    uses = [name for name in settings.actions if name in _USE_NEW_MODEL]
    if settings.folds and not settings.train_all and "train" in settings.actions and uses:
        raise UsageError(
            f"{settings.flag(uses[0])} needs a model, and --folds keeps none",
            remedy="Add --train_all, which trains one on all pages, or leave out one of the two",
        )


def _check_hub(settings: Settings) -> None:
    """Refuse what is said of publishing where nothing is published."""
    if settings.hf is not None and settings.hf[0] == "pull":
        _refuse_together(settings, "hf", "model_path")
    if settings.hf is None or settings.hf[0] != "push":
        _refuse_alone(settings, "public")
        _refuse_alone(settings, "yes")


def _check_search(settings: Settings) -> None:
    """Refuse two searches in one, and what belongs to sorting a folder."""
    searches = (*SEARCHES, "embed")
    _refuse_together(settings, *searches)
    sorting = (
        "file",
        "read",
        "group",
        "best",
        "zero_shot",
        "resume",
        "update",
        "sort_to",
        "review",
        "shard",
        "write_alto",
        "max_error",
        "compare_with",
    )
    for search in searches:
        for name in (*sorting, "page_list"):
            _refuse_together(settings, search, name)
    _need(settings, "embed", FOLDER_ACTIONS)


def _check_sorting_by_group(settings: Settings) -> None:
    """Refuse to sort groups by kind, and by group what has no groups."""
    if settings.by == "group":
        if settings.sort_to is None:
            raise UsageError("--by group belongs to --sort_to", remedy="Add --sort_to FOLDER")
        if not settings.group and len(settings.groups or ()) != 1:
            raise UsageError(
                "--by group needs groups to sort by", remedy="Add --group, or --groups TABLE"
            )
        for name in ("min_score", "resume"):
            _refuse_together(settings, "by", name)
    elif settings.group and settings.sort_to is not None:
        raise UsageError("--group sorts by group only", remedy="Add --by group")
    elif settings.groups and settings.compare is None and settings.review is None:
        raise UsageError(
            "--groups needs something to do", remedy="Add --compare, --review or --by group"
        )


def _check_model(settings: Settings) -> None:
    """Refuse a base model and a revision that do not belong together and are equally strong."""
    named = {name for name in ("model", "revision") if settings.is_named(name)}
    configured = settings.is_configured("model") and settings.is_configured("revision")
    if len(named) == 1 or not configured:
        return
    try:
        catalogue.resolve(settings.model, settings.revision)
    except UsageError as error:
        where = f"{settings.origins['model']}; {settings.origins['revision']}"
        raise UsageError(error.what, where=where, remedy=error.remedy) from error


def _check_revision(settings: Settings) -> None:
    """Refuse a revision that is neither a published one nor here; the hub may be asked for any."""
    from pagesort.models import installed

    if settings.hf is not None or settings.fetches_first:
        return
    try:
        catalogue.base_of_revision(settings.revision)
    except UsageError as error:
        if installed.find(settings.model_dir, settings.repo_name, settings.revision):
            return
        raise UsageError(
            f"{error.what}, of which {settings.model_dir} holds no model",
            where=str(settings.origins["revision"]),
            remedy=f"{error.remedy}; --hf -rev {settings.revision} fetches what "
            f"{settings.repo_name} has under that name",
        ) from error


def _check_folders_of_pages(settings: Settings) -> None:
    """Refuse to take the samples where a settings file leaves open which pages are meant."""
    needs = {"input_folder": ("dir",), "train_folder": ("train",), "eval_folder": EVALUATIONS}
    if settings.train_list is not None:
        del needs["train_folder"]
    for name, actions in needs.items():
        if settings.origins[name].is_empty and set(actions) & set(settings.actions):
            option = BY_NAME[name]
            instead = option.flags[0] if option.flags else "-d"
            raise UsageError(
                f"{option.place} is empty, so there are no pages to read",
                where=str(settings.origins[name]),
                remedy=f"Write the folder of the pages there, or give it with {instead}",
            )


def _refuse_together(settings: Settings, *names: str) -> None:
    """Refuse several of these options in one command line."""
    given = [name for name in names if settings.is_named(name) and getattr(settings, name)]
    if len(given) > 1:
        flags = " and ".join(settings.flag(name) for name in given)
        raise UsageError(f"{flags} contradict each other", remedy="Give one of them")


def _refuse_alone(settings: Settings, name: str) -> None:
    """Refuse a flag of `--hf push` where nothing is published."""
    if getattr(settings, name):
        flag = settings.flag(name)
        raise UsageError(f"{flag} is for --hf push", remedy=f"Leave out {flag}")


def _need(settings: Settings, name: str, actions: Sequence[str]) -> None:
    """Refuse a flag that says how to do something, without one that says what to do."""
    if settings.is_named(name) and getattr(settings, name):
        flags = [BY_NAME[action].flags[0] for action in actions]
        if not any(action in settings.actions for action in actions):
            raise UsageError(
                f"{settings.flag(name)} needs something to do",
                remedy=f"Add {', '.join(flags[:-1])} or {flags[-1]}",
            )
