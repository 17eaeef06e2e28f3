"""What every image file holds, read once: its size, its pixels' hash, and the cell's measures."""

import errno
import hashlib
import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from anna import kept
from anna.workspace import Workspace

log = logging.getLogger(__name__)
LARGEST = 64_000_000  # pixels; a whole smear field has fewer
MEASURES = [
    "box_left", "box_top", "box_width", "box_height", "diameter", "area",
    "red", "green", "blue", "texture",
]  # fmt: skip
COLUMNS = [
    "path", "bytes", "modified", "problem", "mode", "width", "height", "pixel_hash", *MEASURES,
]  # fmt: skip
_TEXTS = dict.fromkeys(["path", "problem", "mode", "pixel_hash"], "str")
_TYPES = dict.fromkeys(COLUMNS, "float64") | _TEXTS | {"bytes": "int64", "modified": "int64"}


# What an operating system says of a file, not of a disk or a network that fails for a while.
_OF_THE_FILE = {
    None, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENOTDIR,
    errno.ENAMETOOLONG,
}  # fmt: skip
_FORMATS = ("BMP", "DIB", "PNG", "JPEG", "TIFF")  # others would start other programs


class ImageError(ValueError):
    """An image file that cannot be used; the message names the file.

    Attributes:
        passing: Whether another try may go well: the disk failed, not the file.
    """

    passing = False


def decode(path: str | os.PathLike) -> np.ndarray:
    """Returns all pixels of an image file, uint8 (height, width, 3) RGB.

    Grey, palette and transparent images become RGB, transparent pixels black. The file is decoded
    to its last byte, so a truncated one is found here.

    Raises:
        ImageError: If the file is missing, no image, truncated, or larger than `LARGEST` pixels.
    """
    return _read(Path(path))[0]


def _read(path: Path) -> tuple[np.ndarray, str]:
    """Returns pixels as `decode`, and Pillow's name of the mode in the file."""
    if path.is_fifo():
        raise ImageError(f"{path}: not a file but a pipe, which might never end")
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > LARGEST:
                raise ImageError(
                    f"{path}: too large. Received: {image.width}×{image.height} pixels"
                )
            mode = image.mode
            if mode.startswith(("I", "F")):
                raise ImageError(f"{path}: more than 8 bits a channel. Received: mode {mode}")
            if (pixels := _uncompressed(image)) is not None:
                return pixels, mode
            if mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = _on_black(image)
            return np.asarray(image.convert("RGB")), mode
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, struct.error and more
        failed = ImageError(f"{path}: not a readable image. Received: {error}")
        failed.passing = isinstance(error, OSError) and error.errno not in _OF_THE_FILE
        raise failed from error


def _uncompressed(image: Image.Image) -> np.ndarray | None:
    """Returns the pixels of a BMP of 24 bits a pixel, as C-NMC's are; None of any other file.

    They are taken from where Pillow says they lie: its own decoder takes several times as long.
    """
    if image.format != "BMP" or len(image.tile) != 1:
        return None
    decoder, _, start, (layout, stride, direction) = image.tile[0]
    if (decoder, layout) != ("raw", "BGR"):
        return None
    width, height = image.size
    image.fp.seek(start)
    content = image.fp.read(stride * height)
    if len(content) < stride * height:
        raise OSError(f"truncated: {len(content):,} bytes of pixels of {stride * height:,}")
    rows = np.frombuffer(content, np.uint8).reshape(height, stride)[:, : 3 * width]
    pixels = cv2.cvtColor(rows.reshape(height, width, 3), cv2.COLOR_BGR2RGB)
    return cv2.flip(pixels, 0) if direction < 0 else pixels


def _on_black(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)


def box(image: np.ndarray) -> tuple[int, int, int, int]:
    """Returns left, top, width and height in pixels of all that is not black; zeros if nothing is.

    Args:
        image: uint8 (height, width, 3).
    """
    height, width = image.shape[:2]
    values = np.ascontiguousarray(image).reshape(height, 3 * width)
    left, top, wide, high = cv2.boundingRect(values)
    first, last = left // 3, (left + wide + 2) // 3
    return first, top, last - first, high


def measure(image: np.ndarray) -> dict[str, float]:
    """Returns the measures of a cell that stands on black, by name.

    Box, diameter and area are in pixels of the file; red, green and blue are medians over the cell,
    0–255; texture is the standard deviation, over the cell without its rim, of grey less its
    Gaussian blur (sigma 2 pixels). The diameter is the square root of the box's area.

    Args:
        image: uint8 (height, width, 3) RGB.
    """
    return _measures(*_cut_out(image))


def _cut_out(image: np.ndarray) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """Returns the box, and the pixels in it."""
    place = left, top, width, height = box(image)
    return place, np.ascontiguousarray(image[top : top + height, left : left + width])


def _measures(place: tuple[int, int, int, int], part: np.ndarray) -> dict[str, float]:
    left, top, width, height = place
    values = dict.fromkeys(MEASURES, np.nan) | {
        "box_left": left, "box_top": top, "box_width": width, "box_height": height,
        "diameter": float(np.sqrt(width * height)), "area": 0,
    }  # fmt: skip
    if not width:
        return values
    planes = [cv2.extractChannel(part, channel) for channel in range(3)]
    brightest = cv2.max(cv2.max(planes[0], planes[1]), planes[2])
    inside = cv2.threshold(brightest, 0, 1, cv2.THRESH_BINARY)[1]
    values["area"] = cv2.countNonZero(inside)
    medians = [_median(plane, outside=inside.size - values["area"]) for plane in planes]
    values |= zip(("red", "green", "blue"), medians, strict=True)
    core = cv2.erode(inside, np.ones((15, 15), np.uint8), borderValue=0)
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
    """Returns one row of `of`: the facts of one file, with its problem if it cannot be read."""
    row = dict.fromkeys(COLUMNS, None) | {"path": path}
    row["bytes"], row["modified"] = kept.state(path)
    try:
        image, mode = _read(Path(path))
    except ImageError as error:
        return row | {"problem": str(error)}
    row |= {"mode": mode, "height": image.shape[0], "width": image.shape[1]}
    place, part = _cut_out(image)
    pixels = hashlib.sha256(str((*image.shape, *place)).encode())  # the rest is black
    pixels.update(part)
    return row | {"pixel_hash": pixels.hexdigest()[:32]} | _measures(place, part)


def of(cells: pd.DataFrame, *, cache: Path | None = None, progress: bool = True) -> pd.DataFrame:
    """Returns the facts of every image: columns `COLUMNS`, the index of `cells`.

    `problem` is missing for a readable file. A file is read again only when its path, bytes or time
    of change differ from the cache, or when it could not be read; an interrupted reading goes on
    where it was.

    Args:
        cells: Table with a column `path`.
        cache: The CSV that keeps the facts; by default `facts.csv` of the workspace.
        progress: Whether to show a bar while files are read.
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
