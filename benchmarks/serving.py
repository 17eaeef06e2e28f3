"""How fast the trained ANNa judges cells in each runtime: `make benchmark-serving`.

Latency of one image and throughput of a batch, from whole files' pixels on; Keras is handed them
cropped. The runtimes take turns, round by round, so that a busy machine is busy for all of them;
medians are printed, and how much faster each is than `model.predict`. Writes
output/csv/serving.csv.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import anna
from anna.sample import drawing
from anna.sample.people import cell_rng, plan

FILES = {
    "ONNX Runtime": "anna.onnx",
    "LiteRT": "anna.tflite",
    "TensorFlow, SavedModel": "anna-saved",
}


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=8)
    asked = parser.parse_args()
    rows = plan(cells=max(40, asked.batch)).head(asked.batch).itertuples()
    cells = np.stack([drawing.draw(row.donor, cell_rng(0, row.key), 450) for row in rows])
    with tempfile.TemporaryDirectory() as folder:
        runtimes = _runtimes(Path(folder))
        table = _measure(runtimes, cells, asked.rounds)
    table = table.rename_axis("runtime").reset_index()
    anna.tables.write(table, anna.Workspace.locate().csv / "serving.csv")
    print(f"{os.cpu_count()} cores, {asked.rounds} rounds, batch of {asked.batch}\n")
    print(anna.card.table(table.to_dict("records")))


def _runtimes(folder: Path) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Returns functions from whole images, uint8 (n, 450, 450, 3), to probabilities."""
    model = anna.models.pretrained()
    crop = anna.models.crop_of(model)

    def _keras(judge: Callable, cells: np.ndarray) -> np.ndarray:
        return judge(np.stack([anna.images.center_crop(cell, crop) for cell in cells]))[:, 0]

    found = {
        "Keras, model.predict": partial(_keras, partial(model.predict, verbose=0)),
        "Keras, predict_on_batch": partial(_keras, model.predict_on_batch),
    }
    for name, file in FILES.items():
        found[name] = anna.exported.load(
            anna.export.file(folder / file), threads=len(os.sched_getaffinity(0))
        )
    return found


def _measure(runtimes: dict[str, Callable], cells: np.ndarray, rounds: int) -> pd.DataFrame:
    """Returns a row a runtime; a first call of each shape is not counted."""
    times = []
    expected = None
    for turn in range(-1, rounds):
        for name, judge in runtimes.items():
            for kind, part in (("one", cells[:1]), ("batch", cells)):
                start = time.perf_counter()
                said = judge(part)
                took = time.perf_counter() - start
                if turn >= 0:
                    times.append((name, kind, took))
            expected = said if expected is None else expected
            np.testing.assert_allclose(said, expected, atol=anna.export.TOLERANCE)
    table = pd.DataFrame(times, columns=["name", "kind", "seconds"])
    medians = table.groupby(["name", "kind"])["seconds"].median().unstack().loc[list(runtimes)]
    plain = medians.iloc[0]
    return pd.DataFrame(
        {
            "one image, ms": 1000 * medians["one"],
            "times as fast": plain["one"] / medians["one"],
            "images a second": len(cells) / medians["batch"],
            "times as many": plain["batch"] / medians["batch"],
        }
    ).round(2)


if __name__ == "__main__":
    main()
