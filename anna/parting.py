"""Cell from cell in a mask: touching nuclei parted, lobes of one nucleus joined, cytoplasm shared.

Nuclei are parted where they are narrow: where the distance to the edge falls below a share of what
it is on both sides. What is parted then grows from deep to shallow, a watershed: Meyer, Signal
Processing 38 (1994) 113, doi 10.1016/0165-1684(94)90060-4.
"""

from __future__ import annotations

import cv2
import numpy as np

SHRINK = 4  # pixels of C-NMC for one of the picture that cells are looked for in
NARROW = 0.8  # of the depth on both sides; what is narrower parts two nuclei
# Pixels of C-NMC, whose cells are 120 to 330 wide.
SMALLEST = 70  # diameter of the least nucleus
LOBE = 100  # width of a nucleus, at its widest; a narrower one may be a mere lobe of another
LARGEST = 330  # of the circle around all lobes of a nucleus
GAP = 80  # between two lobes, at most
REACH = 80  # that cytoplasm reaches beyond its nucleus, at most
WITHIN = 0.85  # share of the hull of two nuclei that is stained, if they are of one cell


def parted(
    mask: np.ndarray, stained: np.ndarray | None = None, dark: np.ndarray | None = None
) -> np.ndarray:
    """Returns the cells of a mask apart, int32 (h, w), those without a nucleus left out.

    What is left of a nucleus beside the dark is a cell, however small, and no lobe of another.

    Args:
        mask: Class map of `anna.masks`, shrunk by `SHRINK`.
        stained: bool (h, w): what may be cytoplasm between two lobes; the cells of the mask if
            None.
        dark: bool (h, w): where the microscope's field ends; nowhere if None.
    """
    nucleus, cell = (mask == 2).astype(np.uint8), filled(mask > 0)
    depth = _depth(nucleus)
    pieces = _flooded(depth, _peaks(depth))
    beside = cv2.dilate(np.uint8(np.zeros_like(cell) if dark is None else dark), disc(1)) > 0
    cut = np.setdiff1d(pieces[beside], 0)
    stained = cell > 0 if stained is None else (cell > 0) | stained
    pieces = _joined(pieces, depth, stained, cut)
    areas = np.bincount(pieces.ravel())
    small = areas < np.pi / 4 * (SMALLEST / SHRINK) ** 2
    small[cut] = False
    pieces[small[pieces]] = 0
    return _grown(pieces, cell)


def _depth(part: np.ndarray) -> np.ndarray:
    """Returns the distance to the outside, which the edge of the picture is too, float32."""
    padded = cv2.distanceTransform(np.pad(part, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return padded[1:-1, 1:-1]


def _joined(
    pieces: np.ndarray, depth: np.ndarray, stained: np.ndarray, cut: np.ndarray
) -> np.ndarray:
    """Returns the pieces, those that are lobes of one nucleus under one number; `cut` are not.

    The nearest are joined first, so that a lobe is not lost to the cell beside its own, and a speck
    does not make a nucleus too large for the lobe that it touches.
    """
    number = np.arange(pieces.max() + 1)
    for pair in _neighbours(pieces, cut):
        one, other = number[pair]
        if one != other:
            parts = (number[pieces] == each for each in (one, other))
            if _of_one(*parts, depth, stained):
                number[number == other] = one
    return number[pieces]


def _neighbours(pieces: np.ndarray, cut: np.ndarray) -> list[list[int]]:
    """Returns the pairs of pieces at most `GAP` apart, without `cut`, the nearest first."""
    found = []
    for one in np.setdiff1d(pieces, [0, *cut]):
        outside = np.uint8(pieces != one)
        away = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for other in np.setdiff1d(pieces[(away <= GAP / SHRINK) & (pieces > one)], cut):
            found.append((away[pieces == other].min(), one, other))
    return [pair for _, *pair in sorted(found)]


def _of_one(one: np.ndarray, other: np.ndarray, depth: np.ndarray, stained: np.ndarray) -> bool:
    """Returns whether two pieces are lobes of one nucleus.

    Together they are no larger than a cell, and one of them is too narrow for a nucleus of its own
    or nearly all between them is stained.
    """
    both = one | other
    points = cv2.findNonZero(both.astype(np.uint8))
    if 2 * cv2.minEnclosingCircle(points)[1] * SHRINK > LARGEST:
        return False
    if 2 * min(depth[one].max(), depth[other].max()) * SHRINK < LOBE:
        return True
    hull = cv2.fillConvexPoly(np.zeros(both.shape, np.uint8), cv2.convexHull(points), 1)
    between = (hull > 0) & ~both
    return bool(stained[between].mean() >= WITHIN) if between.any() else True


def _grown(nuclei: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Returns the nuclei with the cytoplasm that each reaches first, int32 (h, w)."""
    labels = nuclei.astype(np.float32)
    square, cross = np.ones((3, 3), np.uint8), disc(1)
    for step in range(round(REACH / SHRINK)):
        around = cv2.dilate(labels, square if step % 2 else cross)
        labels = np.where((labels == 0) & (cell > 0), around, labels)
    return labels.astype(np.int32)


def _peaks(depth: np.ndarray) -> np.ndarray:
    """Returns the peaks of the depth that no way leads away from but through a narrow place.

    Each has a number of its own, int32 (h, w), 0 elsewhere; two as high as each other and without a
    narrow place between them are one. The depth times `NARROW` is raised wherever a higher peak can
    be reached without going below it (greyscale reconstruction); where it stays as it was, there is
    such a peak.
    """
    low = np.float32(NARROW) * depth
    raised, around = low, np.ones((3, 3), np.uint8)
    while True:
        grown = np.minimum(cv2.dilate(raised, around), depth)
        if np.array_equal(grown, raised):
            number = cv2.connectedComponents(np.uint8(depth > raised))[1]
            return np.where(low >= raised, number, 0)
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


def filled(part: np.ndarray) -> np.ndarray:
    """Returns the part without holes, uint8 0 and 1."""
    outside = np.pad(part, 1).astype(np.uint8)
    cv2.floodFill(outside, None, (0, 0), 2)
    return (outside[1:-1, 1:-1] != 2).astype(np.uint8)


def disc(radius: float) -> np.ndarray:
    """Returns a disc as a structuring element, uint8."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * round(radius) + 1] * 2)
