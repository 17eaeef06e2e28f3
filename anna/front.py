"""Crop and resize as layers, so that an exported network takes a file's pixels as they are."""

from math import gcd

import keras
import numpy as np
from keras import KerasTensor, ops

from anna import images, models


def whole(model: keras.Model) -> keras.Model:
    """Returns a network that takes whole images of any size: crop and resize are inside.

    `image`, uint8 RGB (n, height, width, 3) in, and out a dict with `probability` of ALL, float32
    (n, 1). It shares the weights of the network, unless those are to be multiplied in fewer bits
    than 32: then it is a copy that multiplies in float32.

    Args:
        model: Of `anna.models` or `anna.ensemble.join`.

    Raises:
        ValueError: If the model tells no crop.
    """
    size, crop = model.input_shape[1], models.crop_of(model)
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    seen = Crop(crop, name="crop", dtype="uint8")(image)
    if size != crop:
        seen = Resize(crop, size, name="resize", dtype="float32")(seen)
    return keras.Model(image, {"probability": _in_float32(model)(seen)}, name="anna")


def _in_float32(model: keras.Model) -> keras.Model:
    """Returns the model, or where its layers are of mixed precision a copy of float32."""
    text = model.to_json()
    kinds = [f'"{mixed}{kind}"' for kind in ("bfloat16", "float16") for mixed in ("mixed_", "")]
    if not any(kind in text for kind in kinds):
        return model
    for kind in kinds:
        text = text.replace(kind, '"float32"')
    again = keras.models.model_from_json(text)
    again.set_weights(model.get_weights())
    return again


class Crop(keras.layers.Layer):
    """Returns the central square, as `anna.images.center_crop`; black where an image is smaller.

    Args:
        side: Pixels of the square.
        **kwargs: As of any layer.

    Shapes: uint8 (n, height, width, 3) ↦ uint8 (n, side, side, 3).
    """

    def __init__(self, side: int, **kwargs):
        super().__init__(**kwargs)
        self.side = side

    def call(self, x: KerasTensor) -> KerasTensor:
        """Returns the square; what lies outside is read from a black line put behind the image."""
        for axis in (1, 2):
            length = ops.shape(x)[axis]
            over = length - self.side
            start = ops.where(over >= 0, over // 2, -(-over // 2))
            line = start + ops.arange(self.side)
            inside = ops.logical_and(line >= 0, line < length)
            black = ops.zeros_like(x[:, :1] if axis == 1 else x[:, :, :1])
            x = ops.concatenate([x, black], axis=axis)
            x = ops.take(x, ops.where(inside, line, length), axis=axis)
        return x

    def compute_output_spec(self, x: KerasTensor) -> KerasTensor:
        """Returns the shape of the square."""
        return KerasTensor((x.shape[0], self.side, self.side, 3), dtype="uint8")


class Resize(keras.layers.Layer):
    """Returns square images at another size, as `anna.images.resize`.

    Resizing is linear, so OpenCV itself tells the weights: the unit vectors, resized. They are
    multiples of 1 / `unit`, and are kept as whole numbers, so that sums are exact and are
    rounded as OpenCV rounds: to even, but halves go up when sides are halved. Enlarging is cubic,
    and within a grey level of OpenCV's.

    Args:
        side: Of the images that come.
        size: Of those that go.
        **kwargs: As of any layer.

    Shapes: uint8 (n, side, side, 3) ↦ uint8 (n, size, size, 3).
    """

    def __init__(self, side: int, size: int, **kwargs):
        super().__init__(**kwargs)
        self.side, self.size = side, size
        self.unit = side // gcd(side, size) if size <= side else 2048
        self.up = 1e-3 if side == 2 * size else 0.0
        self.weights_of_lines = np.round(self.unit * images.shares(side, size))

    def call(self, x: KerasTensor) -> KerasTensor:
        """Returns the images, first the lines and then the columns resized."""
        x = ops.cast(x, "float32")
        for _ in range(2):
            across = x.shape[2]
            x = ops.matmul(self.weights_of_lines, ops.reshape(x, (-1, self.side, across * 3)))
            x = ops.transpose(ops.reshape(x, (-1, self.size, across, 3)), (0, 2, 1, 3))
        x = ops.clip(x / self.unit**2, 0.0, 255.0)
        return ops.cast(ops.round(x + self.up), "uint8")

    def compute_output_spec(self, x: KerasTensor) -> KerasTensor:
        """Returns the shape of the images."""
        return KerasTensor((x.shape[0], self.size, self.size, 3), dtype="uint8")
