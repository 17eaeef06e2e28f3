"""Makes the trained ANNa that ships with the package: `make pretrained`.

Networks of the recipe of `brain.py`, a seed each, learn from all the real cells at hand. The
temperature and the offset come from the networks of `brain.py` that were taught without a part, on
that part, so run that before. Stopped and started again, it goes on where it was. Writes
anna/pretrained.keras, and the card beside it.
"""

import argparse
import logging
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import brain
import brain_tables
import keras
import numpy as np
import pandas as pd
from real_cells import PARTS, parts_of_real_cells
from tqdm.auto import tqdm

import anna

SEEDS = (0, 1, 2, 3)
SCORES = {
    "weighted_f1": "weighted F1",
    "mean AUC": "AUC, mean over the parts",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ece": "expected calibration error",
}


def main() -> None:
    """Trains what is missing, joins the networks, writes them and their card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=max(1, os.cpu_count() or 1))
    asked = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    cells = parts_of_real_cells()
    ws = anna.Workspace.locate()
    anna.images.load(cells, size=brain.NETWORK["size"], cache=ws.arrays)
    brain.share_threads(asked.jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.jobs, mp_context=context) as pool:
        places = list(tqdm(pool.map(teach, SEEDS), "networks", len(SEEDS), unit="network"))
    members = [_plain(anna.models.load(place)) for place in places]
    known = calibration()
    model = anna.ensemble.join(members, calibration=known)
    found = _unseen()
    people = anna.metrics.by_subject(found, 0.5)
    record = {
        "data": "C-NMC 2019, doi 10.7937/tcia.2019.dc64i46r, CC BY 3.0",
        "people": sorted(cells["group"].unique()),
        "cells": len(cells),
        "recipe": brain.TEACH | brain.NETWORK | {"seeds": SEEDS},
        "calibration": {"temperature": known.temperature, "offset": known.offset},
        "scores on parts of people not seen": _scores(cells, found),
        "people misjudged for the most part": people.query("accuracy < 0.5")["subject"].tolist(),
    }
    anna.models.save(model, anna.models.PRETRAINED, anna.report.plain(record))
    card = anna.models.PRETRAINED.with_suffix(".md")
    anna.report.write_text(card, _card(record, cells))
    megabytes = anna.models.PRETRAINED.stat().st_size / 1e6
    print(f"{anna.models.PRETRAINED}: {len(members)} networks, {megabytes:.1f} MB")


def teach(seed: int) -> Path:
    """Returns the file of a network taught on all cells."""
    ws, cells = anna.Workspace.locate(), parts_of_real_cells(progress=False)
    pixels = anna.images.load(cells, size=brain.NETWORK["size"], cache=ws.arrays, progress=False)
    model = anna.models.build(**brain.NETWORK, seed=seed)
    folder = ws.models / "pretrained" / str(seed)
    anna.training.fit(
        model,
        pixels,
        cells.assign(role="train"),
        folder=folder,
        seed=seed,
        progress=False,
        **brain.TEACH,
    )
    return folder / "best.keras"


def calibration() -> anna.calibration.Calibration:
    """Returns temperature and offset from all parts, each judged by networks that had not seen it.

    Every network that ships has learnt from every part; nothing is tested on these people here.
    """
    judged = [
        brain_tables.judged(brain.judged, "anna", seed, part)
        for seed in brain.SEEDS
        for part in PARTS
    ]
    if any(table is None for table in judged):
        raise FileNotFoundError("Run the protocol first: make benchmark-brain.")
    return anna.calibration.fit(pd.concat(judged).assign(role="valid"))


def _plain(model: keras.Model) -> keras.Model:
    """Returns the network in float32, which every machine has."""
    plain = anna.models.build(**brain.NETWORK, precision="float32", augment=False)
    kept = {layer.name: layer for layer in model.layers}
    for layer in plain.layers:
        layer.set_weights(kept[layer.name].get_weights())
    return plain


def _unseen() -> pd.DataFrame:
    """Returns what the networks that have not seen a part say of it, together and calibrated."""
    known = brain_tables.calibrations(brain.judged, brain.SEEDS[0])
    return brain_tables.together(brain.judged, brain.SEEDS, known)


def _scores(cells: pd.DataFrame, found: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Returns the scores by method: ANNa's networks together, and what needs no network."""
    rows = {"ANNa": found} | brain_tables.baselines(cells)
    rows = {name: brain_tables.row(each, cells, resamples=0) for name, each in rows.items()}
    return {
        name: {title: float(np.round(row[key], 3)) for key, title in SCORES.items()}
        for name, row in rows.items()
    }


def _card(record: dict, cells: pd.DataFrame) -> str:
    """Returns the card, Markdown."""
    people = cells.groupby("label")["group"].nunique()
    count = cells["label"].value_counts()
    known, recipe = record["calibration"], record["recipe"]
    scores = pd.DataFrame(record["scores on parts of people not seen"]).map("{:.3f}".format)
    scores = anna.card.table(scores.rename_axis("").reset_index().to_dict("records"))
    settings = anna.card.listing({k: v for k, v in recipe.items() if k not in ("name", "seeds")})
    return f"""# The trained ANNa of this package

{len(recipe["seeds"])} networks `anna`, joined: the mean of their log-odds over eight views of a
cell (quarter turns and mirror images), then z / {known["temperature"]:.3f} +
({known["offset"]:.3f}). For research and teaching. **Not for diagnosis.**

```python
import anna

anna.predict.files(anna.models.pretrained(), ["folder/"])
```

## Data

{record["cells"]:,} cells of C-NMC 2019: {count[1]:,} of {people[1]} people with ALL,
{count[0]:,} of {people[0]} healthy people (subjects
{", ".join(record["people"])}).
Gupta A., Gupta R., *ALL Challenge dataset of ISBI 2019 (C-NMC 2019)*, The Cancer Imaging Archive,
2019, doi 10.7937/tcia.2019.dc64i46r, CC BY 3.0. The weights are derived from these images; credit
the data set when you pass them on.
Cells of subjects 4, 5, H11 and H12 had gone through a JPEG of quality 100.

## Recipe

Made by `make pretrained`; every network learns from all the people above.

{settings}

Temperature and offset were found on people whom the networks that judged them had not seen.

## How good

The same recipe on people it had not seen (`make benchmark-brain`), networks together, called ALL
from 0.5 on. Those networks had learnt from four parts of the people; these here from all five.

{scores}

So read a call with care. People of whom fewer than half the cells were judged right:
{", ".join(record["people misjudged for the most part"]) or "none"}.

## Limits

- {people[0]} healthy people taught it. Whether another looks like one of them is luck.
- One collection, one stain, one way of cutting cells out: each cell centred on black, at C-NMC's
  magnification, the central 320 pixels of a 450-pixel image.
- No age, sex or origin of the people is known, so fairness cannot be examined.
- The probabilities are calibrated for a mixture with {count[1] / len(cells):.0%} of ALL.
"""


if __name__ == "__main__":
    main()
