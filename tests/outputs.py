"""Small output folders as notebook 4 leaves them, of drawn predictions, without any training."""

import shutil

import numpy as np
import pandas as pd
from tables import predictions

from anna import finished, metrics, plots, report
from anna import tables as disk

PEOPLE = {"train": (5, 4), "valid": (3, 3), "test": (5, 5)}


def everyone(*, seed=0, skill=1.2, drawn=False):
    """Predictions on people who teach, validate and test, each with names of their own."""
    parts = []
    for place, (role, people) in enumerate(PEOPLE.items()):
        part = predictions(people, (5, 12), seed=10 * place, role=role, drawn=drawn)
        for column in ("subject", "group"):
            part[column] = role[-1] + part[column]
        part["name"] = role[-1] + part["name"] + ".bmp"
        parts.append(part)
    found = pd.concat(parts, ignore_index=True)
    noise = np.random.default_rng(seed).normal(0, 2 / skill, len(found))
    logits = np.log(found["probability"] / (1 - found["probability"]))
    found["probability"] = 1 / (1 + np.exp(-logits - noise))
    return found


def write(folder, *, found=None, drawn=False, resamples=200, pictures=("confusion",), **settings):
    """Returns the folder of a run: results.json, model_card.json, tables, copies of a picture."""
    found = found or {
        "anna": everyone(seed=1, skill=3, drawn=drawn),
        "size alone": everyone(seed=2, skill=0.8, drawn=drawn),
    }
    test = {name: table[table["role"] == "test"] for name, table in found.items()}
    scores = {name: metrics.evaluate(one, 0.4, resamples=resamples) for name, one in test.items()}
    first = next(iter(found.values()))
    data = {"images": len(first), "drawn": drawn, "tested on": "the preliminary test set"}
    about = {
        "preparation": {"size": 32, "crop": 320, "valid": 0.2, "seed": 0},
        "runs": {"anna": {"settings": {"seed": 0, "schedule": "cosine"} | settings}},
        "model_file": "models/anna/best.keras",
    }
    for name, table in found.items():
        disk.write(table, folder / "csv" / f"predictions {name}.csv")
    facts_of(first, folder)
    judged = {name: (table, 0.4) for name, table in test.items()}
    if pictures:
        plots.save(plots.curves(judged), folder / "viz" / "curves.png")
    for name in pictures:
        shutil.copy(folder / "viz" / "curves.png", folder / "viz" / f"{name}.png")
    results = report.results(test, scores, settings=about, data=data)
    results["files"] = finished.left(folder)
    report.write_json(folder / "results.json", results)
    report.write_json(folder / "model_card.json", report.card_values(results))
    return folder


def facts_of(found, folder):
    """Writes prepared.csv, facts.csv and problems.csv of made-up images."""
    paths = "/data/" + found["name"]
    prepared = found.drop(columns="probability").assign(path=paths)
    disk.write(prepared, folder / "csv" / "prepared.csv")
    diameter = np.random.default_rng(0).normal(200, 20, len(found)) + 20 * found["label"]
    facts = pd.DataFrame({"path": paths, "diameter": diameter.astype(float)})
    facts["pixel_hash"] = "hash of " + found["name"]
    disk.write(facts, folder / "csv" / "facts.csv")
    problems = pd.DataFrame({"path": paths[:2], "problem": "identical pixels", "detail": ""})
    disk.write(problems, folder / "csv" / "problems.csv")
