"""How fast ANNa is, each row a ratio against the plain way in the same run: `make benchmark`.

    python benchmarks/speed.py --images 600 --steps 24 --rounds 7

Preparation: images indexed, verified and cached, against the way of the original: a sorted glob,
`cv2.imread`, `cv2.resize`, a list, `np.array`; from files that the system holds in memory, and from
files that it does not, where reading their bytes and nothing else is the disk's own limit. What
cannot be left out, alone, is the limit of preparation: decoding, hashing and shrinking by areas.
Training and prediction: cells a second in steady state by ANNa's settings, against one array of
float32 through `fit` or `predict` with nothing set, each in a process of its own; also the
share of the rate of a large matrix product, the machine's own limit, and the rate if convolutions
and dense layers were all there is to train, timed one by one. The two ways take turns,
and the median of the rounds counts: so a busy machine slows both. Then where the minutes of the
last `make notebooks` went. Writes output/csv/speed.csv and notebooks.csv.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pandas as pd
import speed_ways

import anna

PREDICTIONS = (  # task, network, how many cells a round, what it is called
    ("predict", "anna", 512, "prediction"),
    ("predict_singly", "anna", 64, "prediction, cell by cell,"),
    ("predict", "trained ANNa", 64, "prediction"),
    ("predict_singly", "trained ANNa", 16, "prediction, cell by cell,"),
)


MOST = 6  # cells of the notebooks that are told one by one


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=600, help="files to prepare")
    parser.add_argument("--steps", type=int, default=24, help="batches a round of training")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=128)
    asked = parser.parse_args()
    rows = []
    for row in measured(asked):
        rows.append(row)
        print(pd.DataFrame(rows[-1:]).round(3).to_string(index=False, header=False), flush=True)
    table = pd.DataFrame(rows)
    anna.tables.write(table, anna.Workspace.locate().csv / "speed.csv")
    print(f"\n{table.round(3).to_string(index=False)}")
    if len(slow := slowest_cells(anna.Workspace.locate().output / "notebooks")):
        shown = pd.concat([slow.head(MOST), rest_of(slow)], ignore_index=True)
        anna.tables.write(shown, anna.Workspace.locate().csv / "notebooks.csv")
        print(f"\nmake notebooks, in seconds\n{shown.round(1).to_string(index=False)}")


def measured(asked: argparse.Namespace) -> Iterator[dict]:
    """Yields the rows of the table."""
    yield from preparation(asked)
    for network in ("anna-2020", "anna"):
        yield told("train", network, asked.steps * speed_ways.BATCH, asked) | {
            "what": f"training {network}"
        }
    for task, network, count, what in PREDICTIONS:
        yield told(task, network, count, asked) | {"what": f"{what} {network}"}


def told(task: str, network: str, count: int, asked: argparse.Namespace) -> dict:
    """Returns cells a second of a network, and the share of the machine's own rate."""
    work = {"task": task, "network": network, "size": asked.size, "count": count}
    found, machine = in_two_processes(work, asked.rounds)
    share = found["ours"] * machine["operations"] / machine["matrix_rate"]
    return {"what": ""} | found | {"limit": machine["limit"], "of the matrix rate": share}


def in_turns(
    ours: Callable[[], float], plain: Callable[[], float], rounds: int, **others: Callable
) -> dict[str, float]:
    """Returns the median rate of ways that take turns, and the median ratio of the first two."""
    ways = {"ours": ours, "plain": plain} | others
    found = pd.DataFrame([{name: way() for name, way in ways.items()} for _ in range(rounds)])
    ratio = (found["ours"] / found["plain"]).median()
    rates = found.median().to_dict()
    return {"ours": rates.pop("ours"), "plain": rates.pop("plain"), "ratio": ratio} | rates


def preparation(asked: argparse.Namespace) -> Iterator[dict]:
    """Yields images a second from files to an array, and of reading alone."""
    with tempfile.TemporaryDirectory(dir=anna.Workspace.locate().output) as folder:
        root = _some_files(Path(folder), asked.images)
        files = sorted(root.glob("**/*.bmp"))

        def _ours() -> None:
            place = Path(folder) / f"cache-{time.time_ns()}"
            cells = anna.cnmc.index(root)
            anna.cnmc.verify(cells, cache=place / "facts.csv", progress=False)
            anna.images.load(cells, size=asked.size, cache=place, progress=False)
            shutil.rmtree(place)

        def _plain() -> None:
            images = []
            for path in sorted(root.glob("**/*.bmp")):
                images.append(cv2.resize(cv2.imread(str(path)), (asked.size, asked.size)))
            np.array(images)

        def _bytes() -> None:
            for _ in anna.pool.each(Path.read_bytes, files):
                pass

        def _least(path: Path) -> np.ndarray:
            image = cv2.imread(str(path))
            hashlib.sha256(image)
            return cv2.resize(image, (asked.size, asked.size), interpolation=cv2.INTER_AREA)

        def _limit() -> None:
            for _ in anna.pool.each(_least, files):
                pass

        def _timed(way: Callable, ready: Callable) -> float:
            ready(files)
            start = time.perf_counter()
            way()
            return len(files) / (time.perf_counter() - start)

        what = "index, verify and cache, images/s"
        kinds = {"from memory": into_memory}
        if hasattr(os, "posix_fadvise"):  # other systems do not forget when asked
            kinds["from disk"] = out_of_memory
        for held, ready in kinds.items():
            timed = partial(_timed, ready=ready)
            ways = partial(timed, _ours), partial(timed, _plain)
            rates = in_turns(*ways, asked.rounds, limit=partial(timed, _limit))
            yield {"what": f"{what}, {held}"} | rates
        ways = partial(timed, _bytes), partial(timed, _plain)
        yield {"what": f"reading bytes alone, images/s, {held}"} | in_turns(*ways, asked.rounds)


def into_memory(files: list[Path]) -> None:
    """Reads the files, so that the system holds them."""
    for path in files:
        path.read_bytes()


def out_of_memory(files: list[Path]) -> None:
    """Makes the system forget the files."""
    os.sync()
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


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


def in_two_processes(work: dict, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Returns both ways' rates, each in a process that waits while the other has its turn.

    Also what our own process has to tell of the machine.
    """
    with (
        _process(work | {"way": "ours"}) as (ours, told),
        _process(work | {"way": "plain"}) as (plain, _),
    ):
        return in_turns(ours, plain, rounds), told


@contextmanager
def _process(work: dict) -> Iterator[tuple[Callable[[], float], dict]]:
    """Opens a process of `speed_ways.py`; yields what does a round in it, and what it tells."""
    command, pipe = [sys.executable, speed_ways.__file__, json.dumps(work)], subprocess.PIPE
    plain = {name: value for name, value in os.environ.items() if name not in anna.ENVIRONMENT}
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=plain
    ) as process:

        def _answer() -> str:
            if not (line := process.stdout.readline()):
                raise SystemExit(f"Failed: {work}")
            return line

        def _round() -> float:
            process.stdin.write("again\n")
            return float(_answer())

        yield _round, json.loads(_answer())
        process.stdin.close()


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


def rest_of(slow: pd.DataFrame) -> pd.DataFrame:
    """Returns two rows: the seconds of all cells but the `MOST` slowest, and of all."""
    rest, whole = slow["seconds"].iloc[MOST:].sum(), slow["seconds"].sum()
    return pd.DataFrame(
        {"notebook": ["the rest", "all"], "seconds": [rest, whole], "cell": ["", ""]}
    )


if __name__ == "__main__":
    main()
