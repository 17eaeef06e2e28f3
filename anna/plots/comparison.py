"""Figures that set models beside one another: learning, published work, and the order of labels."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anna.plots import style


@style.styled
def learning_curves(histories: dict[str, pd.DataFrame], *, drawn: bool = False) -> Figure:
    """Returns loss, AUC (or accuracy) and learning rate by epoch.

    The epoch of the smallest validation loss is ringed.

    Args:
        histories: by the model's name, columns epoch, loss, val_loss, and where there are any auc
            or accuracy with their val_ twins, and learning_rate.
        drawn: whether the models learned from drawn cells.
    """
    held = set.intersection(*(set(history.columns) for history in histories.values()))
    score = next((name for name in ("auc", "accuracy") if {name, f"val_{name}"} <= held), None)
    panels = ["loss", *([score] if score else [])]
    panels += ["learning_rate"] if "learning_rate" in held else []
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(style.WIDTH, 3.9),
        squeeze=False,
        width_ratios=[3, 3, 2][: len(panels)],
    )
    colours = style.colour_of(histories)
    for one, name in zip(axes[0], panels, strict=True):
        for model, history in histories.items():
            _curve(one, history, name, colour=colours[model], model=model)
        title = {"auc": "AUC", "learning_rate": "learning rate"}.get(name, name)
        one.set(xlabel="epoch", title=title[0].upper() + title[1:])
        one.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        one.grid()
    if "learning_rate" in panels:
        axes[0][-1].set_yscale("log")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    note = "Solid: validation people. Dotted: training people. Ring: smallest validation loss"
    style.caption(figure, note, drawn=drawn)
    return figure


@style.styled
def published(scores: dict[str, pd.DataFrame], published: pd.DataFrame) -> Figure:
    """Returns our weighted F1 with its interval beside published results.

    Args:
        scores: tables of `metrics.evaluate` by the model's name.
        published: columns method, weighted_f1 and note.
    """
    ours = [
        (
            name,
            *table.loc["weighted_f1", ["value", "low", "high"]],
            "this work, drawn cells" if table.attrs.get("drawn") else "this work",
        )
        for name, table in scores.items()
    ]
    theirs = published.assign(low=np.nan, high=np.nan)
    theirs = theirs[["method", "weighted_f1", "low", "high", "note"]].itertuples(index=False)
    columns = ["method", "value", "low", "high", "note"]
    rows = pd.DataFrame([*ours, *theirs], columns=columns).assign(
        ours=[True] * len(ours) + [False] * len(published)
    )
    rows = rows.sort_values("value", ascending=True, ignore_index=True)
    figure, axes = plt.subplots(figsize=(style.WIDTH, 1.3 + 0.36 * len(rows)))
    for place, row in rows.iterrows():
        _dot(axes, place, row)
    axes.set_yticks(rows.index, rows["method"])
    for tick, own in zip(axes.get_yticklabels(), rows["ours"], strict=True):
        tick.set_weight("bold" if own else "normal")
    low = np.nanmin([rows["value"].min(), rows["low"].min()])
    axes.set_xlim(max(0, low - 0.03), 1.0)
    axes.set(xlabel="weighted F1", title="Beside published results")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    drawn = any(bool(table.attrs.get("drawn")) for table in scores.values())
    style.caption(figure, "Bars: 95 % intervals over people", drawn=drawn)
    return figure


@style.styled
def label_order(table: pd.DataFrame, *, drawn: bool = False) -> Figure:
    """Returns the scores of one model with labels by name and in another order.

    Args:
        table: one row an order; columns order, accuracy, sensitivity, fall_out, auc, weighted_f1.
        drawn: whether the cells are drawn ones.
    """
    names = ["sensitivity", "fall_out", "accuracy", "auc", "weighted_f1"]
    titles = ["sensitivity", "fall-out", "accuracy", "AUC", "weighted F1"]
    shades = [style.COLOURS["ALL"], "#E9A06B", "#555555", "#8A8A8A", "#BBBBBB"]
    figure, axes = plt.subplots(figsize=(style.WIDTH, 4.4))
    for step, (name, title, colour) in enumerate(zip(names, titles, shades, strict=True)):
        places = np.arange(len(table)) + (step - 2) * 0.17
        bars = axes.bar(places, table[name], width=0.155, color=colour, label=title)
        axes.bar_label(bars, fmt="%.3f", fontsize=9, padding=2)
    axes.axhline(0.5, color=style.GREY, lw=0.8, ls=":")
    axes.set_xticks(range(len(table)), [f"labels {order}" for order in table["order"]], fontsize=12)
    axes.tick_params(axis="x", length=0)
    axes.set(ylim=(0, 1.05), ylabel="score", title=_order_title(table))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right", ncols=5)
    style.caption(figure, drawn=drawn or style.is_drawn(table))
    return figure


def _curve(axes: Axes, history: pd.DataFrame, name: str, *, colour: str, model: str) -> None:
    dot = {"marker": "o", "ms": 4} if len(history) == 1 else {}  # a line of one point is none
    if name == "learning_rate":
        axes.step(history["epoch"], history[name], color=colour, where="mid", **dot)
        return
    axes.plot(history["epoch"], history[name], color=colour, lw=1.4, ls=":", **dot)
    axes.plot(history["epoch"], history[f"val_{name}"], color=colour, lw=2, label=model)
    best = history.loc[history["val_loss"].idxmin()]
    ring = {"ms": 11, "mfc": "none", "mec": colour, "mew": 2}
    axes.plot(best["epoch"], best[f"val_{name}"], "o", **ring)


def _dot(axes: Axes, place: int, row: pd.Series) -> None:
    colour = style.MODELS[0] if row["ours"] else style.GREY
    if row["ours"] and np.isfinite(row["low"]):
        axes.plot([row["low"], row["high"]], [place, place], color=colour, lw=3, alpha=0.5)
    axes.plot(row["value"], place, "o", ms=9, color=colour)
    axes.text(
        1.01,
        place,
        f"{row['value']:.3f}  {row['note']}",
        va="center",
        fontsize=9,
        color=colour if row["ours"] else "#555555",
        transform=axes.get_yaxis_transform(),
    )


def _order_title(table: pd.DataFrame) -> str:
    """Returns what the figure shows: the order in which sensitivity is closest to fall-out."""
    gap = (table["sensitivity"] - table["fall_out"]).abs()
    worst = table.loc[gap.idxmin()]
    return (
        f"Labels {worst['order']}: sensitivity {worst['sensitivity']:.3f}, "
        f"fall-out {worst['fall_out']:.3f}, accuracy {worst['accuracy']:.3f}"
    )
