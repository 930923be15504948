"""The settings of one call: command line over `config.txt` over defaults, each with its origin."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from pagesort import catalogue
from pagesort.errors import PageSortError, UsageError
from pagesort.inifile import Entry, read_entries
from pagesort.options import AUDIENCES, BY_NAME, DIRECTORY, FILE, OPTIONS, PATH, Option, Value

CONFIG_NAME = "config.txt"
DEFAULT = "default"
# Flags of the published design whose commands are not built yet, and what they do.
LATER_FLAGS = {
    "--hf": "fetching and publishing models",
    **dict.fromkeys(("--train", "--epochs", "--lr", "--safe"), "training"),
    **dict.fromkeys(("--eval", "-mce", "--max_categ_eval", "--eval_dir", "--vis"), "evaluation"),
    "--zero_shot": "prediction with an untouched base model",
    "--best": "the vote of several models",
}

_USAGE = "run.py (-f PAGE | -d FOLDER | --dir) [options]"
_EPILOG = """\
A flag beats the settings file, which beats the defaults. The settings file is config.txt in the
working folder, else the one beside run.py.

exit status:
  0    all done
  1    it could not be done; one line says why
  2    the command line or the settings file is wrong
  3    done, but some pages could not be read; they are listed in a table
  130  stopped by Ctrl-C (143: by a request to end); the same command with --resume goes on
"""


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
    prompt: str | None
    config: Path | None
    device: str
    max_megapixels: float
    debug: bool
    checkpoint_folder: Path
    eval_folder: Path | None
    train_folder: Path
    test_size: float
    log_step: int
    epochs: int
    lr: float
    max_categ: int
    max_categ_eval: int
    training: bool
    testing: bool
    seed: int
    zero_shot: bool
    visualize: bool
    repo_name: str
    token: str | None
    use_hf: bool
    latest: str
    origins: Mapping[str, str]

    def is_named(self, *names: str) -> bool:
        """Whether the command line gives one of these options."""
        return any(self.origins[name].startswith("command line") for name in names)

    def is_configured(self, name: str) -> bool:
        """Whether the command line or the settings file gives this option."""
        return self.origins[name] != DEFAULT

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
    origins: dict[str, str] = {}
    given = _parse_arguments(arguments)
    for name, (flag, text) in given.items():
        option = BY_NAME[name]
        values[name] = text if isinstance(text, bool) else _convert_argument(option, flag, text)
        origins[name] = f"command line {flag}"
    config_file = _find_config(values.get("config"), program_folder, working_folder)
    if config_file is not None:
        for name, (value, origin) in _read_config(config_file).items():
            if name not in values:
                values[name], origins[name] = value, origin
    anchor = program_folder if config_file is None else config_file.parent
    for option in OPTIONS:
        if option.name not in values:
            values[option.name] = _default(option, program_folder if option.shipped else anchor)
            origins[option.name] = DEFAULT
    known: dict[str, Any] = dict(values)
    settings = Settings(**known, origins=origins)
    _check_together(settings)
    return settings


class _Parser(argparse.ArgumentParser):
    """An argparse parser that raises its complaints, so that they become one line like others."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, remedy="run.py --help lists all flags")


class _Once(argparse.Action):
    """Keep flag and value of an option; saying it twice with different values is an error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store `(flag, value)`; a switch's value follows from its flag."""
        flag = option_string or self.option_strings[0]
        value = not flag.startswith("--no-") if self.nargs == 0 else values
        before = getattr(namespace, self.dest, None)
        if before is not None and before[1] != value:
            said = " and ".join(
                name if isinstance(text, bool) else f"{name} {text}"
                for name, text in (before, (flag, value))
            )
            raise UsageError(f"{said} contradict each other", remedy="Give one of them")
        setattr(namespace, self.dest, (flag, value))


def build_parser() -> argparse.ArgumentParser:
    """Build the parser from the option table, its help grouped by who needs the option."""
    parser = _Parser(
        prog="run.py",
        usage=_USAGE,
        description="Sort scans of historical document pages by what is on them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
        argument_default=argparse.SUPPRESS,
    )
    for audience in AUDIENCES:
        group = parser.add_argument_group(audience)
        for option in OPTIONS:
            if option.flags and option.audience == audience:
                group.add_argument(
                    *flags_of(option),
                    dest=option.name,
                    action=_Once,
                    nargs=0 if option.is_switch else None,
                    metavar=None if option.is_switch else option.kind.metavar,
                    help=_help_text(option),
                )
        if audience == AUDIENCES[-1]:
            group.add_argument("-h", "--help", action="help", help="show this text")
    return parser


def flags_of(option: Option) -> tuple[str, ...]:
    """Return the flags of an option; a switch that `config.txt` can turn on can be turned off."""
    if option.is_switch and option.key:
        return option.flags + tuple(f"--no-{flag[2:]}" for flag in option.flags)
    return option.flags


def _help_text(option: Option) -> str:
    """Return the help of a flag with its key in `config.txt` and its default."""
    notes = [f"{CONFIG_NAME} {option.place}"] if option.key else []
    if not option.is_switch and option.default is not None:
        default = option.default
        shown = ",".join(default) if isinstance(default, tuple) else f"{default}"
        notes.append(f"default {shown}")
    return (option.help + (f" ({'; '.join(notes)})" if notes else "")).replace("%", "%%")


