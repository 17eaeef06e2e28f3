"""Scores of many resamples of people at once.

A resample is a row of weights: how often each person was drawn. Everything a score needs is added
up per person first, so that one matrix product gives it for every resample.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

COUNTED = (
    "accuracy",
    "precision_all",
    "recall_all",
    "f1_all",
    "precision_hem",
    "recall_hem",
    "f1_hem",
    "weighted_precision",
    "weighted_recall",
    "weighted_f1",
    "sensitivity",
    "specificity",
    "fall_out",
    "ppv",
    "npv",
)
"""The scores that follow from true and false positives and negatives alone."""

WITHIN = {"sensitivity": 1, "recall_all": 1, "specificity": 0, "recall_hem": 0, "fall_out": 0}
"""The scores that depend on people of one class alone, and which."""

CHUNK = 200  # resamples ranked at a time: 200 x 10,661 cells is 17 MB an array


def rates(tp, fp, fn, tn) -> dict[str, np.ndarray]:
    """Returns the scores of `COUNTED` from counts of one shape; undefined ones are NaN.

    The weighted scores follow scikit-learn and so the challenge: a class that has cells but was
    never called has precision 0 there, while its own `precision_...` is NaN.
    """
    tp, fp, fn, tn = (np.asarray(count, dtype=float) for count in (tp, fp, fn, tn))
    support = np.stack([tp + fn, tn + fp])
    right = np.stack([tp, tn])
    called = np.stack([tp + fp, tn + fn])
    precision, recall = _ratio(right, called), _ratio(right, support)
    f1 = _ratio(2 * right, called + support)
    scores = {"accuracy": _ratio(right.sum(axis=0), support.sum(axis=0))}
    for row, name in enumerate(("all", "hem")):
        parts = zip(("precision", "recall", "f1"), (precision, recall, f1), strict=True)
        scores |= {f"{kind}_{name}": part[row] for kind, part in parts}
    scores["weighted_precision"] = _weighted(precision, support)
    scores["weighted_recall"] = _weighted(recall, support)
    scores["weighted_f1"] = _weighted(f1, support)
    scores["sensitivity"], scores["specificity"] = recall
    scores["fall_out"] = 1 - recall[1]
    scores["ppv"], scores["npv"] = precision
    return scores


def draw_people(labels: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Returns how often each person was drawn, (resamples, people) float.

    Args:
        labels: each person's class, 0 or 1. People are drawn with replacement within their class,
            so that every resample has as many of both classes as the table.
        resamples: how many resamples.
        seed: of the generator.
    """
    generator = np.random.default_rng(seed)
    weights = np.zeros((resamples, len(labels)))
    for label in (0, 1):
        members = np.flatnonzero(labels == label)
        if len(members):
            fair = np.full(len(members), 1 / len(members))
            weights[:, members] = generator.multinomial(len(members), fair, size=resamples)
    return weights


def over_people(
    table: pd.DataFrame, threshold: float, *, bins: int, resamples: int, seed: int
) -> pd.DataFrame:
    """Returns each score (column) in each resample of people (row).

    Without rows where a class has a single person, from whom no spread between people can be known.

    Args:
        table: cells with `group`, `label` and `probability`, none missing.
        threshold: a cell is called ALL when its probability is at least this.
        bins: of the expected calibration error.
        resamples: how often people are drawn.
        seed: of the draws.
    """
    people = classes(table)
    cells = {
        "person": people.index.get_indexer(table["group"]),
        "label": table["label"].to_numpy(),
        "probability": table["probability"].to_numpy(),
    }
    known = people.value_counts().min() >= 2
    weights = draw_people(people.to_numpy(), resamples if known else 0, seed)
    return pd.DataFrame(scores(cells, weights, threshold=threshold, bins=bins))


def classes(table: pd.DataFrame) -> pd.Series:
    """Returns each person's class, 0 or 1, by `group`."""
    return table.groupby("group")["label"].mean().round().astype(int)


def ends(drawn: pd.DataFrame, people: pd.Series, level: float) -> pd.DataFrame:
    """Returns the interval of each score: `low` and `high`, NaN where nothing was drawn.

    A resample in which a score is undefined is left out of that score.

    Args:
        drawn: as `over_people` returns it, or the difference of two such.
        people: as `classes` returns it. Of a score that both classes take part in, the class of
            which there are fewer people decides how far the interval reaches.
        level: of the intervals, in 0..1.
    """
    count = people.value_counts()
    tails = {name: tail(count.get(WITHIN.get(name), count.min()), level) for name in drawn}
    rows = {
        name: (drawn[name].quantile(share), drawn[name].quantile(1 - share))
        for name, share in tails.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["low", "high"])


