"""Figures of calls on single cells: the gallery of right and wrong ones, and their evidence."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from anna.checks import require_fraction
from anna.plots import style


@style.styled
def gallery(pixels: np.ndarray, found: pd.DataFrame, threshold: float, *, count: int = 6) -> Figure:
    """Returns the most confident right and wrong calls of both classes.

    Args:
        pixels: (len(found), height, width, 3); `pixels[i]` belongs to `found.iloc[i]`.
        found: predictions, one row a cell.
        threshold: a cell is called ALL when its probability is at least this.
        count: cells of each kind.
    """
    style.require_same("rows of found", len(pixels), len(found))
    require_fraction("threshold", threshold)
    table = found.assign(row=np.arange(len(found))).dropna(subset=["label", "probability"])
    called = (table["probability"] >= threshold).astype(int)
    kinds = [(1, 1), (0, 0), (1, 0), (0, 1)]
    figure, axes = plt.subplots(4, count, figsize=(style.WIDTH, 1.95 * 4 + 0.4), squeeze=False)
    for line, (label, call) in zip(axes, kinds, strict=True):
        group = table[(table["label"] == label) & (called == call)]
        best = group.sort_values("probability", ascending=call == 0).head(count)
        _gallery_row(line, pixels, best)
        verdict = "right" if label == call else "wrong"
        line[0].set_ylabel(
            f"{style.CLASSES[label]} called {style.CLASSES[call]}\n{verdict}: {len(group):,}",
            color=style.COLOURS[style.CLASSES[label]],
            weight="bold" if label != call else "normal",
        )
    figure.suptitle("The most confident calls, with the probability of ALL", x=0.01, ha="left")
    note = f"threshold {threshold:.2f}"
    style.caption(figure, style.census(table), note, drawn=style.is_drawn(found))
    return figure


@style.styled
def evidence(
    pixels: np.ndarray,
    masks: np.ndarray,
    evidence: np.ndarray,
    titles: Sequence[str],
    *,
    drawn: bool = False,
) -> Figure:
    """Returns cells, their masks and where each call came from, one column a cell.

    Args:
        pixels: uint8 RGB, (n, height, width, 3).
        masks: the cell, 0..1, (n, height, width) or with a last axis of 1.
        evidence: of each pixel, above 0 towards ALL and below towards HEM, shaped like `masks`.
        titles: one a cell.
        drawn: whether the cells are drawn ones.
    """
    masks = np.asarray(masks, dtype=float).reshape(np.shape(masks)[:3])
    evidence = np.asarray(evidence, dtype=float).reshape(np.shape(evidence)[:3])
    style.require_same("masks, evidence and titles", *map(len, (pixels, masks, evidence, titles)))
    columns = len(pixels)
    cell = min((style.WIDTH - 1) / columns, 2.6)
    figure, axes = plt.subplots(
        3, columns, figsize=(columns * cell + 1, 3 * cell + 0.4), squeeze=False
    )
    inside = np.abs(evidence[masks >= 0.5])
    limit = float(np.percentile(inside, 99)) if inside.size else 1.0
    for column, image, mask, map_, title in zip(
        axes.T, pixels, masks, evidence, titles, strict=True
    ):
        shown = _evidence_column(column, image, mask, map_, limit=limit or 1.0)
        column[0].set_title(title, fontsize=10, loc="center")
    for one, name in zip(axes[:, 0], ("cell", "mask", "evidence"), strict=True):
        one.set_ylabel(name)
    bar = figure.colorbar(shown, ax=axes, shrink=0.6, aspect=30, pad=0.02)
    bar.set_label("towards HEM        evidence        towards ALL")
    bar.outline.set_visible(False)
    style.caption(figure, drawn=drawn)
    return figure


def _evidence_column(
    axes: np.ndarray, image: np.ndarray, mask: np.ndarray, evidence: np.ndarray, *, limit: float
):
    height, width = image.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    for one in axes[:2]:
        style.show_image(one, image)
    if mask.min() < 0.5 <= mask.max():
        across = np.linspace(0, width - 1, mask.shape[1])
        down = np.linspace(0, height - 1, mask.shape[0])
        axes[1].contour(across, down, mask, levels=[0.5], colors="#F0E442", linewidths=1.4)
    style.show_image(axes[2], np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) / 255)
    return axes[2].imshow(
        np.ma.masked_where(mask < 0.5, evidence),
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        alpha=0.8,
        extent=extent,
        interpolation="nearest",
    )


def _gallery_row(axes: np.ndarray, pixels: np.ndarray, best: pd.DataFrame) -> None:
    for one in axes:
        style.bare(one)
    for one, cell in zip(axes, best.itertuples(), strict=False):
        style.show_image(one, pixels[cell.row])
        one.set_title(f"{cell.probability:.3f}", fontsize=10, loc="center", pad=3)
        name = str(cell.name).removeprefix("UID_").removesuffix(".bmp")
        one.set_xlabel(name, fontsize=8, labelpad=2)
    if best.empty:
        axes[0].text(0.5, 0.5, "none", ha="center", va="center", transform=axes[0].transAxes)
