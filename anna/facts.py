"""What every image file holds, read once: its size, its pixels' hash, and the cell's measures."""

import hashlib
import logging
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from anna import kept
from anna.decoding import ImageError, box, cut, require_disk
from anna.workspace import Workspace

log = logging.getLogger(__name__)
MEASURES = [
    "box_left", "box_top", "box_width", "box_height", "diameter", "area",
    "red", "green", "blue", "texture",
]  # fmt: skip
COLUMNS = [
    "path", "bytes", "modified", "problem", "mode", "width", "height", "pixel_hash", *MEASURES,
]  # fmt: skip
_TEXTS = dict.fromkeys(["path", "problem", "mode", "pixel_hash"], "str")
_TYPES = dict.fromkeys(COLUMNS, "float64") | _TEXTS | {"bytes": "int64", "modified": "int64"}
_RIM = np.ones((15, 15), np.uint8)  # pixels of a cell within 7 of its edge


def measure(image: np.ndarray) -> dict[str, float]:
    """Returns the measures of a cell that stands on black, by name.

    Box, diameter and area are in pixels of the file; red, green and blue are medians over the cell,
    0–255; texture is the standard deviation, over the cell without its rim, of grey less its
    Gaussian blur (sigma 2 pixels). The diameter is the square root of the box's area.

    Args:
        image: uint8 (height, width, 3) RGB.
    """
    place = left, top, width, height = box(image)
    return _measures(place, np.ascontiguousarray(image[top : top + height, left : left + width]))


def _measures(place: tuple[int, int, int, int], part: np.ndarray) -> dict[str, float]:
    left, top, width, height = place
    values = dict.fromkeys(MEASURES, np.nan) | {
        "box_left": left, "box_top": top, "box_width": width, "box_height": height,
        "diameter": float(np.sqrt(width * height)), "area": 0,
    }  # fmt: skip
    if not width:
        return values
    planes = cv2.split(part)
    brightest = cv2.max(cv2.max(planes[0], planes[1]), planes[2])
    inside = cv2.threshold(brightest, 0, 1, cv2.THRESH_BINARY)[1]
    values["area"] = cv2.countNonZero(inside)
    medians = [_median(plane, outside=inside.size - values["area"]) for plane in planes]
    values |= zip(("red", "green", "blue"), medians, strict=True)
    core = cv2.erode(inside, _RIM, borderValue=0)
    if core.any():
        grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).astype(np.float32)
        fine = grey - cv2.GaussianBlur(grey, (0, 0), 2)
        values["texture"] = float(cv2.meanStdDev(fine, mask=core)[1].item())
    return values


def _median(plane: np.ndarray, outside: int) -> float:
    """Returns the median of a channel, from its histogram without the black pixels outside."""
    counts = cv2.calcHist([plane], [0], None, [256], [0, 256]).ravel()
    counts[0] -= outside
    return float(np.searchsorted(np.cumsum(counts), counts.sum() / 2))


def reach(facts: pd.DataFrame) -> pd.Series:
    """Returns the side of the smallest centre crop that holds each cell's whole box, in pixels."""
    width, height = facts["width"] / 2, facts["height"] / 2
    right = facts["box_left"] + facts["box_width"] - width
    below = facts["box_top"] + facts["box_height"] - height
    ends = [width - facts["box_left"], right, height - facts["box_top"], below]
    return 2 * pd.concat(ends, axis=1).max(axis=1)


def of_file(path: str) -> dict[str, object]:
    """Returns one row of `of`: the facts of one file, with its problem if it cannot be read.

    Raises:
        OSError: If the disk fails to give a file that is there.
    """
    row = dict.fromkeys(COLUMNS, None) | {"path": path}
    row["bytes"], row["modified"] = kept.state(path)
    try:
        found = cut(path)
    except ImageError as error:
        require_disk(error)
        return row | {"problem": str(error)}
    height, width = found.shape
    pixels = hashlib.sha256(str((height, width, 3, *found.box)).encode())  # the rest is black
    pixels.update(found.pixels)
    row |= {"mode": found.mode, "height": height, "width": width}
    return row | {"pixel_hash": pixels.hexdigest()[:32]} | _measures(found.box, found.pixels)


def of(cells: pd.DataFrame, *, cache: Path | None = None, progress: bool = True) -> pd.DataFrame:
    """Returns the facts of every image: columns `COLUMNS`, the index of `cells`.

    `problem` is missing for a readable file. A file is read again only when its path, bytes or time
    of change differ from the cache, or when it could not be read; an interrupted reading goes on
    where it was.

    Args:
        cells: Table with a column `path`.
        cache: The CSV that keeps the facts; by default `facts.csv` of the workspace.
        progress: Whether to show a bar while files are read.

    Raises:
        OSError: If the disk fails to give an image that is there; what was read before is kept.
    """
    cache = Path(cache) if cache else Workspace.locate().csv / "facts.csv"
    found = kept.rows(
        cells["path"],
        of_file,
        types=_TYPES,
        cache=cache,
        title="reading images",
        progress=progress,
    )
    return found.reset_index().set_axis(cells.index)[COLUMNS]