def _parse_arguments(arguments: Sequence[str]) -> dict[str, tuple[str, str | bool]]:
    """Return flag and written value of every option on the command line, by option name."""
    parser = build_parser()
    known = {flag for option in OPTIONS for flag in flags_of(option)} | {"-h", "--help"}
    takes_path = {flag for o in OPTIONS if o.kind in (PATH, FILE, DIRECTORY) for flag in o.flags}
    for before, argument in zip(("", *arguments), arguments, strict=False):
        _refuse_near_miss(argument, known, in_place_of_path=before in takes_path)
    namespace, extra = parser.parse_known_args(arguments)
    if extra:
        _refuse_extra(extra[0], arguments, known)
    return vars(namespace)


def _refuse_near_miss(argument: str, known: set[str], in_place_of_path: bool) -> None:
    """Refuse a shortened or one-dash spelling of a flag, which argparse would read as another one.

    `-dir` would be folder `ir`, and `-r` would be `-rev`; `-mViT-B/16` is `-m` with its value.
    """
    flag = argument.split("=", 1)[0]
    if not argument.startswith("-") or argument in ("-", "--") or flag in known:
        return
    # argparse would take the `c5` of `-mc5` for the value of `-m`.
    glued = re.fullmatch(r"(-[a-z]{2,})\d+", flag)
    name = glued[1] if glued else flag
    later = LATER_FLAGS.get(name) or LATER_FLAGS.get(f"-{name}")
    if later:
        raise UsageError(
            f"unknown flag {name}",
            remedy=f"It is for {later}, which comes with a later version; "
            "run.py --help lists all flags",
        )
    if glued and name in known:
        raise UsageError(f"unknown flag {flag}", remedy=f"Write {name} {flag[len(name) :]}")
    if not in_place_of_path:
        if argument[1].isdigit():
            return
        if not flag.startswith("--"):
            shortened = len(flag) == 2 or any(name.startswith(flag) for name in known)
            if not shortened and f"-{flag}" not in known and flag[:2] in known:
                return
    is_name = in_place_of_path or "." in argument
    page = f"; a file or folder of that name is written ./{argument}" if is_name else ""
    raise UsageError(f"unknown flag {flag}", remedy=_suggestion(flag, known) + page)


def _suggestion(flag: str, known: set[str]) -> str:
    """Return which flag was probably meant."""
    names = sorted(known)
    bare = flag.lstrip("-")
    near = [name for name in names if name.lstrip("-") == bare]
    near = near or [name for name in names if name.lstrip("-").startswith(bare)]
    near = near or difflib.get_close_matches(flag, names, n=2)
    meant = f"Did you mean {' or '.join(near[:3])}? " if near else ""
    return meant + "run.py --help lists all flags"


def _refuse_extra(extra: str, arguments: Sequence[str], known: set[str]) -> NoReturn:
    """Refuse an argument that no flag takes, with a guess at what was meant."""
    before = arguments[: arguments.index(extra)]
    last = next((argument for argument in reversed(before) if argument in known), "")
    if last == "--dir":
        remedy = f"--dir reads the folder set as [INPUT] FOLDER_INPUT; use -d {extra}"
    elif last in BY_NAME["file"].flags:
        remedy = "-f takes one page; use -d FOLDER for more, and quote a name that holds blanks"
    elif last in BY_NAME["file_format"].flags:
        remedy = "Separate extensions by commas, without blanks"
    elif not last:
        remedy = "Put -f before a page or -d before a folder"
    else:
        remedy = "Quote a value that holds blanks; run.py --help lists all flags"
    raise UsageError(f"nothing takes the argument '{_short(extra)}'", remedy=remedy)


def _convert_argument(option: Option, flag: str, text: str) -> Value:
    """Read the value given to a flag."""
    try:
        if not text.strip():
            raise ValueError(text)
        return option.kind.read(text)
    except ValueError:
        raise UsageError(
            f"{flag} {_short(text) or repr(text)} is not allowed",
            remedy=f"Allowed: {option.kind.allowed}",
        ) from None


def _find_config(named: Value, program_folder: Path, working_folder: Path) -> Path | None:
    """Return the settings file to read; None if there is none and none was named."""
    if isinstance(named, Path):
        return working_folder / named
    for folder in (working_folder, program_folder):
        if (folder / CONFIG_NAME).exists():
            return folder / CONFIG_NAME
    return None


def _read_config(path: Path) -> dict[str, tuple[Value, str]]:
    """Read value and origin of every option in a settings file, by option name."""
    found: dict[str, tuple[Value, str]] = {}
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
        if value is not None or option.default is None:
            found[option.name] = value, f"{path}, line {entry.line}, {option.place}"
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
            shown = "is not allowed" if option.secret else f"= {_short(entry.value)} is not allowed"
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


def _check_together(settings: Settings) -> None:
    """Refuse options that contradict each other."""
    _check_model(settings)
    actions = [name for name in ("file", "directory", "dir") if getattr(settings, name)]
    if len(actions) > 1:
        flags = " and ".join(settings.origins[name].split()[-1] for name in actions)
        raise UsageError(f"{flags} contradict each other", remedy="Give one of them")
    if settings.resume and settings.directory is None and not settings.dir:
        raise UsageError(
            "--resume goes on with a folder", remedy="Add --dir or -d FOLDER, as in the first run"
        )
    if settings.is_named("cat_csv") and settings.is_named("cat_dir", "cat_prefix"):
        raise UsageError(
            "one table of descriptions (--cat_csv) and a folder of them (--cat_dir, --cat_prefix) "
            "contradict each other",
            remedy="Give one of them",
        )


def _short(text: str) -> str:
    """Cut a written value to what fits into a message."""
    return text if len(text) <= 60 else text[:57] + "..."


def _is_secret(name: str) -> bool:
    return name in BY_NAME and BY_NAME[name].secret
