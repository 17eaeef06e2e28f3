"""Logistic regression whose penalty costs some directions more than others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.linalg import cholesky, solve_triangular
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
    half = cholesky(costs(rows, scale.scale_) if costs else np.eye(rows.shape[1]), lower=True)
    model = LogisticRegression(C=strength, max_iter=2000, tol=1e-3)
    # With A = half · halfᵀ and u = halfᵀ · w, the penalty on u is the usual one.
    model.fit(solve_triangular(half, rows.T, lower=True).T, labels, sample_weight=weight)
    weights = solve_triangular(half.T, model.coef_[0], lower=False) / scale.scale_
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
