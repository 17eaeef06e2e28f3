import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.text import Text

from anna.plots import trust


@pytest.fixture
def lost():
    table = pd.DataFrame(
        {
            "disturbance": ["brightness +15 %", "hue +5 %", "blur 1.5 px"],
            "weighted_f1": [0.90, 0.85, 0.93],
            "lost": [0.02, 0.07, -0.01],
            "auc": [0.95, 0.93, 0.96],
            "flipped": [0.031, 0.082, 0.015],
        }
    )
    table.attrs = {"cells": 1867, "people": 28, "drawn": False}
    return table


@pytest.fixture
def curve():
    share = np.linspace(0, 1, 11)
    both = {"evidence": 0.5 + 0.5 * (1 - share) ** 3, "random": 1 - 0.5 * share}
    rows = [
        pd.DataFrame({"share": share, "order": order, "probability": probability})
        for order, probability in both.items()
    ]
    table = pd.concat(rows, ignore_index=True)
    table.attrs = {"cells": 500, "fill": "mean", "patch": 1}
    return table


def texts(figure):
    return " | ".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())


def spread(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="raw", dpi=50)
    return np.frombuffer(buffer.getvalue(), np.uint8).std()


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize("name", ["robustness", "deletion"])
def test_figures_are_drawn_closed_and_say_whether_cells_are(name, drawn, lost, curve):
    table = {"robustness": lost, "deletion": curve}[name]
    figure = getattr(trust, name)(table, drawn=drawn)
    assert figure.number not in plt.get_fignums()
    assert spread(figure) > 5
    assert ("Drawn cells, not real" in texts(figure)) == drawn


def test_robustness_puts_the_worst_on_top_beside_the_limit(lost):
    axes = trust.robustness(lost).axes[0]
    named = [label.get_text() for label in axes.get_yticklabels()]
    assert named == ["blur 1.5 px", "brightness +15 %", "hue +5 %"]
    assert [bar.get_width() for bar in axes.patches] == [-0.01, 0.02, 0.07]
    assert [line.get_xdata()[0] for line in axes.lines] == [0, 0.03]
    colours = [bar.get_facecolor() for bar in axes.patches]
    assert colours[0] == colours[1] == to_rgba(trust.WITHIN)
    assert colours[2] == to_rgba(trust.BEYOND)
    assert axes.get_xlim()[0] < -0.01 and axes.get_xlim()[1] > 0.07


def test_robustness_is_labelled(lost):
    shown = texts(trust.robustness(lost))
    for part in (
        "weighted F1 lost",
        "1 of 3 disturbances cost more than 0.03; the worst, hue +5 %, 0.070",
        "+0.070  8.2% of calls flipped",
        "undisturbed: weighted F1 0.920",
        "1,867 cells from 28 people",
    ):
        assert part in shown


def test_the_limit_shows_where_nothing_is_lost(lost):
    figure = trust.robustness(lost.assign(lost=0.0))
    assert figure.axes[0].get_xlim()[1] > 0.03
    assert "0 of 3 disturbances" in texts(figure)


def test_a_sweep_of_drawn_cells_says_so(lost):
    lost.attrs["drawn"] = True
    assert "Drawn cells, not real" in texts(trust.robustness(lost))


def test_a_table_read_back_has_no_attrs_and_is_drawn(lost, curve):
    lost.attrs, curve.attrs = {}, {}
    assert "weighted F1 0.920" in texts(trust.robustness(lost))
    assert "cell's mean" not in texts(trust.deletion(curve))


def test_deletion_shows_both_curves_with_their_areas(curve):
    figure = trust.deletion(curve)
    first, second = figure.axes[0].lines
    for line, order in ((first, "evidence"), (second, "random")):
        rows = curve[curve["order"] == order]
        np.testing.assert_array_equal(line.get_ydata(), rows["probability"])
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    # 1/2 and 1/8 as integrals; trapezoids of width 0.1 add 0.00125 to the cubic
    assert legend == ["by evidence, most telling first, area 0.626", "at random, area 0.750"]
    shown = texts(figure)
    for part in (
        "share of the cell hidden",
        "mean probability of the called class",
        "the area is 0.124 smaller than at random",
        "Hidden: the cell's mean colour",
        "500 cells",
    ):
        assert part in shown


def test_deletion_says_when_the_map_is_no_better(curve):
    curve["order"] = curve["order"].map({"evidence": "random", "random": "evidence"})
    assert "the area is 0.124 larger than at random" in texts(trust.deletion(curve))
