"""The settings of one call: command line over `config.txt` over defaults, each with its origin."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pagesort.cli.console import as_typed
from pagesort.cli.ini import Entry, read_entries, sections_of
from pagesort.cli.options import ACTIONS, BY_NAME, EVALUATIONS, OPTIONS, PREDICTIONS, Option, Value
from pagesort.cli.parser import CONFIG_NAME, parse_arguments, short
from pagesort.common.errors import PageSortError, UsageError, unusable
from pagesort.models import catalogue


@dataclass(frozen=True)
class Origin:
    """Where a value was written: a flag as typed, or a line of the settings file; else nowhere."""

    flag: str | None = None
    file: Path | None = None
    line: int = 0
    place: str = ""
    is_empty: bool = False  # nothing stands there, so that the default counts

    def __str__(self) -> str:
        if self.flag is not None:
            return f"command line {self.flag}"
        return "default" if self.file is None else f"{self.file}, line {self.line}, {self.place}"


DEFAULT = Origin()


@dataclass(frozen=True)
class Settings:
    """Every option's value, checked one by one; `origins` tells where each came from."""

    file: Path | None
    topn: int
    directory: Path | None
    dir: bool
    input_folder: Path
    inner: bool
    file_format: tuple[str, ...]
    raw: bool
    resume: bool
    batch_size: int
    chunk_size: int
    sort_to: Path | None
    link: str
    min_score: float
    dry_run: bool
    undo: bool
    absolute_paths: bool
    csv_excel: bool
    results_folder: Path
    model: str
    revision: str
    model_path: Path | None
    model_dir: Path
    model_storage: Path | None
    cat_csv: Path
    cat_dir: Path
    cat_prefix: str
    avg: bool
    prompt: tuple[str, ...]
    zero_shot: bool
    best: bool
    config: Path | None
    device: str
    precision: str
    max_megapixels: float
    debug: bool
    train: bool
    train_folder: Path
    epochs: int
    lr: float
    max_categ: int
    safe: bool
    test_size: float
    split: str
    objective: Literal["labels", "contrastive"]
    towers: Literal["both", "image"]
    sampling: Literal["balanced", "natural"]
    augment: bool
    weight_decay: float
    layer_decay: float
    warmup_ratio: float
    ema: float
    wise_ft: float | None
    batch_norm: Literal["frozen", "trained"]
    mixed_precision: Literal["auto", "no", "bf16", "fp16"]
    accumulation: int
    gradient_checkpointing: bool
    workers: int | None
    log_step: int
    checkpoint_folder: Path
    training: bool
    seed: int
    eval: bool
    eval_folder: Path
    max_categ_eval: int
    eval_dir: bool
    vis: bool
    visualize: bool
    testing: bool
    hf: tuple[str, ...] | None
    public: bool
    yes: bool
    repo_name: str
    token: str | None
    use_hf: bool
    latest: str
    origins: Mapping[str, Origin]

    def is_named(self, *names: str) -> bool:
        """Whether the command line gives one of these options."""
        return any(self.origins[name].flag is not None for name in names)

    def flag(self, name: str) -> str:
        """Return the flag of an option as it was typed, else as the help writes it."""
        return self.origins[name].flag or BY_NAME[name].flags[0]

    def is_configured(self, name: str) -> bool:
        """Whether the command line or the settings file gives this option."""
        origin = self.origins[name]
        return origin != DEFAULT and not origin.is_empty

    @property
    def actions(self) -> tuple[str, ...]:
        """What is to be done, in order; the settings file decides if the command line does not."""
        asked = tuple(name for name in ACTIONS if getattr(self, name))
        if asked:
            return asked
        standing = {"train": self.training, "eval": self.testing, "vis": self.visualize}
        return tuple(name for name, wanted in standing.items() if wanted)

    @property
    def fetches_first(self) -> bool:
        """Whether the settings file asks to fetch the model that this call needs."""
        needed = any(getattr(self, name) for name in (*PREDICTIONS, "eval"))
        instead = self.hf or self.train or self.best or self.zero_shot or self.model_path
        return self.use_hf and needed and not instead

    def __repr__(self) -> str:
        shown = (
            f"{field.name}={'<hidden>' if _is_secret(field.name) else getattr(self, field.name)!r}"
            for field in fields(self)
        )
        return f"Settings({', '.join(shown)})"


