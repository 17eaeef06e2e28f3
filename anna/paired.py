"""Two models on the same cells: how far apart they are, with an interval over people.

Both are judged on the same resamples of people, so that what makes a person hard or easy, which
is the larger part of the spread, is in both and goes out of the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from anna import bootstrap, metrics
from anna.checks import scorable

COLUMNS = ("value", "low", "high", "difference", "difference_low", "difference_high")


def differences(
    found: Sequence[pd.DataFrame],
    thresholds: Sequence[float],
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> list[pd.DataFrame]:
    """Returns one table a model, indexed by `metrics.METRICS`, with the columns `COLUMNS`.

    Value, low and high are those of `metrics.evaluate`. The difference is the model minus the first
    one; its interval holds the percentiles of the differences over the resamples (Efron and
    Tibshirani 1993, An Introduction to the Bootstrap), NaN where a class has a single person.

    Args:
        found: predictions, tables of the same rows in the same order: label, group, probability.
        thresholds: of each table.
        resamples: how often people are drawn.
        level: of the intervals, in 0..1.
        seed: of the draws.

    Raises:
        ValueError: the tables are not of the same cells.
    """
    tables = [scorable(table, "group") for table in found]
    first = tables[0]
    same = (first["label"].to_numpy(), first["group"].to_numpy())
    for table in tables:
        if len(table) != len(first) or any(
            (mine != theirs).any()
            for mine, theirs in zip((table["label"], table["group"]), same, strict=True)
        ):
            raise ValueError(
                "Models must be compared on the same cells of the same people. "
                f"Received: {len(first)} and {len(table)} cells, or others"
            )
    options = {"level": level, "seed": seed}
    scored = [
        metrics.evaluate(table, cut, resamples=resamples, **options)
        for table, cut in zip(tables, thresholds, strict=True)
    ]
    draws = [_draws(*one, resamples, seed) for one in zip(tables, thresholds, strict=True)]
    return [
        _beside(scores, scored[0], drawn - draws[0], level)
        for scores, drawn in zip(scored, draws, strict=True)
    ]


def signed(row: pd.Series) -> str:
    """Returns the difference in a row of `differences` as text, "+0.012 [-0.03, +0.05]"."""
    if pd.isna(row["difference"]):
        return "–"
    text = f"{row['difference']:+.3f}"
    if pd.isna(row["difference_low"]):
        return text
    return f"{text} [{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]"


def _draws(table: pd.DataFrame, threshold: float, resamples: int, seed: int) -> pd.DataFrame:
    """Returns each score (column) of each resample (row); the same people for the same seed."""
    people = table.groupby("group")["label"].mean().round()
    if resamples < 1 or people.value_counts().min() < 2:
        return pd.DataFrame(np.nan, index=[0], columns=list(metrics.METRICS))
    cells = {
        "person": people.index.get_indexer(table["group"]),
        "label": table["label"].to_numpy(),
        "probability": table["probability"].to_numpy(),
    }
    weights = bootstrap.draw_people(people.to_numpy(), resamples, seed)
    return pd.DataFrame(bootstrap.scores(cells, weights, threshold=threshold, bins=metrics.BINS))


def _beside(
    scores: pd.DataFrame, first: pd.DataFrame, gaps: pd.DataFrame, level: float
) -> pd.DataFrame:
    tail = (1 - level) / 2
    table = scores.assign(
        difference=scores["value"] - first["value"],
        difference_low=gaps.quantile(tail),
        difference_high=gaps.quantile(1 - tail),
    )
    return table[list(COLUMNS)]
