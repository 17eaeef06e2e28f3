"""The evidence behind calls, laid on the whole field that the cells were cut out of."""

from __future__ import annotations

import keras
import numpy as np
from scipy.ndimage import find_objects

from anna import backend, fields, models, predict


def of_field(
    model: keras.Model, image: np.ndarray, labels: np.ndarray, *, scale: float = 1.0
) -> np.ndarray:
    """Returns the evidence for ALL at each pixel of the field, float32 (h, w), NaN outside cells.

    In log-odds, as of `anna.predict.maps`.

    Args:
        model: With maps.
        image: uint8 (height, width, 3) RGB.
        labels: int32 (height, width), as `anna.smear.find` returns them.
        scale: As in `anna.fields.judge`.
    """
    side = models.crop_of(model)
    pixels = fields.resized(model, fields.cutouts(image, labels, scale=scale, side=side))
    evidence = maps(model, pixels)["evidence"] if len(pixels) else pixels
    return laid(evidence, labels, scale=scale, side=side)


def maps(model: keras.Model, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Returns `anna.predict.maps` of a field's cells, by batches of one shape in all fields."""
    return predict.maps(model, pixels, batch_size=backend.batch_size(model.input_shape[1]))


def laid(maps: np.ndarray, labels: np.ndarray, *, scale: float = 1.0, side: int) -> np.ndarray:
    """Returns maps of cells at the cells' places in the field, float32 (h, w), NaN outside cells.

    Args:
        maps: Of each cell, in the order of numbers, (n, size, size).
        labels: int32 (h, w), as `anna.smear.find` returns them, or the same at another size.
        scale: As in `anna.fields.judge`; pixels of C-NMC for one of the labels.
        side: Of the crop that a map covers, in pixels of C-NMC.
    """
    found = np.full(labels.shape, np.nan, np.float32)
    for number, (seen, place) in enumerate(zip(maps, find_objects(labels), strict=False), 1):
        if place is not None:  # else it was lost where the labels were shrunk
            own, last = labels[place] == number, len(seen) - 1
            # The middle of the box is the middle of the crop.
            at = (np.argwhere(own) - np.subtract(own.shape, 1) / 2) * scale * len(seen) / side
            y, x = np.clip(np.rint(at + last / 2).astype(int), 0, last).T
            found[place][own] = seen[y, x]
    return found
