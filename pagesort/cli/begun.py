"""The settings of a run that is gone on with: what the command line leaves out, it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pagesort.cli.settings import Origin, Settings

# Which model sees the pages; where one of these is named anew, none of the others is taken over.
MODEL = ("model", "revision", "model_path", "model_dir", "model_storage", "zero_shot")
TEXTS = ("cat_csv", "cat_dir", "cat_prefix", "avg", "prompt")
# What decides the pages and their scores.
PAGES = ("file_format", "inner", "batch_size", "chunk_size")
SCORES = (*PAGES, "device", "precision", "compare_with", *MODEL, *TEXTS)
# What decides only how tables and folders are written, so that it may change while a run rests.
TABLES = (
    "topn",
    "raw",
    "max_categ",
    "max_megapixels",
    "absolute_paths",
    "csv_excel",
    "table_formats",
    "review_below",
    "max_error",
    "budget",
)
SORTING = ("sort_to", "link", "min_score", "write_alto")
KEPT = (*SCORES, *TABLES, *SORTING)


def kept_options(settings: Settings) -> dict[str, list[Any]]:
    """Return the options that a run keeps with its scores, as JSON: name -> value and its flag."""
    return {name: [_to_json(getattr(settings, name)), settings.origins[name].flag] for name in KEPT}


def as_begun(settings: Settings, folder: Path) -> Settings:
    """Take from the run over a folder that is gone on with what the command line leaves out.

    Of several such runs the newest one counts whose pages and scores were decided by what the
    command line names. Where none is found, whoever goes on with it says so. A finished run to
    which pages are added has long been sorted into folders, and perhaps taken back: that is done
    again only where it is asked for.
    """
    runs = _runs(settings, folder)
    run = next((each for each in runs if _agrees(settings, each)), runs[0] if runs else {})
    left = SORTING if settings.update else ()
    taken = {
        name: entry
        for name, entry in run.items()
        if name not in left and not settings.is_named(name)
    }
    if any(settings.is_named(name) and not _is_same(settings, name, run) for name in MODEL):
        taken = {name: entry for name, entry in taken.items() if name not in MODEL}
    return _with(settings, taken)


def as_parts(settings: Settings, options: Mapping[str, Any]) -> Settings:
    """Take from one of several runs that become one how tables are written, where that is not said.

    Args:
        options: what that run keeps.
    """
    known = _known(options)
    return _with(
        settings,
        {name: known[name] for name in TABLES if name in known and not settings.is_named(name)},
    )


def _with(settings: Settings, taken: Mapping[str, Any]) -> Settings:
    """Put kept options into settings."""
    values = {name: _from_json(value) for name, (value, _) in taken.items()}
    origins = {name: Origin(flag=flag) for name, (_, flag) in taken.items()}
    return replace(settings, **values, origins={**settings.origins, **origins})


def _runs(settings: Settings, folder: Path) -> list[dict[str, Any]]:
    """The kept options of the runs over a folder that can be gone on with, newest first."""
    tables = settings.results_folder / "tables"
    if settings.best:
        from pagesort.voting.state import interrupted_votes

        return [_known(each.get("options", {})) for each in interrupted_votes(tables, folder)]
    from pagesort.prediction.journal_files import earlier_runs

    found = []
    for run in earlier_runs(tables, folder, finished=settings.update):
        if run["settings"].get("shard") != settings.shard:  # its part of the pages is meant, or all
            continue
        options = _known(run.get("options", {}))
        # What `auto` was then, it may not be on this machine or by now.
        if "precision" in run["settings"]:
            flag = options.get("precision", [None, None])[1]
            options["precision"] = [run["settings"]["precision"], flag]
        found.append(options)
    return found


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a run's options that this version of the program keeps."""
    return {name: entry for name, entry in options.items() if name in KEPT and len(entry) == 2}


def _agrees(settings: Settings, run: Mapping[str, Any]) -> bool:
    return all(_is_same(settings, name, run) for name in SCORES if settings.is_named(name))


def _is_same(settings: Settings, name: str, run: Mapping[str, Any]) -> bool:
    """Whether an option was then what it is now; one that the run does not tell may have been."""
    return name not in run or run[name][0] == _to_json(getattr(settings, name))


def _to_json(value: Any) -> Any:
    if isinstance(value, Path):
        return {"path": str(value.absolute())}
    return list(value) if isinstance(value, tuple) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return Path(value["path"])
    return tuple(value) if isinstance(value, list) else value
