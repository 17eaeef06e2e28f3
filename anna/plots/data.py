"""Figures about the data: the census, the people and the sizes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from anna.plots import style

ROLES = {
    "train": "learn",
    "valid": "validate",
    "test": "test",
    "unlabelled": "no labels",
    "aside": "set aside",
}


@style.styled
def class_balance(cells: pd.DataFrame, *, by: str = "part") -> Figure:
    """Returns bars of cells and people of both classes in each part of the data.

    Args:
        cells: the table of cells.
        by: "part" for the folds and test sets as published, "role" for what the split made of them.

    Raises:
        ValueError: `by` is neither, or the table has no role yet.
    """
    if by not in ("part", "role") or (by == "role" and "role" not in cells):
        raise ValueError(f'by must be "part" or, after the split, "role". Received: {by!r}')
    table = cells.assign(part=style.parts(cells) if by == "part" else cells["role"].map(ROLES))
    table["kind"] = cells["label"].map(style.CLASSES).fillna("no label")
    order = [part for part in _part_order(by) if part in set(table["part"])]
    person = style.person_column(table)
    figure, axes = plt.subplots(
        1, 2, figsize=(style.WIDTH, 1.4 + 0.62 * len(order)), sharey=True, width_ratios=(3, 2)
    )
    by_kind = table.groupby(["part", "kind"])
    for one, counts, noun in zip(
        axes, (by_kind.size(), by_kind[person].nunique()), ("Cells", "People"), strict=True
    ):
        _bars(one, counts.unstack(fill_value=0).reindex(order, fill_value=0))
        one.set_title(noun)
    axes[0].set_yticks(range(len(order)), order)
    axes[0].invert_yaxis()
    figure.suptitle(_balance_title(table, person), x=0.01, ha="left")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=3, fontsize=10
    )
    bare = int(cells["label"].isna().sum())
    unknown = f"{style.plural(bare, 'cell')} without a label" if bare else ""
    census = style.census(cells[cells["label"].notna()])
    style.caption(figure, census, unknown, drawn=style.is_drawn(cells))
    return figure


@style.styled
def subjects(cells: pd.DataFrame) -> Figure:
    """Returns bars of the cells of each subject, the two classes below one another."""
    table = style.labelled(cells)
    kinds = [kind for kind in style.COLOURS if kind in set(table["kind"])]
    figure, axes = plt.subplots(
        len(kinds), 1, figsize=(style.WIDTH + 1, 2.6 * len(kinds) + 0.4), squeeze=False
    )
    for one, kind in zip(axes[:, 0], kinds, strict=True):
        counts = table[table["kind"] == kind]["subject"].value_counts()
        places = np.arange(len(counts))
        one.bar(places, counts, color=style.COLOURS[kind], width=0.8)
        one.axhline(counts.median(), color=style.INK, lw=1, ls="--")
        crowded = {"rotation": 90, "fontsize": 8} if len(counts) > 25 else {"fontsize": 10}
        one.set_xticks(places, counts.index, **crowded)
        one.set(xlim=(-0.8, max(len(counts), 12) - 0.2), ylabel="cells")
        one.set_title(
            f"{kind}: {style.plural(len(counts), 'subject')} with {counts.min()} to "
            f"{counts.max()} cells, median {counts.median():.0f} (dashed)"
        )
    style.caption(figure, style.census(table), drawn=style.is_drawn(cells))
    return figure


@style.styled
def sizes(cells: pd.DataFrame, facts: pd.DataFrame) -> Figure:
    """Returns the diameters of each subject's cells and of each class, on one scale.

    Args:
        cells: the table of cells.
        facts: with the column `diameter` in pixels, on the same index.
    """
    table = style.labelled(cells.join(facts[["diameter"]])).dropna(subset="diameter")
    figure, (people, classes) = plt.subplots(
        1, 2, figsize=(style.WIDTH, 4.6), sharey=True, width_ratios=(3, 1)
    )
    place, ticks = 0, {}
    for kind, colour in style.COLOURS.items():
        rows = table[table["kind"] == kind]
        if rows.empty:
            continue
        groups = [group["diameter"].to_numpy() for _, group in rows.groupby("subject")]
        groups.sort(key=np.median)
        _boxes(people, groups, np.arange(place, place + len(groups)), colour)
        between, within = spread(rows, "diameter")
        ticks[place + (len(groups) - 1) / 2] = (
            f"{kind}: {style.plural(len(groups), 'subject')}\n"
            f"sd {between:.0f} between, {within:.0f} within"
        )
        place += len(groups) + 2
        mean = rows["diameter"].mean()
        shape = {"orientation": "horizontal", "density": True, "bins": 40, "color": colour}
        classes.hist(rows["diameter"], alpha=0.5, label=f"{kind}, mean {mean:.0f}", **shape)
        classes.axhline(mean, color=colour, lw=1.5)
    people.set_xticks(list(ticks), list(ticks.values()))
    people.tick_params(axis="x", length=0)
    people.set(ylabel="diameter (pixels)", title="Each box a subject")
    people.grid(axis="y")
    classes.grid(axis="y")
    classes.set(xticks=[], title="All cells")
    classes.legend(loc="upper right", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)
    classes.set_ylim(top=table["diameter"].max() * 1.12)
    figure.suptitle(_size_title(table), x=0.01, ha="left")
    note = "Box: middle half of a subject's cells; whiskers: 5 to 95 %"
    style.caption(figure, style.census(table), note, drawn=style.is_drawn(cells))
    return figure


def _part_order(by: str) -> list[str]:
    if by == "role":
        return list(ROLES.values())
    return ["fold 0", "fold 1", "fold 2", "training", "preliminary test", "final test"]


def _bars(axes: Axes, counts: pd.DataFrame) -> None:
    kinds = [
        kind for kind in (*style.COLOURS, "no label") if counts.get(kind, pd.Series([0])).any()
    ]
    widest = counts.to_numpy().max()
    for row, part in enumerate(counts.index):
        present = [kind for kind in kinds if counts.loc[part, kind] or kind != "no label"]
        if not counts.loc[part, [kind for kind in present if kind != "no label"]].any():
            present = [kind for kind in present if kind == "no label"]
        for step, kind in enumerate(present):
            place = row + (step - (len(present) - 1) / 2) * 0.36
            length = counts.loc[part, kind]
            axes.barh(place, length, height=0.34, color=style.COLOURS.get(kind, style.GREY))
            axes.text(length + widest * 0.015, place, f"{length:,}", va="center", fontsize=9)
    for kind in kinds:
        axes.barh(0, 0, color=style.COLOURS.get(kind, style.GREY), label=kind)
    axes.set_xlim(0, widest * 1.15)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _balance_title(table: pd.DataFrame, person: str) -> str:
    known = table[table["kind"] != "no label"]
    cells = known["kind"].value_counts()
    people = known.groupby("kind")[person].nunique()
    if not {"ALL", "HEM"} <= set(cells.index):
        return "The classes in each part"
    return (
        f"{cells['ALL'] / cells['HEM']:.1f} cells of ALL to one of HEM, "
        f"and {people['ALL'] / people['HEM']:.1f} people to one"
    )


def _boxes(axes: Axes, groups: list[np.ndarray], places: np.ndarray, colour: str) -> None:
    line = {"color": colour, "linewidth": 1}
    axes.boxplot(
        groups,
        positions=places,
        widths=0.7,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": colour, "alpha": 0.55, "edgecolor": colour},
        medianprops={"color": style.INK, "linewidth": 1.4},
        whiskerprops=line,
        capprops=line | {"linewidth": 0},
    )


def spread(table: pd.DataFrame, column: str) -> tuple[float, float]:
    """Returns the standard deviation between subjects' means, and within subjects around them."""
    grouped = table.groupby("subject")[column]
    within = table[column] - grouped.transform("mean")
    return float(grouped.mean().std()), float(np.sqrt((within**2).mean()))


def _size_title(table: pd.DataFrame) -> str:
    if table["label"].nunique() < 2:
        return "Size of the cells"
    area = roc_auc_score(table["label"], table["diameter"])
    larger = "larger" if area >= 0.5 else "smaller"
    return f"ALL cells tend to be {larger}: size alone has an AUC of {area:.2f}"
