"""From a table of predictions to scores, each with an interval over people.

Every function takes `found`, a DataFrame with one row a cell and at least `group`, `label` (1 for
ALL, 0 for HEM, or missing) and `probability` (of ALL). Cells without a label or a probability are
left out. A cell is called ALL when its probability is at least the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import sklearn.metrics

from anna import bootstrap
from anna.checks import CLASSES, require_fraction, scorable
from anna.thresholds import choose_threshold

__all__ = [
    "BINS",
    "CLASSES",
    "HEADLINE",
    "METRICS",
    "by_subject",
    "calibration",
    "choose_threshold",
    "classification_report",
    "compare",
    "confusion",
    "describe",
    "evaluate",
]

METRICS = (*bootstrap.COUNTED, "auc", "average_precision", "brier", "ece")
HEADLINE = (
    "weighted_f1",
    "accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "auc",
    "average_precision",
    "brier",
    "ece",
)
BINS = 10


def evaluate(
    found: pd.DataFrame,
    threshold: float = 0.5,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Returns every score with its interval, a DataFrame indexed by `METRICS`: value, low, high.

    Intervals are percentiles of a bootstrap over people: whole people (`group`) are drawn with
    replacement within their class, since cells of one person are no independent witnesses; the
    fewer people, the further out the percentiles (`anna.bootstrap.tail`). They are NaN where a
    class has a single person, from whom no spread between people can be known.

    A score that is undefined is NaN: precision without a call, AUC with one class. The weighted
    scores are those of the challenge (scikit-learn's `average="weighted"`), where a class never
    called counts as 0. `ece` has 10 equal-width bins of the probability of ALL: the mean, over
    cells, of the distance between a bin's mean probability and its share of ALL (Guo et al. 2017,
    for the positive class). `attrs` holds threshold, cells, people, left_out, resamples, level
    and drawn (whether any cell is a drawn one).

    Args:
        found: predictions, one row a cell.
        threshold: in 0..1; choose it on validation people with `choose_threshold`.
        resamples: how often people are drawn; 0 for no intervals.
        level: of the intervals, in 0..1.
        seed: of the draws.

    Raises:
        ValueError: a value is out of its range, a column is missing, or no cell can be scored.
    """
    require_fraction("threshold", threshold)
    require_fraction("level", level)
    table = scorable(found, "group")
    options = {"bins": BINS, "resamples": resamples, "seed": seed}
    drawn = bootstrap.over_people(table, threshold, **options)
    people = bootstrap.classes(table)
    scores = pd.DataFrame({"value": _points(table, threshold)}, index=list(METRICS))
    scores = scores.join(bootstrap.ends(drawn, people, level))
    scores.index.name = "metric"
    scores.attrs = {
        "threshold": float(threshold),
        "cells": len(table),
        "people": len(people),
        "left_out": len(found) - len(table),
        "resamples": int(resamples),
        "level": float(level),
        "drawn": "drawn" in table and bool(table["drawn"].any()),
    }
    return scores


