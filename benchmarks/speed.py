"""Time and memory of the command as its users run it, each in a process of its own.

    python3 benchmarks/speed.py FOLDER [--pages 100 5000] [--vit-b16]

Prints one line a measurement: `--help`, `-f`, and `-d` over FOLDER with the bundled model and, with
--vit-b16, with random weights of ViT-B/16. `--pages N` repeats the pages of FOLDER to N files and
tells the peak memory at each N.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


@dataclass(frozen=True)
class Measurement:
    """Wall-clock seconds and peak resident memory (MiB; 0 where the system does not tell)."""

    seconds: float
    peak_mib: float


def measure(words: list[str]) -> Measurement:
    """Run `run.py` with these words; an exit status other than 0 and 3 ends the benchmark."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    errors = process.stderr.read()
    if hasattr(os, "wait4"):
        _, status, usage = os.wait4(process.pid, 0)
        code, peak = os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024
    else:
        code, peak = process.wait(), 0.0
    if code not in (0, 3):
        sys.exit(f"run.py {' '.join(words)} ended with {code}: {errors.decode(errors='replace')}")
    return Measurement(time.perf_counter() - started, peak)


def repeated(pages: list[Path], count: int, folder: Path) -> Path:
    """Fill `folder` with `count` files, links to `pages` where the file system has them."""
    folder.mkdir()
    for number in range(count):
        source = pages[number % len(pages)]
        target = folder / f"page-{number + 1}{source.suffix.lower()}"
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
    return folder


def random_vit_b16(folder: Path) -> Path:
    """Write a CLIP of ViT-B/16's shape with random weights and the default labels."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    from pagesort.checkpoints import ModelMetadata, save_folder
    from pagesort.descriptions import read_descriptions
    from pagesort.foreign import clip_preprocessor
    from pagesort.tokenizer import clip_tokenizer

    torch.manual_seed(0)
    config = CLIPConfig(vision_config={"patch_size": 16})
    descriptions = read_descriptions(ROOT / "category_description_total.tsv")
    metadata = ModelMetadata(labels=tuple(descriptions), descriptions=descriptions, base="ViT-B/16")
    save_folder(
        folder, CLIPModel(config), clip_tokenizer(49408, 77), clip_preprocessor(224), metadata
    )
    return folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="pages to sort, subfolders included")
    parser.add_argument("--pages", type=int, nargs="*", default=[], help="also at these counts")
    parser.add_argument("--vit-b16", action="store_true", help="also with random ViT-B/16 weights")
    parser.add_argument("--formats", default="png,jpg", help="file name extensions of pages")
    arguments = parser.parse_args()
    endings = tuple(f".{ending}" for ending in arguments.formats.split(","))
    pages = sorted(p for p in arguments.folder.rglob("*") if p.suffix.lower() in endings)
    if not pages:
        sys.exit(f"no pages ({arguments.formats}) under {arguments.folder}")

    report("--help", measure(["--help"]))
    report("-f, one page, cold", measure(["-f", str(pages[0])]))
    with tempfile.TemporaryDirectory() as scratch:
        models = {"bundled": []}
        if arguments.vit_b16:
            models["ViT-B/16"] = ["--model_path", str(random_vit_b16(Path(scratch) / "vit-b16"))]
        for name, words in models.items():
            start = measure([*words, "-f", str(pages[0])]).seconds
            for count in [len(pages), *arguments.pages]:
                folder = repeated(pages, count, Path(scratch) / f"{name.replace('/', '')}-{count}")
                config = _results_in(Path(scratch), f"{name.replace('/', '')}-{count}-result")
                found = measure(
                    [*words, "--config", config, "-d", str(folder), "-ff", arguments.formats]
                )
                report(
                    f"-d, {count} pages, {name}", found, count / max(found.seconds - start, 1e-3)
                )
                shutil.rmtree(folder)


def _results_in(scratch: Path, name: str) -> str:
    config = scratch / f"{name}.txt"
    config.write_text(f"[OUTPUT]\nFOLDER_RESULTS = {scratch / name}\n", encoding="utf-8")
    return str(config)


def report(what: str, found: Measurement, pages_per_second: float | None = None) -> None:
    """Print one line; the rate leaves out what one page takes, start-up included."""
    rate = "" if pages_per_second is None else f"  {pages_per_second:7.1f} pages/s after start"
    print(f"{what:32s} {found.seconds:8.2f} s  {found.peak_mib:7.0f} MiB peak{rate}", flush=True)


if __name__ == "__main__":
    main()
