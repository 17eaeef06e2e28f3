"""Figures made of pixels: cells beside one another, resolutions, crops, augmentations."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from anna.plots import style

Box = tuple[float, float, float, float]
CROP, BOX = "#56B4E9", "#F0E442"


@style.styled
def pair(
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    facts_lines: Sequence[str],
    *,
    drawn: bool = False,
) -> Figure:
    """Returns cells side by side, each with its title above and its facts beneath.

    Args:
        images: uint8 RGB, (height, width, 3) each.
        titles: one an image.
        facts_lines: one text an image, lines parted by newlines.
        drawn: whether the cells are drawn ones.
    """
    style.require_same("titles and facts_lines", len(images), len(titles), len(facts_lines))
    figure, axes = plt.subplots(
        1, len(images), figsize=(min(style.WIDTH, 4.6 * len(images)), 5.6), squeeze=False
    )
    for one, image, title, lines in zip(axes[0], images, titles, facts_lines, strict=True):
        style.show_image(one, image)
        one.set_title(title)
        one.set_xlabel(lines, ha="left", x=0, fontsize=10, linespacing=1.4)
    style.caption(figure, drawn=drawn)
    return figure


@style.styled
def mosaic(
    pixels: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    columns: int = 8,
    *,
    drawn: bool = False,
) -> Figure:
    """Returns a grid of cells, each with its title if there are any."""
    titles = [""] * len(pixels) if titles is None else titles
    style.require_same("titles", len(pixels), len(titles))
    figure, axes = style.grid_of(len(pixels), columns)
    for one, image, title in zip(axes, pixels, titles, strict=True):
        style.show_image(one, image)
        one.set_title(title, fontsize=8, loc="center")
    style.caption(figure, drawn=drawn)
    return figure


@style.styled
def resolutions(images: dict[str, Sequence[np.ndarray]], *, drawn: bool = False) -> Figure:
    """Returns the same cells in each resolution, rows are cells, every pixel to be seen.

    Args:
        images: by the name of the resolution, one image a cell in the same order.
        drawn: whether the cells are drawn ones.
    """
    rows = {len(cells) for cells in images.values()}
    if len(rows) != 1:
        raise ValueError(f"Each resolution needs the same cells. Received: {sorted(rows)} cells")
    figure, axes = plt.subplots(
        rows.pop(),
        len(images),
        figsize=(style.WIDTH, style.WIDTH / len(images) * 1.04 * len(next(iter(images.values())))),
        squeeze=False,
    )
    for column, (name, cells) in zip(axes.T, images.items(), strict=True):
        column[0].set_title(name, loc="center")
        for one, image in zip(column, cells, strict=True):
            style.show_image(one, image, pixelated=True)
    style.caption(figure, drawn=drawn)
    return figure


@style.styled
def crops(
    cells: Sequence[tuple[np.ndarray, Box, str]], crop: int = 320, *, drawn: bool = False
) -> Figure:
    """Returns each cell as it is, cut at its centre, and stretched from its box, which loses size.

    Args:
        cells: image, bounding box (left, top, width, height) in pixels, and title of each.
        crop: side of the centre crop, pixels.
        drawn: whether the cells are drawn ones.
    """
    figure, axes = plt.subplots(
        len(cells), 3, figsize=(style.WIDTH, 3.5 * len(cells)), squeeze=False
    )
    for row, (image, box, title) in zip(axes, cells, strict=True):
        left, top, width, height = (round(float(edge)) for edge in box)
        _whole(row[0], image, (left, top, width, height), crop)
        row[0].set_title(f"{title}: box {width} × {height} pixels")
        style.show_image(row[1], _centre(image, crop))
        row[1].set_title(f"centre crop of {crop}: size kept")
        part = image[top : top + height, left : left + width]
        style.show_image(row[2], cv2.resize(part, (crop, crop), interpolation=cv2.INTER_AREA))
        row[2].set_title("box resized: size lost")
    style.caption(figure, "Blue: centre crop. Yellow: bounding box", drawn=drawn)
    return figure


@style.styled
def augmentations(
    original: np.ndarray, versions: Sequence[tuple[str, np.ndarray]], *, drawn: bool = False
) -> Figure:
    """Returns the original, large, and a grid of its augmented versions with their titles."""
    columns = max(1, -(-len(versions) // 2))
    layout = [
        ["original", "original", *(f"{row * columns + c}" for c in range(columns))]
        for row in (0, 1)
    ]
    layout = [
        [name if name == "original" or int(name) < len(versions) else "." for name in row]
        for row in layout
    ]
    figure = plt.figure(figsize=(style.WIDTH, style.WIDTH / (columns + 2) * 2 + 0.7))
    axes = figure.subplot_mosaic(layout)
    style.show_image(axes["original"], original)
    axes["original"].set_title("original")
    for index, (title, image) in enumerate(versions):
        style.show_image(axes[str(index)], image)
        axes[str(index)].set_title(title, fontsize=10)
    style.caption(figure, drawn=drawn)
    return figure


def _whole(axes: Axes, image: np.ndarray, box: tuple[int, ...], crop: int) -> None:
    style.show_image(axes, image)
    height, width = image.shape[:2]
    corner = ((width - crop) / 2 - 0.5, (height - crop) / 2 - 0.5)
    frame = {"fill": False, "lw": 1.8}
    axes.add_patch(Rectangle(corner, crop, crop, edgecolor=CROP, **frame))
    left, top, wide, high = box
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), wide, high, edgecolor=BOX, **frame))


def _centre(image: np.ndarray, crop: int) -> np.ndarray:
    top, left = (max(0, (side - crop) // 2) for side in image.shape[:2])
    return image[top : top + crop, left : left + crop]
