"""Trainings that kill themselves, kill -9, at a chosen moment.

This process loads Keras once; each training is a copy of it.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import keras
from test_training import cells_and_pixels, network

from anna import stored, training


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class DieInBatch(keras.callbacks.Callback):
    """Dies after the second batch of the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1 and batch == 1:
            die()


def die_while_saving(name, time):
    """Makes the process die when half of a network is written, the so many-th of this name."""
    write, seen = stored.write_whole, []

    def _write(path, writer):
        def _half(part):
            writer(part)
            part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
            die()

        seen.append(path.name)
        dying = path.name == name and seen.count(name) == time
        return write(path, _half if dying else writer)

    stored.write_whole = _write


def train(folder, moment):
    """Trains two epochs, and dies on the way: "batch", or the name and number of a save."""
    if moment == "batch":
        known = training.callbacks
        training.callbacks = lambda *given, **how: [*known(*given, **how), DieInBatch()]
    else:
        die_while_saving(*moment)
    cells, pixels = cells_and_pixels()
    training.fit(
        network(), pixels, cells, folder=folder, epochs=2, batch_size=16, progress=False
    )  # fmt: skip


def died(folder, moment):
    """How a copy of this process ended that has trained in the folder."""
    child = os.fork()
    if not child:
        try:
            train(Path(folder), moment)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    print([died(folder, moment) for folder, moment in json.loads(sys.argv[1])])  # noqa: T201
