"""Trains small networks on one and on two virtual processors; `test_devices` reads what it found.

python two_devices.py FOLDER
"""

import json
import shutil
import sys
from pathlib import Path

import keras
import numpy as np

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)

from test_training import SIZE, cells_and_pixels

import anna
from anna.layers import BatchNormalization, CellMean, Density, FromBytes, MaskTeacher


def main(folder):
    """Trains, and writes `found.json`: histories by run, and what was refused."""
    cells, pixels = cells_and_pixels(people=4, each=6)
    histories = {}

    def fit(name, count, *, epochs, batch_size=6, normed=True, **options):
        with anna.devices.spread(count):
            run = anna.training.fit(
                network(normed), pixels, cells, folder=folder / name,
                epochs=epochs, batch_size=batch_size, progress=False, **options,
            )  # fmt: skip
        histories[name] = run.history.to_dict("list") | {"new": run.new_epochs}
        return run.model

    fit("one", 1, epochs=1)
    shutil.copytree(folder / "one", folder / "one, two, one")
    fit("one", 1, epochs=3)
    fit("one, two, one", 2, epochs=2)
    fit("one, two, one", 1, epochs=3)
    fit("odd, one", 1, epochs=1, batch_size=5, normed=False)
    fit("clipped, one", 1, epochs=1, normed=False, clip=1e-3)
    fit("clipped, two", 2, epochs=1, normed=False, clip=1e-3)
    model = fit("odd, two", "all", epochs=1, batch_size=5, normed=False)
    judged = anna.predict.probabilities(model, pixels, batch_size=7)
    kept = anna.models.load(folder / "odd, two" / "best.keras")
    expected = anna.predict.probabilities(kept, pixels, batch_size=7)
    told = {"histories": histories, "judged apart by": float(np.abs(judged - expected).max())}
    told["after"] = {count: too_large(count, pixels) for count in (1, 2)}
    told["refused"] = refused(folder / "never", pixels, cells)
    (folder / "found.json").write_text(json.dumps(told))


def too_large(count, pixels):
    """Returns steps done, scale and whether all weights are numbers, after a step with infinity.

    Only the second half of the second batch is too large for float16.
    """
    with anna.devices.spread(count):
        model = network(False, "mixed_float16")
        anna.recipe.Recipe().compile(model, steps=3, epochs=1)
        weight = np.float32([1, 1, 1, 1, 1, 1, 3e4, 3e4, 1, 1, 1, 1])
        data = pixels[:12], (np.arange(12) % 2)[:, None]
        model.fit(*data, batch_size=4, sample_weight=weight, shuffle=False, verbose=0)
    scale = float(keras.ops.convert_to_numpy(model.optimizer.dynamic_scale))
    steps = int(keras.ops.convert_to_numpy(model.optimizer.inner_optimizer.iterations))
    return steps, scale, all(np.isfinite(weight).all() for weight in model.get_weights())


def refused(folder, pixels, cells):
    """Returns the errors of what cannot be done."""
    errors = []
    try:
        with anna.devices.spread(3):
            pass
    except ValueError as error:
        errors.append(str(error))
    outside = network(False)
    try:
        with anna.devices.spread(2):
            anna.training.fit(outside, pixels, cells, folder=folder)
    except ValueError as error:
        errors.append(str(error))
    return errors


def network(normed, policy="float32"):
    """A small network without anything random in it, with ANNa's teacher of masks if normed."""
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(policy)
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    x, cell = Density()(FromBytes()(image))
    x = keras.layers.Conv2D(4, 3, 2, "same", activation="relu")(x)
    if normed:
        x = BatchNormalization(momentum=0.5)(x)
        mask = keras.layers.Conv2D(1, 1, activation="sigmoid")(x)
        x = CellMean()([x, MaskTeacher()([mask, cell])])
    else:
        x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(1, activation="sigmoid", dtype="float32")(x)
    return keras.Model(image, x, name="small")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
