"""A cell's central square, and the same at another size."""

import math

import cv2
import numpy as np

from anna.decoding import box

CROP = 320  # pixels; holds the whole cell in 95.5 % of C-NMC, and keeps its size


def center_crop(image: np.ndarray, side: int = CROP) -> np.ndarray:
    """Returns the central square, uint8 (side, side, 3); black where the image is smaller.

    Args:
        image: uint8 (height, width, 3).
        side: Pixels of the square.
    """
    part, (left, top) = within(image, (0, 0), image.shape[:2], side)
    below, after = np.subtract(side, part.shape[:2]) - (top, left)
    if part.shape[:2] == (side, side):
        return part
    return cv2.copyMakeBorder(part, top, below, left, after, cv2.BORDER_CONSTANT)


def within(
    part: np.ndarray, corner: tuple[int, int], shape: tuple[int, int], side: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """Returns what of a part of an image lies in its central square, and its left and top there.

    Args:
        part: uint8 (height, width, 3).
        corner: Left and top of it in the image.
        shape: Height and width of the image.
        side: Of the square.
    """
    (left, top), (down, right) = corner, (_start(length, side) for length in shape)
    part = part[max(down - top, 0) : max(down + side - top, 0)]
    part = part[:, max(right - left, 0) : max(right + side - left, 0)]
    return part, (max(left - right, 0), max(top - down, 0))


def _start(length: int, side: int) -> int:
    """Returns where the middle `side` pixels of `length` begin; below 0 if there are fewer."""
    return (length - side) // 2 if length >= side else -((side - length) // 2)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Returns the square image at another size, uint8 (size, size, 3).

    Shrinking averages areas, so that texture is not aliased; enlarging is bicubic.
    """
    left, top, width, height = box(image)
    part = image[top : top + height, left : left + width]
    return resized(part, (left, top), image.shape[0], size)


def resized(part: np.ndarray, corner: tuple[int, int], side: int, size: int) -> np.ndarray:
    """Returns a black square of `side` pixels, resized, with a part of it that is not black.

    Black shrinks to black: only the blocks of pixels that the part touches take work.

    Args:
        part: uint8 (height, width, 3).
        corner: Left and top of it in the square.
        side: Of the square.
        size: Of the result.
    """
    block, small = side // math.gcd(side, size), size // math.gcd(side, size)
    if size > side:  # a bicubic curve reaches beyond its block
        block, small = side, size
    (left, top), (height, width) = corner, part.shape[:2]
    x, y = left // block, top // block
    wide, high = -(-(left + width) // block) - x, -(-(top + height) // block) - y
    found = np.zeros((size, size, 3), np.uint8)
    if part.size:
        above, before = top - y * block, left - x * block
        below, after = high * block - above - height, wide * block - before - width
        blocks = cv2.copyMakeBorder(part, above, below, before, after, cv2.BORDER_CONSTANT)
        found[y * small : (y + high) * small, x * small : (x + wide) * small] = cv2.resize(
            blocks,
            (wide * small, high * small),
            interpolation=_method(side, size),
        )
    return found


def scaled(image: np.ndarray, scale: float) -> np.ndarray:
    """Returns an image of any sides, uint8 (height, width, 3), larger by `scale`, as `resize` does.

    Args:
        image: uint8 (height, width, 3).
        scale: Pixels of the result for one of the image; no side becomes less than one.
    """
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=_method(1, scale))


def shares(side: int, size: int) -> np.ndarray:
    """Returns how much each line of an image has in each line of it resized, float32 (size, side).

    `resize` is `shares @ image @ shares.T` of each channel, rounded.
    """
    unit = np.eye(side, dtype=np.float32)
    return cv2.resize(unit, (side, size), interpolation=_method(side, size))


def _method(side: float, size: float) -> int:
    return cv2.INTER_AREA if size <= side else cv2.INTER_CUBIC