def confusion(found: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Returns the 2x2 table of cells: rows are the true HEM and ALL, columns the called ones."""
    require_fraction("threshold", threshold)
    table = scorable(found)
    called = table["probability"] >= threshold
    counts = sklearn.metrics.confusion_matrix(table["label"], called, labels=[0, 1])
    return pd.DataFrame(
        counts, index=pd.Index(CLASSES, name="true"), columns=pd.Index(CLASSES, name="called")
    )


def classification_report(found: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Returns scikit-learn's report as a table: precision, recall, f1-score, support.

    Rows are HEM, ALL, accuracy, macro avg and weighted avg; a class never called has precision 0.
    """
    require_fraction("threshold", threshold)
    table = scorable(found)
    report = sklearn.metrics.classification_report(
        table["label"],
        (table["probability"] >= threshold).astype(int),
        labels=[0, 1],
        target_names=CLASSES,
        output_dict=True,
        zero_division=0,
    )
    accuracy = float(((table["probability"] >= threshold) == table["label"]).mean())
    support = report["macro avg"]["support"]
    averages = {name: report.pop(name) for name in ("macro avg", "weighted avg")}
    classes = {name: report[name] for name in CLASSES}
    total = {"f1-score": accuracy, "support": support}
    rows = pd.DataFrame(classes | {"accuracy": total} | averages).T
    return rows[["precision", "recall", "f1-score", "support"]].astype({"support": int})


def by_subject(found: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Returns one row a person: group, subject, label, cells, accuracy, mean_probability.

    `subject` joins the names of a person known under several. ALL comes first, and within a class
    the person with the best accuracy.
    """
    require_fraction("threshold", threshold)
    table = scorable(found, "group")
    if "subject" not in table:
        table["subject"] = table["group"]
    table["right"] = (table["probability"] >= threshold) == table["label"]
    rows = table.groupby("group", as_index=False).agg(
        subject=("subject", lambda names: " = ".join(sorted(set(names.dropna().astype(str))))),
        label=("label", lambda labels: round(labels.mean())),
        cells=("label", "size"),
        accuracy=("right", "mean"),
        mean_probability=("probability", "mean"),
    )
    order = {"by": ["label", "accuracy", "group"], "ascending": [False, False, True]}
    return rows.sort_values(**order, ignore_index=True)


def calibration(found: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """Returns one row a bin of probability: low, high, cells, mean_probability, observed.

    Bins are of equal width and hold their lower edge, the last one its upper edge too. `observed`
    is the share of ALL among a bin's cells; an empty bin has NaN there.
    """
    if bins < 1:
        raise ValueError(f"At least one bin is needed. Received: bins={bins}")
    table = scorable(found)
    inside = table.groupby(bootstrap.bin_of(table["probability"], bins))
    rows = pd.DataFrame({"low": np.arange(bins) / bins, "high": np.arange(1, bins + 1) / bins})
    rows["cells"] = inside.size().reindex(rows.index, fill_value=0)
    rows["mean_probability"] = inside["probability"].mean()
    rows["observed"] = inside["label"].mean()
    return rows


def compare(scores: dict[str, pd.DataFrame], metrics: Sequence[str] = HEADLINE) -> pd.DataFrame:
    """Returns one column a model of texts like "0.912 [0.88, 0.94]", one row a metric.

    Args:
        scores: tables of `evaluate` by the model's name.
        metrics: which rows, in which order.
    """
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown:
        raise ValueError(f"Metrics must be among {METRICS}. Received: {unknown}")
    columns = {
        name: [describe(table.loc[metric]) for metric in metrics] for name, table in scores.items()
    }
    return pd.DataFrame(columns, index=pd.Index(metrics, name="metric"))


def describe(score: pd.Series) -> str:
    """Returns one row of `evaluate` as text, "0.912 [0.88, 0.94]"; "–" when undefined."""
    if pd.isna(score["value"]):
        return "–"
    if pd.isna(score["low"]):
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} [{score['low']:.2f}, {score['high']:.2f}]"


def _points(table: pd.DataFrame, threshold: float) -> dict[str, float]:
    label, probability = table["label"], table["probability"]
    (tn, fp), (fn, tp) = confusion(table, threshold).to_numpy()
    scores = {name: float(score) for name, score in bootstrap.rates(tp, fp, fn, tn).items()}
    present = set(label)
    scores["auc"] = scores["average_precision"] = np.nan
    if present == {0, 1}:
        scores["auc"] = sklearn.metrics.roc_auc_score(label, probability)
    if 1 in present:
        scores["average_precision"] = sklearn.metrics.average_precision_score(label, probability)
    scores["brier"] = sklearn.metrics.brier_score_loss(label, probability, pos_label=1)
    bins = calibration(table).dropna()
    gaps = (bins["mean_probability"] - bins["observed"]).abs()
    scores["ece"] = float(np.average(gaps, weights=bins["cells"]))
    return scores
