"""Whole fields of a smear, drawn, with the truth: what a finder of cells is tested on.

The white cells are those of `anna.sample.drawing`, at C-NMC's magnification; background, red cells
and platelets are plain drawings beside them, their sizes and colours set by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from anna.decoding import box
from anna.sample import drawing, people
from anna.sample.shape import Donor

RED_CELL = 150  # mean diameter in pixels, beside white cells of 187 to 220
BACKGROUND = (238.0, 228.0, 232.0)
HAEMOGLOBIN = (0.16, 0.45, 0.36)  # optical density of a red cell, RGB
PLATELET = (0.45, 0.65, 0.30)
CHROMATIN = (1.25, 2.1, 0.9)
CYTOPLASM = (0.42, 0.46, 0.20)
_TYPES = {"label": "Int64"}
COLUMNS = ["cell", "label", "left", "top", "width", "height"]


@dataclass(frozen=True)
class Field:
    """A drawn field and what is in it.

    Attributes:
        pixels: uint8 (height, width, 3) RGB.
        labels: int32 (height, width): 0, or the number of the white cell there, from 1.
        nuclei: bool (height, width): where a white cell is more than pale cytoplasm.
        cells: One row a white cell: `cell` (its number), `label` (1 for ALL, 0 for HEM, missing
            for a granulocyte), and its box `left`, `top`, `width`, `height` in pixels.
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
    granulocytes: int = 0,
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
        cells: Lymphoid cells.
        granulocytes: White cells with a nucleus of lobes amid ample cytoplasm, plainly drawn.
        blasts: Share of the lymphoid cells that are ALL.
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
    people_there, kinds = donors(seed), [k < round(blasts * cells) for k in range(cells)]
    for kind in rng.permutation([int(k) for k in kinds] + [-1] * granulocytes):
        white = _granulocyte(rng) if kind < 0 else _lymphoid(people_there[kind], cytoplasm, rng)
        if _place(light, labels, nuclei, white, near=rng.random() < touching, rng=rng):
            rows.append((labels.max(), pd.NA if kind < 0 else int(kind)))
    light = _tinted(light, tint, rng)
    pixels = np.clip(light + rng.normal(0, 1.2, light.shape), 0, 255)
    return _shrunk(pixels.astype(np.uint8), labels, nuclei, rows, scale=scale)


def _tinted(light: np.ndarray, tint: float, rng) -> np.ndarray:
    """Returns the light through other stain (a power of it) and another lamp (a factor)."""
    stain = np.exp(rng.normal(0, 0.3 * tint, 3))
    lamp = 1 - tint * rng.uniform(0, (0.2, 0.2, 0.45))
    return 255 * (np.clip(light, 1, 255) / 255) ** np.float32(stain) * np.float32(lamp)


def _shrunk(pixels, labels, nuclei, rows, *, scale: float) -> Field:
    """Returns the field at its own magnification, and the boxes of its cells there."""
    height, width = (round(side / scale) for side in labels.shape)
    if scale != 1:
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        nearest = {"dsize": (width, height), "interpolation": cv2.INTER_NEAREST}
        labels = cv2.resize(labels, **nearest)
        nuclei = cv2.resize(nuclei.astype(np.uint8), **nearest) > 0
    boxes = [cv2.boundingRect((labels == number).astype(np.uint8)) for number, _ in rows]
    table = [(*row, *found) for row, found in zip(rows, boxes, strict=True)]
    return Field(pixels, labels, nuclei, pd.DataFrame(table, columns=COLUMNS).astype(_TYPES))


def _uneven(shape: tuple[int, int], rng) -> np.ndarray:
    """Returns the light of an uneven lamp, (height, width, 1), about 1."""
    coarse = 1 + rng.normal(0, 0.015, (4, 4)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)[..., None]


@dataclass(frozen=True)
class _White:
    """A white cell: its opaque part in RGB and where that is, all of it, and its nucleus."""

    pixels: np.ndarray
    core: np.ndarray
    whole: np.ndarray
    nucleus: np.ndarray


