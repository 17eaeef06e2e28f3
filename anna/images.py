"""From a file to a crop of a given size, and the cache of them."""

import hashlib
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from anna.facts import ImageError, decode
from anna.kept import state
from anna.workspace import write_whole

log = logging.getLogger(__name__)
CROP = 320  # pixels; holds the whole cell in 95.5 % of C-NMC, and keeps its size
_VERSION = 1  # raise it when the same files and settings would give other pixels
_CHUNK = 256  # images between two notes of how far the cache is


def center_crop(image: np.ndarray, side: int = CROP) -> np.ndarray:
    """Returns the central square, uint8 (side, side, 3); black where the image is smaller.

    Args:
        image: uint8 (height, width, 3).
        side: Pixels of the square.
    """
    height, width = image.shape[:2]
    top, left = (height - side) // 2, (width - side) // 2
    part = image[max(top, 0) : max(top, 0) + side, max(left, 0) : max(left, 0) + side]
    missing = np.subtract(side, part.shape[:2])
    before = missing // 2
    if not missing.any():
        return part
    after = missing - before
    return cv2.copyMakeBorder(
        part, before[0], after[0], before[1], after[1], cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Returns the square image at another size, uint8 (size, size, 3).

    Shrinking averages areas, so that texture is not aliased; enlarging is bicubic.
    """
    method = _method(image.shape[0], size)
    return cv2.resize(np.ascontiguousarray(image), (size, size), interpolation=method)


def shares(side: int, size: int) -> np.ndarray:
    """Returns how much each line of an image has in each line of it resized, float32 (size, side).

    `resize` is `shares @ image @ shares.T` of each channel, rounded.
    """
    unit = np.eye(side, dtype=np.float32)
    return cv2.resize(unit, (side, size), interpolation=_method(side, size))


def _method(side: int, size: int) -> int:
    return cv2.INTER_AREA if size <= side else cv2.INTER_CUBIC


def read(path: str | os.PathLike, size: int = 128, *, crop: int = CROP) -> np.ndarray:
    """Returns one file as the networks see it, uint8 (size, size, 3) RGB.

    Raises:
        anna.facts.ImageError: If the file cannot be read whole.
    """
    return resize(center_crop(decode(path), crop), size)


def load(
    cells: pd.DataFrame,
    size: int = 128,
    *,
    crop: int = CROP,
    cache: str | os.PathLike,
    progress: bool = True,
) -> np.ndarray:
    """Returns all images as the networks see them, uint8 (len(cells), size, size, 3) RGB.

    The array is a read-only memory map of a file in `cache`, so it takes no memory of its own. Row
    i is `cells.iloc[i]`. The file's name is a hash of the settings and of path, bytes and time of
    change of every image: another setting or a changed image makes a new file. Work that was
    interrupted goes on where it was. An unreadable image is a black row, and a warning in the log.

    Args:
        cells: Table with a column `path`.
        size: Side of the result in pixels.
        crop: Side of the central square that is kept, in pixels of the file.
        cache: Folder of the caches, made if missing.
        progress: Whether to show a bar while images are prepared.

    Raises:
        ValueError: If size or crop is not a positive whole number.
        FileNotFoundError: If not one of the files is there.
    """
    for name, value in (("size", size), ("crop", crop)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be a positive whole number. Received: {value!r}")
    paths = cells["path"].tolist()
    if paths and not any(Path(path).exists() for path in paths):
        raise FileNotFoundError(f"No image is where the table says. Missing, first: {paths[0]}")
    target = Path(cache) / f"crops_{crop}to{size}_{_key(paths, size, crop)}.npy"
    shape = (len(paths), size, size, 3)
    if not paths:
        return np.empty(shape, np.uint8)
    if not _whole(target, shape):
        target.parent.mkdir(parents=True, exist_ok=True)
        _make(target, shape, paths, crop=crop, progress=progress)
    return np.load(target, mmap_mode="r", allow_pickle=False)


def _key(paths: list[str], size: int, crop: int) -> str:
    states = [(path, *state(path)) for path in paths]
    text = json.dumps([_VERSION, size, crop, states])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _whole(target: Path, shape: tuple[int, ...]) -> bool:
    """Returns whether a finished cache of this shape is there; a damaged one is made anew."""
    if not target.is_file():
        return False
    try:
        found = np.load(target, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        log.warning("%s is damaged and is made anew: %s", target, error)
        return False
    return found.shape == shape and found.dtype == np.uint8


def _make(
    target: Path, shape: tuple[int, ...], paths: list[str], *, crop: int, progress: bool
) -> None:
    """Fills the cache under a temporary name, noting after each chunk how far it is."""
    part, note = target.with_suffix(".part"), target.with_suffix(".done")
    done = _done(note) if _whole(part, shape) else 0
    mode = "r+" if done else "w+"
    pixels = np.lib.format.open_memmap(part, mode, dtype=np.uint8, shape=shape)
    bar = tqdm(
        total=len(paths), initial=done, desc="preparing images", unit="img", disable=not progress
    )
    with ThreadPoolExecutor(os.cpu_count()) as pool, bar:
        for start in range(done, len(paths), _CHUNK):
            chunk = paths[start : start + _CHUNK]
            for row, image in enumerate(pool.map(lambda p: _try(p, shape[1], crop), chunk), start):
                pixels[row] = image
                bar.update()
            pixels.flush()
            write_whole(note, partial(Path.write_text, data=str(start + len(chunk))))
    del pixels
    part.replace(target)
    note.unlink(missing_ok=True)


def _done(note: Path) -> int:
    """Returns how many rows are finished."""
    text = note.read_text() if note.is_file() else ""
    return int(text) if text.isdecimal() else 0


def _try(path: str, size: int, crop: int) -> np.ndarray | int:
    try:
        return read(path, size, crop=crop)
    except ImageError as error:
        log.warning("left black: %s", error)
        return 0
