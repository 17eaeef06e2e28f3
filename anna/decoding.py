"""From an image file to pixels: all of them, or those of the cell."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

LARGEST = 64_000_000  # pixels; a whole smear field has fewer
_FORMATS = ("BMP", "DIB", "PNG", "JPEG", "TIFF")  # others would start other programs
_KEPT = 4_000_000  # bytes of an image, at most, whose memory is kept for the next
_KIND, _SMALLER = 254, 1  # tag of a page of a TIFF, and its bit for a smaller copy
_BITS = 258  # tag of the bits of each channel
_DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras give
NEARLY = 8  # of 255, what a background that is meant to be black may have
_NOTHING = np.empty(0, np.uint8)
_threads = threading.local()
# What an operating system says of a file, not of a disk or a network that fails for a while.
_OF_THE_FILE = {
    None, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENOTDIR,
    errno.ENAMETOOLONG,
}  # fmt: skip


class ImageError(ValueError):
    """An image file that cannot be used; the message names the file.

    Attributes:
        passing: Whether another try may go well: the disk failed, not the file.
    """

    passing = False


class Cut(NamedTuple):
    """What of an image file is not black.

    Attributes:
        shape: Height and width of the image.
        mode: Pillow's name of it in the file.
        box: As `box` returns it.
        pixels: uint8 (height, width, 3) RGB, those in the box.
    """

    shape: tuple[int, int]
    mode: str
    box: tuple[int, int, int, int]
    pixels: np.ndarray


def decode(path: str | os.PathLike) -> np.ndarray:
    """Returns all pixels of an image file, uint8 (height, width, 3) RGB.

    Grey, palette and transparent images become RGB, transparent pixels black. Where the edge of the
    image is nearly black (`NEARLY`), what is no brighter becomes black, as if cut out so. Colour of
    16 bits a channel, in a PNG or TIFF, is scaled by the depth that its brightest value tells: 8,
    10, 12, 14 or 16 bits, as cameras of 12 bits, say, leave the upper four empty. The file is
    decoded to its last byte, so a truncated one is found here.

    Raises:
        ImageError: If the file is missing, no image, truncated, grey of more than 8 bits, or larger
            than `LARGEST` pixels.
    """
    with _opened(Path(path)) as image:
        lines = _uncompressed(image)
        return _on_true_black(_converted(image) if lines is None else _rgb(lines))


def cut(path: str | os.PathLike) -> Cut:
    """Returns the part of an image file that is not black, decoded as `decode` does.

    Of a cell on black that is a fifth of the pixels, and the others are not touched again.

    Raises:
        ImageError: As of `decode`.
    """
    with _opened(Path(path)) as image:
        lines, to_rgb, mode = _uncompressed(image), _rgb, image.mode
        if lines is None:
            lines, to_rgb = _converted(image), np.ascontiguousarray
        lines = _on_true_black(lines)
        place = left, top, width, height = box(lines)
        part = lines[top : top + height, left : left + width]
        return Cut(lines.shape[:2], mode, place, to_rgb(part) if width else part.copy())


def require_disk(error: ImageError) -> None:
    """Raises OSError if the disk failed, not the file: going on without it would lose people."""
    if error.passing:
        told = f"The disk failed; run again when it is back. Received: {error}"
        raise OSError(told) from error


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Opens an image file; whatever goes wrong in it becomes an `ImageError`."""
    if path.is_fifo():
        raise ImageError(f"{path}: not a file but a pipe, which might never end")
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > LARGEST:
                raise ImageError(
                    f"{path}: too large. Received: {image.width}×{image.height} pixels"
                )
            if image.mode.startswith(("I", "F")):
                raise ImageError(f"{path}: more than 8 bits a channel. Received: mode {image.mode}")
            if image.format == "TIFF" and _holds_more(image):
                raise ImageError(f"{path}: more than one picture; save each as a file of its own")
            yield image
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, struct.error and more
        failed = ImageError(f"{path}: not a readable image. Received: {error}")
        failed.passing = isinstance(error, OSError) and error.errno not in _OF_THE_FILE
        raise failed from error


def _holds_more(image: TiffImageFile) -> bool:
    """Returns whether a TIFF holds more than one picture and smaller copies of it."""
    kinds = []
    for number in range(1, image.n_frames):
        image.seek(number)
        kinds.append(image.tag_v2.get(_KIND, 0))
    image.seek(0)
    return not all(kind & _SMALLER for kind in kinds)


