"""A probe's network in two: what rests, computed once a cell, and what learns on.

Most of the work of a pass is in the first blocks, at full resolution. Where they rest, their output
can be kept, and what comes after is taught many times as fast.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import KerasTensor, layers

from anna.layers import CellMean
from anna.probe import LEVELS, SIGHTS, Probe

CUT = "block7"  # the last block that rests
_AFTER = tuple(tap for tap in LEVELS if int(tap[5:]) >= int(CUT[5:]))
SHARE = LEVELS[CUT]


def before(model: keras.Model) -> keras.Model:
    """Returns the network from images to what the second half reads but for `others`.

    Uint8 RGB (n, size, size, 3) ↦ float32 (n, s, s, c), s a sixteenth of the size: the maps of
    `CUT`, sight by sight, and the share of each place that the cell fills.

    Args:
        model: As `anna.probe.build` returns it.
    """
    maps = [model.get_layer(f"evidence_{sight}_{CUT}").input for sight in SIGHTS]
    _, cell = model.get_layer("density").output
    mask = layers.AveragePooling2D(SHARE, dtype="float32")(cell)
    return keras.Model(model.input, layers.Concatenate(dtype="float32")([*maps, mask]))


def others(model: keras.Model, learnt: Probe, found: np.ndarray) -> np.ndarray:
    """Returns the log-odds that do not come through `CUT`: of the finer levels and the size.

    Args:
        model: As `anna.probe.build` returns it.
        learnt: What it was given.
        found: Features, float (n, c), as `anna.probe.features` returns them.

    Returns:
        float64 (n,).
    """
    through = [tap in _AFTER for _ in SIGHTS for tap in LEVELS]
    widths = [model.get_layer(f"evidence_{s}_{t}").kernel.shape[2] for s in SIGHTS for t in LEVELS]
    kept = ~np.append(np.repeat(through, widths), False)
    return found[..., kept] @ learnt.weights[kept] + learnt.offset


def after(model: keras.Model) -> keras.Model:
    """Returns the network from both, one map (n, s, s, c + 1), to the probability of ALL (n, 1).

    It shares its layers with the model: what it learns, the model has learnt.

    Args:
        model: As `anna.probe.build` returns it; what is to learn is `anna.probe.loosen`'s to say.
    """
    backbone = model.get_layer("backbone")
    side, channels = model.input_shape[1] // SHARE, backbone.get_layer(CUT).output.shape[-1]
    seen = keras.Input((side, side, len(SIGHTS) * channels + 2), name="kept")
    *maps, mask, other = _split(seen, [channels] * len(SIGHTS) + [1, 1])
    each = [other]
    for sight, one in zip(SIGHTS, maps, strict=True):
        for tap, x in _tail(backbone, one).items():
            x = model.get_layer(f"evidence_{sight}_{tap}")(x)
            each.append(layers.UpSampling2D(LEVELS[tap] // SHARE)(x))
    logit = CellMean(dtype="float32")([layers.Add(dtype="float32")(each), mask])
    return keras.Model(seen, layers.Activation("sigmoid", dtype="float32")(logit), name="after")


def _tail(backbone: keras.Model, x: KerasTensor) -> dict[str, KerasTensor]:
    """Returns the taps from `CUT` on, by the layers of a backbone with its normalisation folded."""
    found = {CUT: x}
    for number in range(int(CUT[5:]) + 1, int(_AFTER[-1][5:]) + 1):
        y, end = x, backbone.get_layer(f"block{number}")
        for part in ("expand", "expand_relu", "depth", "depth_relu", "project"):
            y = backbone.get_layer(f"block{number}_{part}")(y)
        x = found[f"block{number}"] = end([x, y]) if isinstance(end, layers.Add) else end(y)
    return {tap: found[tap] for tap in _AFTER}


def _split(x: KerasTensor, widths: list[int]) -> list[KerasTensor]:
    ends = np.cumsum(widths)
    return [x[..., end - width : end] for end, width in zip(ends, widths, strict=True)]