def _lymphoid(donor: Donor, cytoplasm: float, rng) -> _White:
    image = drawing.draw(donor, rng)
    left, top, width, height = box(image)
    image = image[top : top + height, left : left + width]
    rim = int(rng.uniform(0, cytoplasm) * max(width, height) / 2)
    image = cv2.copyMakeBorder(image, *[rim + 3] * 4, cv2.BORDER_CONSTANT)
    core = image.max(axis=-1) > 0
    return _White(image, core, _wider(core, rim), core)


def _granulocyte(rng) -> _White:
    """Returns a round cell, granules and two to four lobes in it."""
    reach = int(rng.uniform(100, 150))
    lobes, whole = (np.zeros((2 * reach + 7, 2 * reach + 7), np.uint8) for _ in range(2))
    middle = np.array((reach + 3, reach + 3))
    cv2.ellipse(whole, middle.tolist(), (reach, int(reach * rng.uniform(0.85, 1))),
                rng.uniform(0, 180), 0, 360, 1, -1)  # fmt: skip
    count, turn, far = rng.integers(2, 5), rng.uniform(0, 6.3), reach * rng.uniform(0.3, 0.5)
    for angle in turn + np.arange(count) * rng.uniform(1.1, 1.6):
        at = middle + far * np.array((np.cos(angle), np.sin(angle)))
        axes = np.rint(reach * rng.uniform(0.22, 0.38, 2)).astype(int).tolist()
        cv2.ellipse(
            lobes, np.rint(at).astype(int).tolist(), axes, rng.uniform(0, 180), 0, 360, 1, -1
        )
    grain = cv2.GaussianBlur(rng.normal(0, 1, lobes.shape).astype(np.float32), (0, 0), 2.5)
    pink = np.array(CYTOPLASM) * rng.uniform(0.3, 1.2) + np.array((0, 0.25, 0.3)) * rng.random()
    soft = cv2.GaussianBlur(lobes.astype(np.float32), (0, 0), 2)[..., None]
    amount = (pink * (1 - soft) + np.array(CHROMATIN) * soft) * (1 + grain[..., None])
    pixels = np.uint8(np.clip(np.float32(BACKGROUND) * np.exp(-amount), 1, 255))
    return _White(pixels * whole[..., None], whole > 0, whole > 0, (lobes & whole) > 0)


def _wider(part: np.ndarray, rim: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * rim + 1] * 2)
    return cv2.dilate(part.astype(np.uint8), disc) > 0


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


def _place(light, labels, nuclei, white: _White, *, near: bool, rng) -> bool:
    """Puts a white cell where no other is, in place; returns whether there was room.

    One that shall be near another is moved away from its middle until the two just touch.
    """
    size = white.core.shape
    most = np.subtract(labels.shape, size)[::-1]
    if (most < 1).any():
        return False
    near = near and labels.max() > 0
    taken = white.whole if near else _wider(white.whole, 12)
    for _ in range(30):
        spots = [rng.integers((0, 0), most)]
        if near:
            step = rng.normal(size=2)
            start = _middle_of_one(labels, rng) - np.array(size[::-1]) / 2
            spots = np.rint(start + 2 * np.arange(250)[:, None] * step / np.hypot(*step)).astype(
                int
            )
        for left, top in spots:
            here = np.s_[top : top + size[0], left : left + size[1]]
            inside = 0 <= left < most[0] and 0 <= top < most[1]
            if inside and not (labels[here] * taken).any():
                _paste(light[here], white)
                nuclei[here] |= white.nucleus
                labels[here][white.whole] = labels.max() + 1
                return True
    return False


def _middle_of_one(labels: np.ndarray, rng) -> np.ndarray:
    """Returns the middle, x and y, of one of the cells that are there."""
    rows, columns = np.nonzero(labels == rng.integers(1, labels.max() + 1))
    return np.array((columns.mean(), rows.mean()))


def _paste(window: np.ndarray, white: _White) -> None:
    """Lays a white cell over the window, its border of pale cytoplasm first, in place."""
    if (white.whole & ~white.core).any():
        soft = cv2.GaussianBlur(white.whole.astype(np.float32), (0, 0), 1.0)
        window *= np.exp(-soft[..., None] * np.float32(CYTOPLASM))
    soft = cv2.GaussianBlur(white.core.astype(np.float32), (0, 0), 1.0)[..., None]
    share = np.where(white.core[..., None], np.maximum(soft, 0.75), 0)  # black beyond is no colour
    window += (white.pixels - window) * share
