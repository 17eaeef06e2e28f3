"""How well cells are found: those of the truth matched with those found, one with one."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

IOU = 0.5  # the least overlap of a match


def overlaps(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Returns intersection over union of each true cell with each found one, float64 (n, m).

    Args:
        truth: int (height, width): 0, or a number from 1 to n.
        found: int (height, width): 0, or a number from 1 to m.

    Raises:
        ValueError: If the two differ in shape.
    """
    if truth.shape != found.shape:
        raise ValueError(f"Labels must be of one shape. Received: {truth.shape}, {found.shape}")
    rows, columns = int(truth.max()) + 1, int(found.max()) + 1
    pairs = truth.ravel().astype(np.int64) * columns + found.ravel()
    both = np.bincount(pairs, minlength=rows * columns).reshape(rows, columns)
    union = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    return (both / np.maximum(union, 1))[1:, 1:]


def matched(truth: np.ndarray, found: np.ndarray, *, least: float = IOU) -> np.ndarray:
    """Returns pairs (true number, found number), int (k, 2), each cell in one pair at most.

    Of all ways to pair, the one with the largest sum of overlaps; pairs below `least` are dropped.

    Args:
        truth: As of `overlaps`.
        found: As of `overlaps`.
        least: The least intersection over union of a pair.
    """
    shares = overlaps(truth, found)
    rows, columns = linear_sum_assignment(shares, maximize=True)
    kept = shares[rows, columns] >= least
    return np.stack([rows[kept], columns[kept]], axis=1) + 1


def scores(truth: list[np.ndarray], found: list[np.ndarray]) -> dict[str, float]:
    """Returns `cells`, `found`, `precision`, `recall`, `f1` and `count_error` over all fields.

    The count error is the mean over fields of the difference in number, without its sign. A score
    of nothing is NaN.

    Args:
        truth: Labels of each field, as of `overlaps`.
        found: Those found in each.
    """
    pairs = list(zip(truth, found, strict=True))
    hits = sum(len(matched(*pair)) for pair in pairs)
    counts = np.array([(one.max(), other.max()) for one, other in pairs], int).reshape(-1, 2)
    cells, seen = (int(total) for total in counts.sum(axis=0))
    return {
        "cells": cells,
        "found": seen,
        "precision": hits / seen if seen else np.nan,
        "recall": hits / cells if cells else np.nan,
        "f1": 2 * hits / (cells + seen) if cells + seen else np.nan,
        "count_error": float(np.abs(np.diff(counts)).mean()) if pairs else np.nan,
    }
