"""Whether an evidence map means something: hide what it points to, and see the call go.

If a map shows what a call rests on, the probability of the called class falls faster when a cell's
pixels are hidden in the order of the map than when they are hidden at random. The measure is the
deletion metric of Petsiuk, Das, Saenko, "RISE", BMVC 2018, after Samek et al., "Evaluating the
visualization of what a deep neural network has learned", IEEE TNNLS 28 (2017).
"""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import sklearn.metrics
from tqdm.auto import tqdm

from anna.checks import require_fraction
from anna.robustness import Judge, judged

ORDERS = ("evidence", "random")
FILLS = ("mean", "black")


def curve(
    judge: Judge,
    pixels: np.ndarray,
    evidence: np.ndarray,
    masks: np.ndarray,
    *,
    threshold: float = 0.5,
    fill: str = "mean",
    patch: int = 1,
    steps: int = 10,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Returns the deletion curve: `share`, `order` ("evidence" or "random"), `probability`.

    `probability` is that of the class called on the whole cell, the mean over the cells, when
    `share` of the cell is hidden. Under "evidence", what speaks most for the call goes first: the
    highest of a call ALL, the lowest of a call HEM. Both orders hide the same number of the same
    patches of the map's grid. Cells whose mask is empty do not count; `attrs` holds `cells`, how
    many do, and `fill` and `patch`.

    Args:
        judge: From uint8 (n, size, size, 3) to probabilities of ALL, (n,); gets all rows at once.
        pixels: uint8 (n, size, size, 3) RGB on black.
        evidence: float (n, h, w), in favour of ALL, as of `anna.predict.maps`.
        masks: float or bool (n, h, w); above 0.5 is the cell.
        threshold: From which probability a cell is called ALL.
        fill: What a hidden pixel becomes: "mean", the cell's mean colour, which keeps size and
            outline, or "black". Black pixels stay black. A cell wholly of its mean colour is still
            a cell of that colour, so a judge of colour may come back to its call near share 1.
        patch: Side of what is hidden at once, in pixels of the map. Single pixels at random make
            grain, which can upset a judge of texture more than any map's smooth regions would;
            larger patches make the two orders more alike.
        steps: Equal steps of the share from 0 to 1.
        seed: Of the random order.
        progress: Whether to show a bar.

    Raises:
        ValueError: If shapes do not fit, a setting is out of its range, no mask holds a cell, or
            the judge gives anything but one probability a cell.
    """
    _require(pixels, evidence, masks, fill=fill, patch=patch, steps=steps)
    require_fraction("threshold", threshold)
    cell = np.asarray(masks) > 0.5
    counted = cell.any(axis=(1, 2))
    if not counted.any():
        raise ValueError(f"No mask holds a cell. Received: masks up to {np.max(masks, initial=0)}")
    whole = judged(judge, pixels)
    called = whole >= threshold
    ranks = _ranks(evidence * np.where(called, 1, -1)[:, None, None], cell, patch, seed=seed)
    colours = _colours(pixels, cell, fill)
    stops = [(order, step / steps) for order in ORDERS for step in range(steps + 1)]
    rows = []
    for order, share in tqdm(stops, "hiding cells", unit="step", disable=not progress):
        found = whole
        if share > 0:
            hidden = ranks[order] < np.rint(share * cell.sum(axis=(1, 2)))[:, None, None]
            found = judged(judge, _hide(pixels, hidden, colours))
        rows.append((share, order, np.where(called, found, 1 - found)[counted].mean()))
    table = pd.DataFrame(rows, columns=["share", "order", "probability"])
    table.attrs = {"cells": int(counted.sum()), "fill": fill, "patch": patch}
    return table


def areas(curve: pd.DataFrame) -> pd.Series:
    """Returns the area under each order's curve, 0 to 1, by order; lower falls faster.

    Trapezoids over the share hidden.

    Args:
        curve: As `curve` returns it.
    """
    found = {
        order: sklearn.metrics.auc(rows["share"], rows["probability"])
        for order, rows in curve.groupby("order", sort=False)
    }
    return pd.Series(found, name="area").rename_axis("order")


def _ranks(favour: np.ndarray, cell: np.ndarray, patch: int, *, seed: int) -> dict:
    """Returns when each pixel of the map goes, int (n, h, w) by order; outside the cell last.

    Args:
        favour: float (n, h, w), the evidence for the class called.
        cell: bool (n, h, w).
        patch: Side of what goes at once.
        seed: Of the random order.
    """
    generator = np.random.default_rng(seed)
    ranks = {order: np.empty(cell.shape, np.int32) for order in ORDERS}
    block = _blocks(cell.shape[1:], patch)
    for row, inside in enumerate(cell.reshape(len(cell), -1)):
        pixels = np.bincount(block, weights=inside)
        total = np.bincount(block, weights=favour[row].ravel() * inside)
        keys = {"evidence": -total / np.maximum(pixels, 1), "random": generator.random(len(pixels))}
        for order, key in keys.items():
            # Patches of equal evidence, whole regions of a flat map, go in no particular order.
            place = np.empty(len(key), int)
            place[np.lexsort((generator.random(len(key)), key))] = np.arange(len(key))
            turn = np.argsort(np.where(inside, place[block], len(key)), kind="stable")
            ranks[order][row].reshape(-1)[turn] = np.arange(len(turn))
    return ranks


def _blocks(shape: tuple[int, int], patch: int) -> np.ndarray:
    """Returns the number of the patch of each pixel of a map, int (h * w,)."""
    y, x = np.indices(shape) // patch
    return (y * -(-shape[1] // patch) + x).ravel()


def _colours(pixels: np.ndarray, cell: np.ndarray, fill: str) -> np.ndarray:
    """Returns what the hidden pixels of each image become, uint8 (n, 3)."""
    colours = np.zeros((len(pixels), 3), np.uint8)
    if fill == "mean":
        for row, image in enumerate(pixels):
            seen = image[_enlarged(cell[row], image) & image.any(axis=-1)]
            colours[row] = np.rint(seen.mean(axis=0)) if len(seen) else 0
    return colours


def _hide(pixels: np.ndarray, hidden: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Returns the images with what is hidden in one colour, uint8 as `pixels`; black stays."""
    shown = np.array(pixels)
    for image, part, colour in zip(shown, hidden, colours, strict=True):
        image[_enlarged(part, image) & image.any(axis=-1)] = colour
    return shown


def _enlarged(part: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Returns a map at the size of an image, bool (size, size)."""
    size = image.shape[1::-1]
    return cv2.resize(part.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)


def _require(
    pixels: np.ndarray,
    evidence: np.ndarray,
    masks: np.ndarray,
    *,
    fill: str,
    patch: int,
    steps: int,
) -> None:
    if np.ndim(evidence) != 3 or evidence.shape != masks.shape or len(evidence) != len(pixels):
        shapes = (pixels.shape, evidence.shape, masks.shape)
        raise ValueError(f"Maps must be two (n, h, w), one of n a cell. Received: {shapes}")
    if fill not in FILLS:
        raise ValueError(f"The fill must be one of {FILLS}. Received: {fill!r}")
    if patch < 1 or steps < 1:
        raise ValueError(f"patch and steps must be at least 1. Received: {patch}, {steps}")
