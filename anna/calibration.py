"""Probabilities that mean what they say: a temperature and an offset of the log-odds.

Sources: Platt 1999, Probabilistic outputs for support vector machines; Guo et al. 2017, On
calibration of modern neural networks, doi 10.48550/arXiv.1706.04599.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from anna.checks import CLASSES, scorable

CLIP = 1e-7  # log-odds of ±16: as far as 32-bit probabilities reach


@dataclass(frozen=True)
class Calibration:
    """A rising map of probabilities: log-odds z become z / temperature + offset.

    Attributes:
        temperature: Above 0. Above 1 it tempers an overconfident network, below 1 it sharpens.
        offset: Added to the log-odds; above 0 it moves every cell towards ALL.
    """

    temperature: float = 1.0
    offset: float = 0.0

    def __post_init__(self):
        if not 0 < self.temperature < np.inf:
            raise ValueError(
                f"The temperature must be positive and finite. Received: {self.temperature}"
            )
        if not np.isfinite(self.offset):
            raise ValueError(f"The offset must be finite. Received: {self.offset}")

    def apply(self, probability: ArrayLike) -> np.ndarray | pd.Series:
        """Returns calibrated probabilities, float64 of the same shape; a Series keeps its index.

        The order of cells stays, so AUC does too. NaN stays NaN; 0 and 1, whose log-odds are
        infinite, are taken as `CLIP` and 1 - `CLIP`.

        Raises:
            ValueError: If a probability is not in 0..1.
        """
        values = np.ravel(probability)
        outside = values[(values < 0) | (values > 1)]
        if outside.size:
            raise ValueError(f"Probabilities must be in 0..1. Received: {outside[0]}")
        return expit(self.moved(_log_odds(probability)))

    def moved(self, odds: ArrayLike) -> ArrayLike:
        """Returns calibrated log-odds, of the same shape, from those of a network."""
        return odds / self.temperature + self.offset


def fit(
    found: pd.DataFrame, *, weights: ArrayLike | None = None, offset: bool = True
) -> Calibration:
    """Returns the temperature and offset under which validation labels are likeliest.

    A logistic regression of the label on the log-odds, without a penalty. Its targets are Platt's,
    (n₁ + 1) / (n₁ + 2) for ALL and 1 / (n₀ + 2) for HEM, with n₁ and n₀ the cells of each: nearly 1
    and 0, yet the fit stays finite where the two classes do not overlap.

    Args:
        found: Predictions with a `role`, of validation people. Rows without label or probability
            are left out.
        weights: How much each row of `found` counts, of the same length or a Series of the same
            index; only ratios matter. `1 / found.groupby("group")["group"].transform("size")` lets
            each person count alike. By default each cell does.
        offset: Whether to fit an offset; without it, the temperature alone (Guo et al. 2017), and a
            probability of 0.5 stays.

    Raises:
        ValueError: A row belongs to the test set, which calibrates nothing; there is but one class,
            or one probability; a weight is negative or not finite, or a class weighs nothing; or
            the likeliest temperature is not positive, since more ALL lies at low probabilities.
    """
    tested = int((found["role"] == "test").sum()) if "role" in found else 0
    if tested:
        raise ValueError(f"The test set calibrates nothing. Received: {tested} rows of role test")
    table = scorable(found.assign(weight=_weights(found, weights)), "role")
    mass = _mass(table)
    z = _log_odds(table["probability"].to_numpy())
    target = np.where(table["label"] == 1, (mass[1] + 1) / (mass[1] + 2), 1 / (mass[0] + 2))
    slope, intercept = _regress(z, target, table["weight"].to_numpy(), offset)
    if not slope > 0:
        raise ValueError(
            "No temperature fits: ALL is no likelier at higher probabilities. "
            f"Received: a slope of {slope:.3g} over {len(table)} cells"
        )
    return Calibration(1 / slope, intercept)


def _log_odds(probability: ArrayLike) -> np.ndarray | pd.Series:
    return logit(np.minimum(np.maximum(probability, CLIP, dtype=float), 1 - CLIP))


def _weights(found: pd.DataFrame, weights: ArrayLike | None) -> np.ndarray:
    """Returns a weight a row, float (len(found),)."""
    if weights is None:
        return np.ones(len(found))
    if np.shape(weights) != (len(found),):
        raise ValueError(
            f"One weight a row is needed, {len(found)}. Received: shape {np.shape(weights)}"
        )
    if isinstance(weights, pd.Series) and not weights.index.equals(found.index):
        raise ValueError(
            "Weights and predictions must have the same index. "
            f"Received: {weights.index[:3].tolist()} and {found.index[:3].tolist()}, …"
        )
    weights = np.asarray(weights, dtype=float)
    bad = weights[~(np.isfinite(weights) & (weights >= 0))]
    if len(bad):
        raise ValueError(f"Weights must be finite and not negative. Received: {bad[0]}")
    return weights


def _mass(table: pd.DataFrame) -> pd.Series:
    """Returns how many cells each class counts as, by label, its weights scaled to a mean of 1."""
    mass = table.groupby("label")["weight"].sum().reindex([0, 1], fill_value=0)
    if not mass.all():
        only = [CLASSES[label] for label in (0, 1) if mass[label]]
        raise ValueError(f"A calibration needs cells of both classes. Received: only {only}")
    if table["probability"].nunique() < 2:
        value = table["probability"].iloc[0]
        raise ValueError(f"A calibration needs more than one probability. Received: {value}")
    return mass * len(table) / mass.sum()


def _regress(
    z: np.ndarray, target: np.ndarray, weight: np.ndarray, offset: bool
) -> tuple[float, float]:
    """Returns slope and intercept of the likeliest logistic curve through targets in 0..1.

    scikit-learn takes classes only: each cell stands in once as ALL and once as HEM, weighing its
    target and the rest.
    """
    model = LogisticRegression(C=np.inf, fit_intercept=offset, solver="newton-cholesky", tol=1e-8)
    classes = np.repeat([1, 0], len(z))
    shares = np.concatenate([weight * target, weight * (1 - target)])
    model.fit(np.tile(z, 2)[:, None], classes, sample_weight=shares / shares.mean())
    return float(model.coef_[0, 0]), float(np.ravel(model.intercept_)[0])
