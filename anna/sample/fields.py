"""Whole fields of a smear, drawn, with the truth: what a finder of cells is tested on.

The white cells are those of `anna.sample.drawing`, at C-NMC's magnification; background, red cells
and platelets are plain drawings beside them, their sizes and colours set by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from anna.facts import box
from anna.sample import drawing, people
from anna.sample.shape import Donor

RED_CELL = 150  # mean diameter in pixels, beside white cells of 187 to 220
BACKGROUND = (238.0, 228.0, 232.0)
HAEMOGLOBIN = (0.16, 0.45, 0.36)  # optical density of a red cell, RGB
PLATELET = (0.45, 0.65, 0.30)
CYTOPLASM = (0.42, 0.46, 0.20)
COLUMNS = ["cell", "label", "left", "top", "width", "height"]


@dataclass(frozen=True)
class Field:
    """A drawn field and what is in it.

    Attributes:
        pixels: uint8 (height, width, 3) RGB.
        labels: int32 (height, width): 0, or the number of the white cell there, from 1.
        nuclei: bool (height, width): where a white cell is more than pale cytoplasm.
        cells: One row a white cell: `cell` (its number), `label` (1 for ALL, 0 for HEM), and its
            box `left`, `top`, `width`, `height` in pixels.
    """

    pixels: np.ndarray
    labels: np.ndarray
    nuclei: np.ndarray
    cells: pd.DataFrame


def donors(seed: int = 0) -> tuple[Donor, Donor]:
    """Returns a healthy and an ill person of the built-in sample, their first of each class."""
    table = people.plan(seed=seed, cells=people.SMALLEST)
    return tuple(table.loc[table["label"] == label, "donor"].iloc[0] for label in (0, 1))


def draw(
    seed: int = 0,
    *,
    shape: tuple[int, int] = (960, 1280),
    cells: int = 10,
    blasts: float = 0.5,
    touching: float = 0.3,
    red_cells: float = 0.3,
    cytoplasm: float = 0.0,
    tint: float = 0.0,
    scale: float = 1.0,
) -> Field:
    """Returns a field of one seed, always the same. Cells that find no room are left out.

    Args:
        seed: Decides everything.
        shape: Height and width at C-NMC's magnification, in pixels.
        cells: White cells.
        blasts: Share of them that are ALL.
        touching: Share of them that touch another.
        red_cells: Share of the area that they would cover if none lay over another.
        cytoplasm: Width of a pale border of cytoplasm around white cells, at most, as a share of
            their radius.
        tint: Strength of the change of light and stain, 0 for none to 1.
        scale: Pixels of C-NMC for one of the result, which is smaller by this.
    """
    rng = np.random.default_rng([seed, people.SALT])
    light = np.ones((*shape, 3), np.float32) * np.float32(BACKGROUND)
    light *= _uneven(shape, rng)
    _red_cells(light, red_cells, rng)
    _platelets(light, rng)
    labels, nuclei, rows = np.zeros(shape, np.int32), np.zeros(shape, bool), []
    people_there = donors(seed)
    kinds = rng.permutation([int(k < round(blasts * cells)) for k in range(cells)])
    for label in kinds:
        cutout = _cutout(people_there[label], rng)
        border = rng.uniform(0, cytoplasm)
        if _place(light, labels, nuclei, cutout, touching=touching, border=border, rng=rng):
            rows.append((labels.max(), int(label)))
    light = 255 * (np.clip(light, 1, 255) / 255) ** np.exp(rng.normal(0, 0.3 * tint, 3))
    pixels = np.clip(light + rng.normal(0, 1.2, light.shape), 0, 255)
    return _shrunk(pixels.astype(np.uint8), labels, nuclei, rows, scale)


def _shrunk(pixels, labels, nuclei, rows, scale: float) -> Field:
    """Returns the field at its own magnification, and the boxes of its cells there."""
    height, width = (round(side / scale) for side in labels.shape)
    if scale != 1:
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        nearest = {"dsize": (width, height), "interpolation": cv2.INTER_NEAREST}
        labels = cv2.resize(labels, **nearest)
        nuclei = cv2.resize(nuclei.astype(np.uint8), **nearest) > 0
    boxes = [cv2.boundingRect((labels == number).astype(np.uint8)) for number, _ in rows]
    table = [(*row, *found) for row, found in zip(rows, boxes, strict=True)]
    return Field(pixels, labels, nuclei, pd.DataFrame(table, columns=COLUMNS))


def _uneven(shape: tuple[int, int], rng) -> np.ndarray:
    """Returns the light of an uneven lamp, (height, width, 1), about 1."""
    coarse = 1 + rng.normal(0, 0.015, (4, 4)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)[..., None]


def _cutout(donor: Donor, rng) -> np.ndarray:
    image = drawing.draw(donor, rng)
    left, top, width, height = box(image)
    return image[top : top + height, left : left + width]


def _red_cells(light: np.ndarray, share: float, rng) -> None:
    """Lays red cells down, paler in the middle; where they overlap they are darker."""
    height, width = light.shape[:2]
    count = round(share * height * width / (np.pi * RED_CELL**2 / 4))
    for x, y in rng.uniform((0, 0), (width, height), (count, 2)):
        size = RED_CELL / 2 * np.exp(rng.normal(0, 0.08, 2))
        reach = int(size.max()) + 8
        grid = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        away = np.hypot(*(grid / size[:, None, None])).astype(np.float32)
        depth = np.clip((1 - away) * 12, 0, 1) * (1 - rng.uniform(0.2, 0.8) * np.exp(-7 * away**2))
        _stain(light, (x, y), depth * np.exp(rng.normal(0, 0.15)), HAEMOGLOBIN)


def _platelets(light: np.ndarray, rng) -> None:
    height, width = light.shape[:2]
    for x, y in rng.uniform((0, 0), (width, height), (rng.poisson(height * width / 2e5), 2)):
        size = rng.uniform(10, 24)
        stamp = np.zeros((81, 81), np.uint8)
        axes = (round(size), round(size * rng.uniform(0.6, 1)))
        cv2.ellipse(stamp, (40, 40), axes, rng.uniform(0, 180), 0, 360, 255, -1)
        depth = cv2.GaussianBlur(stamp, (0, 0), 3).astype(np.float32) / 255
        _stain(light, (x, y), depth * rng.uniform(0.6, 1.4), PLATELET)


def _stain(light: np.ndarray, middle, depth: np.ndarray, density) -> None:
    """Takes light away where something stained lies, by Beer and Lambert's law, in place."""
    left, top = (int(at) - side // 2 for at, side in zip(middle, depth.shape[::-1], strict=True))
    window = light[max(top, 0) : max(top + len(depth), 0)]
    window = window[:, max(left, 0) : max(left + depth.shape[1], 0)]
    depth = depth[max(-top, 0) :, max(-left, 0) :][: window.shape[0], : window.shape[1]]
    window *= np.exp(-depth[..., None] * np.float32(density))


def _place(light, labels, nuclei, cutout, *, touching, border, rng) -> bool:
    """Puts a white cell where no other is, in place; returns whether there was room.

    One that shall touch is moved away from another until they no longer overlap.
    """
    height, width = labels.shape
    rim = int(border * max(cutout.shape[:2]) / 2)
    cutout = cv2.copyMakeBorder(cutout, *[rim + 3] * 4, cv2.BORDER_CONSTANT)
    core = (cutout.max(axis=-1) > 0).astype(np.uint8)
    whole = cv2.dilate(core, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * rim + 1] * 2))
    most = np.array((width - core.shape[1], height - core.shape[0]))
    if (most < 1).any():
        return False
    near = labels.max() > 0 and rng.random() < touching
    for _ in range(30):
        left, top = at = rng.integers((0, 0), most)
        if near:
            at, step = _beside(labels, rng) - np.array(core.shape[::-1]) / 2, rng.normal(size=2)
            steps = (at + 2 * k * step / np.hypot(*step) for k in range(250))
            spots = [np.rint(spot).astype(int) for spot in steps]
        else:
            spots = [at]
        for left, top in spots:
            if not (0 <= left < most[0] and 0 <= top < most[1]):
                continue
            here = np.s_[top : top + len(core), left : left + core.shape[1]]
            gap = whole if near else cv2.dilate(whole, np.ones((25, 25), np.uint8))
            if not (labels[here] * gap).any():
                _paste(light[here], cutout, core, whole)
                nuclei[here] |= core > 0
                labels[here][whole > 0] = labels.max() + 1
                return True
    return False


def _beside(labels: np.ndarray, rng) -> np.ndarray:
    """Returns the middle, x and y, of one of the cells that are there."""
    rows, columns = np.nonzero(labels == rng.integers(1, labels.max() + 1))
    return np.array((columns.mean(), rows.mean()))


def _paste(window: np.ndarray, cutout, core, whole) -> None:
    """Lays a white cell, its cytoplasm around it, over the window, in place."""
    soft = [cv2.GaussianBlur(m.astype(np.float32), (0, 0), 1.0)[..., None] for m in (whole, core)]
    window *= np.exp(-soft[0] * (whole > core).max() * np.float32(CYTOPLASM))
    # The edge is drawn over black by hand; outside of it the cell's own colour would be missing.
    edge = np.where(core[..., None] > 0, cutout, window)
    window += (edge - window) * np.where(core[..., None] > 0, np.maximum(soft[1], 0.75), 0)
