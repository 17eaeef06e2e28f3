"""How fast ANNa is on a GPU, on any backend of Keras: `make benchmark-gpu`.

    KERAS_BACKEND=jax python benchmarks/gpu.py --size 128 224 --precision mixed_bfloat16 float32

Cells a second in steady state, in training as `anna.training.fit` does it and in prediction as
`anna.predict` does it. Beside each, the same work on one batch that lies on the device already, and
the batches alone, which no network waits for: where the first equals the second, the input holds
nothing up. The share of the card's rate is in floating-point operations, as the backend counts
them, over those of a large matrix product in bfloat16. Each row in a process of its own, as
compiling for one would disturb the next. On JAX the operations are counted in another, on the
processor: for a GPU it does not tell. Writes output/csv/gpu_BACKEND.csv. Without a GPU it runs
on the processor, and says so.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import pandas as pd

import anna
from anna import backend
from anna.batches import Batches

SIDE = 8192  # of the matrix product
PRODUCTS = 8  # one after the other, for one wait


def main() -> None:
    """Prints the table, row by row as it grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", nargs="+", default=["anna", "anna-2020"])
    parser.add_argument("--size", nargs="+", type=int, default=[128, 224])
    parser.add_argument("--precision", nargs="+", default=["mixed_bfloat16", "float32"])
    parser.add_argument("--batch", nargs="+", type=int, default=[32, 256])
    parser.add_argument("--cells", type=int, default=8192, help="cells a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=SIDE, help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        do, work = asked.child
        print(json.dumps({"rates": rates, "operations": operations}[do](json.loads(work))))
        return
    ws, rows = anna.Workspace.locate(), []
    print(f"{keras.backend.backend()} on {', '.join(backend.gpus()) or 'a processor'}")
    for work in works(asked):
        rows.append(row(work))
        print(pd.DataFrame(rows[-1:]).round(3).to_string(index=False, header=len(rows) == 1))
        anna.tables.write(pd.DataFrame(rows), ws.csv / f"gpu_{keras.backend.backend()}.csv")


def works(asked: argparse.Namespace) -> list[dict]:
    """Returns what each row is asked."""
    names = ("network", "size", "batch", "precision")
    asked_for = itertools.product(asked.network, asked.size, asked.batch, asked.precision)
    same = {"cells": asked.cells, "rounds": asked.rounds, "side": asked.side}
    return [dict(zip(names, row, strict=True)) | same for row in asked_for]


def row(work: dict) -> dict:
    """Returns a row of the table, each half of it found in a process of its own."""
    found = child("rates", work)
    ops, most = child("operations", work, JAX_PLATFORMS="cpu"), found["TFLOP/s of a matrix"] * 1e12
    return (
        {key: work[key] for key in ("network", "size", "precision", "batch")}
        | found
        | {
            "GFLOP a cell": ops / 1e9,
            "share, training": 3 * ops * found["training"] / most,  # backwards is twice as much
            "share, prediction": ops * found["prediction"] / most,
        }
    )


def child(do: str, work: dict, **environment: str) -> dict | float:
    """Returns what a process of its own finds."""
    command = [sys.executable, __file__, "--child", do, json.dumps(work)]
    options = {"stdout": subprocess.PIPE, "text": True, "check": True}
    done = subprocess.run(command, env=os.environ | environment, **options)
    return json.loads(done.stdout.splitlines()[-1])


def built(work: dict) -> keras.Model:
    """Returns the network."""
    return anna.models.build(work["network"], size=work["size"], precision=work["precision"])


def rates(work: dict) -> dict[str, float]:
    """Returns cells a second of one network by one setting, and the rate of a large matrix product.

    Args:
        work: `network`, `size`, `precision`, `batch`, `cells` and `rounds`; `side` of the matrix.
    """
    size, batch, model = work["size"], work["batch"], built(work)
    count = -(-work["cells"] // batch) * batch
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
    feed = Batches(pixels, np.arange(count) % 2, np.arange(count), batch_size=batch, seed=0)
    recipe = anna.recipe.Recipe(**anna.recipe.of(work["network"]) | {"batch_size": batch})
    recipe.compile(model, steps=1000, epochs=100)
    held, few = Held(feed[0], len(feed)), pixels[: backend.batch_size(size)]
    seconds = {
        "training": epochs(model, feed, work["rounds"]),
        "training, held": epochs(model, held, work["rounds"]),
        "batches alone": times(lambda: [feed[number] for number in range(len(feed))]),
        "prediction": times(lambda: anna.predict.probabilities(model, pixels), work["rounds"]),
    }
    found = {name: count / float(np.median(each)) for name, each in seconds.items()}
    ready = keras.ops.convert_to_tensor(few)
    once = np.median(times(lambda: model.predict_on_batch(ready), 10))
    found["prediction, held"] = len(few) / float(once)
    return found | {"TFLOP/s of a matrix": matrix_rate(work["side"]) / 1e12}


class Held(keras.utils.PyDataset):
    """The same batch again and again, on the device where the backend leaves it there."""

    def __init__(self, batch: tuple[np.ndarray, np.ndarray], count: int):
        super().__init__()
        self.batch = tuple(keras.ops.convert_to_tensor(each) for each in batch)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple:
        return self.batch


class Clock(keras.callbacks.Callback):
    """Notes the seconds of each epoch."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Notes when the epoch ended; its losses are there, so the device has ended it, too."""
        self.ends.append(time.perf_counter())


def epochs(model: keras.Model, feed: keras.utils.PyDataset, rounds: int) -> np.ndarray:
    """Returns the seconds of each epoch of a training after the first, which compiles."""
    clock = Clock()
    model.fit(feed, epochs=rounds + 1, shuffle=False, verbose=0, callbacks=[clock])
    # The means of the weights have become the weights: JAX must not find both in one place.
    model.set_weights(model.get_weights())
    return np.diff(clock.ends)


def times(do: Callable[[], object], rounds: int = 1) -> list[float]:
    """Returns the seconds of each round after the first, which gets ready."""
    found = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        do()
        found.append(time.perf_counter() - start)
    return found[1:]


def operations(work: dict) -> float:
    """Returns the floating-point operations of one cell forwards, as the backend counts them."""
    model = built(work)
    cell = np.zeros((1, work["size"], work["size"], 3), np.uint8)
    if keras.backend.backend() == "jax":
        import jax

        lowered = jax.jit(lambda x: model(x, training=False)).lower(cell)
        return lowered.cost_analysis()["flops"]
    if keras.backend.backend() == "torch":
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counted, torch.no_grad():
            model(cell, training=False)
        return counted.get_total_flops()
    import speed_ways

    return speed_ways.forwards(model)


def matrix_rate(side: int) -> float:
    """Returns operations a second of large matrix products in bfloat16, the best of five rounds."""
    a = keras.random.normal((side, side), dtype="bfloat16") / side**0.5
    best = np.inf
    for _ in range(6):  # the first gets ready
        start, b = time.perf_counter(), a
        for _ in range(PRODUCTS):
            b = keras.ops.matmul(a, b)
        float(b[0, 0])
        best = min(best, time.perf_counter() - start)
    return 2 * PRODUCTS * side**3 / best


if __name__ == "__main__":
    main()
