"""What further inputs of the boundary model add, on piles that the model of each has never seen.

    python benchmarks/grouping_inputs.py FOLDER --embeddings result/embeddings

FOLDER holds piles as for `--train_groups`, with texts beside their pages. Measured are `sequence`
without texts, with all of them, with one kind of their features, and with all kinds but one; and a
head on the embeddings, trained to bring pages of one item together, beside the present features.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from classifier import CLIP
from pagesort.common.paths import SMALL_MODEL
from pagesort.grouping import boundary_model, text_features, training
from pagesort.grouping.boundary_features import NAMES, boundary_features
from pagesort.grouping.labelled_piles import LabelledRequest, read_piles
from pagesort.grouping.methods import Method
from pagesort.grouping.metrics import agreement
from pagesort.grouping.pile import Pile
from pagesort.grouping.training import LabelledPile, train_boundaries

HEAD_SIZE, STEPS, TEMPERATURE, DECAY = 64, 150, 0.1, 1e-3

Features = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Shown = Callable[[LabelledPile, int], LabelledPile]


def measured(piles: Sequence[LabelledPile], shown: Shown | None = None) -> dict[str, object]:
    """Panoptic Quality and F1 of each pile, with a model of the others, and their means.

    `shown` returns a pile as the model sees it that has never seen the pile of a place.
    """
    found = {}
    for place, pile in enumerate(piles):
        seen = [shown(each, place) for each in piles] if shown else list(piles)
        model = train_boundaries([*seen[:place], *seen[place + 1 :]])
        groups, _ = Method(model).group(seen[place].pile)
        figures = agreement(pile.items.tolist(), groups.tolist())
        found[pile.name] = (round(figures.pq, 3), round(figures.f1, 3))
    means = [round(fmean(pair[which] for pair in found.values()), 3) for which in (0, 1)]
    return {"pq": means[0], "f1": means[1], "piles": found}


def use_texts(is_used: np.ndarray, original: Features = text_features.text_features) -> None:
    """Let only some of the features of texts count, bool (their number,)."""

    def some(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, known = original(texts)
        return np.where(is_used, features, 0.0), known

    training.text_features = some
    boundary_model.text_features = some


def texts_by_kind(piles: Sequence[LabelledPile]) -> dict[str, object]:
    """The figures without texts, with all, with one kind of features, and with all but one."""
    blind = [replace(each, pile=replace(each.pile, texts=None)) for each in piles]
    found: dict[str, object] = {"without texts": measured(blind)}
    kinds = np.array([name.partition(":")[0] for name in text_features.NAMES])
    choices = {"all texts": kinds != ""}
    choices |= {f"only {kind}": kinds == kind for kind in text_features.GROUPS}
    choices |= {f"all but {kind}": kinds != kind for kind in text_features.GROUPS}
    for name, is_used in choices.items():
        use_texts(is_used)
        found[name] = measured(piles)
    return found


def trained_head(piles: Sequence[LabelledPile], seed: int = 1) -> np.ndarray:
    """A projection, (D, HEAD_SIZE), in which pages of one item are nearer than others of the pile.

    Supervised contrastive loss (Khosla et al., NeurIPS 2020) within each pile.
    """
    import torch

    torch.manual_seed(seed)
    size = piles[0].pile.vectors.shape[1]
    head = torch.nn.Parameter(torch.randn(size, HEAD_SIZE) / size**0.5)
    optimiser = torch.optim.AdamW([head], lr=0.01, weight_decay=DECAY)
    data = [
        (torch.from_numpy(_centred(each)), torch.from_numpy(each.items[:, None] == each.items))
        for each in piles
    ]
    for _ in range(STEPS):
        total = torch.zeros(())
        for vectors, same in data:
            seen = torch.nn.functional.normalize(vectors @ head)
            itself = torch.eye(len(seen), dtype=torch.bool)
            scores = (seen @ seen.T / TEMPERATURE).masked_fill(itself, -1e9)
            others = same & ~itself
            share = torch.log_softmax(scores, 1).masked_fill(~others, 0.0).sum(1)
            has_other = others.any(1)
            total = total - (share[has_other] / others.sum(1)[has_other]).mean()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    return head.detach().numpy()


def _centred(pile: LabelledPile) -> np.ndarray:
    return np.asarray(pile.pile.vectors - pile.pile.vectors.mean(axis=0), dtype=np.float32)


def with_head(piles: Sequence[LabelledPile]) -> dict[str, object]:
    """The figures with distances in the head's projection beside those of the embeddings.

    The head of a pile, too, has never seen that pile, nor the one that is measured.
    """
    size = piles[0].pile.vectors.shape[1]
    heads: dict[frozenset[int], np.ndarray] = {}

    def shown(labelled: LabelledPile, place: int) -> LabelledPile:
        own = next(each for each, pile in enumerate(piles) if pile.name == labelled.name)
        left = frozenset((own, place))
        if left not in heads:
            heads[left] = trained_head([each for n, each in enumerate(piles) if n not in left])
        projected = _centred(labelled) @ heads[left]
        projected /= np.linalg.norm(projected, axis=1, keepdims=True) + 1e-6
        vectors = np.concatenate([labelled.pile.vectors, projected], axis=1)
        return replace(labelled, pile=replace(labelled.pile, vectors=vectors, texts=None))

    is_of_vectors = [name.startswith(("embedding", "centred")) for name in NAMES]

    def both(pile: Pile) -> np.ndarray:
        ours, theirs = (
            boundary_features(replace(pile, vectors=vectors))
            for vectors in (pile.vectors[:, :size], pile.vectors[:, size:])
        )
        return np.concatenate([ours, theirs[:, is_of_vectors]], axis=1)

    training.boundary_features = both
    boundary_model.boundary_features = both
    return measured(piles, shown)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--embeddings", type=Path, default=Path("result/embeddings"))
    arguments = parser.parse_args()
    classifier = CLIP.open(SMALL_MODEL, device="cpu")
    piles = read_piles(classifier, LabelledRequest(arguments.folder, arguments.embeddings))
    found = {**texts_by_kind(piles), "with a contrastive head": with_head(piles)}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
