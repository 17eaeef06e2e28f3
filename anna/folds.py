"""Folds over people, with classes as even as whole people allow."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold


def fold_of(cells: pd.DataFrame, *, k: int = 5, seed: int = 0) -> np.ndarray:
    """Returns the fold 0 to k-1 of each image, int, for cross-validation over people.

    No person is in two folds; classes are spread as evenly as whole people allow. Of twenty ways of
    scikit-learn's `StratifiedGroupKFold` the one with the most even classes is taken.

    Args:
        cells: Labelled rows, with `label` and `group`.
        k: Number of folds; at most the number of people of the smaller class.
        seed: Of the twenty ways.

    Raises:
        ValueError: If a class has fewer than k people.
    """
    label = cells["label"].to_numpy(dtype=int)
    people = people_by_class(cells)
    if people.min() < k:
        raise ValueError(
            f"Each class needs {k} people or more to be split. "
            f"Received: {people[1]} of ALL, {people[0]} of HEM"
        )
    ways = []
    for way in range(20):
        splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed * 1000 + way)
        fold = np.zeros(len(cells), int)
        for number, (_, part) in enumerate(splitter.split(label, label, cells["group"])):
            fold[part] = number
        counts = np.array([np.bincount(fold[label == kind], minlength=k) for kind in (0, 1)])
        ways.append((_unevenness(counts), way, fold))
    return min(ways, key=lambda each: each[:2])[2]


def _unevenness(counts: np.ndarray) -> float:
    """Returns the largest relative shortfall of a class in a fold, from counts (2, k)."""
    return float((1 - counts * counts.shape[1] / counts.sum(axis=1, keepdims=True)).max())


def people_by_class(table: pd.DataFrame) -> pd.Series:
    """Returns the number of people of HEM (0) and of ALL (1)."""
    return table.groupby("label")["group"].nunique().reindex([0, 1], fill_value=0)
