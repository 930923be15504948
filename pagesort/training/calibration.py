"""Temperature scaling: scores that say how often they are right."""

from __future__ import annotations

import numpy as np

LEAST_TEMPERATURE = 0.1
GREATEST_TEMPERATURE = 10.0

_COARSE_STEPS = 60
_FINE_STEPS = 40
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


def fit_temperature(
    logits: np.ndarray,
    labels: np.ndarray,
    prior_strength: float = 1.0,
    weights: np.ndarray | None = None,
) -> float:
    """Return the number that the logits are to be divided by before the softmax.

    It makes the labels most likely (arXiv 1706.04599), under a weak log-normal prior around 1:
    pages that are all right would else ask for a temperature of 0, and no pages for any.

    Args:
        logits: (N, C); N may be 0.
        labels: class indices (N,).
        prior_strength: weight of the squared logarithm of the temperature, against the summed
            negative log-likelihood in nats. At 1, five hundred pages leave nothing of it, and five
            pages move a temperature of 1 by a factor of 2 or 3 at most.
        weights: how much each page counts, (N,), in relation to the others; alike without.

    Returns:
        The temperature, 0.1 to 10, rounded to 4 places.
    """
    logits = np.asarray(logits, dtype=np.float64)
    labels = np.asarray(labels)

    def cost(log_temperature: float) -> float:
        likelihood = len(labels) * mean_loss(logits, labels, np.exp(log_temperature), weights)
        return likelihood + prior_strength * log_temperature**2

    ends = np.log(LEAST_TEMPERATURE), np.log(GREATEST_TEMPERATURE)
    coarse = np.linspace(*ends, _COARSE_STEPS + 1)
    best = int(np.argmin([cost(point) for point in coarse]))
    low, high = coarse[max(0, best - 1)], coarse[min(_COARSE_STEPS, best + 1)]
    for _ in range(_FINE_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if cost(left) <= cost(right):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2.0)), 4)


def mean_loss(
    logits: np.ndarray,
    labels: np.ndarray,
    temperature: float = 1.0,
    weights: np.ndarray | None = None,
) -> float:
    """Return the mean negative log-likelihood, in nats, of labels (N,) under logits (N, C)."""
    if not len(labels):
        return 0.0
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    likelihoods = scaled[np.arange(len(labels)), labels] - np.log(np.exp(scaled).sum(axis=1))
    return float(-np.average(likelihoods, weights=weights))
