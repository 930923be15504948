"""The settings of one call: command line over `config.txt` over defaults, each with its origin."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pagesort.cli.console import as_typed
from pagesort.cli.contradictions import check_together
from pagesort.cli.entries import option_of, place_of, read_assignment, value_of, with_key
from pagesort.cli.ini import read_entries, sections_of
from pagesort.cli.options import ACTIONS, BY_NAME, OPTIONS, PREDICTIONS, SEARCHES, Option
from pagesort.cli.options.reading import SORTED_PAGES
from pagesort.cli.options.review import NEW_TABLES
from pagesort.cli.parser import CONFIG_NAME, parse_arguments, short
from pagesort.cli.value_types import Value
from pagesort.common.errors import UsageError, unusable


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
    assignments: tuple[str, ...]
    device: str
    precision: str
    max_megapixels: float
    debug: bool
    train: bool
    train_folder: Path
    train_list: Path | None
    folds: int
    train_all: bool
    epochs: int
    patience: int
    lora_rank: int
    report_to: tuple[str, ...]
    lr: float
    max_categ: int
    safe: bool
    test_size: float
    split: Literal["document", "page"]
    objective: Literal["labels", "contrastive"]
    towers: Literal["both", "image", "lora", "probe"]
    sampling: Literal["balanced", "natural"]
    class_weights: str
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
    read: tuple[str, ...] | None
    read_formats: tuple[str, ...]
    data_format: Literal["page", "line", "word", "form"]
    read_labels: tuple[str, ...]
    train_reader: bool
    eval_reader: bool
    data: Path | None
    reader_path: Path
    language_model: bool
    from_scratch: bool
    synthetic: float
    synthetic_samples: int | None
    architecture: Literal["ctc", "seq2seq"]
    resnet: str
    decoder_width: int
    decoder_layers: int
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
    engine: str
    engine_workers: int | None
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
    def is_search(self) -> bool:
        """Whether pages are searched, and a folder that is named says only where."""
        return any(getattr(self, name) for name in (*SEARCHES, "embed"))

    @property
    def is_of_groups(self) -> bool:
        """Whether the pages of a folder are grouped, sorted by group, or shown in their groups."""
        shows = self.groups is not None and self.review is not None
        return self.group or self.by == "group" or shows

    @property
    def reviewed_table(self) -> Path | None:
        """The table of `--review`; None for the tables that this call writes, or for no review."""
        if self.review is None or self.review == (NEW_TABLES,):
            return None
        return Path(self.review[0]).expanduser()

    @property
    def read_source(self) -> Path | None:
        """What `--read` reads; None for pages that this call sorts, or for no reading."""
        if self.read is None or self.read == (SORTED_PAGES,):
            return None
        return Path(self.read[0]).expanduser()

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
    sections = _assign(values, origins, working_folder)
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
    for name, (content, origin) in sections.items():
        for key, text in content.items():
            values[name] = with_key(values[name], key, text)
        origins[name] = origin
    known: dict[str, Any] = dict(values)
    settings = Settings(**known, origins=origins, arguments=tuple(arguments))
    check_together(settings)
    return settings


def _assign(
    values: dict[str, Value], origins: dict[str, Origin], working_folder: Path
) -> dict[str, tuple[dict[str, str], Origin]]:
    """Add to values and origins what `--set` sets.

    Returns:
        What it sets in sections that are one option, each with its origin.

    Raises:
        UsageError: a key or value is wrong, or a flag says something else.
    """
    sections: dict[str, tuple[dict[str, str], Origin]] = {}
    given = values.get("assignments")
    for text in given if isinstance(given, tuple) else ():
        option, entry, said = read_assignment(text)
        value = value_of(option, entry, f"command line {said}", working_folder)
        name, origin = option.name, Origin(flag=said)
        if option.is_section:
            sections.setdefault(name, ({}, origin))[0][entry.key] = str(value)
            continue
        if value is None and option.default is not None:
            value = _default(option, working_folder)
        if name in origins and values[name] != value:
            raise UsageError(
                f"{origins[name].flag} and {said} contradict each other", remedy="Give one of them"
            )
        values[name] = value
        origins.setdefault(name, origin)
    return sections


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
        where = f"{path}, line {entry.line}"
        option = option_of(entry, where)
        slot = (option.name, entry.key.casefold() if option.is_section else "")
        if slot in lines:
            raise UsageError(
                f"{place_of(option, entry)} is set twice",
                where=f"{path}, lines {lines[slot]} and {entry.line}",
                remedy="Delete one of the lines",
            )
        lines[slot] = entry.line
        value = value_of(option, entry, where, path.parent)
        if option.is_section:
            value = with_key(found.get(option.name, (option.default,))[0], entry.key, str(value))
        is_empty = value is None and option.default is not None
        origin = Origin(None, path, entry.line, place_of(option, entry), is_empty)
        found[option.name] = value, origin
    return found


def _default(option: Option, folder: Path) -> Value:
    """Return the default of an option, a path relative to `folder`."""
    return folder / option.default if isinstance(option.default, Path) else option.default


def _is_secret(name: str) -> bool:
    return name in BY_NAME and BY_NAME[name].secret
