"""How much of a judge's skill is lost when light, stain, focus, file or pose change a little.

A judge is any callable from uint8 (n, size, size, 3) RGB to probabilities of ALL (n,): a model, an
ensemble, or one that gives each row to the model that has not seen its person. It always gets all
rows at once, in their order, so that it may go by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from anna import metrics
from anna.checks import require_fraction, scorable
from anna.images import CROP

Judge = Callable[[np.ndarray], np.ndarray]
LIMIT = 0.03  # of weighted F1 lost: what a robust judge stays below


def brightness(pixels: np.ndarray, gain: float) -> np.ndarray:
    """Returns the cells with all values times `gain`, uint8 (n, size, size, 3), cut off at 255."""
    table = np.clip(np.rint(np.arange(256) * gain), 0, 255).astype(np.uint8)
    return np.asarray(table[_cells(pixels)])


def hue(pixels: np.ndarray, turn: float) -> np.ndarray:
    """Returns the cells with another hue, uint8 (n, size, size, 3); black and greys stay.

    Args:
        pixels: uint8 (n, size, size, 3) RGB.
        turn: Share of the circle of hues in HSV; 1/3 makes green of red, -1/3 blue.
    """

    def _turned(image: np.ndarray) -> np.ndarray:
        seen = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
        seen[..., 0] = (seen[..., 0] + 360 * turn) % 360
        return np.rint(cv2.cvtColor(seen, cv2.COLOR_HSV2RGB) * 255)

    return _each(pixels, _turned)


def blur(pixels: np.ndarray, sigma: float, *, crop: int = CROP) -> np.ndarray:
    """Returns the cells out of focus, uint8 (n, size, size, 3).

    The weights are Gaussian, and shared out among the pixels that are not black: C-NMC's black was
    put there after the photograph, so it has no part in its blur, and the rim does not darken.

    Args:
        pixels: uint8 (n, size, size, 3) RGB.
        sigma: Standard deviation in pixels of the file, size / crop times that in `pixels`; below
            about 0.4 of theirs nothing is seen of it.
        crop: Side of the square of the file that `pixels` show.
    """
    width = sigma * _cells(pixels).shape[1] / crop

    def _blurred(image: np.ndarray) -> np.ndarray:
        seen = image.any(axis=-1)
        weight = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), width)
        colour = cv2.GaussianBlur(image.astype(np.float32), (0, 0), width)
        return np.rint(colour / np.maximum(weight, 1e-6)[..., None]) * seen[..., None]

    return _each(pixels, _blurred)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Returns the cells after a JPEG of this quality, 1 to 100, uint8 (n, size, size, 3).

    The file is as large as `pixels`, so its 8-pixel blocks are coarser in the cell than those of a
    JPEG of the published file. Black pixels are set back to black.
    """
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]

    def _stored(image: np.ndarray) -> np.ndarray:
        _, file = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
        found = cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return found * image.any(axis=-1, keepdims=True)

    return _each(pixels, _stored)


def rotation(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """Returns the cells turned anticlockwise about the centre, uint8 (n, size, size, 3).

    Bilinear, on black. What leaves the square is lost; a cell within the inscribed circle is not.
    """
    size = _cells(pixels).shape[1]
    matrix = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), degrees, 1.0)
    return _each(pixels, partial(cv2.warpAffine, M=matrix, dsize=(size, size)))


DISTURBANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "brightness +15 %": partial(brightness, gain=1.15),
    "brightness -15 %": partial(brightness, gain=0.85),
    "hue +5 %": partial(hue, turn=0.05),
    "hue -5 %": partial(hue, turn=-0.05),
    "blur 1.5 px": partial(blur, sigma=1.5),
    "JPEG quality 75": partial(jpeg, quality=75),
    "rotation 45°": partial(rotation, degrees=45),
}
"""Each disturbance by its name and amount: uint8 (n, size, size, 3) RGB on black to the same."""


