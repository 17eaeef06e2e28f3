"""Nucleated cells in a field of a smear: where each of them is, and it alone on black.

Two ways tell nucleus and cytoplasm from the rest: thresholds of the optical density, which know
that a nucleus is dark and that a red cell takes away less red light than green, or the U-Net of
`anna.segment`. `anna.parting` then tells cell from cell.
"""

from __future__ import annotations

import cv2
import keras
import numpy as np

from anna import images
from anna.crops import scaled
from anna.parting import REACH, SHRINK, disc, filled, parted

BAND = 5  # pixels of C-NMC to both sides of a rough outline, where the true one is looked for
RIM = 24  # pixels of C-NMC that the dark around a round field is taken to reach further
WHITE = 235  # of a background, as a network sees it
SCALES = (0.05, 10)  # a lymphocyte is thousands of pixels wide below, under 20 above
# Optical densities: of red plus half of green, and in red.
NUCLEUS = 0.8  # the least darkness of a nucleus
PILE = 1.6  # the most of red cells one over another
STAINED = 0.2  # of anything but background
PALE = 0.1  # the least density in red of cytoplasm
BLACK = 1.6  # the least in every channel of what no light reaches
NEUTRAL = 0.7  # the least of a grey's lightest channel for its darkest; stains have more colour
BLUE = 0.5  # the least density in red for that in green of cytoplasm; less is a red cell


def find(
    image: np.ndarray, *, scale: float = 1.0, segmenter: keras.Model | None = None
) -> np.ndarray:
    """Returns where each nucleated cell is, int32 (height, width): 0, or a number from 1.

    Numbers run from the top down.

    Args:
        image: uint8 (height, width, 3) RGB of a field on a bright background.
        scale: Pixels of C-NMC for one of the image: 1 at C-NMC's magnification, 2 if the image
            shows cells half as large. A healthy lymphocyte of C-NMC is about 187 pixels wide.
        segmenter: As `anna.segment.build` returns it, trained on fields shrunk by `SHRINK`; the
            thresholds alone if None.

    Raises:
        ValueError: If the scale is beyond `SCALES`, or the image has no three channels of bytes.
    """
    require_scale(scale)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"An RGB image of bytes is needed. Received: {image.dtype} {image.shape}")
    small = _shrunk(image, scale)
    small[(dark := _unlit(small))] = _background(small)
    if segmenter is None:
        labels = parted(thresholds(small), darkness(small) > STAINED, dark)
    else:
        labels = parted(by_network(segmenter, small), dark=dark)
    labels = _enlarged(np.where(dark, 0, labels), image.shape[:2])
    return _numbered(_refined(image, labels, BAND / scale))


