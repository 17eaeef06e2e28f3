"""What ANNa costs on a C-NMC of full size: the rate and the peak memory of every step.

    make benchmark-full                      # draws 15,114 cells, 10 GB, in the temporary folder
    python benchmarks/full_size.py --folder /data/stand-in --train-cells 10661

The same steps on a data set of about 2,000 images and on the full one, each a process of its own.
`peak` is the most memory that was its own (resident without mapped files) at any time; `opened`
counts the image files it opened, so a second look must show 0. Prints a table, and writes it to
output/csv/full_size.csv.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import psutil
from real_cells import SHARED

TRAIN_CELLS = {"2,000": 1411, "full": 10_661}  # and the other parts of C-NMC in proportion
LIMIT = 2e9  # bytes
_OPENED = [0]


def main() -> None:
    """Prints the table, or takes one step when asked for it."""
    asked = arguments()
    if asked.step:
        print(json.dumps(taken(asked)), flush=True)
        return
    rows = []
    for name, count in {**TRAIN_CELLS, "full": asked.train_cells}.items():
        folder = asked.folder / f"cells-{count}"
        for step in STEPS:
            rows.append({"data set": name, "step": step} | measured(step, folder, asked, count))
            print(pd.DataFrame(rows[-1:]).to_string(index=False, header=len(rows) == 1), flush=True)
    print(f"\n{told(pd.DataFrame(rows)).to_string(index=False)}")


def arguments() -> argparse.Namespace:
    """Returns what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "anna-full")
    parser.add_argument("--train-cells", type=int, default=TRAIN_CELLS["full"])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(step: str, folder: Path, asked: argparse.Namespace, count: int) -> dict[str, float]:
    """Returns what a step did, how long it took and the most memory it had, in a process."""
    command = [sys.executable, __file__, "--step", step, "--folder", folder]
    command += ["--train-cells", str(count), "--size", str(asked.size)]
    places = {"ANNA_OUTPUT": str(folder / "output")}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, env=os.environ | places)
        peak = watched(psutil.Process(process.pid))
        if process.wait():
            raise SystemExit(f"The step failed: {step}")
        said.seek(0)
        found = json.loads(said.read().splitlines()[-1])
    return found | {"peak MB": peak / 1e6}


def watched(process: psutil.Process) -> int:
    """Returns the most bytes of its own that the process has had, looked at 20 times a second."""
    peak = 0
    while True:
        try:
            memory = process.memory_info()
            if process.status() == psutil.STATUS_ZOMBIE:
                return peak
        except psutil.NoSuchProcess:
            return peak
        peak = max(peak, memory.rss - memory.shared)
        time.sleep(0.05)


def told(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the steps side by side for both data sets, and writes them to a CSV."""
    import anna

    wide = rows.pivot(index="step", columns="data set")
    table = pd.DataFrame(
        {
            "images": wide["images", "full"],
            "minutes": wide["seconds", "full"] / 60,
            "images/s": wide["images", "full"] / wide["seconds", "full"],
            "opened": wide["opened", "full"],
            "peak MB": wide["peak MB", "full"],
            "peak MB at 2,000": wide["peak MB", "2,000"],
            "below 2 GB": wide["peak MB", "full"] * 1e6 < LIMIT,
        }
    )
    table = table.reindex(list(STEPS)).reset_index().round(2)
    anna.tables.write(table, anna.Workspace.locate().csv / "full_size.csv")
    return table


def taken(asked: argparse.Namespace) -> dict[str, float]:
    """Returns images, seconds and images opened of one step in this process."""
    _listen()
    start, before = time.perf_counter(), _OPENED[0]
    images = STEPS[asked.step](asked)
    seconds = time.perf_counter() - start
    return {"images": images, "seconds": seconds, "opened": _OPENED[0] - before}


@cache
def _listen() -> None:
    sys.addaudithook(_count)


def _count(event: str, arguments: tuple) -> None:
    if event == "open" and str(arguments[0]).endswith(".bmp") and str(arguments[1])[0] == "r":
        _OPENED[0] += 1


def draw(asked: argparse.Namespace) -> int:
    """Draws the data set unless it is there, by the published names where they are at hand."""
    import anna

    names = ()
    if (manifest := SHARED / "data" / "cnmc_manifest.csv.gz").is_file():
        paths = pd.read_csv(manifest)["path"]
        names = paths[paths.str.match(r"training_data/.*\.bmp$")]
        names = names.sample(asked.train_cells, random_state=0)
    root = anna.sample.write(asked.folder, cells=asked.train_cells, names=names)
    return sum(1 for _ in root.rglob("*.bmp"))


def verify(asked: argparse.Namespace) -> int:
    """Lists the images, decodes and hashes each, and splits the people."""
    import anna

    cells = anna.cnmc.index(asked.folder / anna.sample.FOLDER)
    problems = anna.cnmc.verify(cells)
    cells = anna.splits.assign(anna.cnmc.set_aside(cells, problems))
    anna.tables.write(cells, anna.Workspace.locate().csv / "prepared.csv")
    return len(cells)


def prepare(asked: argparse.Namespace) -> int:
    """Makes the cache of crops."""
    return len(_cells_and_pixels(asked)[1])


def again(asked: argparse.Namespace) -> int:
    """Verifies and prepares a second time."""
    verify(asked)
    return prepare(asked)


def train(asked: argparse.Namespace) -> int:
    """Trains `anna` for one epoch."""
    import anna

    cells, pixels = _cells_and_pixels(asked)
    model = anna.models.build("anna", size=asked.size)
    folder = anna.Workspace.locate().models / f"one-epoch-{time.time_ns()}"
    recipe = anna.recipe.ANNA | {"epochs": 1}
    anna.training.fit(model, pixels, cells, folder=folder, **recipe)
    anna.models.save(model, anna.Workspace.locate().models / "one-epoch.keras", {})
    return int((cells["role"] == "train").sum())


def predict(asked: argparse.Namespace) -> int:
    """Judges every image with the network of `train`."""
    import anna

    cells, pixels = _cells_and_pixels(asked)
    model = anna.models.load(anna.Workspace.locate().models / "one-epoch.keras")
    return len(anna.predict.cells(model, pixels, cells))


def _cells_and_pixels(asked: argparse.Namespace) -> tuple:
    import anna

    ws = anna.Workspace.locate()
    cells = anna.tables.read(ws.csv / "prepared.csv")
    return cells, anna.images.load(cells, size=asked.size, cache=ws.arrays)


STEPS: dict[str, Callable] = {
    "draw": draw,
    "verify": verify,
    "prepare": prepare,
    "again": again,
    "train": train,
    "predict": predict,
}

if __name__ == "__main__":
    main()