def sweep(
    judge: Judge,
    pixels: np.ndarray,
    found: pd.DataFrame,
    threshold: float,
    *,
    disturbances: Mapping[str, Callable[[np.ndarray], np.ndarray]] = DISTURBANCES,
    progress: bool = True,
) -> pd.DataFrame:
    """Returns one row a disturbance: `disturbance`, `weighted_f1`, `lost`, `auc`, `flipped`.

    `lost` is the weighted F1 of the same cells undisturbed minus that disturbed; `flipped` is the
    share of calls that changed. Cells without a label and black images do not count. `attrs` holds
    weighted_f1 and auc undisturbed, threshold, cells, people and drawn. One disturbed copy of
    `pixels` is in memory at a time.

    Args:
        judge: From uint8 (n, size, size, 3) to probabilities of ALL, (n,).
        pixels: uint8 (n, size, size, 3) RGB.
        found: One row a cell, with `group` and `label`, as of `anna.predict.cells`; probabilities
            in it are not used.
        threshold: From which probability a cell is called ALL.
        disturbances: By name.
        progress: Whether to show a bar.

    Raises:
        ValueError: If there is not one row of `found` a cell, the judge gives anything but one
            probability a cell, or what `anna.metrics.evaluate` raises.
    """
    require_fraction("threshold", threshold)
    if len(_cells(pixels)) != len(found):
        raise ValueError(f"One row a cell is needed. Received: {len(pixels)}, {len(found)}")
    shown = np.array([image.any() for image in pixels], bool)
    cells = found.assign(label=found["label"].where(shown))
    plain = cells.assign(probability=judged(judge, pixels))
    before = metrics.evaluate(plain, threshold, resamples=0)
    bar = tqdm(disturbances.items(), "disturbing cells", unit="way", disable=not progress)
    rows = []
    for name, disturb in bar:
        after = cells.assign(probability=judged(judge, disturb(pixels)))
        rows.append({"disturbance": name} | _loss(plain, after, threshold))
    columns = ["disturbance", "weighted_f1", "lost", "auc", "flipped"]
    table = pd.DataFrame(rows, columns=columns)
    kept = {name: before.attrs[name] for name in ("threshold", "cells", "people", "drawn")}
    table.attrs = before.loc[["weighted_f1", "auc"], "value"].to_dict() | kept
    return table


def judged(judge: Judge, pixels: np.ndarray) -> np.ndarray:
    """Returns what the judge says of each cell, float64 (n,) of 0 to 1.

    Raises:
        ValueError: If it is not one probability a cell.
    """
    found = np.asarray(judge(pixels), np.float64)
    if found.shape != (len(pixels),):
        raise ValueError(f"A judge must give {len(pixels)} probabilities. Received: {found.shape}")
    wrong = found[~((found >= 0) & (found <= 1))]
    if len(wrong):
        raise ValueError(f"A judge must give probabilities in 0..1. Received: {wrong[0]}")
    return found


def _loss(before: pd.DataFrame, after: pd.DataFrame, threshold: float) -> dict[str, float]:
    old, new = (
        metrics.evaluate(table, threshold, resamples=0)["value"] for table in (before, after)
    )
    calls = (scorable(table)["probability"] >= threshold for table in (before, after))
    return {
        "weighted_f1": new["weighted_f1"],
        "lost": old["weighted_f1"] - new["weighted_f1"],
        "auc": new["auc"],
        "flipped": float(np.not_equal(*calls).mean()),
    }


def _each(pixels: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Returns every cell changed, uint8 as `pixels`; one at a time, for floats take room."""
    changed = np.empty(_cells(pixels).shape, np.uint8)
    for row, image in enumerate(pixels):
        changed[row] = change(np.ascontiguousarray(image))
    return changed


def _cells(pixels: np.ndarray) -> np.ndarray:
    """Returns the pixels as they came, or raises ValueError if they are no square cells."""
    shape = pixels.shape
    if pixels.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
        raise ValueError(
            f"Cells must be uint8 (n, size, size, 3). Received: {pixels.dtype} {shape}"
        )
    return pixels
