"""The figure of cells whose nucleus and outline were found, beside those drawn by hand."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anna.plots import style

EDGES = {"nucleus": (1.5, "#00E5D0"), "cell": (0.5, "#222222")}


@style.styled
def contours(
    images: Sequence[np.ndarray],
    drawn: Sequence[np.ndarray],
    found: Sequence[np.ndarray],
    *,
    titles: Sequence[str],
    notes: Sequence[tuple[str, str]],
) -> Figure:
    """Returns a column a cell: its image, with contours drawn by hand, with contours found.

    Args:
        images: uint8 (height, width, 3) RGB each.
        drawn: mask of each by hand, uint8 (height, width): 0 background, 1 cytoplasm, 2 nucleus.
        found: mask of each as found.
        titles: one a cell.
        notes: what to say below the contours by hand and below those found, for each cell.
    """
    style.require_same("masks, titles and notes", *map(len, (images, drawn, found, titles, notes)))
    count, rows = len(images), ("image", "by hand", "found")
    side = min(style.WIDTH / count, 2.6)
    figure, axes = plt.subplots(3, count, figsize=(side * count, 3 * side + 1.2), squeeze=False)
    for column, image, *masks, title, (below, beneath) in zip(
        axes.T, images, drawn, found, titles, notes, strict=True
    ):
        for one, mask, note in zip(column, (None, *masks), ("", below, beneath), strict=True):
            style.show_image(one, image)
            one.set_xlabel(note, fontsize=9)
            if mask is not None:
                _outline(one, mask)
        column[0].set_title(title, fontsize=10, loc="center")
    for one, name in zip(axes[:, 0], rows, strict=True):
        one.set_ylabel(name)
    style.caption(figure, "Turquoise: nucleus. Black: whole cell. N:C: area of nucleus / of cell")
    return figure


def _outline(axes: Axes, mask: np.ndarray) -> None:
    for level, colour in EDGES.values():
        if mask.min() < level < mask.max():
            axes.contour(mask, levels=[level], colors=colour, linewidths=1.3)