def read_settings(arguments: Sequence[str], program_folder: Path, working_folder: Path) -> Settings:
    """Read the command line and the settings file it points to.

    Args:
        arguments: the command line without the program's name.
        program_folder: where run.py lies; its `config.txt` answers if `working_folder` has none.
        working_folder: what relative paths on the command line are relative to.

    Raises:
        UsageError: a flag, key or value is wrong; the message tells its place and what is allowed.
        SystemExit: `--help` was asked for and has been printed.
    """
    values: dict[str, Value] = {}
    origins: dict[str, Origin] = {}
    given = parse_arguments(arguments)
    for name, (flag, text) in given.items():
        option = BY_NAME[name]
        values[name] = _convert_argument(option, flag, text)
        origins[name] = Origin(flag=flag)
    config_file = _find_config(values.get("config"), program_folder, working_folder)
    if config_file is not None:
        is_named = "config" in values
        for name, (value, origin) in _read_our_config(config_file, is_named, program_folder):
            if name not in values:
                values[name], origins[name] = value, origin
    anchor = program_folder if config_file is None else config_file.parent
    for option in OPTIONS:
        origin = origins.setdefault(option.name, DEFAULT)
        if origin == DEFAULT or origin.is_empty:
            values[option.name] = _default(option, program_folder if option.shipped else anchor)
    known: dict[str, Any] = dict(values)
    settings = Settings(**known, origins=origins)
    _check_together(settings)
    return settings


def _convert_argument(option: Option, flag: str, text: str | bool | list[str]) -> Value:
    """Read the value given to a flag, or the values given to a repeated one."""
    if isinstance(text, bool):
        return text
    if isinstance(text, list):
        values = (_convert_argument(option, flag, each) for each in text)
        return tuple(value for value in values if isinstance(value, str))
    try:
        if not text.strip():
            raise ValueError(text)
        value = option.kind.read(text)
    except ValueError:
        raise UsageError(
            f"{flag} {short(text) or repr(text)} is not allowed",
            remedy=f"Allowed: {option.kind.allowed}",
        ) from None
    if isinstance(value, Path):
        _check_reachable(value, flag)
    return value


def _check_reachable(path: Path, flag: str) -> None:
    """Refuse a path that nobody can look up; one that is only missing may be made later.

    Raises:
        PageSortError: a folder above it is closed, or its name is no name here.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise unusable(error, path, flag) from error


def _find_config(named: Value, program_folder: Path, working_folder: Path) -> Path | None:
    """Return the settings file to read; None if there is none and none was named."""
    if isinstance(named, Path):
        return working_folder / named
    for folder in (working_folder, program_folder):
        if (folder / CONFIG_NAME).exists():
            return folder / CONFIG_NAME
    return None


def _read_our_config(
    path: Path, is_named: bool, program_folder: Path
) -> Iterable[tuple[str, tuple[Value, Origin]]]:
    """Read a settings file; one that was only found may be that of another program.

    Raises:
        UsageError: it is wrong, or seems to be no file of ours.
    """
    try:
        return _read_config(path).items()
    except UsageError as error:
        own = program_folder / CONFIG_NAME
        if is_named or path == own or not path.is_file() or _looks_ours(path):
            raise
        raise UsageError(
            f"this {CONFIG_NAME} seems to belong to another program ({error.what})",
            where=error.where,
            remedy=f"Name a settings file of this one, as in {as_typed(['--config', str(own)])}",
        ) from error


def _looks_ours(path: Path) -> bool:
    """Whether a file has a section that has the name of one of ours, or nearly so."""
    ours = {option.section for option in OPTIONS if option.section}
    try:
        return any(difflib.get_close_matches(name, ours) for name in sections_of(path))
    except OSError:
        return True  # what is wrong with it is known already


def _read_config(path: Path) -> dict[str, tuple[Value, Origin]]:
    """Read value and origin of every option in a settings file, by option name."""
    found: dict[str, tuple[Value, Origin]] = {}
    lines: dict[str, int] = {}
    for entry in read_entries(path):
        option = _option_of(entry, path)
        if option.name in lines:
            raise UsageError(
                f"{option.place} is set twice",
                where=f"{path}, lines {lines[option.name]} and {entry.line}",
                remedy="Delete one of the lines",
            )
        lines[option.name] = entry.line
        value = _convert_entry(option, entry, path)
        is_empty = value is None and option.default is not None
        origin = Origin(None, path, entry.line, option.place, is_empty)
        found[option.name] = value, origin
    return found


def _option_of(entry: Entry, path: Path) -> Option:
    """Return the option an entry sets; case does not matter, as in the published design."""
    where = f"{path}, line {entry.line}"
    sections = sorted({option.section for option in OPTIONS if option.section})
    if entry.section.upper() not in sections:
        near = difflib.get_close_matches(entry.section.upper(), sections, n=1)
        meant = f"Did you mean [{near[0]}]? " if near else ""
        allowed = ", ".join(f"[{section}]" for section in sections)
        remedy = f"{meant}The sections are {allowed}"
        raise UsageError(f"unknown section [{entry.section}]", where=where, remedy=remedy)
    keyed = {(o.section, o.key.lower()): o for o in OPTIONS if o.key}
    wanted = entry.key.lower()
    option = keyed.get((entry.section.upper(), wanted))
    if option is not None:
        return option
    elsewhere = [o.place for o in OPTIONS if o.key and o.key.lower() == wanted]
    names = {o.key.lower(): o.place for o in OPTIONS if o.key}
    near = elsewhere or [names[name] for name in difflib.get_close_matches(wanted, names, n=1)]
    keys = ", ".join(o.key for o in OPTIONS if o.key and o.section == entry.section.upper())
    meant = f"Did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"unknown key [{entry.section}] {entry.key}",
        where=where,
        remedy=f"{meant}Keys of this section: {keys}",
    )


def _convert_entry(option: Option, entry: Entry, path: Path) -> Value:
    """Read the value of an entry; an empty one means the default, where that makes sense."""
    where = f"{path}, line {entry.line}"
    if not entry.value:
        if option.default is None or isinstance(option.default, Path | str):
            return None
        shown = "is empty"
    else:
        try:
            value = option.kind.read(entry.value)
        except ValueError:
            # A token may have been written under the wrong key.
            hidden = option.secret or entry.value.startswith("hf_")
            shown = "is not allowed" if hidden else f"= {short(entry.value)} is not allowed"
        except PageSortError as error:
            raise UsageError(
                f"{option.place}: {error.what}", where=where, remedy=error.remedy
            ) from error
        else:
            return path.parent / value if isinstance(value, Path) else value
    raise UsageError(
        f"{option.place} {shown}", where=where, remedy=f"Allowed: {option.kind.allowed}"
    )


def _default(option: Option, folder: Path) -> Value:
    """Return the default of an option, a path relative to `folder`."""
    return folder / option.default if isinstance(option.default, Path) else option.default


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
    """Refuse an impossible revision; the hub's own answer tells which there are, so it may ask."""
    if settings.hf is not None:
        return
    try:
        catalogue.base_of_revision(settings.revision)
    except UsageError as error:
        where = str(settings.origins["revision"])
        raise UsageError(error.what, where=where, remedy=error.remedy) from error


