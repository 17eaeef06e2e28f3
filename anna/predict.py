"""From images to probabilities and maps."""

import logging
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from anna import backend, ensemble, images
from anna.decoding import ImageError
from anna.models import crop_of

log = logging.getLogger(__name__)
ENDINGS = (".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
_KEPT = ["name", "subject", "group", "role", "label"]
_MAPS = ("mask", "evidence")
_SAYS = ("probability", "unlike")  # by column of what a network says


def probabilities(
    model: keras.Model, pixels: np.ndarray, *, batch_size: int | None = None, progress: bool = False
) -> np.ndarray:
    """Returns the probability of ALL of each image, float64 (n,).

    Args:
        model: As `anna.models.build` returns it, trained.
        pixels: uint8 (n, size, size, 3) RGB; a memory map is read batch by batch.
        batch_size: Images a batch, as suits the machine if None; the last is filled up, so that
            shapes never change.
        progress: Whether to show a bar.
    """
    return said(model, pixels, batch_size=batch_size, progress=progress)[:, 0]


def said(
    model: keras.Model, pixels: np.ndarray, *, batch_size: int | None = None, progress: bool = False
) -> np.ndarray:
    """Returns all columns of what a network says of each image, float64 (n, c).

    The first is the probability of ALL; a second, of `anna.likeness.beside`, how unlike the cells
    learnt from it is. The arguments are those of `probabilities`.
    """
    batch_size = batch_size or _batch_size(model)
    found = np.empty((len(pixels), model.output_shape[1]))
    with tqdm(total=len(pixels), desc="judging cells", unit="cell", disable=not progress) as bar:
        for start in range(0, len(pixels), batch_size):
            part = pixels[start : start + batch_size]
            seen = np.asarray(model.predict_on_batch(_filled(part, batch_size)))
            found[start : start + len(part)] = seen[: len(part)]
            bar.update(len(part))
    return found


def _batch_size(model: keras.Model) -> int:
    return backend.batch_size(model.input_shape[1], ensemble.looks(model))


def _filled(pixels: np.ndarray, batch_size: int) -> np.ndarray:
    """Returns the images and black ones after them, `batch_size` in all."""
    missing = batch_size - len(pixels)
    filled = np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else pixels
    return np.ascontiguousarray(filled)


def cells(
    model: keras.Model,
    pixels: np.ndarray,
    cells: pd.DataFrame,
    *,
    batch_size: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Returns predictions: `name`, `subject`, `group`, `role`, `label`, `probability`, `drawn`.

    Row i belongs to `cells.iloc[i]`, whose index it keeps. Images that could not be read have no
    probability.

    Args:
        model: Trained.
        pixels: uint8 (len(cells), size, size, 3) RGB, as `anna.images.load` returns it.
        cells: As `anna.splits.assign` returns it.
        batch_size: Images a batch, as suits the machine if None.
        progress: Whether to show a bar.

    Raises:
        ValueError: If there is not one row of pixels a cell.
    """
    if len(pixels) != len(cells):
        raise ValueError(
            f"One row of pixels a cell is needed. Received: {len(pixels)}, {len(cells)}"
        )
    found = cells[_KEPT].assign(
        probability=probabilities(model, pixels, batch_size=batch_size, progress=progress),
        drawn=cells["drawn"],
    )
    black = np.array([not pixels[i].any() for i in range(len(pixels))], bool)
    return found.assign(probability=found["probability"].mask(black))


def maps(
    model: keras.Model, pixels: np.ndarray, *, batch_size: int | None = None
) -> dict[str, np.ndarray]:
    """Returns the maps behind a call: `mask` and `evidence`, float32 (n, h, w).

    The mask is the probability of each pixel to be of the cell. The evidence is in log-odds of ALL;
    its mean over the mask, plus a term for the cell's size, is the log-odds of the call. h and w
    are a quarter of the model's size; half of it with a published encoder. Of several networks
    joined, the maps are the mean over the networks, of the image as it is.

    Args:
        model: `anna`, trained.
        pixels: uint8 (n, size, size, 3) RGB; a memory map is read batch by batch.
        batch_size: Images a batch; the last is filled up, so that shapes never change. If None, as
            suits the machine, and no more than there are.

    Raises:
        ValueError: If the model has no such maps.
    """
    members = ensemble.members(model) or [model]
    each = [_maps(member, pixels, batch_size) for member in members]
    return {name: np.mean([found[name] for found in each], axis=0) for name in each[0]}


def _maps(model: keras.Model, pixels: np.ndarray, batch_size: int | None) -> dict[str, np.ndarray]:
    batch_size = batch_size or min(backend.batch_size(pixels.shape[1]), max(len(pixels), 1))
    inner, parts = _mapper(model), []
    for start in range(0, max(len(pixels), 1), batch_size):
        part = pixels[start : start + batch_size]
        seen = inner.predict_on_batch(_filled(part.astype(model.input.dtype), batch_size))
        parts.append({name: np.asarray(seen[name])[: len(part), ..., 0] for name in _MAPS})
    return {name: np.concatenate([part[name] for part in parts]) for name in _MAPS}


def has_maps(model: keras.Model) -> bool:
    """Returns whether `maps` can tell what is behind the model's calls."""
    members = ensemble.members(model) or [model]
    return all(set(_MAPS) <= {layer.name for layer in member.layers} for member in members)


@lru_cache(maxsize=8)
def _mapper(model: keras.Model) -> keras.Model:
    """Returns the network up to its maps, kept: each new one is traced anew, for a second or two.

    It shares the layers of the model, so it goes by the weights that they have when it is asked.
    """
    if not has_maps(model):
        raise ValueError(f"The model gives no maps. Received: {model.name}")
    found = keras.Model(model.input, {name: model.get_layer(name).output for name in _MAPS})
    found.jit_compile = found.jit_compile and backend.compiles()  # a member begins after its bytes
    return found


def files(
    model: keras.Model,
    paths: str | os.PathLike | Iterable[str | os.PathLike],
    *,
    crop: int | None = None,
    batch_size: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Returns one row a file: `path`, `probability` of ALL, `problem`.

    Of a folder, all images below it are taken, sorted. A file that cannot be used is a row with a
    problem and no probability. With a model of `anna.likeness.beside`, also `unlike`.

    Args:
        model: Trained.
        paths: Files and folders, or one of them; each image shows one cell, centred, at C-NMC's
            magnification.
        crop: Side of the central square to judge, in pixels of the file; the model's own if None.
        batch_size: Images a batch, as suits the machine if None.
        progress: Whether to show a bar.
    """
    crop = crop or crop_of(model)
    batch_size = batch_size or _batch_size(model)
    says, rows, waiting = _SAYS[: model.output_shape[1]], [], []
    found = listed(paths)
    with tqdm(total=len(found), desc="judging files", unit="file", disable=not progress) as bar:
        for path in found:
            row = {"path": str(path)} | dict.fromkeys(says, np.nan) | {"problem": None}
            rows.append(row)
            try:
                waiting.append((row, images.read(path, model.input_shape[1], crop=crop)))
            except ImageError as error:
                row["problem"] = str(error)
                bar.update()
            if len(waiting) == batch_size:
                bar.update(_judge(model, waiting, batch_size))
        bar.update(_judge(model, waiting, batch_size))
    return pd.DataFrame(rows, columns=["path", *says, "problem"])


def listed(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> list[Path]:
    """Returns the files, and of each folder all images below it, sorted; each file once."""
    if isinstance(paths, str | os.PathLike):  # not a list of letters
        paths = [paths]
    found = {}
    for file in (file for path in paths for file in _listed(Path(path))):
        found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def _listed(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        return iter([path])
    below = sorted(p for p in path.rglob("[!.]*") if p.suffix.lower() in ENDINGS)
    return iter(p for p in below if not p.is_dir())  # hidden ones are of macOS, no images


def _judge(model: keras.Model, waiting: list, batch_size: int) -> int:
    """Returns how many rows were waiting; gives them their probability, and empties the list."""
    if count := len(waiting):
        pixels = np.stack([image for _, image in waiting])
        found = said(model, pixels, batch_size=batch_size)
        for (row, image), values in zip(waiting, found, strict=True):
            if image.any():
                row.update(zip(_SAYS, values, strict=False))
            else:
                row["problem"] = f"{row['path']}: all pixels are black"
        waiting.clear()
    return count
