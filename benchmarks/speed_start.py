"""The command as its users start it, each time in a process of its own."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PYTHON, HELP, ONE_PAGE, BARE = "python alone", "--help", "-f, one page", "bare CLIPModel"
BARE_PROGRAM = """
import sys, torch
from transformers import CLIPModel
model = CLIPModel.from_pretrained(sys.argv[1])
size = model.config.vision_config.image_size
with torch.inference_mode():
    model(input_ids=torch.tensor([[1, 2]]), pixel_values=torch.zeros(1, 3, size, size))
"""
"""The least that answers about a picture of nothing with a text of two tokens."""


@dataclass(frozen=True)
class Started:
    """Wall-clock and processor seconds and peak resident memory (MiB) of a process.

    The latter two are 0 where the system does not tell; nor are peaks below our own told.
    """

    seconds: float
    processor: float
    peak_mib: float


def measure(words: Sequence[str]) -> Started:
    """Run Python with these words; an exit status other than 0 and 3 ends the benchmark."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    processor = peak = 0.0
    if hasattr(os, "wait4"):
        import resource

        _, status, usage = os.wait4(process.pid, 0)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        processor = usage.ru_utime + usage.ru_stime
        # Bytes on a Mac, kibibytes elsewhere.
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        # A process begins with the peak of the one that started it, and tells no lower one.
        hidden = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak = usage.ru_maxrss / unit if usage.ru_maxrss > hidden else 0.0
    else:
        code = process.wait()
    if code not in (0, 3):
        sys.exit(f"{' '.join(words)} ended with {code}: {errors.decode(errors='replace')}")
    return Started(time.perf_counter() - started, processor, peak)


def command(*words: str) -> list[str]:
    """Words for Python that run the program."""
    return [str(ROOT / "run.py"), *words]


def start_commands(page: Path, models: Mapping[str, Path | None]) -> dict[str, list[str]]:
    """What is started: name -> words for Python. A model without a folder is the bundled one."""
    found = {PYTHON: ["-c", "pass"], HELP: command("--help")}
    for name, folder in models.items():
        words = ["--model_path", str(folder)] if folder else []
        found[f"{ONE_PAGE}, {name}"] = command("-f", str(page), *words)
        if folder:
            found[f"{BARE}, {name}"] = ["-c", BARE_PROGRAM, str(folder)]
    return found


def in_turn(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[Started]]:
    """Start every command in `rounds` rounds, each in another random order, once beforehand."""
    order = random.Random(0)
    found: dict[str, list[Started]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name in order.sample(list(commands), len(commands)):
            started = measure(commands[name])
            if number:  # what comes first fills the disk's cache
                found[name].append(started)
    return found


def write_config(scratch: Path) -> Path:
    """Write a settings file with which results go to a folder of ours."""
    config = scratch / "config.txt"
    config.write_text(f"[OUTPUT]\nFOLDER_RESULTS = {scratch / 'result'}\n", encoding="utf-8")
    return config
