"""Options of every action."""

from __future__ import annotations

from pagesort.cli.options.option import EVALUATIONS, PREDICTIONS, SEARCHES, Option
from pagesort.cli.value_types import ASSIGNMENT, DEVICE, FILE, SWITCH, choice, real

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "config", FILE, None, "read this file instead of config.txt", flags=("--config",),
    ),
    Option(
        "assignments", ASSIGNMENT, (),
        "set any key of config.txt, as in --set train.ema=0.99; as often as you like",
        flags=("--set",), repeatable=True,
    ),
    Option(
        "device", DEVICE, "auto", "where the model runs: auto, cpu, cuda, cuda:1, mps",
        flags=("--device",),
    ),
    Option(
        "precision", choice("auto", "fp32", "bf16", "fp16", "int8"), "auto",
        "numbers that the model computes with when it looks at pages; auto: bf16 where the device "
        "has it, else int8 where it is installed and was found to answer alike, else fp32; int8: "
        "CPU only, with requirements-int8.txt",
        "SETUP", "precision", ("--precision",), used_by=(*PREDICTIONS, *EVALUATIONS, *SEARCHES),
    ),
    Option(
        "max_megapixels", real(0), 300.0, "refuse pages of more than so many million pixels",
        flags=("--max_megapixels",),
    ),
    Option(
        "debug", SWITCH, False, "show technical messages and the traceback of an error",
        flags=("--debug",),
    ),
)
# fmt: on
