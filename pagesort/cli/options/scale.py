"""Options of spreading one run over several processes and machines."""

from __future__ import annotations

from pagesort.cli.options.option import FOLDER_ACTIONS, SCALE, Option
from pagesort.cli.value_types import FILE, PATHS, SHARD, SWITCH, auto_or, choice, whole

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "shard", SHARD, None, "sort only this part of the folder's pages; other processes, on this "
        "machine or others, sort the other parts", flags=("--shard",), audience=SCALE,
        used_by=FOLDER_ACTIONS,
    ),
    Option(
        "page_list", FILE, None, "sort only the pages of the folder that this file names, a path a "
        "line, or a CSV table with a column path; - reads the standard input",
        flags=("--list",), audience=SCALE, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "engine", choice("local", "ray"), "local", "what scores the pages: this process, or those "
        "of a Ray cluster (RAY_ADDRESS, else one on this machine)",
        "SCALE", "engine", ("--engine",), SCALE, used_by=FOLDER_ACTIONS,
    ),
    Option(
        "engine_workers", auto_or(whole(1, 10_000)), None, "how many processes score with --engine "
        "ray (auto: one a graphics card, or a processor), or put parts together with --merge "
        "(auto: one a processor)",
        "SCALE", "workers", ("--engine_workers",), SCALE, used_by=(*FOLDER_ACTIONS, "merge"),
    ),
    Option(
        "merge", PATHS, None, "put the tables of all parts together, as one process had written "
        "them", flags=("--merge",), audience=SCALE, words=True,
    ),
    Option(
        "status", SWITCH, False, "say of running and finished runs how far they are",
        flags=("--status",), audience=SCALE,
    ),
    Option(
        "log_file", FILE, None, "append to this file what a program that watches the run wants to "
        "know, a line of JSON each: start, settings, pages, failures, warnings, end",
        "OUTPUT", "log", ("--log",), SCALE,
    ),
)
# fmt: on
