"""Published backbones, of keras.applications and `anna.lite`, as the encoder of the U-Net."""

import hashlib
import re
from pathlib import Path

import keras
import numpy as np
from keras import KerasTensor, layers

from anna import lite

# How each family wants its pixels: None if it scales by itself, else scale and offset from 0–255.
# Scaling twice would ruin it silently (keras-io issue 1549).
SCALES = {
    "efficientnetlite0": ("efficientnet_lite0", lite.SCALE),
    "efficientnetv2b0": ("EfficientNetV2B0", None),
    "efficientnetv2b1": ("EfficientNetV2B1", None),
    "convnexttiny": ("ConvNeXtTiny", None),
    "mobilenetv2": ("MobileNetV2", (1 / 127.5, -1.0)),
    "resnet50v2": ("ResNet50V2", (1 / 127.5, -1.0)),
}
DEPTHWISE = tuple(name for name in SCALES if name != "resnet50v2")  # convolve channel by channel


def encoder(
    x: KerasTensor, name: str, weights: str | Path | None = None
) -> tuple[list[KerasTensor], KerasTensor]:
    """Returns skip connections, finest first, and the bottleneck of a backbone laid over `x`.

    The finest skip connection has half the sides of `x`, the bottleneck a sixteenth or less.

    Args:
        x: (n, size, size, 3) of values 0 to 255; size divisible by 32.
        name: One of `SCALES`.
        weights: "imagenet", which Keras downloads (pip does for `anna.lite`); a `.weights.h5` or
            `.keras` file; or None.

    Raises:
        ValueError: If the name is unknown.
        FileNotFoundError: If the file of weights is missing.
        ConnectionError: If "imagenet" is asked for and cannot be fetched.
        ImportError: If it is asked for of `anna.lite` and its package is missing.
    """
    if name not in SCALES:
        raise ValueError(f"encoder must be one of {sorted(SCALES)}. Received: {name!r}")
    title, scale = SCALES[name]
    if scale:
        x = layers.Rescaling(*scale, name="to_backbone")(x)
    taps = _taps(_backbone(title, x, weights), x.shape[1])
    taps = [layers.Identity(name=f"tap{level}")(tap) for level, tap in enumerate(taps, 1)]
    return taps[:-1], taps[-1]


def backbone_of(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the layers with weights of a network's published backbone; none if it has none.

    While the decoder is new, a trained backbone is best left alone: set `trainable` of its layers
    to False, train, set it to True, and train on at a lower rate.
    """
    taps = [layer.output for layer in model.layers if re.fullmatch(r"tap\d", layer.name)]
    if not taps:
        return []
    inner = keras.Model(model.get_layer("as_pixels").output, taps)
    return [layer for layer in inner.layers if layer.weights]


def weights_of(model: keras.Model) -> str:
    """Returns a hash of the weights of a network's published backbone."""
    found = hashlib.blake2b(digest_size=8)
    for layer in backbone_of(model):
        for weight in layer.get_weights():
            found.update(np.ascontiguousarray(weight))
    return found.hexdigest()


def _backbone(title: str, x: KerasTensor, weights: str | Path | None) -> keras.Model:
    build = getattr(keras.applications, title, None) or getattr(lite, title)
    file = None if weights in (None, "imagenet") else Path(weights)
    if file and not file.is_file():
        raise FileNotFoundError(f"No such file of weights for {title}. Received: {weights}")
    try:
        model = build(include_top=False, weights=None if file else weights, input_tensor=x)
    except ImportError:
        raise
    except Exception as error:
        if weights != "imagenet":
            raise
        raise ConnectionError(
            f"The ImageNet weights of {title} could not be fetched. Connect to a network once "
            "(Keras keeps them in ~/.keras/models), give weights= the path of a file fetched "
            f"elsewhere, or weights=None to start from scratch. Received: {error}"
        ) from error
    if file:
        model.load_weights(file)
    return model


def _taps(backbone: keras.Model, size: int) -> list[KerasTensor]:
    """Returns the last output at 1/2, 1/4, 1/8 … of the size, finest first."""
    last = {}
    for layer in backbone.layers:
        shape = getattr(layer.output, "shape", ())
        if len(shape) == 4 and shape[1]:
            last[shape[1]] = layer.output
    sides = [size // 2**level for level in range(1, 6) if size // 2**level in last]
    return [last[side] for side in sides]
