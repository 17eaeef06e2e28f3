"""The figure of a field: the cells found, what each is called, and where the call came from."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from anna.plots import style


@style.styled
def field(
    image: np.ndarray,
    cells: pd.DataFrame,
    *,
    evidence: np.ndarray | None = None,
    drawn: bool = False,
) -> Figure:
    """Returns a field with a box around each cell, in the colour of its call.

    Args:
        image: uint8 (height, width, 3) RGB.
        cells: Of this field, as `anna.fields.judge` returns them.
        evidence: As `anna.field_evidence.of_field` returns it; then the field is shown a second
            time, the evidence over it.
        drawn: Whether the field is a drawn one.
    """
    shown = [image] if evidence is None else [image, evidence]
    height = style.WIDTH / len(shown) * image.shape[0] / image.shape[1]
    figure, axes = plt.subplots(
        1, len(shown), figsize=(style.WIDTH, height + 0.6), squeeze=False, layout="constrained"
    )
    style.show_image(axes[0, 0], image)
    there = cells[cells["cell"].notna()]
    for row in there.itertuples():
        _box(axes[0, 0], row, image.shape[1] / len(shown))
    if evidence is not None:
        _evidence(figure, axes[0, 1], image, evidence)
    counts = there["call"].value_counts()
    figure.legend(handles=_handles(counts), loc="outside upper left", ncols=4)
    style.caption(
        figure,
        style.plural(len(there), "nucleated cell"),
        "the number is the probability of ALL, * a warning",
        drawn=drawn,
    )
    return figure


def _handles(counts: pd.Series) -> list[Line2D]:
    names = {name: f"called {name}: {counts.get(name, 0):,}" for name in style.COLOURS}
    colours = style.COLOURS | {"": style.GREY}
    names |= {"": f"not judged: {counts.get('', 0):,}"} if "" in counts else {}
    return [
        Line2D([], [], color=colours[key], lw=3, ls="-" if key else "--", label=text)
        for key, text in names.items()
    ]


def _box(axes: Axes, row, width: float) -> None:
    colour = style.COLOURS.get(row.call, style.GREY)
    line = {
        "fill": False,
        "edgecolor": colour,
        "linewidth": 2,
        "linestyle": "-" if row.call else "--",
    }
    axes.add_patch(Rectangle((row.left - 0.5, row.top - 0.5), row.width, row.height, **line))
    if row.call:
        note = f"{row.probability:.2f}{'*' if row.warning else ''}"
        inside = row.top < 0.05 * width  # no room above
        axes.text(
            row.left,
            row.top + (0.006 if inside else -0.006) * width,
            note,
            color="white",
            fontsize=8,
            va="top" if inside else "bottom",
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5},
            clip_on=True,
        )


def _evidence(figure: Figure, axes: Axes, image: np.ndarray, evidence: np.ndarray) -> None:
    style.show_image(axes, np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) / 255)
    inside = np.abs(evidence[~np.isnan(evidence)])
    limit = float(np.percentile(inside, 99)) if inside.size else 1.0
    colours = {"cmap": "RdBu_r", "norm": plt.Normalize(-limit or -1.0, limit or 1.0)}
    axes.imshow(np.ma.masked_invalid(evidence), alpha=0.8, interpolation="nearest", **colours)
    bar = figure.colorbar(ScalarMappable(**colours), ax=axes, shrink=0.7, aspect=30, pad=0.02)
    bar.set_label("towards HEM    evidence    towards ALL")
    bar.outline.set_visible(False)
