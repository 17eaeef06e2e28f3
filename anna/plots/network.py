"""The drawing of a U-Net with its head."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Polygon

from anna.plots import style
from anna.plots.blocks import FACES, Block, blocks_of, place

ARROWS = {
    "pooling": ("#B23A48", "-"),
    "up-sampling": ("#2E7D4F", "-"),
    "skip connection": ("#777777", (0, (4, 2))),
    "other layers": (style.INK, "-"),
}


@style.styled
def network(levels: pd.DataFrame, title: str = "") -> Figure:
    """Returns the U-Net as a drawing: a block as high as its image and as wide as its channels.

    Heights and widths grow with the square root, so that small blocks stay visible.

    Args:
        levels: one row a block in the order of the computation: `name`; `part`, one of input,
            encoder, bottleneck, decoder, head, output; `side` in pixels, 1 for a vector;
            `channels`; `skip_to`, the name of a later block it also feeds, or missing; and, where
            there is one, `source`, the block it is computed from. Without it that is the block
            before, but the last decoder for the first head and for outputs that are maps.
        title: above the drawing.

    Raises:
        ValueError: a part is unknown, or a name that is pointed to does not exist.
    """
    blocks = blocks_of(levels)
    place(blocks)
    right = max(block.right for block in blocks.values()) + 0.45
    high = max(block.top + block.depth for block in blocks.values()) + 0.55
    low = min(block.bottom for block in blocks.values()) - 0.65
    low = min(low, high - 0.42 * right)  # leaves room for the legend under the encoder
    width = style.WIDTH + 1
    figure, axes = plt.subplots(figsize=(width, width * (high - low) / (right + 0.3) + 0.5))
    for source, target, kind in _edges(blocks):
        _arrow(axes, blocks[source], blocks[target], kind)
    for block in blocks.values():
        _box(axes, block)
    _legend(axes, blocks)
    axes.set(xlim=(-0.3, right), ylim=(low, high), aspect="equal")
    style.bare(axes)
    axes.set_title(title)
    note = "Height: side in pixels. Width: channels. Both grow with the square root"
    style.caption(figure, note)
    return figure


def _edges(blocks: dict[str, Block]) -> list[tuple[str, str, str]]:
    edges = []
    for name, block in blocks.items():
        if block.source:
            before = blocks[block.source]
            kind = "other layers"
            if not block.flat and block.side != before.side:
                kind = "pooling" if block.side < before.side else "up-sampling"
            edges.append((block.source, name, kind))
        if block.skip_to:
            edges.append((name, block.skip_to, "skip connection"))
    return edges


def _arrow(axes: Axes, source: Block, target: Block, kind: str) -> None:
    colour, dashes = ARROWS[kind]
    start, end, bend = _path(source, target, kind)
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            connectionstyle=bend,
            arrowstyle="-|>",
            mutation_scale=11,
            shrinkA=0,
            shrinkB=1,
            color=colour,
            lw=1.5,
            ls=dashes,
            capstyle="butt",
        )
    )


def _path(source: Block, target: Block, kind: str) -> tuple[tuple, tuple, str]:
    """Returns where an arrow starts and ends, and how it bends on the way."""
    straight, right_up = "arc3", "angle,angleA=0,angleB=90,rad=6"
    right_down, down_right = "angle,angleA=0,angleB=-90,rad=6", "angle,angleA=-90,angleB=180,rad=6"
    if kind == "skip connection" and not target.flat:
        level = source.top - 0.2 * source.height
        if level < target.bottom:
            return (source.right, level), (target.x + target.width / 2, target.bottom), right_up
        return (source.right, level), (target.x, level), straight
    if kind == "skip connection" and source.part in ("head", "output"):
        top = (target.x + target.width / 2, target.top + target.depth)
        return (source.right, source.middle), top, right_down
    if kind == "up-sampling":
        end = (target.x + target.width / 2, target.bottom)
        return (source.x + source.width, source.middle), end, right_up
    if abs(source.middle - target.middle) < 0.3 * min(source.height, target.height):
        start = source.x + source.width + source.depth / 2
        return (start, source.middle), (target.x, source.middle), straight
    below = (source.x + source.width / 2, source.bottom)
    if kind == "other layers":  # from the flank, clear of what arrives under the front
        below = (source.x + source.width + source.depth / 2, source.bottom + source.depth / 2)
    # Two arrows into one vector would lie on one another.
    shift = {"skip connection": -0.07}.get(kind, 0.07) if target.flat else 0.0
    return below, (target.x, target.middle + shift), down_right


def _box(axes: Axes, block: Block) -> None:
    x, right, top, low, back = block.x, block.x + block.width, block.top, block.bottom, block.depth
    front = [(x, low), (right, low), (right, top), (x, top)]
    lid = [(x, top), (right, top), (right + back, top + back), (x + back, top + back)]
    flank = [(right, low), (right + back, low + back), (right + back, top + back), (right, top)]
    for corners, light in ((flank, 0.82), (lid, 1.1), (front, 1.0)):
        face = np.clip(np.array(to_rgb(FACES[block.part])) * light, 0, 1)
        axes.add_patch(Polygon(corners, facecolor=face, edgecolor="#444444", lw=0.8, zorder=3))
    size = f"{block.channels}" if block.flat else f"{block.side}² × {block.channels}"
    named = block.part in ("input", "head", "output")
    text = f"{block.name}\n{size}" if named else size
    centre = x + block.width / 2  # an arrow may rise from the flank
    place, align = (low - 0.07, "top") if block.flat else (top + back + 0.07, "bottom")
    axes.text(centre, place, text, ha="center", va=align, fontsize=9, zorder=4)


def _legend(axes: Axes, blocks: dict[str, Block]) -> None:
    parts = {block.part for block in blocks.values()}
    kinds = {kind for _, _, kind in _edges(blocks)}
    boxes = [
        Patch(facecolor=face, edgecolor="#444444", label=part)
        for part, face in FACES.items()
        if part in parts
    ]
    lines = [
        Line2D([], [], color=colour, ls=dashes, lw=1.6, label=kind)
        for kind, (colour, dashes) in ARROWS.items()
        if kind in kinds
    ]
    place = {"loc": "lower left", "bbox_to_anchor": (0, -0.02), "borderaxespad": 0}
    axes.legend(handles=[*boxes, *lines], fontsize=9, ncols=2, **place)
