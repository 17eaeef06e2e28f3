"""How fast ANNa is, each row a ratio against the plain way in the same run: `make benchmark`.

    python benchmarks/speed.py --images 600 --steps 24 --rounds 3

Preparation: images indexed, verified and cached, against the way of the original: a sorted glob,
`cv2.imread`, `cv2.resize`, a list, `np.array`. Training: cells a second in steady state by
`anna`'s batches and settings, against the whole array as float32 through `fit` with nothing set;
the share of the rate of a large matrix product says how far from the machine's own limit. The two
ways take turns, and the median of the rounds counts: so a busy machine slows both. Then where the
minutes of the last `make notebooks` went. Writes output/csv/speed.csv.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import nbformat
import numpy as np
import pandas as pd
import tensorflow as tf

import anna

BATCH = 32


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=600, help="files to prepare")
    parser.add_argument("--steps", type=int, default=24, help="batches a round of training")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=128)
    asked = parser.parse_args()
    rows = [preparation(asked)]
    rows += [training(name, asked) for name in ("anna-2020", "anna")]
    table = pd.DataFrame(rows)
    anna.tables.write(table, anna.Workspace.locate().csv / "speed.csv")
    print(table.round(3).to_string(index=False))
    if len(slow := slowest_cells(anna.Workspace.locate().output / "notebooks")):
        print(f"\nmake notebooks: {slow['seconds'].sum() / 60:.1f} minutes in all; of these")
        print(slow.head(12).round(1).to_string(index=False))


def in_turns(
    ours: Callable[[], float], plain: Callable[[], float], rounds: int
) -> dict[str, float]:
    """Returns the median rate of two ways that take turns, and the median of their ratio."""
    pairs = [(ours(), plain()) for _ in range(rounds)]
    return {
        "ours": float(np.median([pair[0] for pair in pairs])),
        "plain": float(np.median([pair[1] for pair in pairs])),
        "ratio": float(np.median([a / b for a, b in pairs])),
    }


def preparation(asked: argparse.Namespace) -> dict:
    """Returns images a second from files to an array."""
    with tempfile.TemporaryDirectory() as folder:
        root = _some_files(Path(folder), asked.images)

        def _ours() -> float:
            start, place = time.perf_counter(), Path(folder) / f"cache-{time.time_ns()}"
            cells = anna.cnmc.index(root)
            anna.cnmc.verify(cells, cache=place / "facts.csv")
            pixels = anna.images.load(cells, size=asked.size, cache=place, progress=False)
            rate = len(pixels) / (time.perf_counter() - start)
            shutil.rmtree(place)
            return rate

        def _plain() -> float:
            start, images = time.perf_counter(), []
            for path in sorted(root.glob("**/*.bmp")):
                images.append(cv2.resize(cv2.imread(str(path)), (asked.size, asked.size)))
            return len(np.array(images)) / (time.perf_counter() - start)

        _plain()  # so that both find the files in the system's memory
        found = in_turns(_ours, _plain, asked.rounds)
    return {"what": "index, verify and cache, images/s"} | found


def _some_files(folder: Path, count: int) -> Path:
    """Returns a C-NMC of so many images at most: real ones where they are, else drawn."""
    ws = anna.Workspace.locate()
    found = anna.cnmc.find(ws.input) or anna.sample.stand_in(ws.input)
    cells = anna.cnmc.index(found)
    cells = cells[cells["split"] == "train"]
    some = cells.sample(min(count, len(cells)), random_state=0)
    root = folder / found.name
    for path in map(Path, some["path"]):
        target = root / path.relative_to(found)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return root


def training(name: str, asked: argparse.Namespace) -> dict:
    """Returns cells a second of a network's training, and its share of the machine's own rate."""
    rng = np.random.default_rng(0)
    count = asked.steps * BATCH
    pixels = rng.integers(0, 256, (count, asked.size, asked.size, 3), np.uint8)
    labels = np.arange(count) % 2
    ours = anna.models.build(name, size=asked.size)
    recipe = anna.recipe.Recipe(**(anna.recipe.ANNA if name == "anna" else {}))
    anna.training.compile_for(ours, recipe, steps=asked.steps, epochs=1)
    batches = anna.batches.Batches(pixels, labels, np.arange(count), batch_size=BATCH, seed=0)
    full = {"precision": "float32"} if name == "anna" else {}
    plain = anna.models.build(name, size=asked.size, **full)
    plain.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    whole, truth = pixels.astype(np.float32), labels.astype(np.float32)
    found = in_turns(
        lambda: _rate(ours, batches, count, shuffle=False),
        lambda: _rate(plain, whole, count, y=truth, batch_size=BATCH),
        asked.rounds,
    )
    operations = 3 * _operations(ours)  # forwards once, backwards twice as much
    share = found["ours"] * operations / matrix_rate(ours.compute_dtype)
    return {"what": f"training {name}, cells/s"} | found | {"of the matrix rate": share}


def _rate(model: keras.Model, x, count: int, **options) -> float:
    """Returns cells a second of an epoch; the first call also compiles, so it trains twice."""
    if not getattr(model, "warm", False):
        model.fit(x, verbose=0, **options)
        model.warm = True
    start = time.perf_counter()
    model.fit(x, verbose=0, **options)
    return count / (time.perf_counter() - start)


def _operations(model: keras.Model) -> float:
    """Returns the floating-point operations of one cell forwards, as TensorFlow counts them."""
    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.uint8)
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops


def matrix_rate(dtype: str, side: int = 3072) -> float:
    """Returns operations a second of a large matrix product in TensorFlow, the best of five."""
    a = tf.random.normal((side, side), dtype=tf.float32)
    a = tf.cast(a, dtype)
    product, best = tf.function(lambda: tf.reduce_sum(a @ a)), np.inf
    product().numpy()
    for _ in range(5):
        start = time.perf_counter()
        product().numpy()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def slowest_cells(folder: Path) -> pd.DataFrame:
    """Returns the seconds of every cell of the executed notebooks, slowest first."""
    rows = []
    for path in sorted(folder.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            times = cell.metadata.get("execution", {})
            start, end = times.get("iopub.execute_input"), times.get("shell.execute_reply")
            if start and end:
                seconds = (pd.Timestamp(end) - pd.Timestamp(start)).total_seconds()
                first = cell.source.strip().splitlines()[0][:60]
                rows.append({"notebook": path.stem, "seconds": seconds, "cell": first})
    table = pd.DataFrame(rows, columns=["notebook", "seconds", "cell"])
    return table.sort_values("seconds", ascending=False, ignore_index=True)


if __name__ == "__main__":
    main()
