"""What the white blood cells with hand-drawn masks look like on disk, and their folds.

Zheng, Wang, Wang and Liu, Micron 107 (2018) 55-71, doi 10.1016/j.micron.2018.01.010. `dataset_1`
is 239 crops of about 120 pixels, `dataset_2` 80 of 300; one cell a crop, as `NNN.bmp`, its mask
as `NNN.png`.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold
from tqdm.auto import tqdm

from anna import masks
from anna.decoding import ImageError, decode

DATASETS = ("dataset_1", "dataset_2")
# One cell taken twice: the cross-correlation of the crops is above 0.99, of all others below 0.98.
_TWICE = {"dataset_1/158": "dataset_1/157", "dataset_1/171": "dataset_1/166"}
_TWICE |= {"dataset_1/169": "dataset_1/167"}


def find(folder: str | os.PathLike) -> Path | None:
    """Returns the folder that holds `dataset_1` and `dataset_2`: this one, one below, or None."""
    folder = Path(folder)
    places = [folder, *sorted(path.parent for path in folder.glob(f"**/{DATASETS[0]}"))]
    return next((p for p in places if all((p / name).is_dir() for name in DATASETS)), None)


def index(root: str | os.PathLike, *, k: int = 5, seed: int = 0) -> pd.DataFrame:
    """Returns the cells, one row an image, sorted: `name`, `dataset`, `path`, `mask`, `fold`.

    `name` is as "dataset_1/001". Folds 0 to k-1 share each data set evenly, and a cell that was
    taken twice is in one fold. Who the people are is not known, so they are not kept apart.

    Args:
        root: As `find` returns it.
        k: Number of folds.
        seed: Of the folds.

    Raises:
        FileNotFoundError: If an image has no mask, or there are no images.
    """
    rows = []
    for dataset in DATASETS:
        for path in sorted((Path(root) / dataset).glob("*.bmp")):
            mask = path.with_suffix(".png")
            if not mask.is_file():
                raise FileNotFoundError(f"Each image needs a mask. Missing: {mask}")
            rows.append((f"{dataset}/{path.stem}", dataset, str(path), str(mask)))
    if not rows:
        raise FileNotFoundError(f"No cells with masks are here. Received: {root}")
    table = pd.DataFrame(rows, columns=["name", "dataset", "path", "mask"])
    return table.assign(fold=_folds(table, k, seed))


def _folds(table: pd.DataFrame, k: int, seed: int) -> np.ndarray:
    cell = table["name"].replace(_TWICE)
    splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    fold = np.zeros(len(table), int)
    for number, (_, part) in enumerate(splitter.split(table, table["dataset"], cell)):
        fold[part] = number
    return fold


def read(row: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Returns a cell's image, uint8 (height, width, 3) RGB, and its mask, uint8 (height, width).

    Args:
        row: Of `index`.

    Raises:
        anna.decoding.ImageError: If a file cannot be read, or the two differ in shape.
    """
    image, grey = decode(row["path"]), decode(row["mask"])[..., 0]
    if image.shape[:2] != grey.shape:
        raise ImageError(
            f"{row['mask']}: a mask must be as large as its image. "
            f"Received: {grey.shape} for {image.shape[:2]}"
        )
    return image, masks.from_grey(grey)


def load(
    cells: pd.DataFrame, *, progress: bool = True
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns all images and all masks at their own sizes, as `read` does; item i is row i."""
    rows = tqdm(cells.to_dict("records"), "reading cells", unit="cell", disable=not progress)
    images, drawn = zip(*(read(row) for row in rows), strict=True)
    return list(images), list(drawn)
