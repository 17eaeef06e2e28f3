"""The figure of people who share images."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anna.plots import style


@style.styled
def shared_images(cells: pd.DataFrame, facts: pd.DataFrame) -> Figure:
    """Returns arcs between the subject names that hold the very same images.

    Args:
        cells: the table of cells.
        facts: with `pixel_hash`, on the same index; equal hashes are equal pixels.
    """
    table = cells.assign(pixel_hash=facts["pixel_hash"], part=style.parts(cells))
    pairs = shared_pairs(table.dropna(subset=["pixel_hash", "subject"]))
    figure, axes = plt.subplots(figsize=(style.WIDTH, 3.8 if len(pairs) else 1.6))
    if pairs.empty:
        style.bare(axes)
        axes.text(0.5, 0.5, "No image stands under two subject names", ha="center", fontsize=13)
    else:
        _arcs(axes, pairs, _places(table, pairs))
    style.caption(figure, style.census(cells), drawn=style.is_drawn(cells))
    return figure


def shared_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Returns one row a pair of names: first, second, images, across (in two parts or folds)."""
    held = table[["pixel_hash", "subject", "part"]].drop_duplicates()
    both = held.merge(held, on="pixel_hash", suffixes=("_first", "_second"))
    both = both[both["subject_first"] < both["subject_second"]]
    pairs = both.groupby(["subject_first", "subject_second"]).agg(
        images=("pixel_hash", "nunique"),
        part=("part_first", "first"),
        other=("part_second", "first"),
    )
    pairs["across"] = pairs["part"] != pairs["other"]
    pairs.index.names = ["first", "second"]
    return pairs.reset_index()[["first", "second", "images", "across"]]


def _places(table: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Returns where each name stands on the line, and its part and class."""
    names = pd.unique(pairs[["first", "second"]].to_numpy().ravel())
    rows = table[table["subject"].isin(names)].groupby("subject")[["part", "label"]].first()
    rows = rows.sort_values("part", kind="stable")
    gaps = (rows["part"] != rows["part"].shift()).cumsum() - 1
    return rows.assign(place=np.arange(len(rows)) + gaps * 0.6)


def _arcs(axes: Axes, pairs: pd.DataFrame, names: pd.DataFrame) -> None:
    across = int(pairs.loc[pairs["across"], "images"].sum())
    tallest = 0.0
    for pair in pairs.itertuples():
        left, right = sorted((names.loc[pair.first, "place"], names.loc[pair.second, "place"]))
        angle = np.linspace(0, np.pi, 80)
        x = (left + right) / 2 - np.cos(angle) * (right - left) / 2
        y = np.sin(angle) * (right - left) / 2
        tallest = max(tallest, y.max())
        width = 1.2 + 1.4 * np.log2(pair.images)
        look = {"color": style.INK, "ls": "-"} if pair.across else {"color": style.GREY, "ls": "--"}
        axes.plot(x, y, lw=width, alpha=0.75, solid_capstyle="butt", **look)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text((left + right) / 2, y.max(), f"{pair.images}", ha="center", va="center", bbox=box)
    for name, row in names.iterrows():
        colour = style.COLOURS.get(style.CLASSES.get(row["label"]), style.GREY)
        axes.plot(row["place"], 0, "o", ms=13, color=colour, mec="white", zorder=3)
        axes.text(row["place"], -0.32, name, ha="center", va="top", color=colour, weight="bold")
    for part, rows in names.groupby("part"):
        low, high = rows["place"].min() - 0.35, rows["place"].max() + 0.35
        axes.plot([low, high], [-0.85, -0.85], color=style.GREY, lw=1)
        axes.text((low + high) / 2, -0.95, part, ha="center", va="top", fontsize=10)
    style.bare(axes)
    axes.set_ylim(-1.5, max(tallest, 0.8) + 0.4)
    axes.set_title(
        f"{style.plural(int(pairs['images'].sum()), 'image')} under two subject names, "
        f"{across} of them in two parts (solid): who shares an image is one person"
    )
