"""From a file to a crop of a given size, and the cache of them."""

import hashlib
import io
import json
import logging
import os
import zlib
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from anna import pool
from anna.crops import CROP, center_crop, resize, resized, shares, within
from anna.decoding import ImageError, cut, require_disk
from anna.kept import state
from anna.lock import alone
from anna.workspace import named_when_full, require_room, sweep, write_whole

__all__ = ["CROP", "center_crop", "load", "read", "resize", "shares"]
log = logging.getLogger(__name__)
_VERSION = 2  # raise it when the same files and settings would give other pixels
_CHUNK = 256  # images between two notes of how far the cache is


def read(path: str | os.PathLike, size: int = 128, *, crop: int = CROP) -> np.ndarray:
    """Returns one file as the networks see it, uint8 (size, size, 3) RGB.

    Raises:
        anna.decoding.ImageError: If the file cannot be read whole.
    """
    found = cut(path)
    part, corner = within(found.pixels, found.box[:2], found.shape, crop)
    return resized(part, corner, crop, size)


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
    change of every image, and a checksum of its pixels: another setting or a changed image makes a
    new file, a damaged one is made anew. Work that was interrupted goes on where it was; a second
    run in the same folder waits for the first. What is no whole image is a black row, and a warning
    in the log.

    Args:
        cells: Table with a column `path`.
        size: Side of the result in pixels.
        crop: Side of the central square that is kept, in pixels of the file.
        cache: Folder of the caches, made if missing.
        progress: Whether to show a bar while images are prepared.

    Raises:
        ValueError: If size or crop is not a positive whole number.
        FileNotFoundError: If a file is no longer there.
        OSError: If the disk is full, or fails to give an image that is there.
    """
    for name, value in (("size", size), ("crop", crop)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be a positive whole number. Received: {value!r}")
    size, crop, paths = int(size), int(crop), cells["path"].tolist()
    if gone := [path for path in paths if _is_gone(path)]:
        told = f"{len(gone):,} of {len(paths):,} images are not where the table says"
        raise FileNotFoundError(f"{told}: prepare again. Missing, first: {gone[0]}")
    shape, folder = (len(paths), size, size, 3), Path(cache)
    if not paths:
        return np.empty(shape, np.uint8)
    stem = f"crops_{crop}to{size}_{_key(paths, size, crop)}"
    if (found := _kept(folder, stem, shape)) is None:
        with alone(folder / ".lock", wait=True):
            if (found := _kept(folder, stem, shape)) is None:
                sweep(folder)
                target = _make(folder / stem, shape, paths, crop=crop, progress=progress)
                found = np.load(target, mmap_mode="r", allow_pickle=False)
    return found


def _is_gone(path: str) -> bool:
    """Returns whether there is no such file, not even a dangling link."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # the disk cannot say; told when the file is read
    return False


def _key(paths: list[str], size: int, crop: int) -> str:
    states = [(path, *state(path)) for path in paths]
    text = json.dumps([_VERSION, size, crop, states])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _kept(folder: Path, stem: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Returns the pixels of a finished cache, None if there is none that is as it was written."""
    for path in sorted(folder.glob(f"{stem}_*.npy")):
        problem = "its bytes are not those that were written"
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
            if found.shape == shape and found.dtype == np.uint8 and found.flags.c_contiguous:
                check = 0
                for start in range(0, len(found), _CHUNK):
                    check = zlib.crc32(found[start : start + _CHUNK], check)
                if path.stem == f"{stem}_{check:08x}":
                    return found
        except Exception as error:  # of a damaged header NumPy raises TokenError and more
            problem = error
        log.warning("%s is damaged and is made anew: %s", path, problem)
    return None


def _make(
    stem: Path, shape: tuple[int, ...], paths: list[str], *, crop: int, progress: bool
) -> Path:
    """Returns the cache, filled under a temporary name, noting after each chunk how far it is.

    The rows are appended: a memory map on a full disk would end the process without a word.
    """
    part, note, header = stem.with_suffix(".part"), stem.with_suffix(".done"), _header(shape)
    row = int(np.prod(shape[1:]))
    done, check = _done(part, note, header, row)
    require_room(part.parent, (len(paths) - done) * row, f"for {len(paths)} images")
    bar = tqdm(
        total=len(paths), initial=done, desc="preparing images", unit="img", disable=not progress
    )
    made = pool.each(lambda path: _try(path, shape[1], crop), paths[done:])
    with (
        named_when_full(part),
        part.open("r+b" if done else "wb") as file,
        closing(made),
        bar,
    ):
        file.write(header)
        file.truncate(file.seek(len(header) + done * row))
        for start in range(done, len(paths), _CHUNK):
            block = np.empty((min(_CHUNK, len(paths) - start), *shape[1:]), np.uint8)
            for place in range(len(block)):
                block[place] = next(made)
                bar.update()
            file.write(block)
            file.flush()
            os.fsync(file.fileno())
            check = zlib.crc32(block, check)
            text = f"{start + len(block)} {check}"
            write_whole(note, partial(Path.write_text, data=text))
    target = part.replace(stem.with_name(f"{stem.name}_{check:08x}.npy"))
    note.unlink(missing_ok=True)
    return target


def _header(shape: tuple[int, ...]) -> bytes:
    written = io.BytesIO()
    about = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(written, about)
    return written.getvalue()


def _done(part: Path, note: Path, header: bytes, row: int) -> tuple[int, int]:
    """Returns how many rows are finished, and their checksum; zeros if they are not as noted."""
    check = 0
    try:
        rows, noted = (int(word) for word in note.read_text().split())
        with part.open("rb") as file:
            begun = file.read(len(header))
            for _ in range(rows):
                check = zlib.crc32(file.read(row), check)
    except (OSError, ValueError):
        return 0, 0
    return (rows, check) if (begun, check) == (header, noted) else (0, 0)


def _try(path: str, size: int, crop: int) -> np.ndarray | int:
    try:
        return read(path, size, crop=crop)
    except ImageError as error:
        require_disk(error)
        log.warning("left black: %s", error)
        return 0
