"""Logistic regression whose penalty costs some directions more than others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def logistic(
    rows: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray,
    *,
    strength: float,
    costs: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, float]:
    """Returns weights, float64 (c,), and offset of a logistic regression on standardised rows.

    Args:
        rows: float64 (n, c).
        labels: (n,) of 0 and 1.
        weight: Of each row, (n,).
        strength: Inverse of the penalty, above 0 (`C` of scikit-learn).
        costs: Gives, from the standardised rows and the scale that they were divided by, the matrix
            A of the penalty w·A·w on their weights; the identity by default.
    """
    scale = StandardScaler().fit(rows)
    rows = scale.transform(rows)
    lean = np.eye(rows.shape[1])
    if costs:
        values, axes = np.linalg.eigh(costs(rows, scale.scale_))
        lean = (axes / np.sqrt(values)) @ axes.T  # A^(-1/2): rows of it are penalised as usual
    model = LogisticRegression(C=strength, max_iter=2000, tol=1e-3)
    model.fit(rows @ lean, labels, sample_weight=weight)
    weights = (lean @ model.coef_[0]) / scale.scale_
    return weights, float(model.intercept_[0] - weights @ scale.mean_)


def between_people(rows: np.ndarray, labels: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Returns the covariance, (c, c), of people's means about the mean of their class.

    Args:
        rows: float64 (n, c).
        labels: (n,) of 0 and 1.
        people: (n,) names.
    """
    table = pd.DataFrame(rows).groupby([labels, people]).mean()
    apart = (table - table.groupby(level=0).transform("mean")).to_numpy()
    return apart.T @ apart / max(len(apart) - 2, 1)
