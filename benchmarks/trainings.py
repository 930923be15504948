"""What learns, compared: probe, LoRA, image tower and both towers, by accuracy and seconds.

    python3 benchmarks/trainings.py PAGES [--folds 4] [--size 256 192] [--rows ROW ...]

PAGES holds one subfolder a label. Every row is one call of `run.py --train --folds`, so that every
page is scored by a training that has not seen its document, or, for `start`, of `run.py --eval`.
Two models are started from, neither of which has seen a page: `imagenet`, the network that the
bundled model started from, under Google's ImageNet weights, with the bundled text tower; and `vit`,
a tiny vision transformer with random weights, for the adapters, which want one. The intervals are
those of the reports, of draws of whole documents. Seconds, of processor and of the wall clock, are
of the whole command, that of scoring included; the trainings of a row share the shrunk pages, which
are made before the first. All pages are halved first until no side is longer than 1400 pixels, as
reading the scans for each row would take longer than most trainings.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]
SEED = 420
LONGEST = 1400
ROWS = {
    "imagenet start": (),
    "imagenet probe": ("--towers", "probe"),
    "imagenet image": ("--towers", "image", "--lr", "1e-3"),
    "imagenet both": ("--towers", "both", "--lr", "1e-3"),
    "vit start": (),
    "vit probe": ("--towers", "probe"),
    "vit lora": ("--towers", "lora", "--lr", "1e-2"),
    "vit image": ("--towers", "image", "--lr", "1e-3"),
    "vit both": ("--towers", "both", "--lr", "1e-3"),
}


@dataclass(frozen=True)
class Row:
    """What one way of training came to; shares, and seconds of the whole command."""

    name: str
    accuracy: float
    low: float
    high: float
    deviation: float | None
    processor: float
    seconds: float


def write_imagenet(folder: Path, size: tuple[int, int]) -> Path:
    """Write the network that the bundled model started from, with the bundled text tower."""
    import torch

    from bundled_models.page_classifier.start_weights import load_start
    from pagesort.common.paths import SMALL_MODEL
    from pagesort.models.transformers_loader import load_towers

    model, tokenizer = load_towers(SMALL_MODEL)
    load_start(model.vision_model.timm_model)
    torch.manual_seed(SEED)
    torch.nn.init.normal_(model.visual_projection.weight, std=0.03)
    return _written(folder / "imagenet", model, tokenizer, size)


def write_vit(folder: Path) -> Path:
    """Write a CLIP of four small layers a tower, with random weights, for pages of 96 x 96."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    from pagesort.models.tokenizer import clip_tokenizer

    tower = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 4}
    tower |= {"num_attention_heads": 4, "projection_dim": 64}
    text = {"vocab_size": 1000, "bos_token_id": 998, "eos_token_id": 999, "pad_token_id": 999}
    vision = {"image_size": 96, "patch_size": 16}
    torch.manual_seed(SEED)
    config = CLIPConfig(text_config=tower | text, vision_config=tower | vision, projection_dim=64)
    model = CLIPModel(config)
    with torch.no_grad():  # random towers see all pages alike; larger weights make them differ
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(3.0)
    return _written(folder / "vit", model, clip_tokenizer(1000, 77), (96, 96))


def _written(folder: Path, model: Any, tokenizer: Any, size: tuple[int, int]) -> Path:
    from pagesort.common.paths import SMALL_MODEL
    from pagesort.models.formats import read_metadata, save_folder
    from pagesort.pages.preprocessing import Preprocessing
    from pagesort.training.export import whole_page_settings

    pages = dataclasses.replace(Preprocessing.from_folder(SMALL_MODEL), resize=size)
    metadata = dataclasses.replace(
        read_metadata(SMALL_MODEL), base=folder.name, temperature=1.0, training={}, precisions={}
    )
    save_folder(folder, model.eval(), tokenizer, whole_page_settings(pages), metadata)
    return folder


def write_pages(pages: Path, folder: Path) -> Path:
    """Write all pages with fewer pixels, in the same subfolders."""
    from PIL import Image

    for path in sorted(pages.glob("*/*.png")):
        with Image.open(path) as scan:
            page = scan.convert("RGB")
        while max(page.size) > LONGEST:
            page = page.reduce(2)
        target = folder / path.relative_to(pages)
        target.parent.mkdir(parents=True, exist_ok=True)
        page.save(target, compress_level=1)
    return folder


def measure(name: str, model: Path, arguments: argparse.Namespace, work: Path) -> Row:
    """Run one row, and read its report."""
    folder = work / name.replace(" ", "-")
    folder.mkdir()
    words = ["--model_path", str(model), "--device", "cpu", "--precision", "fp32"]
    words += ["--batch_size", "4", "--set", "output.folder_results=result"]
    words += ["--set", "output.folder_cpoints=state", "--set", "output.folder_models=models"]
    if name.endswith("start"):
        words += ["--eval", "--eval_folder", str(arguments.pages)]
    else:
        words += ["--train", "--train_folder", str(arguments.pages), *ROWS[name]]
        words += ["--folds", str(arguments.folds), "--epochs", str(arguments.epochs)]
        words += ["--set", f"train.wise_ft={arguments.wise_ft}"]
    begun, used = time.perf_counter(), _processor()
    subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *words], cwd=folder, check=True, stdout=sys.stderr
    )
    seconds, used = time.perf_counter() - begun, _processor() - used
    (path,) = (folder / "result" / "stats").glob("EVAL_*.json")
    report = json.loads(path.read_text(encoding="utf-8"))
    top = next(each for each in report["figures"]["top"] if each["k"] == 1)
    spread = report.get("folds", {}).get("accuracy", {}).get("deviation")
    return Row(name, top["value"], top["low"], top["high"], spread, used, seconds)


def _processor() -> float:
    """Processor seconds of all commands until now."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def line(row: Row) -> str:
    """A row of the table, in Markdown."""
    spread = "–" if row.deviation is None else f"{100 * row.deviation:.1f}"
    low, high = 100 * row.low, 100 * row.high
    return (
        f"| {row.name} | {100 * row.accuracy:.1f} % | {low:.1f} to {high:.1f} % | {spread} "
        f"| {row.processor:.0f} | {row.seconds:.0f} |"
    )


def main() -> None:
    """Measure all rows, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", type=Path)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--wise_ft", default="1", help="share of the trained weights, or auto")
    parser.add_argument("--size", type=int, nargs=2, default=(768, 544), help="height and width")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        arguments.pages = write_pages(arguments.pages.resolve(), Path(work) / "pages")
        models = {
            "imagenet": write_imagenet(Path(work), tuple(arguments.size)),
            "vit": write_vit(Path(work)),
        }
        print("| start, what learns | accuracy | 95 % interval | deviation of folds "
              "| seconds of processor | seconds |")  # fmt: skip
        print("|---|---|---|---|---|---|")
        for name in arguments.rows:
            row = measure(name, models[name.split()[0]], arguments, Path(work))
            print(line(row), flush=True)


if __name__ == "__main__":
    main()
