"""Nucleus and cell by Otsu's thresholds alone: what a segmenter has to beat.

Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9 (1979) 62, doi 10.1109/TSMC.1979.4310076.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pandas as pd

from anna import masks

CHANNELS = ("red", "green", "blue", "saturation", "a", "b")


def channel(image: np.ndarray, name: str) -> np.ndarray:
    """Returns one channel, uint8 (height, width), in which stained parts are bright.

    Dyes take light away, so red, green and blue are inverted, and so is Lab's b, low where blue.

    Args:
        image: uint8 (height, width, 3) RGB.
        name: One of `CHANNELS`: of RGB, HSV's saturation, or Lab's a and b.

    Raises:
        ValueError: If the name is none of these.
    """
    if name not in CHANNELS:
        raise ValueError(f"channel must be among {CHANNELS}. Received: {name!r}")
    if name == "saturation":
        return cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1]
    if name in ("a", "b"):
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        return lab[..., 1] if name == "a" else 255 - lab[..., 2]
    return 255 - image[..., ("red", "green", "blue").index(name)]


def otsu(image: np.ndarray, nucleus: str, cell: str) -> np.ndarray:
    """Returns the mask by OpenCV's Otsu thresholds of two channels, one for each part.

    Args:
        image: uint8 (height, width, 3) RGB.
        nucleus: The channel, of `CHANNELS`, that tells the nucleus from the rest.
        cell: The one that tells the whole cell from the background.
    """
    marks = [_bright(channel(image, name)) for name in (cell, nucleus)]
    return masks.one_cell(np.where(marks[1], 2, marks[0]).astype(np.uint8))


def _bright(grey: np.ndarray) -> np.ndarray:
    return cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1] > 0


def multi_otsu(image: np.ndarray, name: str) -> np.ndarray:
    """Returns the mask by scikit-image's two thresholds of one channel: three classes.

    Args:
        image: uint8 (height, width, 3) RGB.
        name: The channel, of `CHANNELS`.

    Raises:
        ImportError: If scikit-image is not installed.
    """
    from skimage.filters import threshold_multiotsu

    grey = channel(image, name)
    if len(np.unique(grey)) < 3:
        return np.zeros(grey.shape, np.uint8)
    above = threshold_multiotsu(grey) + 1  # a threshold itself belongs to the class below it
    return masks.one_cell(np.digitize(grey, above).astype(np.uint8))


def scores(
    images: Sequence[np.ndarray],
    drawn: Sequence[np.ndarray],
    method: Callable[..., np.ndarray],
    settings: Sequence[tuple[str, ...]],
) -> pd.DataFrame:
    """Returns the mean Dice of nucleus and cell of each cell, a column a setting.

    The best setting of the cells to learn from is the largest mean of its rows.

    Args:
        images: uint8 (height, width, 3) RGB each.
        drawn: The mask of each.
        method: `otsu` or `multi_otsu`.
        settings: The channels to give it.
    """
    return pd.DataFrame(
        {
            setting: [
                np.mean(list(masks.dice(truth, method(image, *setting)).values()))
                for image, truth in zip(images, drawn, strict=True)
            ]
            for setting in settings
        }
    )
