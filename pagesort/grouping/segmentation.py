"""Where a pile is cut into items, from how probable it is at each page that a new one begins.

Items are chosen whose Panoptic Quality (Kirillov et al., CVPR 2019) is to be expected the best.
What is expected is the mean over piles that are drawn at random, with a new item at each page as
probable as the model says. The ratio that the quality is, a sum over a number of items, is brought
to a sum by Dinkelbach's method (Management Science 13, 1967), and that to the best cuts by dynamic
programming.
"""

from __future__ import annotations

import numpy as np

DRAWS = 64
SEED = 0
SHARPNESS = 4.0  # of odds; measured on piles that the model was not trained on
LEAST = 0.02  # probability of a page that an item may begin at
VALLEY_SHARE = 0.8  # how far a pile's own parting counts; measured likewise
LARGEST_SHIFT = 2.0  # of log odds, so that a pile of one item is not torn apart
FEWEST_TO_PART = 8  # pages of a pile that is parted
REACH = 48  # possible first pages that an item reaches over at the most
COVER_LOSS = 8.0  # of log odds, after a page that is surely a cover
ROUNDS = 6  # of Dinkelbach's method, which ends earlier as a rule


def choose_cuts(
    log_odds: np.ndarray, *, items: int | None = None, size: float | None = None
) -> np.ndarray:
    """Choose the pages that a new item begins at: bool (N,), the first page always.

    Args:
        log_odds: of a new item at each page, (N,).
        items: how many there are; None where nobody knows.
        size: how many pages items have on average; None where nobody knows.
    """
    cuts = np.zeros(len(log_odds), bool)
    if items is not None:
        best = np.argsort(-log_odds[1:], kind="stable")[: items - 1] + 1
        cuts[best] = True
    elif len(log_odds) > 1:
        odds = log_odds if size is None else log_odds + _shift(log_odds[1:], size)
        cuts[_best_starts(probability(SHARPNESS * odds))] = True
    cuts[:1] = True
    return cuts


def settled(log_odds: np.ndarray) -> np.ndarray:
    """Move log odds of a pile, (N,), so that 0 parts those of its own pages, as far as is safe.

    How unlike the first page of an item is to the one before differs from pile to pile, but in most
    piles they stand apart from the others: where, is told by Otsu's method (IEEE Transactions on
    Systems, Man and Cybernetics 9, 1979).
    """
    values = np.sort(log_odds[1:])
    if len(values) < FEWEST_TO_PART:
        return log_odds
    below = np.arange(1, len(values))
    sums = np.cumsum(values)
    means = sums[:-1] / below, (sums[-1] - sums[:-1]) / (len(values) - below)
    spread = below * (len(values) - below) * (means[1] - means[0]) ** 2
    place = 1 + int(spread[1:-1].argmax())
    valley = (values[place] + values[place + 1]) / 2
    return np.asarray(log_odds - np.clip(VALLEY_SHARE * valley, -LARGEST_SHIFT, LARGEST_SHIFT))


def with_covers(log_odds: np.ndarray, covers: np.ndarray) -> np.ndarray:
    """Keep covers with the pages after them: log odds, (N,), that have been settled.

    A cover is as unlike the page after it as the one before it, so that it would be an item of its
    own. Nothing changes where no item begins at a page that may be a cover.

    Args:
        log_odds: of a new item at each page, (N,).
        covers: how probable it is that each page is a cover, (N,).
    """
    begins = probability(SHARPNESS * log_odds)
    begins[:1] = 1.0
    held = log_odds.copy()
    held[1:] -= COVER_LOSS * (begins * covers)[:-1]
    return held


def probability(log_odds: np.ndarray) -> np.ndarray:
    """Turn log odds into probabilities."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -50.0, 50.0))))


def _shift(log_odds: np.ndarray, size: float) -> float:
    """What has to be added so that items of this size are to be expected, by bisection."""
    wanted = max(len(log_odds) / size - 1, 0.0)
    low, high = -50.0, 50.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if probability(log_odds + middle).sum() < wanted else (low, middle)
        )
    return low


def _best_starts(chances: np.ndarray) -> np.ndarray:
    """The first pages of the items that are best to be expected."""
    possible = chances > LEAST
    possible[0] = True
    starts = np.flatnonzero(possible)
    ends = np.append(starts[1:], len(chances))
    gains = _gains(chances, starts, ends)
    expected_items = 1 + chances[1:].sum()
    quality, chosen = 0.5, starts[:1]
    for _ in range(ROUNDS):
        places, gain = _best_path(gains, quality / 2)
        chosen = starts[places]
        better = gain / ((len(chosen) + expected_items) / 2)
        if abs(better - quality) < 1e-6:
            break
        quality = better
    return chosen


def _gains(chances: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """What items add to the quality: (starts, reach), with the first and the last of their parts.

    The only drawn item that can overlap with more than half is the one around the middle page.
    """
    first, last = _drawn(chances)
    reach = min(REACH, len(starts))
    gains = np.full((len(starts), reach), -np.inf, np.float32)
    for parts in range(reach):
        one = starts[: len(starts) - parts]
        end = ends[parts:]
        middle = one + (end - one) // 2
        overlap = np.minimum(end, last[:, middle]) - np.maximum(one, first[:, middle])
        union = np.maximum(end, last[:, middle]) - np.minimum(one, first[:, middle])
        share = overlap / union
        gains[: len(one), parts] = np.where(share > 0.5, share, 0.0).mean(axis=0)
    return gains


def _drawn(chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw piles: of each page the first page of its item and the one after its last."""
    pages = len(chances)
    cuts = np.random.default_rng(SEED).random((DRAWS, pages), np.float32) < chances
    cuts[:, 0] = True
    place = np.arange(pages, dtype=np.int32)
    first = np.maximum.accumulate(np.where(cuts, place, 0), axis=1)
    later = np.full((DRAWS, pages), pages, np.int32)
    later[:, :-1] = np.where(cuts[:, 1:], place[1:], pages)
    last = np.minimum.accumulate(later[:, ::-1], axis=1)[:, ::-1]
    return first, last


def _best_path(gains: np.ndarray, cost: float) -> tuple[np.ndarray, float]:
    """Choose items, one after the other, of the greatest sum of gains less a cost each.

    Returns:
        The places of their starts, and the sum of gains.
    """
    total, reach = gains.shape
    best = np.zeros(total + 1)
    taken = np.zeros(total, np.int64)
    for place in range(total - 1, -1, -1):
        some = min(reach, total - place)
        values = gains[place, :some] + best[place + 1 : place + 1 + some]
        taken[place] = int(values.argmax())
        best[place] = values[taken[place]] - cost
    places = []
    place, gain = 0, 0.0
    while place < total:
        places.append(place)
        gain += float(gains[place, taken[place]])
        place += int(taken[place]) + 1
    return np.array(places), gain
