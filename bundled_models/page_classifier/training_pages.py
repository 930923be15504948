"""Sum up the pages that the bundled model was trained on, for it to tell a stranger's collection.

    python3 -m bundled_models.page_classifier.training_pages --real FOLDER FOLDER

It is done whenever the model is made; by itself, for a model that is there already. At most eight
pages of a source are looked at, so that large sources do not take all the centres.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bundled_models.page_classifier.real_pages import RealPage, list_real_pages
from pagesort.common.paths import SMALL_MODEL

_MOST_OF_A_SOURCE = 8
_SEED = 0


def write(folder: Path, pages: Sequence[RealPage]) -> Path:
    """Embed pages with a model that is written, and write what sums them up into its folder.

    Raises:
        PageSortError: a page or the model cannot be read, or the file cannot be written.
    """
    from pagesort.models.training_pages import sum_up, write_training_pages

    chosen = _some_of_every_source([page for page in pages if page.may_train])
    embeddings = _embeddings(folder, [page.page.path for page in chosen])
    training = sum_up(embeddings, [page.source for page in chosen], _SEED)
    return write_training_pages(folder, training)


def _some_of_every_source(pages: Sequence[RealPage]) -> list[RealPage]:
    of_source: defaultdict[str, list[RealPage]] = defaultdict(list)
    for page in pages:
        of_source[page.source].append(page)
    rng = random.Random(_SEED)
    chosen: list[RealPage] = []
    for source in sorted(of_source):
        rng.shuffle(of_source[source])
        chosen += of_source[source][:_MOST_OF_A_SOURCE]
    return chosen


def _embeddings(folder: Path, paths: Sequence[Path]) -> np.ndarray:
    """What the model makes of the pages, as in a run: float32 (N, D), each of length 1."""
    import torch

    from pagesort.models.fast.fast_loading import load_to_predict
    from pagesort.models.image_tower import PageTower, TwoTowers
    from pagesort.pages.loader import PageLoader
    from pagesort.pages.preprocessing import Preprocessing

    model: TwoTowers = load_to_predict(folder)[0]
    preprocessing = Preprocessing.from_folder(folder)
    tower = PageTower(model, preprocessing)
    rows = []
    with torch.inference_mode(), PageLoader(preprocessing) as loader:
        for path in paths:
            seen = model.visual_projection(tower.see(loader.pixels(path, None)[None]))
            rows.append(torch.nn.functional.normalize(seen, dim=-1).numpy()[0])
    return np.stack(rows)


def main() -> None:
    """Run the command."""
    from bundled_models.synthetic_pages.page import LABELS

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--real", type=Path, nargs="+", required=True, help="as the model's own")
    parser.add_argument("--model", type=Path, default=SMALL_MODEL, help="its folder")
    arguments = parser.parse_args()
    write(arguments.model, list_real_pages(arguments.real, LABELS))


if __name__ == "__main__":
    main()
