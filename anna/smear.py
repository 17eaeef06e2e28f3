"""Nucleated cells in a field of a smear: where each of them is, and it alone on black.

Two ways find what is nucleus and what is cytoplasm: thresholds of the optical density, which know
nothing but that a nucleus takes away red light and a red cell takes away green and blue, or the
U-Net of `anna.segment`. What touches is then parted where it is narrow, by a watershed of the
distance to the edge: Meyer, Signal Processing 38 (1994) 113, doi 10.1016/0165-1684(94)90060-4; a
narrow place is one whose depth falls below a share of the depth on both sides.
"""

from __future__ import annotations

import cv2
import keras
import numpy as np

from anna import images

SHRINK = 4  # pixels of C-NMC for one of the picture that cells are looked for in
NARROW = 0.8  # of the depth on both sides; what is narrower parts two nuclei
# Pixels of C-NMC, whose cells are 120 to 330 wide.
SMALLEST = 70  # diameter of the least nucleus
LOBE = 125  # of the largest piece that may be a mere lobe of the nucleus beside it
LARGEST = 330  # of the circle around all lobes of a nucleus
GAP = 60  # between two lobes, at most
REACH = 80  # that cytoplasm reaches beyond its nucleus, at most
# Optical densities: of red plus half of green, and in red.
NUCLEUS = 0.8  # the least of a nucleus
PALE = 0.1  # the least of cytoplasm
BLUE = 0.5  # the least density in red for that in green of cytoplasm; less is a red cell
WITHIN = 0.85  # share of the hull of two nuclei that cytoplasm fills, if they are of one cell


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
        ValueError: If the scale is not positive, or the image has no three channels of bytes.
    """
    if not scale > 0:
        raise ValueError(f"The scale must be above 0. Received: scale={scale}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"An RGB image of bytes is needed. Received: {image.dtype} {image.shape}"
        )
    size = [max(round(side * scale / SHRINK), 1) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    mask = thresholds(small) if segmenter is None else by_network(segmenter, small)
    labels = parted(mask)
    return _numbered(_enlarged(labels, image.shape[:2]))


def density(image: np.ndarray) -> np.ndarray:
    """Returns the optical density of each channel over the background's, float32 (h, w, 3).

    The background is the median of the brightest quarter of the pixels.

    Args:
        image: uint8 (h, w, 3) RGB.
    """
    light = image.astype(np.float32)
    green = light[..., 1]
    background = np.median(light[green >= np.quantile(green, 0.75)], axis=0)
    return -np.log((light + 1) / (background + 1))


def thresholds(image: np.ndarray) -> np.ndarray:
    """Returns the mask by Otsu's threshold of the optical density, and cytoplasm around nuclei.

    The threshold is found among the pixels that something stained covers, and is at least
    `NUCLEUS`, so that a field of red cells alone has no nuclei.

    Args:
        image: uint8 (h, w, 3) RGB, shrunk by `SHRINK`.
    """
    red, green, _ = cv2.split(cv2.GaussianBlur(density(image), (0, 0), 0.7))
    dark = red + green / 2
    covered = np.uint8(np.clip(dark[dark > 2 * PALE] * 80, 0, 255))
    if not covered.size:
        return np.zeros(dark.shape, np.uint8)
    level = cv2.threshold(covered, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0] / 80
    nucleus = _opened(_filled(dark > max(level, NUCLEUS)) > 0, 2)
    near = cv2.dilate(nucleus.astype(np.uint8), _disc(REACH / SHRINK)) > 0
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
    whole = cv2.copyMakeBorder(image, *room, cv2.BORDER_REPLICATE)
    corners = [(y, x) for y in range(0, high - step, step) for x in range(0, wide - step, step)]
    total, ramp = np.zeros((high, wide, 3), np.float32), np.hanning(side + 2)[1:-1]
    weight = np.float32(np.outer(ramp, ramp))[..., None]
    for start in range(0, len(corners), 16):
        part = corners[start : start + 16]
        seen = np.stack([whole[y : y + side, x : x + side] for y, x in part])
        for (y, x), shares in zip(part, np.asarray(segmenter.predict_on_batch(seen)), strict=True):
            total[y : y + side, x : x + side] += weight * shares
    return total[:height, :width].argmax(axis=-1).astype(np.uint8)


def parted(mask: np.ndarray) -> np.ndarray:
    """Returns the cells of a mask apart, int32 (h, w), those without a nucleus left out.

    Args:
        mask: Class map of `anna.masks`, shrunk by `SHRINK`.
    """
    nucleus, cell = (mask == 2).astype(np.uint8), _filled(mask > 0)
    depth = _depth(nucleus)
    pieces = _flooded(depth, cv2.connectedComponents(_peaks(depth).astype(np.uint8))[1])
    pieces = _joined(pieces, cell)
    areas = np.bincount(pieces.ravel())
    small = areas < np.pi / 4 * (SMALLEST / SHRINK) ** 2
    pieces[small[pieces]] = 0
    return _grown(pieces, cell)


def _depth(part: np.ndarray) -> np.ndarray:
    """Returns the distance to the outside, which the edge of the picture is too, float32."""
    padded = cv2.distanceTransform(np.pad(part, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return padded[1:-1, 1:-1]


def _joined(pieces: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Returns the pieces, those that are lobes of one nucleus under one number."""
    for number in np.argsort(np.bincount(pieces.ravel())):  # the smallest first
        while number and (here := pieces == number).any():
            near = cv2.dilate(here.astype(np.uint8), _disc(GAP / SHRINK)) > 0
            beside = np.unique(pieces[near & (pieces > 0) & ~here])
            fitting = [other for other in beside if _of_one(here, pieces == other, cell)]
            if not fitting:
                break
            pieces[here], number = fitting[0], fitting[0]
    return pieces


