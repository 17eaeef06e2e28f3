"""Fifteen measures of a cell that a haematologist would name: size, outline, stain, chromatin."""

import logging
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from anna import kept
from anna.decoding import ImageError, decode, require_disk
from anna.workspace import Workspace

log = logging.getLogger(__name__)
FEATURES = {
    "box_area": "area of the upright box around the cell, pixels",
    "area": "area of the cell, pixels; blasts are larger",
    "aspect": "length over width of the tightest box at any angle; 1 is as long as wide",
    "solidity": "share of its convex hull that the cell fills; less where the outline is notched",
    "circularity": "4π·area over perimeter², about 0.9 for a round cell; less if long or rough",
    "red_mean": "mean red, 0–255; less where the stain takes up more red",
    "green_mean": "mean green, 0–255; less where the nucleus stains darker",
    "blue_mean": "mean blue, 0–255",
    "red_sd": "spread of red over the cell",
    "green_sd": "spread of green over the cell",
    "blue_sd": "spread of blue over the cell",
    "dark_share": "share of the cell in the darker class of green (Otsu), about the nucleus",
    "fine_grain": "contrast of structures below about 2 pixels: crispness of the chromatin",
    "medium_grain": "contrast of structures of about 2–4 pixels: granules of chromatin",
    "coarse_grain": "contrast of structures of about 4–8 pixels: clumps of chromatin, nucleoli",
}
"""What each feature is, by name."""

RIM = 15  # pixels; side of the square that must lie within the cell where grain is measured
_SCALES = (0, 2, 4, 8)  # pixels; the grains lie between two neighbours
_CHANNELS = ("red", "green", "blue")
_NUMBERS = dict.fromkeys(FEATURES, "float64")
_TYPES = {"path": "str", "bytes": "int64", "modified": "int64"} | _NUMBERS


def measure(image: np.ndarray) -> dict[str, float]:
    """Returns the 15 features of a cell that stands on black, by name, as `FEATURES` tells them.

    The cell is the largest connected piece that is not black: neither a crumb of debris beside it
    nor a hole cut out of it counts. All features are NaN if there is no cell; some are if it is too
    small to have an outline or a core.

    Args:
        image: uint8 (height, width, 3) RGB, of any size. It is not resized: size is a feature.
    """
    seen = image.max(axis=2)
    outlines, _ = cv2.findContours(seen, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return dict.fromkeys(FEATURES, np.nan)
    outline = max(outlines, key=cv2.contourArea)
    left, top, width, height = cv2.boundingRect(outline)
    inside = np.zeros((height, width), np.uint8)
    cv2.drawContours(inside, [outline - (left, top)], 0, 1, cv2.FILLED)
    inside[seen[top : top + height, left : left + width] == 0] = 0
    part = image[top : top + height, left : left + width]
    values = {"box_area": float(width * height), "area": float(inside.sum())}
    return values | _shape(outline) | _stain(part, inside) | _grain(part, inside)


def _shape(outline: np.ndarray) -> dict[str, float]:
    """Returns aspect, solidity and circularity of a closed outline, (points, 1, 2) of x and y."""
    sides = sorted(side + 1 for side in cv2.minAreaRect(outline)[1])  # from centres to edges
    area, perimeter = cv2.contourArea(outline), cv2.arcLength(outline, True)
    hull = cv2.contourArea(cv2.convexHull(outline))
    return {
        "aspect": sides[1] / sides[0],
        "solidity": area / hull if hull else np.nan,
        "circularity": 4 * np.pi * area / perimeter**2 if perimeter else np.nan,
    }


def _stain(image: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Returns mean and spread of each channel, and the share of the dark class of green.

    In an evenly green cell no class is dark, and the share is 0.
    """
    means, spreads = (part.ravel().tolist() for part in cv2.meanStdDev(image, mask=inside))
    green = image[..., 1][inside > 0]
    darkest, _ = cv2.threshold(green[:, None], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return {
        **{f"{name}_mean": mean for name, mean in zip(_CHANNELS, means, strict=True)},
        **{f"{name}_sd": spread for name, spread in zip(_CHANNELS, spreads, strict=True)},
        "dark_share": float((green <= darkest).mean()),
    }


def _grain(image: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Returns the standard deviation of grey between two Gaussian blurs, in three bands.

    Blurs see the cell alone: each is divided by the equally blurred mask, so that no black leaks in
    (normalised convolution; Knutsson and Westin 1993). The rim of the cell is left out.
    """
    core = cv2.erode(inside, np.ones((RIM, RIM), np.uint8), borderValue=0)
    names = ("fine_grain", "medium_grain", "coarse_grain")
    if not core.any():
        return dict.fromkeys(names, np.nan)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mask = inside.astype(np.float32)
    levels = [_blurred(grey, mask, sigma) for sigma in _SCALES]
    bands = [sharp - soft for sharp, soft in pairwise(levels)]
    spreads = [float(cv2.meanStdDev(band, mask=core)[1].item()) for band in bands]
    return dict(zip(names, spreads, strict=True))


def _blurred(grey: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    if not sigma:
        return grey
    edge = {"borderType": cv2.BORDER_CONSTANT}
    total = cv2.GaussianBlur(grey * mask, (0, 0), sigma, **edge)
    weight = cv2.GaussianBlur(mask, (0, 0), sigma, **edge)
    return total / np.maximum(weight, 1e-6)


def of_file(path: str) -> dict[str, object]:
    """Returns the features of one file with its path, bytes and time of change.

    The features of a file that cannot be read are NaN; `anna.cnmc.verify` tells why.
    """
    row = dict(zip(("path", "bytes", "modified"), (path, *kept.state(path)), strict=True))
    try:
        return row | measure(decode(path))
    except ImageError as error:
        require_disk(error)
        log.warning("No features of %s", error)
        return row | dict.fromkeys(FEATURES, np.nan)


def of(cells: pd.DataFrame, *, cache: Path | None = None, progress: bool = True) -> pd.DataFrame:
    """Returns the features of every image, float64: columns `FEATURES`, the index of `cells`.

    A file is read again only when its path, bytes or time of change differ from the cache; an
    interrupted reading goes on where it was.

    Args:
        cells: Table with a column `path`.
        cache: The CSV that keeps the features; by default `features.csv` of the workspace.
        progress: Whether to show a bar while files are read.
    """
    cache = Path(cache) if cache else Workspace.locate().csv / "features.csv"
    found = kept.rows(
        cells["path"],
        of_file,
        types=_TYPES,
        cache=cache,
        title="measuring cells",
        progress=progress,
    )
    return found[list(FEATURES)].set_axis(cells.index)
