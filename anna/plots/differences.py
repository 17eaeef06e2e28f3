"""Figures that set runs beside one another, with intervals."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anna.card import ROWS
from anna.plots import style

LOW_IS_GOOD = ("fall_out", "brier", "ece")


@style.styled
def differences(table: pd.DataFrame) -> Figure:
    """Returns each run's scores with intervals, and beside them the differences to the first run.

    Args:
        table: as of `anna.comparison.of`: metric, run, value, low, high, difference and its
            interval; `attrs` with cells, people, level and drawn.
    """
    runs = list(dict.fromkeys(table["run"]))
    metrics = [metric for metric in ROWS if metric in set(table["metric"])]
    step = 0.5 + 0.22 * len(runs)
    figure, (scores, gaps) = plt.subplots(
        1, 2, figsize=(style.WIDTH, 1.6 + 0.5 * step * len(metrics)), sharey=True
    )
    for place, (run, colour) in enumerate(style.colour_of(runs).items()):
        own = table[table["run"] == run].set_index("metric").loc[metrics]
        height = [row + (place - (len(runs) - 1) / 2) * 0.5 / len(runs) for row in range(len(own))]
        _bars(scores, own[["value", "low", "high"]], height, colour=colour, label=run)
        _bars(gaps, own[[f for f in own if f.startswith("difference")]], height, colour=colour)
    names = [_title(metric) for metric in metrics]
    scores.set_yticks(range(len(metrics)), names)
    scores.invert_yaxis()
    scores.set(xlabel="score", title="Scores", xlim=(-0.02, 1.02))
    gaps.axvline(0, color=style.INK, lw=1)
    gaps.set(xlabel="difference", title=f"Difference to {runs[0]}")
    for one in (scores, gaps):
        one.grid(axis="x")
        one.tick_params(axis="y", length=0)
    figure.legend(*scores.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    about = table.attrs
    note = f"The same {about['cells']:,} cells of {about['people']} people"
    bars = f"bars: {about['level']:.0%} intervals over people"
    style.caption(figure, note, bars, "↓ lower is better", drawn=about["drawn"])
    return figure


def png(figure: Figure) -> bytes:
    """Returns a figure as the bytes of a PNG file, 150 dots an inch."""
    kept = io.BytesIO()
    figure.savefig(kept, format="png", dpi=150, bbox_inches="tight")
    return kept.getvalue()


def _bars(
    axes: Axes, values: pd.DataFrame, height: list[float], *, colour: str, label: str | None = None
) -> None:
    value, low, high = (values.iloc[:, column].to_numpy(float) for column in range(3))
    axes.hlines(height, low, high, color=colour, lw=3, alpha=0.5)
    axes.plot(value, height, "o", ms=6, color=colour, label=label)


def _title(metric: str) -> str:
    name = ROWS[metric].partition(" (")[0]
    return f"{name} ↓" if metric in LOW_IS_GOOD else name
