"""Logistic regression whose penalty costs some directions more than others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.linalg import cholesky, solve_triangular
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from anna.batches import chances

PEOPLE = 10.0  # how much more it costs to go by what differs between people of one class
STEADY = 6.0  # how much more it costs to go by what a disturbance of the file changes


@dataclass(frozen=True)
class Probe:
    """A linear map of features to log-odds of ALL.

    Attributes:
        weights: Float (c,), in the order of `anna.probe.features`.
        offset: Added to the log-odds.
    """

    weights: np.ndarray
    offset: float

    def log_odds(self, found: np.ndarray) -> np.ndarray:
        """Returns log-odds of ALL, (…,), of features (…, c)."""
        return found @ self.weights + self.offset


def fit(
    found: np.ndarray, labels: np.ndarray, people: np.ndarray, *, strength: float, **options
) -> Probe:
    """Returns the probe of one strength; other arguments are those of `fits`."""
    return fits(found, labels, people, strengths=(strength,), **options)[0]


def fits(
    found: np.ndarray,
    labels: np.ndarray,
    people: np.ndarray,
    *,
    strengths: Sequence[float],
    alike: float = PEOPLE,
    changes: np.ndarray | None = None,
    steady: float = STEADY,
) -> list[Probe]:
    """Returns the probes under which the labels are likeliest, given a penalty on their weights.

    Classes weigh alike, and within a class people by the square root of their cells. A direction in
    which people of one class differ costs more: the penalty on weights w of standardised channels
    is w·(I + alike·S + steady·D)·w, with S the covariance of people's means about their class
    (within-class covariance, as Hatch et al. 2006 weigh it for speakers), and D the mean square of
    what becomes of a cell's channels when its file is blurred, compressed or tinted (as in tangent
    propagation, Simard et al. 1991). The size stands by itself, and its log-odds are added, as
    those of independent evidence.

    Args:
        found: Features, (copies, n, c): views of the same n cells.
        labels: (n,) of 0 and 1.
        people: (n,) names.
        strengths: Of each probe, the inverse of the penalty per cell, above 0 (`C` of
            scikit-learn).
        alike: How much more it costs to go by what differs between people of one class.
        changes: Features of disturbed cells less those of the same cells undisturbed, (m, c); by
            default nothing is known of disturbance.
        steady: How much more it costs to go by what changes.

    Raises:
        ValueError: If a class is missing.
    """
    if set(np.unique(labels)) != {0, 1}:
        raise ValueError(f"Both classes are needed. Received: {np.unique(labels).tolist()}")
    copies, cells, channels = found.shape
    rows = found.reshape(-1, channels)
    weight = np.tile(chances(labels, people) * cells / copies, copies)
    labels, people = np.tile(labels, copies), np.tile(people, copies)
    changes = np.zeros((1, channels)) if changes is None else changes

    def _costs(rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
        moved = changes[:, :-1] / scale
        return (
            np.eye(channels - 1, dtype=rows.dtype)
            + alike * between_people(rows, labels, people)
            + steady * (moved.T @ moved) / len(moved)
        )

    learnt = logistic(rows[:, :-1], labels, weight, strengths=strengths, costs=_costs)
    [(size, more)] = logistic(rows[:, -1:], labels, weight, strengths=(1.0,))
    return [Probe(np.concatenate([seen, size]), offset + more) for seen, offset in learnt]


def logistic(
    rows: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray,
    *,
    strengths: Sequence[float],
    costs: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> list[tuple[np.ndarray, float]]:
    """Returns weights (c,), of the rows' dtype, and offset of a logistic regression a strength.

    Args:
        rows: float32 or float64 (n, c); they are standardised first.
        labels: (n,) of 0 and 1.
        weight: Of each row, (n,).
        strengths: Inverses of the penalty, above 0 (`C` of scikit-learn).
        costs: Gives, from the standardised rows and the scale that they were divided by, the matrix
            A of the penalty w·A·w on their weights; the identity by default.
    """
    scale = StandardScaler().fit(rows)
    rows = scale.transform(rows)
    penalty = costs(rows, scale.scale_) if costs else np.eye(rows.shape[1], dtype=rows.dtype)
    half = cholesky(penalty, lower=True)
    # With A = half · halfᵀ and u = halfᵀ · w, the penalty on u is the usual one.
    turned = solve_triangular(half, rows.T, lower=True).T
    found = []
    for strength in strengths:
        model = LogisticRegression(C=strength, max_iter=2000, tol=1e-3)
        model.fit(turned, labels, sample_weight=weight)
        weights = solve_triangular(half.T, model.coef_[0], lower=False) / scale.scale_
        found.append((weights, float(model.intercept_[0] - weights @ scale.mean_)))
    return found


def between_people(rows: np.ndarray, labels: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Returns the covariance, (c, c), of people's means about the mean of their class.

    Args:
        rows: float32 or float64 (n, c).
        labels: (n,) of 0 and 1.
        people: (n,) names.
    """
    table = pd.DataFrame(rows).groupby([labels, people]).mean()
    apart = (table - table.groupby(level=0).transform("mean")).to_numpy()
    return apart.T @ apart / max(len(apart) - 2, 1)
