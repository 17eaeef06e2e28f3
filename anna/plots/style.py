"""How every figure looks: colours, sizes, captions, and how it is closed and saved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anna.workspace import write_whole

# Okabe and Ito's palette, which the colour-blind can tell apart.
COLOURS = {"ALL": "#D55E00", "HEM": "#0072B2"}
CLASSES = {1: "ALL", 0: "HEM"}
MODELS = ("#117A5B", "#AA4499", "#B8860B", "#444444", "#56B4E9", "#882255")
GREY, INK, PALE = "#8A8A8A", "#222222", "#E6E6E6"
DRAWN = "Drawn cells, not real"
WIDTH = 10.0  # inches; a notebook shows 100 pixels of each

RC = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": PALE,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "xtick.color": INK,
    "ytick.color": INK,
    "image.interpolation": "antialiased",
    "text.color": INK,
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Returns `draw` made to use the house style and to leave no figure open in pyplot.

    A closed figure that is the last value of a notebook's cell is shown once, an open one twice.
    """

    @functools.wraps(draw)
    def _closed(*args, **kwargs) -> Figure:
        before = set(plt.get_fignums())
        try:
            with plt.rc_context(RC):
                return draw(*args, **kwargs)
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)

    return _closed


def save(figure: Figure, path: Path | str) -> Path:
    """Returns the path of the PNG written, 150 dots an inch."""
    kind = {"format": "png", "dpi": 150, "bbox_inches": "tight"}
    return write_whole(Path(path), lambda part: figure.savefig(part, **kind))


def caption(figure: Figure, *parts: str, drawn: bool = False) -> None:
    """Writes the parts, and that the cells are drawn where they are, small below the figure."""
    line = " · ".join([*(part for part in parts if part), *([DRAWN] if drawn else [])])
    if line:
        figure.supxlabel(line, x=0.01, ha="left", fontsize=9, color="#666666")


def is_drawn(*tables: pd.DataFrame) -> bool:
    """Returns whether any table holds drawn cells."""
    return any("drawn" in table and bool(table["drawn"].any()) for table in tables)


def census(table: pd.DataFrame) -> str:
    """Returns "1,867 cells from 28 people", people counted by group where there is one."""
    people = table[person_column(table)].nunique()
    return f"{plural(len(table), 'cell')} from {plural(people, 'person', 'people')}"


def person_column(table: pd.DataFrame) -> str:
    """Returns the column that tells people apart."""
    return "group" if "group" in table else "subject"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Returns the count with its noun, "1 cell" or "1,867 cells"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def parts(cells: pd.DataFrame) -> pd.Series:
    """Returns the published part of each cell, "fold 0" to "final test"."""
    names = {"prelim": "preliminary test", "final": "final test", "train": "training"}
    folds = "fold " + cells["fold"].astype("Int64").astype("string")
    return cells["split"].map(names).where(cells["fold"].isna(), folds).astype(object)


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows with a label, as int, and a column `kind` that says ALL or HEM."""
    rows = table[table["label"].notna()].astype({"label": int})
    if rows.empty:
        raise ValueError(f"No row has a label to draw. Received: {len(table)} rows")
    return rows.assign(kind=rows["label"].map(CLASSES))


def colour_of(names: Iterable[str]) -> dict[str, str]:
    """Returns a colour for each model's name, always the same by position."""
    return {name: MODELS[index % len(MODELS)] for index, name in enumerate(names)}


def show_image(axes: Axes, image: np.ndarray, *, pixelated: bool = False) -> None:
    """Shows RGB or grey pixels without axes, each pixel a square if asked."""
    grey = {"cmap": "gray"} if np.ndim(image) == 2 else {}
    axes.imshow(image, interpolation="nearest" if pixelated else "antialiased", **grey)
    bare(axes)


def bare(axes: Axes) -> None:
    """Takes ticks and frame away."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def grid_of(count: int, columns: int, *, cell: float | None = None) -> tuple[Figure, np.ndarray]:
    """Returns a figure with `count` bare square axes in rows of `columns`, as a flat array."""
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    cell = cell or min(WIDTH / columns, 2.6)
    figure, axes = plt.subplots(rows, columns, figsize=(columns * cell, rows * (cell + 0.3)))
    flat = np.atleast_1d(axes).ravel()
    for one in flat:
        bare(one)
    for spare in flat[count:]:
        spare.remove()
    return figure, flat[:count]


def require_same(what: str, *counts: int) -> None:
    """Raises ValueError, naming the counts, unless they are all the same."""
    if len(set(counts)) != 1:
        raise ValueError(f"There must be one of {what} for each image. Received: {counts}")
