"""What each backend of Keras knows of training over several devices."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache

import keras
from keras import KerasTensor

from anna import backend  # its TensorFlow, which is there only where Keras runs on it


def devices() -> list[str]:
    """Returns the names of the devices that one training can be spread over: GPUs, else processors.

    Raises:
        ValueError: With PyTorch, for which Keras cannot do so.
    """
    if keras.backend.backend() == "tensorflow":
        found = [backend.tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU")]
        return [device.name for device in found[0] or found[1]]
    if keras.backend.backend() == "jax":
        return keras.distribution.list_devices()
    raise ValueError(
        "Training over several devices needs KERAS_BACKEND=tensorflow or jax. "
        f"Received: {keras.backend.backend()}"
    )


@lru_cache
def parallel(names: tuple[str, ...]) -> Callable[[], AbstractContextManager]:
    """Returns what opens a scope in which networks are built and trained over these devices."""
    if keras.backend.backend() == "tensorflow":
        return backend.tf.distribute.MirroredStrategy(names).scope
    return keras.distribution.DataParallel(devices=list(names)).scope


def replicas() -> int:
    """Returns the number of devices that each batch is shared between, here and now."""
    if keras.backend.backend() == "tensorflow":
        return backend.tf.distribute.get_strategy().num_replicas_in_sync
    spread = keras.distribution.distribution()
    return spread.device_mesh.devices.size if spread else 1


def sharers() -> int:
    """Returns the number of devices that hold a share of each batch, of which Keras sees but one.

    1 under JAX, where each operation sees the whole batch.
    """
    return replicas() if keras.backend.backend() == "tensorflow" else 1


def summed(shares: list[KerasTensor]) -> list[KerasTensor]:
    """Returns tensors of a device's share of a batch, summed over the `sharers`."""
    return backend.tf.distribute.get_replica_context().all_reduce("SUM", shares)


def copies(model: keras.Model) -> int:
    """Returns the number of devices that hold a network's weights."""
    value = model.variables[0].value
    if keras.backend.backend() == "tensorflow":
        return len(getattr(value, "values", [value]))
    return len(value.sharding.device_set) if keras.backend.backend() == "jax" else 1


@contextmanager
def synchronized(model: keras.Model, on: bool) -> Iterator[None]:
    """Makes batch normalization see the whole batch, or the device's own part of it.

    Under JAX it always sees the whole; files must not tell, or JAX would refuse them.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.synchronized for layer in norms]
    for layer in norms:
        layer.synchronized = on and keras.backend.backend() == "tensorflow"
    try:
        yield
    finally:
        for layer, was in zip(norms, before, strict=True):
            layer.synchronized = was
