"""What a measurement is told with: the machine, versions, commit, tables, and the file of them."""

from __future__ import annotations

import datetime
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

TITLE = "# How fast it is"
INTRODUCTION = (
    "Written by `python3 benchmarks/speed.py`, which replaces the sections that it measures. "
    "Programs take turns in random order, each in a process of its own; rates are medians over "
    "the rounds with the least and the greatest, ratios are medians of the ratios within a round."
)
FEATURES = ("avx2", "avx512_f", "avx512_bf16", "amx_tile", "amx_bf16", "bf16")
LIBRARIES = ("torch", "transformers", "open_clip_torch", "pillow")


def facts() -> str:
    """One line: date, commit, processor, cores, what it computes, GPU, system, versions."""
    import torch

    from pagesort.common.hardware import processors

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # in newer versions only
    features = [name for name in FEATURES if capabilities.get(name)]
    facts = [
        f"{datetime.date.today():%Y-%m-%d}",
        f"commit {_commit()}",
        f"{_processor_name()}, {processors()} cores ({', '.join(features) or 'no vector unit'})",
        *([torch.cuda.get_device_name()] if torch.cuda.is_available() else []),
        f"{platform.system()}, Python {platform.python_version()}",
        ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
    ]
    return " · ".join(facts)


def _version(name: str) -> str:
    return version(name).partition("+")[0]


def _commit() -> str:
    """The commit, and whether files differ from it."""

    def ask(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    try:
        changed = ask("status", "--porcelain", "--untracked-files=no", ":!benchmarks/results")
        return f"{ask('rev-parse', '--short', 'HEAD')}{' with changes' if changed else ''}"
    except OSError:
        return "unknown"


def _processor_name() -> str:
    """What the processor is called, as far as the system tells."""
    if sys.platform == "win32":
        import winreg

        place = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    if sys.platform == "darwin":
        words = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    facts = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", facts.read_text() if facts.exists() else "")
    return found[1].strip() if found else platform.processor() or platform.machine()


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, least and greatest."""
    text = f"{statistics.median(values):.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f}-{max(values):.{digits}f})"
    return text


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns of one width, the first to the left."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]

    def drawn(line: Sequence[str]) -> str:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        return f"| {' | '.join(cells)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([drawn(lines[0]), f"| {' | '.join(rule)} |", *map(drawn, lines[1:])])


def write_sections(path: Path, sections: Mapping[str, str]) -> None:
    """Put sections, by title, into a file, in place of those of the same title."""
    present = _sections(path) | dict(sections)
    parts = [f"## {title}\n\n{body.strip()}" for title, body in sorted(present.items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join([TITLE, INTRODUCTION, *parts]) + "\n", encoding="utf-8")


def _sections(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    parts = path.read_text(encoding="utf-8").split("\n## ")[1:]
    return {title: body for title, _, body in (part.partition("\n") for part in parts)}
