"""One way of one task, in a process of its own, so that its settings of TensorFlow are its own.

    python benchmarks/speed_ways.py '{"task": "train", "network": "anna", "way": "plain", ...}'

Gets ready, says so, and for each line that it is sent does a round and prints cells a second. The
plain way is what Keras does when nothing is set: TensorFlow is loaded before ANNa, which would set
its options, no operations are fused, batch normalisation is Keras' own, and everything is handed to
`fit` or `predict` as one array of float32.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from unittest import mock

ASKED = json.loads(sys.argv[1]) if __name__ == "__main__" else {}
if ASKED.get("way") == "plain":
    import tensorflow as tf

    tf.zeros(1) + 1  # now it has read its options

import numpy as np  # noqa: E402

import anna  # noqa: E402

BATCH = 32


def main() -> None:
    """Answers each line with a rate."""
    ours, count = ASKED["way"] == "ours", ASKED["count"]
    if not ours:
        anna.backend.fuses = anna.backend.normalizes = lambda: False
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape()), np.uint8)
    do = TASKS[ASKED["task"]](ours, pixels)
    do()  # compiles
    print(json.dumps(machine() if ours else {}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        do()
        print(count / (time.perf_counter() - start), flush=True)


def shape() -> tuple[int, int, int]:
    """Returns the shape of what the network takes."""
    return network(True).input_shape[1:]


def network(ours: bool):
    """Returns the network; the plain way has no mixed precision."""
    if ASKED["network"] == "trained ANNa":
        return anna.models.pretrained()
    policy = {} if ours else {"precision": "float32"}
    return anna.models.build(ASKED["network"], size=ASKED["size"], **policy)


def train(ours: bool, pixels: np.ndarray) -> Callable:
    """Returns what trains for an epoch."""
    from anna.batches import Batches  # with Keras, so after the way has set its options

    model, labels = network(ours), np.arange(len(pixels)) % 2
    if not ours:
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        whole, truth = pixels.astype(np.float32), labels.astype(np.float32)
        return lambda: model.fit(whole, truth, batch_size=BATCH, verbose=0)
    recipe = anna.recipe.Recipe(**anna.recipe.of(ASKED["network"]))
    recipe.compile(model, steps=len(pixels) // BATCH, epochs=1)
    rows = np.arange(len(pixels))
    batches = Batches(pixels, labels, rows, batch_size=BATCH, seed=0)
    return lambda: model.fit(batches, shuffle=False, verbose=0)


def predict(ours: bool, pixels: np.ndarray) -> Callable:
    """Returns what judges every cell, all at once."""
    model = network(ours)
    if ours:
        return lambda: anna.predict.probabilities(model, pixels)
    whole = pixels.astype(np.float32)
    return lambda: model.predict(whole, verbose=0)


def predict_singly(ours: bool, pixels: np.ndarray) -> Callable:
    """Returns what judges every cell, one at a time."""
    model = network(ours)
    if ours:
        judge = lambda cell: anna.predict.probabilities(model, cell, batch_size=1)  # noqa: E731
    else:
        judge = lambda cell: model.predict(cell.astype(np.float32), verbose=0)  # noqa: E731
    return lambda: [judge(cell[None]) for cell in pixels]


def machine() -> dict[str, float]:
    """Returns operations that a cell takes, and those a second of a large matrix product."""
    model = network(True)
    times = 3 if ASKED["task"] == "train" else 1  # backwards is twice as much
    operations = times * forwards(model)
    rate = matrix_rate(model.compute_dtype)
    limit = products_alone(model) if ASKED["task"] == "train" else np.nan
    return {"operations": operations, "matrix_rate": rate, "limit": limit}


def products_alone(model) -> float:
    """Returns cells a second if the model's convolutions and dense layers were all there is.

    Each is timed by itself on a batch that lies ready, forwards and backwards, the best of five.
    """
    import tensorflow as tf

    seconds = 0.0
    for layer, shape in _products(model):
        x = tf.cast(tf.random.normal((BATCH, *shape[1:])), layer.compute_dtype)
        do = tf.function(_with_gradient(layer, first=not seconds))
        do(x)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            tf.cast(tf.nest.flatten(do(x))[0], "float32").numpy()
            times.append(time.perf_counter() - start)
        seconds += min(times)
    return BATCH / seconds


def _with_gradient(layer, *, first: bool) -> Callable:
    """Returns a layer and its gradients; what is first needs none by its input."""
    import tensorflow as tf

    def _both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, ([] if first else [x]) + layer.trainable_variables)

    return _both


def _products(model) -> list[tuple]:
    """Returns each layer that multiplies, with the shape that it is given for one cell."""
    import keras

    kinds, found = ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "Dense"), []

    def _noting(kept: Callable) -> Callable:
        return lambda self, x, **given: found.append((self, x.shape)) or kept(self, x, **given)

    with ExitStack() as stack:
        for kind in (getattr(keras.layers, name) for name in kinds):
            stack.enter_context(mock.patch.object(kind, "call", _noting(kind.call)))
        model(np.zeros((1, *shape()), np.uint8))
    return found


def forwards(model) -> float:
    """Returns the floating-point operations of one cell forwards, as TensorFlow counts them."""
    import tensorflow as tf

    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.uint8)
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops


def matrix_rate(dtype: str, side: int = 3072) -> float:
    """Returns operations a second of a large matrix product in TensorFlow, the best of five."""
    import tensorflow as tf

    a = tf.cast(tf.random.normal((side, side)), dtype)
    product, best = tf.function(lambda: tf.reduce_sum(a @ a)), np.inf
    product().numpy()
    for _ in range(5):
        start = time.perf_counter()
        product().numpy()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


TASKS = {"train": train, "predict": predict, "predict_singly": predict_singly}

if __name__ == "__main__":
    main()
