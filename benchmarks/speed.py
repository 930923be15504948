"""How fast the program is beside others that do the same, in one table a model.

    python3 benchmarks/speed.py [--parts start folder training memory] [--models bundled ViT-B/16]

Parts: `start`: --help, and one page, against bare `transformers`; `folder`: pages a second of a
folder, against `transformers`' pipeline, `open_clip`, the published design, and what model and
decoding take alone; `training`: pages a second, against the published recipe; `memory`: peak of a
folder of --counts pages. Models but the bundled one have random weights. All that sort the same
pages must give the same answers, or the benchmark ends.

Prints the tables and writes them to --out, in place of those measured before. A folder of one's own
pages is named with --pages_folder; one that is missing is filled with drawn pages of 1,700 x 2,300
pixels, and kept, as are the random models in --models_folder, for the next run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import speed_folder  # noqa: E402
import speed_report  # noqa: E402
import speed_start  # noqa: E402
import speed_training  # noqa: E402
from speed_models import BUNDLED, SHAPES, get_model, get_pages  # noqa: E402
from speed_report import spread, table  # noqa: E402

PARTS = ("start", "folder", "training", "memory")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
START_MODELS = (BUNDLED, "ViT-B/16", "tiny")


def log_line(line: str) -> None:
    """Say how far the benchmark is."""
    print(line, file=sys.stderr, flush=True)


def start_section(arguments: argparse.Namespace, pages: Sequence[Path]) -> dict[str, str]:
    """Measure how long the command takes to begin; the section of the report."""
    models = {
        name: get_model(name, arguments.models_folder).folder if name != BUNDLED else None
        for name in arguments.models
        if name in START_MODELS
    }
    commands = speed_start.start_commands(pages[0], models)
    found = speed_start.in_turn(commands, arguments.rounds)
    rows = []
    for name, several in found.items():
        model = name.rpartition(", ")[2]
        bare = found.get(f"{speed_start.BARE}, {model}", [])
        shares = [one.seconds / other.seconds for one, other in zip(several, bare, strict=False)]
        is_ours = name.startswith(speed_start.ONE_PAGE)
        rows.append(
            (
                name,
                spread([each.seconds for each in several]),
                spread([each.processor for each in several]),
                f"{several[0].peak_mib:.0f}" if several[0].peak_mib else "",
                spread(shares) if is_ours and shares else "",
            )
        )
    header = ("started", "seconds", "processor seconds", "peak MiB", "times bare CLIPModel")
    return {"Start": table(header, rows)}


def memory_section(arguments: argparse.Namespace, pages: Sequence[Path]) -> dict[str, str]:
    """Measure the peak memory of folders of several sizes; the section of the report."""
    from contenders import link_pages

    rows = []
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        words = ["--config", str(speed_start.write_config(scratch))]
        for name in arguments.models:
            folder = (
                [] if name == BUNDLED else [str(get_model(name, arguments.models_folder).folder)]
            )
            chosen = [*words, *(["--model_path", *folder] if folder else [])]
            for count in arguments.counts:
                several = [pages[number % len(pages)] for number in range(count)]
                link_pages(several, scratch / "pages")
                endings = ",".join({path.suffix.lower().lstrip(".") for path in several})
                run = speed_start.command(*chosen, "-d", str(scratch / "pages"), "-ff", endings)
                found = speed_start.measure(run)
                shutil.rmtree(scratch / "pages")
                rate = count / found.seconds
                rows.append((name, f"{count}", f"{found.seconds:.1f}", f"{rate:.1f}",
                             f"{found.peak_mib:.0f}"))  # fmt: skip
                log_line(f"memory: {', '.join(rows[-1])}")
    header = ("model", "pages", "seconds", "pages/s, start included", "peak MiB")
    return {"Memory": table(header, rows)}


def main() -> None:
    """Measure, print, write."""
    arguments = parse()
    with tempfile.TemporaryDirectory() as place:
        arguments.models_folder = arguments.models_folder or Path(place) / "models"
        folder = arguments.pages_folder or Path(place) / "pages"
        wanted = arguments.pages or max(
            max(SHAPES[name].pages, SHAPES[name].views) for name in arguments.models
        )
        pages = get_pages(folder, wanted, os.cpu_count() or 1)
        measures = {
            "start": start_section,
            "folder": speed_folder.sections,
            "training": speed_training.sections,
            "memory": memory_section,
        }
        facts = speed_report.facts()
        for part in arguments.parts:
            sections = measures[part](arguments, pages)
            written = {title: f"{facts}\n\n{body}" for title, body in sections.items()}
            for title, body in written.items():
                print(f"## {title}\n\n{body}\n", flush=True)
            speed_report.write_sections(arguments.out, written)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS[:3]))
    parser.add_argument(
        "--models", nargs="+", choices=SHAPES, default=[name for name in SHAPES if name != "tiny"]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pages", type=int, help="in a round; by default as the model suggests")
    parser.add_argument("--pages_folder", type=Path)
    parser.add_argument("--models_folder", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="of our program, and of its limits"
    )
    parser.add_argument("--batch_size", type=int, default=16, help="of our program")
    parser.add_argument("--batches", type=int, nargs="+", help="tried with the others")
    parser.add_argument("--only", nargs="+", help="programs that are measured beside ours")
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 5000], help="for memory")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "speed.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