def _uncompressed(image: Image.Image) -> np.ndarray | None:
    """Returns the pixels of a BMP of 24 bits a pixel, as C-NMC's are; None of any other file.

    uint8 (height, width, 3) BGR, in memory that the next call in this thread overwrites: new memory
    for each file takes longer than reading it. They are taken from where Pillow says they lie: its
    own decoder takes several times as long.
    """
    if image.format != "BMP" or len(image.tile) != 1:
        return None
    decoder, _, start, (layout, stride, direction) = image.tile[0]
    if (decoder, layout) != ("raw", "BGR"):
        return None
    width, height = image.size
    content = _memory(stride * height)
    image.fp.seek(start)
    if (got := image.fp.readinto(content)) < len(content):
        raise OSError(f"truncated: {got:,} bytes of pixels of {len(content):,}")
    lines = content.reshape(height, stride)[:, : 3 * width].reshape(height, width, 3)
    return lines[::-1] if direction < 0 else lines


def _memory(size: int) -> np.ndarray:
    """Returns memory of this thread, uint8 (size,), kept from one call to the next if small."""
    held = getattr(_threads, "memory", _NOTHING)
    if len(held) < size:
        held = np.empty(size, np.uint8)
        if size <= _KEPT:
            _threads.memory = held
    return held[:size]


def _rgb(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_BGR2RGB)


def _converted(image: Image.Image) -> np.ndarray:
    """Returns the pixels as Pillow decodes them, uint8 (height, width, 3) RGB."""
    clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if _is_deep(image):
        image = _of_eight_bits(image, clear=clear)
    if clear:
        image = _on_black(image)
    return np.asarray(image.convert("RGB"))


def _is_deep(image: Image.Image) -> bool:
    """Returns whether a file of colours has 16 bits a channel; Pillow would drop the lower 8."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS, (1,))) > 8
    return image.format == "PNG" and ";16" in str(image.tile[0][3])


def _of_eight_bits(image: Image.Image, *, clear: bool) -> Image.Image:
    """Returns a picture of 16 bits a channel as one of 8, RGBA if it is transparent, else RGB.

    Raises:
        ImageError: If its channels are no colours, but inks.
    """
    image.load()  # raises where the file is truncated, which OpenCV takes for an image
    content = np.frombuffer(Path(image.filename).read_bytes(), np.uint8)
    deep = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    grey = image.mode in ("L", "LA")
    if grey or deep is None or deep.dtype != np.uint16 or deep.ndim != 3:
        told = f"more than 8 bits a channel. Received: mode {image.mode}"
        raise ImageError(f"{image.filename}: {told}")
    parts = [_scaled(deep[..., 2::-1])]
    if clear and deep.shape[2] == 4:
        parts.append(_scaled(deep[..., 3:]))
    return Image.fromarray(np.concatenate(parts, axis=2))


def _scaled(values: np.ndarray) -> np.ndarray:
    """Returns uint16 values as uint8, by the least depth that holds them.

    A dark cell is not taken for fewer bits: that needs a brightest pixel below a quarter of the
    range, and of 3,922 cells of C-NMC none was.
    """
    depth = next(bits for bits in _DEPTHS if values.max() < 2**bits)
    return (values >> (depth - 8)).astype(np.uint8)


def _on_true_black(pixels: np.ndarray) -> np.ndarray:
    """Returns the pixels, uint8 (height, width, 3); a background that is nearly black is black."""
    level = max(int(edge.max(initial=0)) for edge in (pixels[[0, -1]], pixels[:, [0, -1]]))
    if not 0 < level <= NEARLY:
        return pixels
    return np.where(pixels.max(axis=2, keepdims=True) > level, pixels, np.uint8(0))


def _on_black(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)


def box(image: np.ndarray) -> tuple[int, int, int, int]:
    """Returns left, top, width and height in pixels of all that is not black; zeros if nothing is.

    Args:
        image: uint8 (height, width, 3).
    """
    height, width = image.shape[:2]
    upwards = image.strides[0] < 0  # as the lines of a BMP stand in its file
    lines = (image[::-1] if upwards else image).reshape(height, 3 * width)
    left, top, wide, high = cv2.boundingRect(lines)
    first, last = left // 3, (left + wide + 2) // 3
    return first, height - top - high if upwards and wide else top, last - first, high
