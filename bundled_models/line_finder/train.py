"""Train the line finder: `python3 -m bundled_models.line_finder PAGES`.

The trunk keeps its weights; what it sees of a page is computed once. The pyramid above it and the
last layer learn on parts of pages.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch.nn import functional

from bundled_models.line_finder.known_pages import KnownPage, Wanted, read_pages, seen_and_wanted
from bundled_models.line_finder.start_weights import start_network
from pagesort.common.errors import PageSortError
from pagesort.common.paths import MODELS
from pagesort.reading.finder import LONGER_SIDE, WEIGHTS
from pagesort.reading.finder_network import (
    ABOVE,
    BASELINE,
    BELOW,
    ENDS,
    MULTIPLE,
    STRIDE,
    LineNetwork,
)

logger = logging.getLogger(__name__)

OUT = MODELS / "pagesort-reader"
SIZES = (0.8, 1.0)  # of the longer side at which the finder looks at pages
PART = 16 * MULTIPLE  # pixels of the page, each way
BATCH = 4
STEPS = 160
RATE = 1e-3
DECAY = 0.01
POSITIVE = (3.0, 4.0)  # weight of what is there against what is not: baselines, ends
HEIGHTS = 0.3  # weight of the heights
AVERAGED = 0.99  # share of the averaged weights that a step keeps
REPORT = 50  # steps


@dataclass(frozen=True)
class SeenPage:
    """What the trunk sees of a page at one size, in 16 bits, and what is to be found there."""

    dataset: str
    levels: tuple[torch.Tensor, ...]
    wanted: Wanted


def loss_of(maps: torch.Tensor, parts: Sequence[Wanted]) -> torch.Tensor:
    """How far the network's maps are from those wanted."""
    stacked = {
        name: torch.stack([torch.from_numpy(getattr(part, name)) for part in parts])
        for name in ("baselines", "ends", "heights", "weights")
    }
    weights, baselines = stacked["weights"], stacked["baselines"]
    total = maps.new_zeros(())
    for place, name, positive in zip(
        (BASELINE, ENDS), ("baselines", "ends"), POSITIVE, strict=True
    ):
        wanted = stacked[name]
        each = functional.binary_cross_entropy_with_logits(
            maps[:, place], wanted, weights, pos_weight=maps.new_tensor(positive)
        )
        likely = maps[:, place].sigmoid() * weights
        overlap = (likely * wanted).sum() / (likely.sum() + (wanted * weights).sum() + 1.0)
        total = total + each + 0.3 * (1.0 - 2.0 * overlap)
    apart = (maps[:, (ABOVE, BELOW)] - stacked["heights"]).abs().mean(1) * baselines
    return total + HEIGHTS * apart.sum() / (baselines.sum() + 1.0)


def seen_pages(network: LineNetwork, pages: Sequence[KnownPage]) -> list[SeenPage]:
    """Look at all pages once, at all sizes."""
    seen = []
    for page in pages:
        for size in SIZES:
            greys, wanted = seen_and_wanted(page, round(size * LONGER_SIDE))
            with torch.inference_mode():
                levels = network.trunk(torch.from_numpy(greys)[None, None])
            seen.append(SeenPage(page.dataset, tuple(each[0].half() for each in levels), wanted))
    return seen


def random_part(page: SeenPage, random: Random) -> tuple[tuple[torch.Tensor, ...], Wanted]:
    """Take a part of a page, or all of it where it is smaller, filled up with nothing."""
    places = []
    for length in page.levels[-1].shape[1:]:
        places.append(random.randrange(max(1, length - PART // MULTIPLE + 1)))
    levels = tuple(
        _window(
            each, [place * MULTIPLE // (4 << number) for place in places], PART // (4 << number)
        )
        for number, each in enumerate(page.levels)
    )
    top, left = (place * MULTIPLE // STRIDE for place in places)
    maps = {
        name: _window(
            torch.tensor(getattr(page.wanted, name)), (top, left), PART // STRIDE
        ).numpy()
        for name in ("baselines", "ends", "heights", "weights")
    }
    return levels, Wanted(**maps)


def _window(values: torch.Tensor, place: Sequence[int], size: int) -> torch.Tensor:
    """A square of maps (..., h, w), with zeros where they end."""
    top, left = place
    part = values[..., top : top + size, left : left + size].float()
    return functional.pad(part, (0, size - part.shape[-1], 0, size - part.shape[-2]))


def train(network: LineNetwork, pages: Sequence[SeenPage], steps: int, seed: int) -> LineNetwork:
    """Train on parts of pages; the averaged weights are returned."""
    from pagesort.training.weight_averaging import moving_average

    random = Random(seed)
    network.stem.requires_grad_(False)
    network.stages.requires_grad_(False)
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    averaged = moving_average(network, AVERAGED)
    optimiser = torch.optim.AdamW(learning, RATE, weight_decay=DECAY)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps, pct_start=0.15)
    order: list[SeenPage] = []
    running, start = 0.0, time.process_time()
    for step in range(1, steps + 1):
        parts = []
        for _ in range(BATCH):
            order = order or random.sample(list(pages), len(pages))
            parts.append(random_part(order.pop(), random))
        levels = [torch.stack(each) for each in zip(*(part[0] for part in parts), strict=True)]
        loss = loss_of(network.maps(network.text(levels)), [part[1] for part in parts])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 2.0)
        optimiser.step()
        plan.step()
        averaged.update(network)
        running += loss.item()
        if step % REPORT == 0:
            seconds = time.process_time() - start
            logger.info("step %d, loss %.4f, %.0f s", step, running / REPORT, seconds)
            running = 0.0
    trained: LineNetwork = averaged.module.eval()
    return trained


def save(network: LineNetwork, folder: Path) -> None:
    """Write the weights in 16 bits."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train on all pages but those of the data sets that are left out; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m bundled_models.line_finder")
    parser.add_argument("pages", type=Path, help="the folder with <dataset>/<page>.json and images")
    parser.add_argument(
        "--out", type=Path, default=OUT, help=f"the folder for {WEIGHTS} (%(default)s)"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="SETS",
        help="data sets to leave out, by commas; the finder then goes into a folder beside OUT "
        "that is named by their first; may be given again, for another finder",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=STEPS, help="of four parts of pages each")
    parser.add_argument("--seed", type=int, default=420)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _make(given)
    except PageSortError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _make(given: argparse.Namespace) -> None:
    torch.manual_seed(given.seed)
    network = start_network().eval()
    start = {name: value.clone() for name, value in network.state_dict().items()}
    pages = seen_pages(network, read_pages(given.pages))
    for without in given.without or [""]:
        left_out = set(filter(None, without.split(",")))
        network.load_state_dict(start)
        chosen = [page for page in pages if page.dataset not in left_out]
        trained = train(network, chosen, given.steps, given.seed)
        beside = given.out.with_name(f"{given.out.name}-without-{without.split(',')[0]}")
        save(trained, beside if left_out else given.out)