def _of_one(one: np.ndarray, other: np.ndarray, cell: np.ndarray) -> bool:
    """Returns whether two pieces are lobes of one nucleus.

    Together they are no larger than a cell, and the smaller is too small for a nucleus of its own
    or all between them is of the cell.
    """
    both = one | other
    points = cv2.findNonZero(both.astype(np.uint8))
    if 2 * cv2.minEnclosingCircle(points)[1] * SHRINK > LARGEST:
        return False
    lobe = np.pi / 4 * (LOBE / SHRINK) ** 2
    if min(one.sum(), other.sum()) < lobe:
        return True
    hull = cv2.fillConvexPoly(np.zeros(both.shape, np.uint8), cv2.convexHull(points), 1)
    between = (hull > 0) & ~both
    return bool(cell[between].mean() >= WITHIN) if between.any() else True


def _grown(nuclei: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Returns the nuclei with the cytoplasm that each reaches first, int32 (h, w)."""
    labels = nuclei.astype(np.float32)
    square, cross = np.ones((3, 3), np.uint8), _disc(1)
    for step in range(round(REACH / SHRINK)):
        around = cv2.dilate(labels, square if step % 2 else cross)
        labels = np.where((labels == 0) & (cell > 0), around, labels)
    return labels.astype(np.int32)


def _peaks(depth: np.ndarray) -> np.ndarray:
    """Returns where the depth has a peak that no way leads away from but through a narrow place.

    The depth times `NARROW` is raised wherever a higher peak can be reached without going below
    it (greyscale reconstruction); where it stays as it was, there is such a peak.
    """
    low = np.float32(NARROW) * depth
    raised, around = low, np.ones((3, 3), np.uint8)
    while True:
        grown = np.minimum(cv2.dilate(raised, around), depth)
        if np.array_equal(grown, raised):
            return (low >= raised) & (depth > 0)
        raised = grown


def _flooded(depth: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """Returns the marker that each pixel belongs to, int32 (h, w): they grow from deep to shallow.

    OpenCV's own watershed goes by differences between neighbours, which a distance does not have.
    """
    labels, around = markers.astype(np.float32), np.ones((3, 3), np.uint8)
    for level in range(int(depth.max()), -1, -1):
        free = (depth > level) & (labels == 0)
        while (grown := np.where(free, cv2.dilate(labels, around), 0)).any():
            labels += grown
            free &= labels == 0
    return labels.astype(np.int32)


def _enlarged(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns the labels at the image's own size, their outlines smooth."""
    size = shape[::-1]
    whole = cv2.resize((labels > 0).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    wide = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8))
    wide = np.where(labels > 0, labels, wide).astype(np.float32)
    numbers = cv2.resize(wide, size, interpolation=cv2.INTER_NEAREST).astype(np.int32)
    return np.where(whole >= 0.5, numbers, 0)


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Returns the labels numbered anew from 1, in the order of their first pixel."""
    numbers, first = np.unique(labels, return_index=True)
    order = np.zeros(labels.max() + 1, np.int32)
    there = numbers > 0
    order[numbers[there][np.argsort(first[there])]] = np.arange(1, there.sum() + 1)
    return order[labels]


def _opened(part: np.ndarray, radius: float) -> np.ndarray:
    return cv2.morphologyEx(part.astype(np.uint8), cv2.MORPH_OPEN, _disc(radius)) > 0


def _filled(part: np.ndarray) -> np.ndarray:
    """Returns the part without holes, uint8 0 and 1."""
    outside = np.pad(part, 1).astype(np.uint8)
    cv2.floodFill(outside, None, (0, 0), 2)
    return (outside[1:-1, 1:-1] != 2).astype(np.uint8)


def _disc(radius: float) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * round(radius) + 1] * 2)


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
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        part = cv2.resize(part, size, interpolation=method)
        mask = cv2.resize(mask * 255, size, interpolation=cv2.INTER_LINEAR) > 127
    return images.center_crop(part * (mask > 0)[..., None].astype(np.uint8), side)
