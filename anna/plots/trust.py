"""Figures about trust: what a disturbance costs, and whether the evidence map means something."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from anna.deletion import areas
from anna.plots import style
from anna.robustness import LIMIT

WITHIN, BEYOND = style.MODELS[0], style.MODELS[5]


@style.styled
def robustness(table: pd.DataFrame, *, limit: float = LIMIT, drawn: bool = False) -> Figure:
    """Returns the weighted F1 lost to each disturbance, the most costly on top.

    Args:
        table: as of `anna.robustness.sweep`: disturbance, weighted_f1, lost, flipped.
        limit: of the weighted F1 that may be lost, drawn as a line.
        drawn: whether the cells are drawn ones.
    """
    rows = table.sort_values("lost", kind="stable", ignore_index=True)
    figure, axes = plt.subplots(figsize=(style.WIDTH, 1.5 + 0.42 * len(rows)))
    colours = [BEYOND if lost > limit else WITHIN for lost in rows["lost"]]
    axes.barh(rows.index, rows["lost"], height=0.62, color=colours)
    axes.axvline(0, color=style.INK, lw=1)
    axes.axvline(limit, color=style.INK, lw=1.2, ls="--")
    axes.set_yticks(rows.index, rows["disturbance"])
    axes.tick_params(axis="y", length=0)
    low, high = min(0, rows["lost"].min()), max(limit, rows["lost"].max())
    axes.set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    beside = axes.get_yaxis_transform()
    for place, row in rows.iterrows():
        text = f"{row['lost']:+.3f}  {row['flipped']:.1%} of calls flipped"
        axes.text(1.01, place, text, va="center", fontsize=9, transform=beside)
    axes.set(xlabel="weighted F1 lost", title=_cost(rows, limit))
    axes.grid(axis="x")
    undisturbed = (rows["weighted_f1"] + rows["lost"]).mean()
    notes = [f"Dashed: {limit:.2f}", f"undisturbed: weighted F1 {undisturbed:.3f}"]
    if {"cells", "people"} <= set(table.attrs):
        people = style.plural(table.attrs["people"], "person", "people")
        notes.append(f"{style.plural(table.attrs['cells'], 'cell')} from {people}")
    style.caption(figure, *notes, drawn=drawn or bool(table.attrs.get("drawn")))
    return figure


@style.styled
def deletion(curve: pd.DataFrame, *, drawn: bool = False) -> Figure:
    """Returns the probability of the call as more of the cell is hidden, by evidence and at random.

    Args:
        curve: as of `anna.deletion.curve`: share, order, probability.
        drawn: whether the cells are drawn ones.
    """
    area = areas(curve)
    looks = {
        "evidence": ("by evidence, most telling first", style.MODELS[0], "-"),
        "random": ("at random", style.GREY, "--"),
    }
    figure, axes = plt.subplots(figsize=(7.4, 4.8))
    for order, (name, colour, line) in looks.items():
        rows = curve[curve["order"] == order]
        label = f"{name}, area {area[order]:.3f}"
        axes.plot(rows["share"], rows["probability"], f"o{line}", color=colour, ms=5, label=label)
    wide = curve.pivot(index="share", columns="order", values="probability")
    axes.fill_between(wide.index, wide["evidence"], wide["random"], color=style.PALE, lw=0)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=_gap(area))
    axes.set(xlabel="share of the cell hidden", ylabel="mean probability of the called class")
    axes.grid()
    axes.legend(loc="best")
    fills = {"mean": "Hidden: the cell's mean colour", "black": "Hidden: black"}
    cells = curve.attrs.get("cells")
    notes = [fills.get(curve.attrs.get("fill"), ""), style.plural(cells, "cell") if cells else ""]
    style.caption(figure, *notes, drawn=drawn)
    return figure


def _cost(rows: pd.DataFrame, limit: float) -> str:
    """Returns what the figure shows: how many disturbances cost more than the limit."""
    beyond, worst = int((rows["lost"] > limit).sum()), rows.iloc[-1]
    return (
        f"{beyond} of {style.plural(len(rows), 'disturbance')} cost more than {limit:.2f}; "
        f"the worst, {worst['disturbance']}, {worst['lost']:.3f}"
    )


def _gap(area: pd.Series) -> str:
    """Returns what the figure shows: by how much the two areas differ."""
    gap = area["random"] - area["evidence"]
    size = "smaller" if gap > 0 else "larger"
    return f"Hidden by evidence, the area is {abs(gap):.3f} {size} than at random"
