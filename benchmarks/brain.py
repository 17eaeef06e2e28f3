"""What ANNa is worth on real people it has not seen: the whole protocol, part by part.

    make benchmark-brain                     # from ../shared/data, or ANNA_INPUT=/data
    python benchmarks/brain.py --jobs 2 --only anna "without stain changes"

C-NMC's people stand in five parts; what is judged on a part has learnt from the others alone.
`anna` is taught without one part, and without each two. The networks that have seen neither of two
parts say, on the one, at what temperature those that judge the other are to be read: it comes from
people who are not judged. Stopped and started again, it goes on where it was; with other settings
it begins anew. Prints tables, and writes them to output/csv/brain_*.csv.
"""

import argparse
import hashlib
import json
import logging
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import brain_tables
import brain_trust
import numpy as np
import pandas as pd
from real_cells import PARTS, parts_of_real_cells
from tqdm.auto import tqdm

import anna
from anna.recipe import ANNA

SEEDS = (0, 1)
NETWORK = {"name": "anna", "size": 128}
TEACH = {"epochs": 18, **ANNA}
PHOTOGRAPHS = {"encoder": "efficientnetlite0", "weights": "imagenet"}  # left as it is


def _all_but(*names: str) -> dict:
    known = anna.augmentation.AUGMENTATIONS
    return {"augment": tuple(name for name in known if name not in names)}


UNTAUGHT = "without hue and JPEG"
INGREDIENTS = {  # what differs from the recipe: of the network, of the teaching
    UNTAUGHT: (_all_but("hue", "jpeg"), {}),
    "without augmentation": ({"augment": False}, {}),
    "without turning": (_all_but("rotate"), {}),
    "without stain changes": (_all_but("stain"), {}),
    "without centring the stain": ({"centred": False}, {}),
    "without balance of people": ({}, {"balance": "classes"}),
    "without label smoothing": ({}, {"smoothing": 0.0}),
    "without weight decay": ({}, {"weight_decay": 0.0}),
    "at 96 pixels": ({"size": 96}, {}),
}
FROM_PHOTOGRAPHS = {
    "from photographs": (PHOTOGRAPHS, {"epochs": 3}),
    "from photographs, without centring": (PHOTOGRAPHS | {"centred": False}, {"epochs": 3}),
}
VARIANTS = {
    "anna": ({}, {}),
    "anna-2020": (
        {"name": "anna-2020", "size": 128},
        {"epochs": TEACH["epochs"], "schedule": "cosine", "learning_rate": 1e-3},
    ),
    **INGREDIENTS,
    **FROM_PHOTOGRAPHS,
}
log = logging.getLogger(__name__)


class Job(NamedTuple):
    """One training: a variant, a seed, and the parts that it does not see."""

    variant: str
    seed: int
    without: str


def main() -> None:
    """Trains what is missing, then prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--train-only", action="store_true", help="no tables")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    cells = parts_of_real_cells()
    for size in sorted({settings(name)[0]["size"] for name in asked.only}):
        anna.images.load(cells, size=size, cache=anna.Workspace.locate().arrays)
    _work([job for job in jobs() if job.variant in asked.only], asked.jobs)
    for name, table in () if asked.train_only else tables(cells):
        anna.tables.write(table, anna.Workspace.locate().csv / f"brain_{name}.csv")
        print(f"\n{name}\n{table.round(3).to_string(index=False)}", flush=True)


def tables(cells: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields the tables by name, those of the whole protocol only when all of it is trained."""
    if len(table := brain_tables.single(cells, judged, FROM_PHOTOGRAPHS, SEEDS[0])):
        yield "photographs", table
    table = brain_tables.ingredients(cells, judged, ["anna", *INGREDIENTS], SEEDS[0])
    if table["variant"].isin(list(INGREDIENTS)).any():
        yield "ingredients", table
    if missing := [job for job in jobs() if job.variant == "anna" and not judged(*job).is_file()]:
        log.warning("%d networks of the protocol are missing: no other table.", len(missing))
        return
    yield "methods", brain_tables.methods(cells, judged, SEEDS)
    known = brain_tables.calibrations(cells, judged, SEEDS[0])
    found = brain_tables.together(judged, SEEDS, known)
    yield "people", anna.metrics.by_subject(found.assign(drawn=False), 0.5)
    yield "calibration", brain_tables.calibration(cells, judged, SEEDS)
    pixels = anna.images.load(cells, size=NETWORK["size"], cache=anna.Workspace.locate().arrays)
    networks = brain_trust.judges(judged, "anna", SEEDS[0], known)
    found = brain_trust.robustness(cells, pixels, networks, name="brain")
    if all(judged(UNTAUGHT, SEEDS[0], part).is_file() for part in PARTS):
        shares = {part: replace(each, temperature=1.0) for part, each in known.items()}
        others = brain_trust.judges(judged, UNTAUGHT, SEEDS[0], shares)
        found[f"lost {UNTAUGHT}"] = brain_trust.robustness(cells, pixels, others)["lost"]
    yield "robustness", found
    yield "deletion", brain_trust.deletion(cells, pixels, networks, name="brain")
    yield "likeness", brain_trust.likeness(cells, pixels, networks)


