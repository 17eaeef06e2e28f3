"""Many operations in one, where the backend would send pixels through memory for each anew."""

import platform
from collections.abc import Callable
from functools import wraps

import keras
from keras import KerasTensor

from anna import backend


def fuses() -> bool:
    """Returns whether XLA is to compile what `fused` marks: with TensorFlow on Linux' processors.

    There each operation goes through memory anew; together, many take the time of one, for a second
    of compiling, once a shape. JAX compiles whole networks; GPUs have memory fast enough; on other
    systems TensorFlow may come without XLA.
    """
    on_linux = platform.system() == "Linux"
    return on_linux and keras.backend.backend() == "tensorflow" and not backend.gpus()


def fused(function: Callable) -> Callable:
    """Returns a function of tensors as XLA compiles it where that pays (`fuses`), else as it is."""
    if keras.backend.backend() != "tensorflow":
        return function
    compiled = backend.tf.function(function, jit_compile=True, autograph=False)

    @wraps(function)
    def _either(*tensors):
        return compiled(*tensors) if fuses() else function(*tensors)

    return _either


def normalizes() -> bool:
    """Returns whether `normalized` is to be had: with TensorFlow."""
    return keras.backend.backend() == "tensorflow"


def normalized(x: KerasTensor, known: tuple, *, epsilon: float, learns: bool) -> tuple:
    """Returns values normalised by the mean and variance of their channels, in one operation.

    Args:
        x: (n, h, w, c).
        known: float32 (c,) each: factor, offset, and the mean and variance that have been learnt.
        epsilon: Added to the variance.
        learns: Whether mean and variance are those of `x` itself.

    Returns:
        The values, and the mean and variance that were used, float32 (c,).
    """
    factor, offset, *learnt = known
    mean, variance = [None, None] if learns else learnt
    return backend.tf.compat.v1.nn.fused_batch_norm(
        x, factor, offset, mean, variance, epsilon=epsilon, is_training=learns
    )
