"""What the probe reads of the real cells, as they are and disturbed; each pass is kept."""

import hashlib
from collections.abc import Callable
from functools import cache

import keras
import numpy as np
import pandas as pd
from probe_tables import Seen

import anna
from anna import robustness

SIZE = 320
VIEWS = 1
EVERY = 4  # of which cells one is disturbed
WAYS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "jpeg": lambda cell, rng: robustness.jpeg(cell, int(rng.integers(60, 96))),
    "blur": lambda cell, rng: robustness.blur(cell, rng.uniform(0.5, 2.0)),
    "hue": lambda cell, rng: robustness.hue(cell, rng.uniform(-0.06, 0.06)),
}
"""How a cell is disturbed, by lot, to teach what to be steady against."""


def seen(cells: pd.DataFrame) -> Seen:
    """Returns the features of the cells, and how disturbance changes those of one in `EVERY`.

    Args:
        cells: As `parts_of_real_cells` returns them.
    """
    views = read(cells)
    changes = np.full((len(WAYS), *views.shape[1:]), np.nan, np.float32)
    pixels = anna.images.load(cells, size=SIZE, cache=anna.Workspace.locate().arrays)[::EVERY]
    for number, disturb in enumerate(WAYS.values()):
        rng = np.random.default_rng(number + 1)
        moved = np.concatenate([disturb(cell[None], rng) for cell in pixels])
        changes[number, ::EVERY] = of_pixels(moved) - views[0, ::EVERY]
    return Seen(views, changes)


def read(cells: pd.DataFrame, *, kind: str = "imagenet", views: int = VIEWS) -> np.ndarray:
    """Returns the features of the cells, float32 (views, n, c), read or kept.

    Args:
        cells: As `parts_of_real_cells` returns them.
        kind: "imagenet"; or "scratch", with a backbone that knows nothing.
        views: 1, or 2 with the mirror image.
    """
    ws = anna.Workspace.locate()
    key = _key("".join(cells["name"]).encode())
    found = []
    for number in range(views):
        path = ws.arrays / f"probe_{key}_{SIZE}_{kind}{number}.npy"
        if not path.is_file():
            pixels = anna.images.load(cells, size=SIZE, cache=ws.arrays)
            new = anna.probe.features(_network(kind), _Mirrored(pixels) if number else pixels)
            anna.workspace.write_whole(path, lambda part, new=new: np.save(part, new))
        found.append(np.load(path, allow_pickle=False))
    return np.stack(found)


def of_pixels(pixels: np.ndarray) -> np.ndarray:
    """Returns the features of any cells, float32 (n, c), read or kept.

    Args:
        pixels: uint8 (n, SIZE, SIZE, 3) RGB.
    """
    pixels = np.ascontiguousarray(pixels)
    path = anna.Workspace.locate().arrays / f"probe_pixels_{_key(pixels.data)}.npy"
    if not path.is_file():
        found = anna.probe.features(_network("imagenet"), pixels)
        anna.workspace.write_whole(path, lambda part: np.save(part, found))
    return np.load(path, allow_pickle=False)


def _key(of: bytes | memoryview) -> str:
    """Returns what tells apart features of other cells and of other taps."""
    taps = hashlib.blake2b("".join(tap.layer for tap in anna.probe.TAPS).encode()).digest()
    return hashlib.blake2b(of, digest_size=8, key=taps).hexdigest()


@cache
def _network(kind: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    return anna.probe.build(SIZE, weights=None if kind == "scratch" else kind)


class _Mirrored:
    """The mirror images of pixels, made when they are asked for."""

    def __init__(self, pixels: np.ndarray):
        self.pixels, self.shape = pixels, pixels.shape

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self.pixels[rows, :, ::-1]
