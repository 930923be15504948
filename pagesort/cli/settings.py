"""The settings of one call: command line over `config.txt` over defaults, each with its origin."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pagesort.cli.console import as_typed
from pagesort.cli.contradictions import check_together
from pagesort.cli.ini import Entry, read_entries, sections_of
from pagesort.cli.options import ACTIONS, BY_NAME, OPTIONS, PREDICTIONS, Option
from pagesort.cli.options.review import NEW_TABLES
from pagesort.cli.parser import CONFIG_NAME, parse_arguments, short
from pagesort.cli.value_types import Value
from pagesort.common.addresses import is_remote
from pagesort.common.errors import PageSortError, UsageError, unusable


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
    """Every option's value, checked one by one; `origins` tells where each came from.

    `arguments` is the command line without the program's name.
    """

    file: Path | None
    topn: int
    directory: Path | None
    dir: bool
    input_folder: Path
    inner: bool
    file_format: tuple[str, ...]
    raw: bool
    resume: bool
    update: bool
    batch_size: int
    chunk_size: int
    sort_to: Path | None
    link: str
    min_score: float
    dry_run: bool
    undo: bool
    absolute_paths: bool
    csv_excel: bool
    table_formats: tuple[str, ...]
    compare_with: Path | None
    write_alto: Path | None
    check: Path | None
    review_below: float
    max_error: float | None
    budget: Path | None
    routes: Mapping[str, str]
    results_folder: Path
    review: tuple[str, ...] | None
    corrections: tuple[str, ...] | None
    group: bool
    order: Path | None
    group_method: Literal["sequence", "ward", "dbscan", "agglomerative"]
    items: int | None
    sizes: float | None
    compare: Path | None
    groups: tuple[str, ...] | None
    by: Literal["kind", "group"]
    train_groups: Path | None
    group_model: Path
    eps: float
    min_samples: int
    distance: float
    linkage: Literal["average", "complete", "single"]
    audit: tuple[str, ...] | None
    audit_result: Path | None
    suspects: bool
    suspects_of: Path | None
    find: str | None
    similar: Path | None
    nearest: int
    duplicates: bool
    duplicate_similarity: float
    embed: Path | None
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
    train_list: Path | None
    epochs: int
    lr: float
    max_categ: int
    safe: bool
    test_size: float
    split: Literal["document", "page"]
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
    train_reader: bool
    eval_reader: bool
    data: Path | None
    reader_path: Path
    language_model: bool
    from_scratch: bool
    synthetic: float
    synthetic_samples: int | None
    reader_epochs: int
    reader_lr: float
    reader_batch: int
    reader_accumulation: int
    reader_patience: int
    reader_ema: float
    reader_augment: bool
    reader_weight_decay: float
    reader_warmup: float
    reader_precision: Literal["auto", "no", "bf16", "fp16"]
    reader_test_size: float
    eval: bool
    eval_folder: Path
    max_categ_eval: int
    eval_dir: bool
    compare_models: tuple[str, ...] | None
    vis: bool
    visualize: bool
    testing: bool
    hf: tuple[str, ...] | None
    export_onnx: Path | None
    public: bool
    yes: bool
    repo_name: str
    token: str | None
    use_hf: bool
    latest: str
    shard: str | None
    page_list: Path | None
    log_file: Path | None
    merge: tuple[str, ...] | None
    status: bool
    origins: Mapping[str, Origin]
    arguments: tuple[str, ...]

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
    def reviewed_table(self) -> Path | None:
        """The table of `--review`; None for the tables that this call writes, or for no review."""
        if self.review is None or self.review == (NEW_TABLES,):
            return None
        return Path(self.review[0]).expanduser()

    @property
    def audited(self) -> tuple[int, Path | None]:
        """How many pages of which run's table `--audit` draws; None is the newest one."""
        assert self.audit is not None
        number, *table = self.audit
        return int(number), Path(table[0]).expanduser() if table else None

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
    settings = Settings(**known, origins=origins, arguments=tuple(arguments))
    check_together(settings)
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
    lines: dict[tuple[str, str], int] = {}
    for entry in read_entries(path):
        option = _option_of(entry, path)
        slot = (option.name, entry.key.casefold() if option.is_section else "")
        if slot in lines:
            raise UsageError(
                f"{_place(option, entry)} is set twice",
                where=f"{path}, lines {lines[slot]} and {entry.line}",
                remedy="Delete one of the lines",
            )
        lines[slot] = entry.line
        value = _convert_entry(option, entry, path)
        if option.is_section:
            value = _with_key(found.get(option.name, (option.default,))[0], entry.key, str(value))
        is_empty = value is None and option.default is not None
        origin = Origin(None, path, entry.line, _place(option, entry), is_empty)
        found[option.name] = value, origin
    return found


def _place(option: Option, entry: Entry) -> str:
    """Return where an entry stands, as messages write it."""
    return f"[{option.section}] {entry.key}" if option.is_section else option.place


def _with_key(content: Value, key: str, value: str) -> dict[str, str]:
    """Return the content of a section with one key set, whose case does not matter."""
    assert isinstance(content, Mapping), "the default of a section"
    others = {each: text for each, text in content.items() if each.casefold() != key.casefold()}
    return {**others, key: value}


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
    whole = {option.section: option for option in OPTIONS if option.is_section}
    if entry.section.upper() in whole:
        return whole[entry.section.upper()]
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
    where, place = f"{path}, line {entry.line}", _place(option, entry)
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
            raise UsageError(f"{place}: {error.what}", where=where, remedy=error.remedy) from error
        else:
            is_here = isinstance(value, Path) and not is_remote(value)
            return path.parent / value if is_here else value
    raise UsageError(f"{place} {shown}", where=where, remedy=f"Allowed: {option.kind.allowed}")


def _default(option: Option, folder: Path) -> Value:
    """Return the default of an option, a path relative to `folder`."""
    return folder / option.default if isinstance(option.default, Path) else option.default


def _is_secret(name: str) -> bool:
    return name in BY_NAME and BY_NAME[name].secret
