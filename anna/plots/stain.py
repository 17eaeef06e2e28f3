"""The figure of the colours of the subjects and of the classes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from anna.plots import style

CHANNELS = {"red": "#C0392B", "green": "#27803B", "blue": "#2C5FA8"}


@style.styled
def colours(cells: pd.DataFrame, facts: pd.DataFrame) -> Figure:
    """Returns the colours of the subjects' cells beside the difference between the classes.

    Args:
        cells: the table of cells.
        facts: with `red`, `green` and `blue`, medians inside the cell, on the same index.
    """
    channels = list(CHANNELS)
    table = style.labelled(cells.join(facts[channels])).dropna(subset=channels)
    medians = table.groupby(["kind", "subject"])[channels].median()
    figure = plt.figure(figsize=(style.WIDTH, 5.6))
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 2.1))
    bright = max(
        1.0, 200 / medians.to_numpy().max()
    )  # cells are too dark to tell apart as they are
    _swatches(top.subplots(2, 1), medians, bright)
    scatter, bars = bottom.subplots(1, 2, width_ratios=(1, 1.1))
    for kind, rows in medians.groupby(level="kind"):
        scatter.scatter(
            rows["red"],
            rows["blue"],
            c=(rows.to_numpy() * bright / 255).clip(0, 1),
            edgecolors=style.COLOURS[kind],
            linewidths=2.2,
            s=90,
        )
    scatter.set(
        xlabel="red (0–255)", ylabel="blue (0–255)", title="Each dot a subject, ringed by class"
    )
    scatter.grid()
    _spread_bars(bars, medians)
    style.caption(bottom, style.census(table), drawn=style.is_drawn(cells))
    return figure


def _swatches(axes: np.ndarray, medians: pd.DataFrame, bright: float) -> None:
    for one, kind in zip(axes, style.COLOURS, strict=True):
        style.bare(one)
        if kind not in medians.index.get_level_values("kind"):
            continue
        rows = medians.loc[kind]
        rows = rows.loc[rows.sum(axis=1).sort_values().index]
        one.imshow(
            (rows.to_numpy()[None] * bright / 255).clip(0, 1),
            aspect="auto",
            interpolation="nearest",
        )
        one.vlines(np.arange(1, len(rows)) - 0.5, -0.5, 0.5, color="white", lw=1)
        one.set_ylabel(kind, color=style.COLOURS[kind], rotation=0, ha="right", va="center")
    axes[0].set_title(f"The median colour of each subject's cells, dark to light (× {bright:.1f})")


def _spread_bars(axes: Axes, medians: pd.DataFrame) -> None:
    places = np.arange(len(CHANNELS))
    means = medians.groupby(level="kind").mean()
    apart = (means.max() - means.min()) if len(means) == 2 else means.iloc[0] * np.nan
    between = medians.groupby(level="kind").std().mean()
    bars = {"between the two classes' means": apart, "between subjects of a class (sd)": between}
    for step, (name, heights) in enumerate(bars.items()):
        shown = axes.bar(
            places + (step - 0.5) * 0.38,
            heights.to_numpy(),
            width=0.36,
            label=name,
            color=list(CHANNELS.values()),
            alpha=(1.0, 0.45)[step],
        )
        axes.bar_label(shown, fmt="%.1f", fontsize=9, padding=2)
    axes.set_xticks(places, list(CHANNELS))
    axes.set(ylabel="grey levels", title="Stain: what differs by how much")
    axes.set_ylim(0, np.nanmax([*apart, *between, 1]) * 1.45)
    solid = [
        Patch(color=style.INK, alpha=alpha, label=name)
        for name, alpha in zip(bars, (1, 0.45), strict=True)
    ]
    axes.legend(handles=solid, loc="upper left")
