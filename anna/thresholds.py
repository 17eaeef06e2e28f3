"""From which probability on a cell is called ALL: chosen on validation people."""

import numpy as np
import pandas as pd

from anna import bootstrap
from anna.checks import CLASSES, scorable


def choose_threshold(found: pd.DataFrame, *, metric: str = "weighted_f1") -> float:
    """Returns the threshold that maximises a score on validation people.

    Only the places between neighbouring probabilities can matter. Where a whole stretch of
    thresholds is equally good, the middle of the widest such stretch is returned.

    Args:
        found: predictions with a `role`; validation people.
        metric: one of `bootstrap.COUNTED`.

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
    return _middle_of_best(edges, bootstrap.rates(*counts)[metric])


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