def _check_together(settings: Settings) -> None:
    """Refuse options that contradict each other."""
    _check_revision(settings)
    _check_model(settings)
    _check_folders_of_pages(settings)
    _refuse_together(settings, *PREDICTIONS)
    _refuse_together(settings, "best", "model_path")
    _refuse_together(settings, "best", "zero_shot")
    _refuse_together(settings, "eval_dir", "model_path")
    if settings.is_named("zero_shot"):
        _refuse_together(settings, "train", "zero_shot")
        _refuse_together(settings, "hf", "zero_shot")
    _need(settings, "best", PREDICTIONS)
    _need(settings, "sort_to", ("directory", "dir", "undo"))
    for name in ("link", "min_score", "dry_run", "undo"):
        if settings.is_named(name) and settings.sort_to is None:
            flag = settings.flag(name)
            raise UsageError(f"{flag} belongs to --sort_to", remedy="Add --sort_to FOLDER")
    _refuse_together(settings, "undo", *PREDICTIONS)
    _refuse_together(settings, "best", "sort_to")
    if settings.hf is not None and settings.hf[0] == "pull":
        _refuse_together(settings, "hf", "model_path")
    if settings.hf is None or settings.hf[0] != "push":
        _refuse_alone(settings, "public")
        _refuse_alone(settings, "yes")
    _need(settings, "zero_shot", ("eval", "eval_dir", *PREDICTIONS))
    _need(settings, "resume", ("directory", "dir", "train"))
    if settings.is_named("cat_csv") and settings.is_named("cat_dir", "cat_prefix"):
        raise UsageError(
            "one table of descriptions (--cat_csv) and a folder of them (--cat_dir, --cat_prefix) "
            "contradict each other",
            remedy="Give one of them",
        )


def _check_folders_of_pages(settings: Settings) -> None:
    """Refuse to take the samples where a settings file leaves open which pages are meant."""
    needs = {"input_folder": ("dir",), "train_folder": ("train",), "eval_folder": EVALUATIONS}
    for name, actions in needs.items():
        if settings.origins[name].is_empty and set(actions) & set(settings.actions):
            option = BY_NAME[name]
            instead = option.flags[0] if option.flags else "-d"
            raise UsageError(
                f"{option.place} is empty, so that there are no pages to read",
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


def _is_secret(name: str) -> bool:
    return name in BY_NAME and BY_NAME[name].secret