def tail(people: int, level: float) -> float:
    """Returns the share of resamples that lies beyond each end of an interval.

    Half of what the level leaves, were there many people. Those of n people know n of them alone:
    their spread is smaller by the root of (n - 1) / n, and normal tails take the place of
    Student's; the share makes up for both. Source: Hesterberg 2015, What teachers should know about
    the bootstrap, doi 10.1080/00031305.2015.1089789 (the expanded percentile interval).

    Args:
        people: how many were drawn from.
        level: of the interval, in 0..1.
    """
    if people < 2:
        return 0.0
    reach = stats.t.ppf((1 - level) / 2, people - 1) * np.sqrt(people / (people - 1))
    return float(stats.norm.cdf(reach))


def scores(cells: dict[str, np.ndarray], weights: np.ndarray, *, threshold: float, bins: int):
    """Returns each score's values over all resamples, a dict of (resamples,) float arrays.

    Args:
        cells: `person` (index into the columns of `weights`), `label` (0 or 1) and `probability`
            of every cell, arrays of one length.
        weights: (resamples, people), as from `draw_people`; one row of ones gives the plain scores.
        threshold: a cell is called ALL when its probability is at least this.
        bins: of the expected calibration error.
    """
    label, called = cells["label"] == 1, cells["probability"] >= threshold
    outcomes = (label & called, ~label & called, label & ~called, ~label & ~called)
    counts = [weights @ _per_person(cells, outcome) for outcome in outcomes]
    squares = (cells["probability"] - cells["label"]) ** 2
    ranked = [_ranking(cells, part) for part in _chunks(weights)]
    return rates(*counts) | {
        "auc": np.concatenate([auc for auc, _ in ranked]),
        "average_precision": np.concatenate([precision for _, precision in ranked]),
        "brier": _ratio(weights @ _per_person(cells, squares), sum(counts)),
        "ece": _calibration_error(cells, weights, bins),
    }


def bin_of(probability: np.ndarray, bins: int) -> np.ndarray:
    """Returns the equal-width bin of each probability, 0 to bins - 1; 1.0 is in the last."""
    return np.minimum((np.asarray(probability) * bins).astype(int), bins - 1)


def _ranking(cells: dict[str, np.ndarray], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns AUC (Mann-Whitney, ties count half) and average precision of each resample."""
    _, step = np.unique(-cells["probability"], return_inverse=True)
    positive = weights @ _per_person(cells, cells["label"] == 1, step)
    negative = weights @ _per_person(cells, cells["label"] == 0, step)
    tp, fp = positive.cumsum(axis=1), negative.cumsum(axis=1)
    outranked = fp[:, -1:] - fp + negative / 2
    auc = _ratio((positive * outranked).sum(axis=1), tp[:, -1] * fp[:, -1])
    precision = np.nan_to_num(_ratio(tp, tp + fp))
    return auc, _ratio((positive * precision).sum(axis=1), tp[:, -1])


def _calibration_error(cells: dict[str, np.ndarray], weights: np.ndarray, bins: int) -> np.ndarray:
    column = bin_of(cells["probability"], bins)
    gaps = weights @ _per_person(cells, cells["label"] - cells["probability"], column)
    count = weights @ _per_person(cells, np.ones(len(column)), column)
    return _ratio(np.abs(gaps).sum(axis=1), count.sum(axis=1))


def _per_person(cells: dict[str, np.ndarray], amount: np.ndarray, column=None) -> np.ndarray:
    """Returns sums per person, (people,), or per person and column, (people, columns)."""
    person = cells["person"]
    if column is None:
        return np.bincount(person, weights=amount)
    table = np.zeros((person.max() + 1, column.max() + 1))
    np.add.at(table, (person, column), amount)
    return table


def _chunks(weights: np.ndarray):
    return (weights[start : start + CHUNK] for start in range(0, max(len(weights), 1), CHUNK))


def _weighted(score: np.ndarray, support: np.ndarray) -> np.ndarray:
    return _ratio((np.nan_to_num(score) * support).sum(axis=0), support.sum(axis=0))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
