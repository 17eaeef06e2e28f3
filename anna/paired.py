"""Two models on the same cells: how far apart they are, with an interval over people.

Both are judged on the same resamples of people, so that what makes a person hard or easy, which
is the larger part of the spread, is in both and goes out of the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    one; its interval is that of the differences over the resamples (`anna.bootstrap.ends`), NaN
    where a class has a single person.

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
    options = {"bins": metrics.BINS, "resamples": resamples, "seed": seed}
    people, results = bootstrap.classes(first), []
    for table, threshold in zip(tables, thresholds, strict=True):
        scores = metrics.evaluate(table, threshold, resamples=0)[["value"]]
        drawn = bootstrap.over_people(table, threshold, **options)
        results.append((scores.join(bootstrap.ends(drawn, people, level)), drawn))
    scores, draws = results[0]
    return [
        _beside(own, scores, bootstrap.ends(drawn - draws, people, level)) for own, drawn in results
    ]


def signed(row: pd.Series) -> str:
    """Returns the difference in a row of `differences` as text, "+0.012 [-0.03, +0.05]"."""
    if pd.isna(row["difference"]):
        return "–"
    text = f"{row['difference']:+.3f}"
    if pd.isna(row["difference_low"]):
        return text
    return f"{text} [{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]"


def _beside(scores: pd.DataFrame, first: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    table = scores.assign(
        difference=scores["value"] - first["value"],
        difference_low=gaps["low"],
        difference_high=gaps["high"],
    )
    return table[list(COLUMNS)]