def unlit(image: np.ndarray, *, scale: float = 1.0) -> np.ndarray:
    """Returns what lies beyond the microscope's round field, bool (height, width).

    That is what is black or grey, without a colour, from a side of the image on: as of a picture
    taken through an eyepiece.

    Args:
        image: As in `find`.
        scale: As in `find`.
    """
    dark = np.uint8(_unlit(_shrunk(image, scale)))
    return cv2.resize(dark, image.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0


def _shrunk(image: np.ndarray, scale: float) -> np.ndarray:
    size = [max(round(side * scale / SHRINK), 1) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _unlit(small: np.ndarray) -> np.ndarray:
    """Returns what `unlit` does, of an image shrunk by `SHRINK`."""
    least, most = (each(density(small), axis=-1) for each in (np.min, np.max))
    grey = np.uint8((most > PALE) & (least > NEUTRAL * most))
    _, parts = cv2.connectedComponents(grey)
    black = np.unique(parts[least > BLACK])
    sides = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    found = np.isin(parts, np.setdiff1d(np.intersect1d(sides, black), 0))
    return cv2.dilate(np.uint8(found), disc(RIM / SHRINK)) > 0


def require_scale(scale: float) -> None:
    """Raises ValueError, naming the value and saying what it means, unless it is in `SCALES`."""
    if not SCALES[0] <= scale <= SCALES[1]:
        raise ValueError(
            f"The scale must be from {SCALES[0]} to {SCALES[1]}: the width of a healthy "
            f"lymphocyte in C-NMC, 187 pixels, over its width here. Received: scale={scale}"
        )


def density(image: np.ndarray) -> np.ndarray:
    """Returns the optical density of each channel over the background's, float32 (h, w, 3).

    The background is the median of the brightest quarter of the pixels.

    Args:
        image: uint8 (h, w, 3) RGB.
    """
    return -np.log((image.astype(np.float32) + 1) / (_background(image) + 1))


def balanced(image: np.ndarray) -> np.ndarray:
    """Returns the image with a background of `WHITE` in each channel, uint8: as networks see it.

    Args:
        image: uint8 (h, w, 3) RGB.
    """
    return np.uint8(np.clip(image * (WHITE / np.maximum(_background(image), 1)), 0, 255))


def _background(image: np.ndarray) -> np.ndarray:
    green = image[..., 1]
    return np.median(image[green >= np.quantile(green, 0.75)], axis=0).astype(np.float32)


def darkness(image: np.ndarray) -> np.ndarray:
    """Returns the density in red plus half of that in green, a little smoothed, float32 (h, w).

    Args:
        image: uint8 (h, w, 3) RGB, shrunk by `SHRINK`.
    """
    red, green, _ = cv2.split(cv2.GaussianBlur(density(image), (0, 0), 0.7))
    return red + green / 2


def thresholds(image: np.ndarray) -> np.ndarray:
    """Returns the mask by Otsu's threshold of the optical density, and cytoplasm around nuclei.

    The threshold is found among the pixels that something stained covers, and is at least
    `NUCLEUS`, so that a field of red cells alone has no nuclei; piles of them are told by colour.

    Args:
        image: uint8 (h, w, 3) RGB, shrunk by `SHRINK`.
    """
    red, green, blue = cv2.split(cv2.GaussianBlur(density(image), (0, 0), 0.7))
    dark = red + green / 2
    blood = (dark < PILE) & (red < BLUE * green) & (blue > BLUE * green)
    covered = np.uint8(np.clip(dark[dark > STAINED] * 80, 0, 255))
    if not covered.size:
        return np.zeros(dark.shape, np.uint8)
    level = cv2.threshold(covered, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0] / 80
    nucleus = _opened(filled((dark > max(level, NUCLEUS)) & ~blood) > 0, 2)
    near = cv2.dilate(nucleus.astype(np.uint8), disc(REACH / SHRINK)) > 0
    pale = (red > PALE) & (red > BLUE * green) & near
    return np.where(nucleus, 2, _opened(pale | nucleus, 2)).astype(np.uint8)


def by_network(segmenter: keras.Model, image: np.ndarray) -> np.ndarray:
    """Returns the mask by a network that looks at overlapping squares; overlaps are averaged.

    Args:
        segmenter: As `anna.segment.build` returns it, trained.
        image: uint8 (h, w, 3) RGB, shrunk by `SHRINK`.
    """
    side, step = segmenter.input_shape[1], segmenter.input_shape[1] // 2
    height, width = image.shape[:2]
    high, wide = (max(-(-(length - side) // step), 0) * step + side for length in (height, width))
    room = (0, high - height, 0, wide - width)
    whole = cv2.copyMakeBorder(balanced(image), *room, cv2.BORDER_REPLICATE)
    corners = [(y, x) for y in range(0, high - step, step) for x in range(0, wide - step, step)]
    total, ramp = np.zeros((high, wide, 3), np.float32), np.hanning(side + 2)[1:-1]
    weight = np.float32(np.outer(ramp, ramp))[..., None]
    for start in range(0, len(corners), 16):
        part = corners[start : start + 16]
        seen = np.stack([whole[y : y + side, x : x + side] for y, x in part])
        for (y, x), shares in zip(part, np.asarray(segmenter.predict_on_batch(seen)), strict=True):
            total[y : y + side, x : x + side] += weight * shares
    return total[:height, :width].argmax(axis=-1).astype(np.uint8)


def _enlarged(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns the labels at the image's own size, their outlines smooth."""
    size = shape[::-1]
    whole = cv2.resize((labels > 0).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    wide = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8))
    wide = np.where(labels > 0, labels, wide).astype(np.float32)
    numbers = cv2.resize(wide, size, interpolation=cv2.INTER_NEAREST).astype(np.int32)
    return np.where(whole >= 0.5, numbers, 0)


def _refined(image: np.ndarray, labels: np.ndarray, band: float) -> np.ndarray:
    """Returns the labels with their outlines where the colours change most, by a watershed.

    OpenCV's watershed lets regions grow across the smallest differences first, so that they meet at
    the largest. Where the band is less than a pixel nothing is gained, and nothing changed.
    """
    if round(band) < 1 or not labels.any():
        return labels
    ring = disc(band)
    numbers = labels.astype(np.float32)
    inner = (cv2.erode(numbers, ring) == cv2.dilate(numbers, ring)) & (labels > 0)
    outer = cv2.dilate((labels > 0).astype(np.uint8), ring) == 0
    outside = int(labels.max()) + 1
    seeds = np.where(inner, labels, np.where(outer, outside, 0)).astype(np.int32)
    smooth = cv2.copyMakeBorder(
        cv2.GaussianBlur(image, (0, 0), 0.7), *[1] * 4, cv2.BORDER_REPLICATE
    )
    grown = cv2.watershed(smooth, np.pad(seeds, 1, "edge"))[1:-1, 1:-1]  # it spoils its border
    grown[(grown < 0) | (grown == outside)] = 0
    return grown


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Returns the labels numbered anew from 1, in the order of their first pixel."""
    numbers, first = np.unique(labels, return_index=True)
    order = np.zeros(labels.max() + 1, np.int32)
    there = numbers > 0
    order[numbers[there][np.argsort(first[there])]] = np.arange(1, there.sum() + 1)
    return order[labels]


def _opened(part: np.ndarray, radius: float) -> np.ndarray:
    return cv2.morphologyEx(part.astype(np.uint8), cv2.MORPH_OPEN, disc(radius)) > 0


def cut(
    image: np.ndarray, inside: np.ndarray, *, scale: float = 1.0, side: int = images.CROP
) -> np.ndarray:
    """Returns a cell as C-NMC shows it, uint8 (side, side, 3) RGB: on black, centred by its box.

    Args:
        image: uint8 (height, width, 3) RGB of the field.
        inside: bool (height, width): where the cell is.
        scale: As in `find`.
        side: Of the result in pixels of C-NMC; what reaches beyond is cut off.

    Raises:
        ValueError: If there is no cell.
    """
    left, top, width, height = cv2.boundingRect(inside.astype(np.uint8))
    if not width:
        raise ValueError(f"A cell is needed. Received: no pixel of {inside.size} inside")
    here = np.s_[top : top + height, left : left + width]
    part, mask = image[here], inside[here].astype(np.uint8)
    if scale != 1:
        part = scaled(part, scale)
        mask = cv2.resize(mask * 255, part.shape[1::-1], interpolation=cv2.INTER_LINEAR) > 127
    return images.center_crop(part * (mask > 0)[..., None].astype(np.uint8), side)