def jobs() -> list[Job]:
    """Returns all trainings, what matters most first."""
    own = [Job("anna", seed, part) for seed in SEEDS for part in PARTS]
    inner = [Job("anna", SEEDS[0], "".join(two)) for two in combinations(PARTS, 2)]
    old = [Job("anna-2020", SEEDS[0], part) for part in PARTS]
    rest = [name for name in VARIANTS if name not in ("anna", "anna-2020")]
    without = [Job(name, SEEDS[0], part) for name in rest for part in PARTS]
    return own + inner + old + without


def judged(variant: str, seed: int, without: str) -> Path:
    """Returns where the network's predictions of the parts it has not seen are kept."""
    return _path(Job(variant, seed, without)) / "judged.csv"


def settings(variant: str) -> tuple[dict, dict]:
    """Returns the arguments of `anna.models.build` and of `anna.training.fit`."""
    network, teaching = VARIANTS[variant]
    network = NETWORK | network
    if network["name"] == "anna":  # by name: what True stands for may change
        network = {"augment": anna.augmentation.AUGMENTATIONS} | network
    return network, (TEACH if network["name"] == "anna" else {}) | teaching


def _path(job: Job) -> Path:
    """Returns the folder of a training; with other settings it is another."""
    key = hashlib.blake2b(json.dumps(settings(job.variant)).encode(), digest_size=4).hexdigest()
    folder = anna.Workspace.locate().models / "brain" / f"{job.variant.replace(' ', '-')}-{key}"
    return folder / f"{job.without}-{job.seed}"


def _work(todo: list[Job], count: int) -> None:
    """Does the jobs, each process with its share of the processor."""
    share_threads(count)
    todo = [job for job in todo if not (_path(job) / "judged.csv").is_file()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_leave_with_parent) as pool:
        running = {pool.submit(teach, job): job for job in todo}
        for done in tqdm(as_completed(running), "trainings", len(todo), unit="network"):
            done.result()


def _leave_with_parent() -> None:
    """Ends this process when the one that started it is gone, killed or not."""

    def _watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=_watch, daemon=True).start()


def share_threads(count: int) -> None:
    """Gives each of `count` processes to come its share of the processor."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(max(1, (os.cpu_count() or 1) // count))


def teach(job: Job) -> None:
    """Trains a network without some parts, and writes what it says of them: `judged.csv`."""
    ws, cells = anna.Workspace.locate(), parts_of_real_cells(progress=False)
    network, teaching = settings(job.variant)
    held = cells["part"].isin(list(job.without))
    cells["role"] = np.where(held, "aside", "train")
    pixels = anna.images.load(cells, size=network["size"], cache=ws.arrays, progress=False)
    model = anna.models.build(**network, seed=job.seed)
    fit = anna.training.warm_up if "encoder" in network else anna.training.fit
    fit(model, pixels, cells, folder=_path(job), seed=job.seed, progress=False, **teaching)
    rows = np.flatnonzero(held)
    found = cells.loc[held, ["name", "part", "subject", "group", "label"]]
    found["one view"] = anna.predict.probabilities(model, pixels[rows])
    if network["name"] == "anna":
        found["probability"] = anna.predict.probabilities(
            anna.ensemble.join([model]), pixels[rows], batch_size=32
        )
    else:
        found["probability"] = found["one view"]
    anna.tables.write(found, _path(job) / "judged.csv")


if __name__ == "__main__":
    main()
