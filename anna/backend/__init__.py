"""The one place that asks which backend Keras runs on, and what the machine offers it.

What concerns several devices stands in `anna.backend.several`.
"""

import importlib.util
import logging
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path


@contextmanager
def silence() -> Iterator[None]:
    """Closes the error stream for a moment: TensorFlow greets there before any log level counts.

    Its converters write there, too.
    """
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its notes would stand in red in a notebook
with silence():
    import keras
    from keras import KerasTensor

    # By themselves all three keep 10 bits of float32 on newer GPUs, PyTorch in convolutions: other
    # calls than on a processor. JAX tells whether the user has chosen, by environment or `config`.
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.list_physical_devices()  # the first look for GPUs complains where there is none
        tf.config.experimental.enable_tensor_float_32_execution(False)
    elif keras.backend.backend() == "jax":
        import jax

        if jax.config.jax_default_matmul_precision is None:
            jax.config.update("jax_default_matmul_precision", "highest")
    elif keras.backend.backend() == "torch":
        import torch

        with warnings.catch_warnings(action="ignore"):  # some versions want it said in a newer way
            torch.backends.cudnn.allow_tf32 = False

# It warns of retracing wherever several networks are trained in one process, as a notebook does.
logging.getLogger("tensorflow").setLevel(logging.ERROR)


def gpus() -> list[str]:
    """Returns the names of the GPUs that the backend can use."""
    if keras.backend.backend() == "tensorflow":
        devices = tf.config.list_physical_devices("GPU")
        details = [tf.config.experimental.get_device_details(device) for device in devices]
        return [detail.get("device_name", "GPU") for detail in details]
    if keras.backend.backend() == "jax":
        import jax

        return [d.device_kind for d in jax.devices() if d.platform == "gpu"]
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def require_tensorflow(what: str) -> None:
    """Checks that Keras runs on TensorFlow.

    Args:
        what: Needs it, "Exports are made".

    Raises:
        ImportError: If it does not.
    """
    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            f"{what} with TensorFlow: set KERAS_BACKEND=tensorflow. "
            f"Received: {keras.backend.backend()}"
        )


def precision(*, depthwise: bool = False) -> str:
    """Returns the dtype policy that suits the machine.

    `mixed_bfloat16` on GPUs that multiply it (compute capability 8 and more), `mixed_float16` on
    older ones such as Colab's T4, `float32` on those that tell none, which are not NVIDIA's. On a
    processor `mixed_bfloat16` where TensorFlow can use the processor's own instructions for it,
    which makes training faster, else `float32`.

    Args:
        depthwise: Whether the network convolves channel by channel: TensorFlow has no fast way of
            learning that in bfloat16 on a processor.
    """
    if not gpus():
        native = keras.backend.backend() == "tensorflow" and _multiplies_bfloat16()
        native = native and not depthwise
        return "mixed_bfloat16" if native else "float32"
    if not (capability := _capability()):
        return "float32"
    return "mixed_bfloat16" if capability >= 8 else "mixed_float16"


def batch_size(side: int, looks: int = 1) -> int:
    """Returns how many images a batch suit prediction; few fit the caches of a processor.

    A GPU must hold all looks at all images of a batch; a processor gains nothing by fewer.

    Args:
        side: Of the images in pixels.
        looks: How often a network looks at each image, as `anna.ensemble.looks` tells.
    """
    pixels = 256 * 128**2 // looks if gpus() else 16 * 128**2
    return max(1, pixels // side**2)


def fuses() -> bool:
    """Returns whether XLA is to compile what `fused` marks: with TensorFlow on Linux' processors.

    There each operation goes through memory anew; together, many take the time of one, for a second
    of compiling, once a shape. JAX compiles whole networks; GPUs have memory fast enough; on other
    systems TensorFlow may come without XLA.
    """
    on_linux = platform.system() == "Linux"
    return on_linux and keras.backend.backend() == "tensorflow" and not gpus()


def fused(function: Callable) -> Callable:
    """Returns a function of tensors as XLA compiles it where that pays (`fuses`), else as it is."""
    if keras.backend.backend() != "tensorflow":
        return function
    compiled = tf.function(function, jit_compile=True, autograph=False)

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
    return tf.compat.v1.nn.fused_batch_norm(
        x, factor, offset, mean, variance, epsilon=epsilon, is_training=learns
    )


def compiles() -> bool:
    """Returns whether XLA may compile the networks: not under TensorFlow.

    There it knows no affine transform of images, nor the gradient of a bilinear resize in mixed
    precision, and a training upon a GPU would end before its first step.
    """
    return keras.backend.backend() != "tensorflow"


def _multiplies_bfloat16() -> bool:
    """Returns whether the processor has instructions for bfloat16; only Linux tells."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _capability() -> float:
    """Returns the compute capability of the first GPU; 0 if it is not NVIDIA's and tells none."""
    if keras.backend.backend() == "tensorflow":
        device = tf.config.list_physical_devices("GPU")[0]
        details = tf.config.experimental.get_device_details(device)
        return details.get("compute_capability", (0,))[0]
    if keras.backend.backend() == "jax":
        import jax

        told = str(getattr(jax.devices()[0], "compute_capability", ""))
        return float(told) if told.replace(".", "", 1).isdigit() else 0.0  # AMD's is a name
    import torch

    return torch.cuda.get_device_capability(0)[0]


def describe() -> dict[str, str]:
    """Returns what a reader of results wants to know of the machine and the software."""
    return {
        "keras": keras.version(),
        "backend": keras.backend.backend(),
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "cores": str(os.cpu_count()),
        "gpu": ", ".join(gpus()) or "none",
        "precision": precision(),
    }


def tensorboard() -> bool:
    """Returns whether logs for TensorBoard can be written; Keras does so through TensorFlow."""
    return all(importlib.util.find_spec(name) for name in ("tensorboard", "tensorflow"))
