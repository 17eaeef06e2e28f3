"""What a mask of a white blood cell is: its classes, its geometry, and how two of them agree.

A mask is a class map, uint8 (height, width): 0 background, 1 cytoplasm, 2 nucleus.
"""

import cv2
import numpy as np

CLASSES = ("background", "cytoplasm", "nucleus")
PARTS = {"nucleus": 2, "cell": 1}  # the least class of each; the nucleus is part of the cell


def from_grey(grey: np.ndarray) -> np.ndarray:
    """Returns the mask drawn in greys, each taken for the nearest of 0, 128 and 255.

    Args:
        grey: uint8 (height, width).
    """
    return np.digitize(grey, (65, 192)).astype(np.uint8)


def shares(mask: np.ndarray) -> np.ndarray:
    """Returns the share of each class in each pixel, uint8 (height, width, 3) of 0 and 255.

    As a picture of three channels it can be resized and turned like the image it belongs to.

    Raises:
        ValueError: If the mask holds another class.
    """
    if mask.size and mask.max() >= len(CLASSES):
        raise ValueError(f"A mask holds classes 0, 1 and 2. Received: {mask.max()}")
    return (np.eye(len(CLASSES), dtype=np.uint8) * 255)[mask]


def to_square(picture: np.ndarray, size: int) -> np.ndarray:
    """Returns the picture amid a square and resized, (size, size, 3); its edge fills what is added.

    Args:
        picture: (height, width, 3), an image or shares.
        size: Side of the result in pixels.
    """
    height, width = picture.shape[:2]
    side, top, left = _square(height, width)
    bottom, right = side - height - top, side - width - left
    padded = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_REPLICATE)
    method = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    return cv2.resize(padded, (size, size), interpolation=method)


def from_square(found: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns the mask of an image of `shape` from the shares of its square: undoes `to_square`.

    Args:
        found: float32 (size, size, 3); the largest share of a pixel, once resized, is its class.
        shape: Height and width of the image in pixels.
    """
    side, top, left = _square(*shape)
    whole = cv2.resize(found, (side, side), interpolation=cv2.INTER_LINEAR)
    return whole[top : top + shape[0], left : left + shape[1]].argmax(axis=-1).astype(np.uint8)


def _square(height: int, width: int) -> tuple[int, int, int]:
    """Returns the side of the square around an image, and where the image begins in it."""
    side = max(height, width)
    return side, (side - height) // 2, (side - width) // 2


def one_cell(mask: np.ndarray) -> np.ndarray:
    """Returns the mask of the cell with the largest nucleus alone, holes filled with cytoplasm."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8))
    if count == 1:
        return np.zeros_like(mask)
    nucleus = np.bincount(parts[mask == 2], minlength=count)
    order = np.lexsort((stats[1:, cv2.CC_STAT_AREA], nucleus[1:]))
    cell = parts == 1 + order[-1]
    outside = np.pad(cell, 1).astype(np.uint8)
    cv2.floodFill(outside, None, (0, 0), 2)
    holes = outside[1:-1, 1:-1] == 0
    return np.where(cell, mask, holes).astype(np.uint8)


def dice(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Returns Dice's coefficient of nucleus and of whole cell, 2·|A∩B| / (|A| + |B|), by part.

    Dice, Ecology 26 (1945) 297, doi 10.2307/1932409. A part that neither mask has is NaN.

    Args:
        truth: Mask drawn by hand.
        found: Mask of the same image.

    Raises:
        ValueError: If the masks differ in shape.
    """
    if truth.shape != found.shape:
        raise ValueError(f"Masks must be of one shape. Received: {truth.shape}, {found.shape}")
    scores = {}
    for part, least in PARTS.items():
        one, other = truth >= least, found >= least
        total = int(one.sum()) + int(other.sum())
        scores[part] = 2 * int((one & other).sum()) / total if total else float("nan")
    return scores


def areas(mask: np.ndarray) -> dict[str, int]:
    """Returns the area of nucleus and of whole cell in pixels, by part."""
    return {part: int((mask >= least).sum()) for part, least in PARTS.items()}


def nucleus_to_cell(mask: np.ndarray) -> float:
    """Returns the area of the nucleus as a share of the whole cell's, 0 to 1; NaN without a cell.

    The more usual ratio of nucleus to cytoplasm is r / (1 - r).
    """
    area = areas(mask)
    return area["nucleus"] / area["cell"] if area["cell"] else float("nan")
