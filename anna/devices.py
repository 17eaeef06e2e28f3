"""Training over all devices of a machine, by the means of Keras' backends."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

from anna.backend import several
from anna.batches import Batches

log = logging.getLogger(__name__)


@contextmanager
def spread(devices: int | str = "all") -> Iterator[int]:
    """Builds and trains over several devices while the block runs; gives how many there are.

    Networks must be built, and trained, inside. Each batch is cut into equal parts, one a device,
    and the weights stay alike on all: `keras.distribution.DataParallel` under JAX,
    `tf.distribute.MirroredStrategy` under TensorFlow. Batch size and learning rate are those of the
    whole batch, batch normalization sees all of it, and a run may go on with another number of
    devices. With one device nothing is different.

        with anna.devices.spread():
            model = anna.models.build("anna")
            anna.training.fit(model, pixels, cells, folder="run")

    Args:
        devices: How many, 1 or more; or "all" GPUs of the machine, else all processors that the
            backend tells apart (one, unless it was set up otherwise).

    Raises:
        ValueError: If there are not so many, or if the backend is PyTorch and more than one is
            asked for.
    """
    if devices != "all" and not (isinstance(devices, int) and devices >= 1):
        raise ValueError(f"devices must be 'all', or 1 or more. Received: {devices!r}")
    found = [] if devices == 1 else several.devices()
    count = len(found) if devices == "all" else devices
    if count == 1:
        yield 1
        return
    if count > len(found):
        raise ValueError(f"devices must be {len(found)} or fewer here. Received: {devices}")
    log.info("over %s", ", ".join(found[:count]))
    with several.parallel(tuple(found[:count]))():
        yield count


def check(model: keras.Model) -> None:
    """Checks that a network was built for the devices that are in use.

    Raises:
        ValueError: If it was not.
    """
    built, used = several.copies(model), several.replicas()
    if built != used:
        raise ValueError(
            "Build the network, and train it, inside `with anna.devices.spread(...)` of as many "
            f"devices. Received: {model.name}, built for {built}, in use {used}"
        )


class Shared(keras.utils.PyDataset):
    """Batches of which each device gets as many images, with weights: (uint8 b…, float32 b, 1, b).

    One that does not divide is filled up with its own first images. They weigh nothing, and the
    others more in return, so that the loss is as if they were not there. Of the metrics that are
    only shown, such as the AUC, they are part.

    Args:
        batches: Of pixels and labels.
        class_weight: Of the labels 0 and 1; both weigh 1 by default.
        whole: Whether the mean loss over all images shall be right, which is what validation asks
            for, or that of each batch, which is what teaches.
    """

    def __init__(self, batches: Batches, class_weight: dict | None = None, *, whole: bool = False):
        super().__init__()
        self.batches, self.class_weight = batches, class_weight or {0: 1.0, 1: 1.0}
        count, total, each = several.replicas(), len(batches.rows), batches.batch_size
        self.real = np.array([min(each, total - start) for start in range(0, total, each)])
        self.filled = -(-self.real // count) * count
        self.scale = self.filled / self.real
        if whole:
            self.scale[:] = self.filled.sum() / self.real.sum()

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pixels, labels = self.batches[number]
        rows = np.arange(self.filled[number])
        first = rows % self.real[number]
        weight = np.where(labels[first, 0] == 1, self.class_weight[1], self.class_weight[0])
        weight = weight * (rows == first) * self.scale[number]
        return pixels[first], labels[first], weight.astype(np.float32)

    def on_epoch_end(self) -> None:
        """Draws the order of the next epoch."""
        self.batches.on_epoch_end()
