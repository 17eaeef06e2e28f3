"""What a table of predictions must hold before anything is computed from it."""

from __future__ import annotations

import pandas as pd

CLASSES = ("HEM", "ALL")


def scorable(found: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Returns the rows that have label and probability, as int and float64.

    Args:
        found: predictions.
        *columns: further columns that must be there, and `group` filled in.

    Raises:
        ValueError: a column is missing, a label is not 0 or 1, a probability is not in 0..1, a
            scorable cell has no group, or no cell is left.
    """
    missing = [name for name in ("label", "probability", *columns) if name not in found]
    if missing:
        raise ValueError(f"The predictions lack columns {missing}. Received: {list(found.columns)}")
    table = found[found["label"].notna() & found["probability"].notna()].copy()
    if table.empty:
        raise ValueError(f"No cell has both label and probability. Received: {len(found)} rows")
    _require_all("Labels must be 0 or 1", table["label"], table["label"].isin([0, 1]))
    table = table.astype({"label": int, "probability": float})
    inside = table["probability"].between(0, 1)
    _require_all("Probabilities must be in 0..1", table["probability"], inside)
    if "group" in columns and table["group"].isna().any():
        alone = int(table["group"].isna().sum())
        raise ValueError(f"Every scored cell needs a group. Received: {alone} cells without one")
    return table


def require_fraction(name: str, value: float) -> None:
    """Raises ValueError, naming the value, unless it is in 0..1."""
    if not 0 <= value <= 1:
        raise ValueError(f"The {name} must be in 0..1. Received: {name}={value}")


def _require_all(rule: str, values: pd.Series, good: pd.Series) -> None:
    if not good.all():
        raise ValueError(f"{rule}. Received: {values[~good].iloc[0]} in row {good.idxmin()!r}")
