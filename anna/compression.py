"""What storing a picture as a JPEG takes from it, as a layer: so a network learns to bear it."""

import keras
import numpy as np
from keras import KerasTensor, ops

from anna import backend

SIDE = 8  # pixels of a block
# Steps of brightness and of colour at quality 50, coefficient by coefficient.
# Source: ITU-T T.81 (1992), annex K.1.
_BRIGHTNESS = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_COLOUR = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99), (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99,) * SIDE] * 4,
)  # fmt: skip
# From RGB to brightness, blueness and redness. Source: JFIF 1.02 (1992).
_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_HALVED = 2  # colour has half the resolution of brightness


@keras.saving.register_keras_serializable("anna")
class Jpeg(keras.layers.Layer):
    """Stores one in two images as JPEG of random quality, and reads it; black stays black.

    What a JPEG loses, it loses here: the cosine transform of each block of 8 pixels is rounded to
    multiples of the standard steps, and colour has half the resolution, smoothed when it is read.

    Args:
        worst: Lowest quality, 50 to 100; the highest is 100.
        share: How many of the images are stored, one in a whole number of them, of a batch at least
            one. A network that has never seen an untouched image takes one for something else.
        seed: Of the random qualities.
        **kwargs: As of any layer.

    Raises:
        ValueError: If `share` is not 1 divided by a whole number.

    Shapes: float (n, h, w, 3) of values 0 to 255, in and out; h and w are divisible by 16.
    """

    def __init__(self, worst: int = 60, share: float = 0.5, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 < share <= 1 or abs(round(1 / share) * share - 1) > 1e-6:
            raise ValueError(f"share must be 1, 1/2, 1/3 or so. Received: {share}")
        self.worst, self.share, self.seed = worst, share, seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        """Returns the images as read from a JPEG, or as they are if not training."""
        if not training:
            return x
        whole, every = ops.shape(x)[0], round(1 / self.share)
        count = (whole + every - 1) // every
        chosen = ops.argsort(keras.random.uniform((whole,), seed=self.random))[:count]
        quality = keras.random.uniform((count,), self.worst, 100, seed=self.random)
        found = stored(ops.take(x, chosen, axis=0), quality)
        return ops.scatter_update(x, chosen[:, None], found)

    def get_config(self) -> dict:
        """Returns what `from_config` needs."""
        own = {"worst": self.worst, "share": self.share, "seed": self.seed}
        return super().get_config() | own


@backend.fused
def stored(x: KerasTensor, quality: KerasTensor) -> KerasTensor:
    """Returns the images after a JPEG, float (n, h, w, 3) of values 0 to 255; black stays black.

    Args:
        x: Float (n, h, w, 3) of values 0 to 255; h and w are divisible by 16.
        quality: 50 to 100, (n,).
    """
    scale = ops.reshape((200 - 2 * quality) / 100, (-1, 1, 1))
    seen = ops.matmul(x, ops.convert_to_tensor(_YCC.T, x.dtype))
    small = ops.average_pool(seen[..., 1:], _HALVED, strides=_HALVED)
    bright = _rounded(seen[..., :1] - 128, _BRIGHTNESS, scale) + 128
    colour = ops.image.resize(_rounded(small, _COLOUR, scale), x.shape[1:3], "bilinear")
    back = ops.convert_to_tensor(np.linalg.inv(_YCC).T, x.dtype)
    found = ops.clip(ops.matmul(ops.concatenate([bright, colour], axis=-1), back), 0.0, 255.0)
    return ops.where(ops.max(x, axis=-1, keepdims=True) > 0, ops.round(found), 0.0)


def _rounded(x: KerasTensor, steps: tuple, scale: KerasTensor) -> KerasTensor:
    """Returns channels whose blocks' cosine transforms are rounded to multiples of the steps."""
    _, height, width, channels = x.shape
    cosine = ops.convert_to_tensor(_cosine(), x.dtype)
    lines = (-1, height // SIDE, SIDE, width // SIDE, SIDE, channels)
    blocks = ops.transpose(ops.reshape(x, lines), (0, 1, 3, 5, 2, 4))
    flat = ops.reshape(blocks, (-1, height * width * channels // SIDE**2, SIDE**2))
    table = ops.reshape(ops.convert_to_tensor(steps, x.dtype), (1, 1, SIDE**2))
    step = ops.maximum(ops.round(table * scale), 1.0)
    kept = ops.round(ops.matmul(flat, ops.transpose(cosine)) / step) * step
    back = ops.reshape(ops.matmul(kept, cosine), (-1, *blocks.shape[1:]))
    return ops.reshape(ops.transpose(back, (0, 1, 4, 2, 5, 3)), (-1, height, width, channels))


def _cosine() -> np.ndarray:
    """Returns the discrete cosine transform of a block as a line, float32 (SIDE², SIDE²)."""
    number, place = np.arange(SIDE)[:, None], np.arange(SIDE)[None]
    found = np.cos(np.pi * number * (2 * place + 1) / (2 * SIDE)) * np.sqrt(2 / SIDE)
    found[0] /= np.sqrt(2)
    return np.kron(found, found).astype(np.float32)
