"""From which probability on a cell is called ALL: chosen on validation people."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from anna import bootstrap
from anna.checks import CLASSES, scorable

RESAMPLES = 200  # of people, to tell how far a score's lead is luck


def choose_threshold(
    found: pd.DataFrame, *, metric: str = "weighted_f1", margin: float = 0.0, seed: int = 0
) -> float:
    """Returns the threshold that maximises a score on validation people, or is about as good.

    Only the places between neighbouring probabilities can matter. Where a whole stretch of
    thresholds is equally good, the middle of the widest such stretch is returned.

    The best of few people is mostly luck. With a margin, the threshold nearest to a half is
    returned that falls short of the best by no more than so many standard errors: the rule of one
    standard error of Breiman et al. 1984, *Classification and Regression Trees*, with a half, where
    a calibrated probability turns, for the simplest.

    Args:
        found: predictions with a `role`; validation people. With a margin, also `group`.
        metric: one of `bootstrap.COUNTED`.
        margin: standard errors of the difference to the best, over resamples of people.
        seed: of the resamples.

    Raises:
        ValueError: a row belongs to the test set, which chooses nothing; there is but one class; or
            the metric is unknown.
    """
    if metric not in bootstrap.COUNTED:
        raise ValueError(f"The metric must be one of {bootstrap.COUNTED}. Received: {metric!r}")
    table = scorable(found, "role")
    tested = int((found["role"] == "test").sum())
    if tested:
        raise ValueError(f"The test set chooses no threshold. Received: {tested} rows of role test")
    if table["label"].nunique() < 2:
        only = CLASSES[table["label"].iloc[0]]
        raise ValueError(f"A threshold needs cells of both classes. Received: only {only}")
    edges, counts = _counts_by_threshold(table)
    score = bootstrap.rates(*counts)[metric]
    best = _middle_of_best(edges, score)
    if not margin:
        return best
    errors = _errors(table, edges, best, metric=metric, seed=seed)
    return _nearest_half(edges, score, best, margin * errors)


def _counts_by_threshold(table: pd.DataFrame) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Returns edges (n + 1,) and tp, fp, fn, tn of a threshold between edge i and edge i + 1."""
    by_value = table.groupby("probability")["label"].agg(["sum", "size"]).sort_index()
    positive = by_value["sum"].to_numpy()
    negative = by_value["size"].to_numpy() - positive
    fn = np.concatenate([[0], positive.cumsum()])
    tn = np.concatenate([[0], negative.cumsum()])
    edges = np.concatenate([[0.0], by_value.index.to_numpy(), [1.0]])
    return edges, (positive.sum() - fn, negative.sum() - tn, fn, tn)


def _middle_of_best(edges: np.ndarray, score: np.ndarray) -> float:
    """Returns the middle of the widest run of stretches (edge, next edge] with the best score."""
    usable = np.isfinite(score)
    usable[-1] &= edges[-2] < 1  # no threshold lies above a probability of 1
    best = usable & (score >= score[usable].max() - 1e-12)
    starts = np.flatnonzero(best & ~np.concatenate([[False], best[:-1]]))
    ends = np.flatnonzero(best & ~np.concatenate([best[1:], [False]])) + 1
    widest = np.argmax(edges[ends] - edges[starts])
    low, high = edges[starts[widest]], edges[ends[widest]]
    middle = (low + high) / 2
    return float(middle if middle > low else high)


def _errors(
    table: pd.DataFrame, edges: np.ndarray, best: float, *, metric: str, seed: int
) -> np.ndarray:
    """Returns the standard error of each stretch's lag behind the best, (n + 1,)."""
    person, groups = pd.factorize(table["group"])
    labels = table.groupby(person)["label"].first().to_numpy(int)
    below = np.searchsorted(edges[1:-1], table["probability"]) + 1  # edges that lie below a cell
    missed = np.zeros((2, len(groups), len(edges)))
    np.add.at(missed, (table["label"].to_numpy(int), person, below), 1)
    weights = bootstrap.draw_people(labels, RESAMPLES, seed)
    tn, fn = (weights @ each.cumsum(axis=1)[:, :-1] for each in missed)
    negative, positive = ((weights @ each.sum(axis=1))[:, None] for each in missed)
    score = bootstrap.rates(positive - fn, negative - tn, fn, tn)[metric]
    lag = score - score[:, _stretch(edges, [best])]
    return np.nan_to_num(lag).std(axis=0)


def _stretch(edges: np.ndarray, thresholds: ArrayLike) -> np.ndarray:
    """Returns the stretches (edge, next edge] that thresholds lie in, int (n,)."""
    return np.clip(np.searchsorted(edges, thresholds) - 1, 0, len(edges) - 2)


def _nearest_half(edges: np.ndarray, score: np.ndarray, best: float, allowed: np.ndarray) -> float:
    """Returns the threshold nearest to a half that lags no more than is allowed."""
    places = np.append((edges[:-1] + edges[1:]) / 2, [best, 0.5])
    stretch, top = _stretch(edges, places), score[_stretch(edges, [best])]
    good = score[stretch] >= top - allowed[stretch] - 1e-12
    return float(places[good][np.argmin(np.abs(places[good] - 0.5))])
