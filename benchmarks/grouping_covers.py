"""Whether covers stay with the pages after them, in piles and of materials not trained on.

    python benchmarks/grouping_covers.py FOLDER COVERS --embeddings result/embeddings

FOLDER holds piles as for `--train_groups`; COVERS a folder of pictures of covers for each material.
Of one material after the other, covers are put before half of the items of a pile, which is then
grouped by a model of the other piles. A cover is right where its item begins at it, and none at
the page after it. FIRSTS are real ones: first pages of `shared/streams` that are unlike those after
them, found by looking (covers, wrappers, envelopes with a title, title leaves).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from classifier import CLIP
from pagesort.common.paths import SMALL_MODEL
from pagesort.common.shares import wilson
from pagesort.embeddings.embed import embed_pages
from pagesort.embeddings.store import EmbeddingStore
from pagesort.grouping.drawn_covers import seen_covers
from pagesort.grouping.group_run import DESCRIBER
from pagesort.grouping.labelled_piles import LabelledRequest, read_piles
from pagesort.grouping.methods import Method
from pagesort.grouping.metrics import agreement
from pagesort.grouping.pile import Pile, pile_of
from pagesort.grouping.training import LabelledPile, put_covers, train_boundaries
from pagesort.pages.loader import PageRef

FIRSTS = {
    "exhibition_catalogues": (1,),
    "french_typescripts": (1, 23, 92, 103),
    "mixed_pile_1": (34,),
    "old_prints_and_manuscripts": (1, 15, 29, 41, 71, 90, 102),
    "wills_many_writers": (1, 7, 16),
}
SHARE, SEED = 0.5, 7


def seen(classifier: CLIP, folder: Path, embeddings: Path) -> Pile:
    """The pictures of a folder, in the order of their names."""
    refs = [PageRef(place, path) for place, path in enumerate(sorted(folder.iterdir()))]
    with EmbeddingStore.open(embeddings, classifier) as store:
        pages = list(embed_pages(classifier, refs, store, describer=DESCRIBER))
    return pile_of(pages, classifier.scores)


def begins(method: Method, pile: Pile) -> np.ndarray:
    """Whether an item begins at each page, and at the end: bool (N + 1,)."""
    groups, _ = method.group(pile)
    return np.concatenate([[True], groups[1:] != groups[:-1], [True]])


def right(starts: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether the pages at these places begin an item that does not end with them."""
    return np.asarray(starts[places] & ~starts[places + 1])


def figures(
    method: Method, labelled: LabelledPile, materials: dict[str, Pile]
) -> dict[str, list[bool]]:
    """Whether each cover is right, by material; `real` are those that the pile has by itself.

    `pages alone` tells for each item of one page whether it was found as such.
    """
    starts = begins(method, labelled.pile)
    firsts = np.array(FIRSTS.get(labelled.name, ()), int) - 1
    true = np.append(labelled.starts, True)
    alone = true[:-1] & true[1:]
    found = {
        "real": right(starts, firsts).tolist(),
        "pages alone": (starts[:-1] & starts[1:])[alone].tolist(),
    }
    for name, covers in materials.items():
        every = np.arange(len(covers))
        pile, is_cover = put_covers(labelled, covers, every, SHARE, np.random.default_rng(SEED))
        found[name] = right(begins(method, pile.pile), np.flatnonzero(is_cover)).tolist()
    return found


def told(answers: Sequence[bool]) -> str:
    """How many are right, of how many, with the 95 % interval."""
    low, high = wilson(sum(answers), len(answers))
    return f"{sum(answers)} of {len(answers)} ({low:.0%} to {high:.0%})"


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("covers", type=Path)
    parser.add_argument("--embeddings", type=Path, default=Path("result/embeddings"))
    arguments = parser.parse_args()
    classifier = CLIP.open(SMALL_MODEL, device="cpu")
    piles = read_piles(classifier, LabelledRequest(arguments.folder, arguments.embeddings))
    materials = {
        folder.name: seen(classifier, folder, arguments.embeddings)
        for folder in sorted(arguments.covers.iterdir())
    }
    drawn = seen_covers(classifier)
    answers: dict[str, dict[str, list[bool]]] = {"with covers": {}, "without covers": {}}
    quality: dict[str, dict[str, float]] = {}
    for place, labelled in enumerate(piles):
        model = train_boundaries([*piles[:place], *piles[place + 1 :]], drawn)
        for name, each in (("with covers", model), ("without covers", replace(model, covers=None))):
            method = Method(each)
            for kind, some in figures(method, labelled, materials).items():
                answers[name].setdefault(kind, []).extend(some)
            groups, _ = method.group(labelled.pile)
            found = agreement(labelled.items.tolist(), groups.tolist())
            quality.setdefault(name, {})[labelled.name] = round(found.pq, 3)
    for kinds in answers.values():
        kinds["all materials"] = [answer for name in materials for answer in kinds[name]]
    lines = {name: {kind: told(some) for kind, some in kinds.items()}
             for name, kinds in answers.items()}  # fmt: skip
    sys.stdout.write(json.dumps({"right": lines, "pq": quality}, indent=1) + "\n")


if __name__ == "__main__":
    main()
