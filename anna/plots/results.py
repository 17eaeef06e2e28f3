"""Figures about predictions: calls against the truth, probabilities, and people."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from anna import metrics
from anna.checks import scorable
from anna.plots import style


@style.styled
def confusion(
    found: pd.DataFrame | dict[str, tuple[pd.DataFrame, float]], threshold: float | None = None
) -> Figure:
    """Returns the 2x2 table of truth and call, one panel a model.

    Args:
        found: predictions, with `threshold`; or predictions and threshold by the model's name.
        threshold: of a single table.

    Raises:
        ValueError: a single table comes without a threshold.
    """
    if isinstance(found, pd.DataFrame):
        if threshold is None:
            raise ValueError(f"One table of predictions needs a threshold. Received: {threshold}")
        found = {"Calls": (found, threshold)}
    figure, axes = plt.subplots(
        1, len(found), figsize=(min(style.WIDTH, 4.4 * len(found)), 4.3), squeeze=False
    )
    for one, (name, (table, cut)) in zip(axes[0], found.items(), strict=True):
        _confusion_panel(one, metrics.confusion(table, cut))
        one.set_title(f"{name}, threshold {cut:.2f}")
    _caption_of(figure, found, "Per cent of the cells of each true class")
    return figure


@style.styled
def curves(found: dict[str, tuple[pd.DataFrame, float]]) -> Figure:
    """Returns ROC and precision-recall curves with the operating point of each threshold.

    Args:
        found: predictions and threshold by the model's name.
    """
    figure, (roc, precision) = plt.subplots(1, 2, figsize=(style.WIDTH, 5.0))
    for name, colour in style.colour_of(found).items():
        _curve_pair(roc, precision, (name, *found[name]), colour)
    share = pd.concat([scorable(table)["label"] for table, _ in found.values()]).mean()
    roc.plot([0, 1], [0, 1], color=style.GREY, lw=1, ls="--")
    precision.axhline(share, color=style.GREY, lw=1, ls="--")
    roc.set(xlabel="fall-out (1 − specificity)", ylabel="sensitivity", title="ROC")
    precision.set(
        xlabel="recall (sensitivity)", ylabel="precision (PPV)", title="Precision and recall"
    )
    for one, corner in ((roc, "lower right"), (precision, "lower left")):
        one.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        one.grid()
        one.legend(loc=corner)
    _caption_of(figure, found, "Dot: the threshold used. Dashed: what chance gives")
    return figure


@style.styled
def reliability(found: dict[str, tuple[pd.DataFrame, float]], bins: int = metrics.BINS) -> Figure:
    """Returns observed share of ALL against the probability, and how often each was given.

    Args:
        found: predictions and threshold by the model's name.
        bins: of equal width.
    """
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(6.4, 7.0), sharex=True, height_ratios=(3, 1)
    )
    top.plot([0, 1], [0, 1], color=style.GREY, lw=1, ls="--")
    for name, colour in style.colour_of(found).items():
        table = metrics.calibration(found[name][0], bins)
        used = table[table["cells"] > 0]
        gap = (used["mean_probability"] - used["observed"]).abs()
        error = np.average(gap, weights=used["cells"])
        label = f"{name}, calibration error {error:.3f}"
        top.plot(used["mean_probability"], used["observed"], "o-", color=colour, ms=5, label=label)
        edges = [*table["low"], table["high"].iloc[-1]]
        bottom.stairs(table["cells"], edges, color=colour, fill=True, alpha=0.2)
        bottom.stairs(table["cells"], edges, color=colour, lw=1.6)
    top.set(ylabel="observed share of ALL", ylim=(-0.02, 1.02), title="Do the probabilities hold?")
    bottom.set(xlabel="probability of ALL", ylabel="cells", xlim=(-0.02, 1.02))
    top.grid()
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper left")
    _caption_of(figure, found, "Dashed: probabilities that hold")
    return figure


@style.styled
def subject_strip(found: pd.DataFrame, threshold: float) -> Figure:
    """Returns each person's cells at their probabilities, and the person's accuracy above.

    Args:
        found: predictions, one row a cell.
        threshold: a cell is called ALL when its probability is at least this.
    """
    people = metrics.by_subject(found, threshold)
    table = scorable(found, "group")
    figure, (top, strip) = plt.subplots(
        2, 1, figsize=(style.WIDTH + 1, 5.6), sharex=True, height_ratios=(1, 3)
    )
    generator = np.random.default_rng(0)
    size = np.clip(9000 / max(len(table), 1), 9, 36)  # few dots are large ones
    look = {"s": size, "alpha": 0.45, "linewidths": 0, "rasterized": True}
    for place, person in people.iterrows():
        colour = style.COLOURS[style.CLASSES[person["label"]]]
        cells = table.loc[table["group"] == person["group"], "probability"]
        across = place + generator.uniform(-0.32, 0.32, len(cells))
        strip.scatter(across, cells, color=colour, **look)
        top.bar(place, person["accuracy"], color=colour, width=0.8)
    strip.axhline(threshold, color=style.INK, lw=1.2, ls="--")
    strip.set_xticks(people.index, people["subject"], rotation=90, fontsize=9)
    strip.set(ylabel="probability of ALL", ylim=(-0.03, 1.03), xlim=(-0.7, len(people) - 0.3))
    top.set(ylim=(0, 1), yticks=[0, 0.5, 1], ylabel="accuracy", title=_people_title(people))
    top.axhline(0.5, color=style.GREY, lw=0.8, ls=":")
    top.tick_params(axis="x", length=0)
    note = f"dashed: threshold {threshold:.2f}"
    style.caption(figure, style.census(table), note, drawn=style.is_drawn(found))
    return figure


def _confusion_panel(axes: Axes, table: pd.DataFrame) -> None:
    counts = table.to_numpy()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Greys", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        text = f"{count:,}\n{share[row, column]:.0%}"
        colour = "white" if share[row, column] > 0.5 else style.INK
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=14)
    axes.set_xticks([0, 1], table.columns)
    axes.set_yticks([0, 1], table.index)
    for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        tick.set(color=style.COLOURS[tick.get_text()], weight="bold")
    axes.set(xlabel="called", ylabel="true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _curve_pair(roc: Axes, precision: Axes, model: tuple[str, pd.DataFrame, float], colour: str):
    name, found, threshold = model
    scores = metrics.evaluate(found, threshold, resamples=0)["value"]
    table = scorable(found)
    fall_out, sensitivity, _ = roc_curve(table["label"], table["probability"])
    positive, recall, _ = precision_recall_curve(table["label"], table["probability"])
    dot = {"marker": "o", "ms": 9, "color": colour, "mec": "white", "ls": "none", "zorder": 3}
    roc.plot(fall_out, sensitivity, color=colour, lw=2, label=f"{name}, AUC {scores['auc']:.3f}")
    roc.plot(scores["fall_out"], scores["sensitivity"], **dot)
    average = scores["average_precision"]
    precision.step(
        recall, positive, color=colour, lw=2, where="pre", label=f"{name}, average {average:.3f}"
    )
    precision.plot(scores["recall_all"], scores["precision_all"], **dot)


def _people_title(people: pd.DataFrame) -> str:
    parts = []
    for label, kind in style.CLASSES.items():
        rows = people.loc[people["label"] == label, "accuracy"]
        if len(rows):
            parts.append(f"{kind} {rows.mean():.2f} ({rows.min():.2f} to {rows.max():.2f})")
    return "Mean accuracy of a person: " + ", ".join(parts)


def _caption_of(figure: Figure, found: dict[str, tuple[pd.DataFrame, float]], note: str) -> None:
    tables = [scorable(table) for table, _ in found.values()]
    counts = dict.fromkeys(style.census(table) for table in tables)
    style.caption(figure, *counts, note, drawn=style.is_drawn(*tables))
