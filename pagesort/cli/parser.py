"""The command line: its parser, and what is said of flags that do not exist."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from pagesort import __version__
from pagesort.cli.options import AUDIENCES, BY_NAME, OPTIONS, Option
from pagesort.cli.value_types import DIRECTORY, FILE, PATH
from pagesort.common.errors import UsageError

CONFIG_NAME = "config.txt"
OTHER_FLAGS = {"-h", "--help", "--version"}  # which print something and set nothing

_USAGE = (
    "run.py (-f PAGE | -d FOLDER | --dir | --train | --eval | --eval_dir | --vis | --hf) [options]"
)
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
        if BY_NAME[self.dest].words:
            value = "\n".join(values) or BY_NAME[self.dest].no_words
        if BY_NAME[self.dest].repeatable:
            setattr(namespace, self.dest, (flag, [*(before[1] if before else []), value]))
            return
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
                    nargs=0 if option.is_switch else "*" if option.words else None,
                    metavar=None if option.is_switch else option.kind.metavar,
                    help=_help_text(option),
                )
        if audience == AUDIENCES[-1]:
            group.add_argument("-h", "--help", action="help", help="show this text")
            release = f"pagesort {__version__}"
            group.add_argument(
                "--version", action="version", version=release, help="show the release"
            )
    return parser


def flags_of(option: Option) -> tuple[str, ...]:
    """Return the flags of an option; a switch that `config.txt` can turn on can be turned off."""
    if option.is_switch and option.key:
        return option.flags + tuple(f"--no-{flag[2:]}" for flag in option.flags)
    return option.flags


def _help_text(option: Option) -> str:
    """Return the help of a flag with its key in `config.txt` and its default."""
    notes = [f"{CONFIG_NAME} {option.place}"] if option.key else []
    if not option.is_switch and option.default not in (None, ()):
        default = option.default
        shown = ",".join(default) if isinstance(default, tuple) else f"{default}"
        notes.append(f"default {shown}")
    return (option.help + (f" ({'; '.join(notes)})" if notes else "")).replace("%", "%%")


def parse_arguments(arguments: Sequence[str]) -> dict[str, tuple[str, str | bool | list[str]]]:
    """Return flag and written value of every option on the command line, by option name."""
    parser = build_parser()
    known = {flag for option in OPTIONS for flag in flags_of(option)} | OTHER_FLAGS
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
    """Return which flag was probably meant; dashes make no two names alike."""
    by_name = {name.lstrip("-"): name for name in sorted(known, reverse=True)}
    bare = flag.lstrip("-")
    near = [by_name[bare]] if bare in by_name else []
    near = near or [by_name[name] for name in sorted(by_name) if bare and name.startswith(bare)]
    near = near or [by_name[name] for name in difflib.get_close_matches(bare, by_name, n=2)]
    meant = f"Did you mean {' or '.join(near[:3])}? " if near else ""
    return meant + "run.py --help lists all flags"


def _refuse_extra(extra: str, arguments: Sequence[str], known: set[str]) -> NoReturn:
    """Refuse an argument that no flag takes, with a guess at what was meant."""
    before = arguments[: arguments.index(extra)]
    last = next((argument for argument in reversed(before) if argument in known), "")
    if last == "--dir":
        remedy = f"--dir reads the folder set as [INPUT] FOLDER_INPUT; use -d {extra}"
    elif last in BY_NAME["file"].flags:
        remedy = (
            "-f takes one page; use -d FOLDER for more, and put a name that has spaces in quotes"
        )
    elif last in BY_NAME["file_format"].flags:
        remedy = "Separate extensions by commas, without spaces"
    elif not last:
        remedy = "Put -f before a page or -d before a folder"
    else:
        remedy = "Put a value that has spaces in quotes; run.py --help lists all flags"
    raise UsageError(f"nothing takes the argument '{short(extra)}'", remedy=remedy)


def short(text: str) -> str:
    """Cut a written value to what fits into a message."""
    return text if len(text) <= 60 else text[:57] + "..."
