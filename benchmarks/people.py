"""Scores on people held out of a real C-NMC: size alone, anna-2020 and anna, trained alike.

    ANNA_INPUT=/data python benchmarks/people.py --test 32 33 23 H22 --epochs 12

The epoch and the threshold come from validation people among the rest. Stopped and started again,
it goes on where it was. Prints a table and writes it as CSV beside the models.
"""

import argparse
import logging

import pandas as pd

import anna


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--test", nargs="+", required=True, help="subjects to judge on")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", nargs="*", default=["anna-2020", "anna"])
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    ws = anna.Workspace.locate()
    root = anna.cnmc.find(ws.input)
    if root is None:
        parser.error(f"no C-NMC below ANNA_INPUT. Received: {ws.input}")
    cells = anna.cnmc.index(root)
    if cells["drawn"].any():
        parser.error(f"these cells are drawn, not real. Received: {root}")
    cells = cells[cells["split"] == "train"].reset_index(drop=True)
    cells = anna.splits.assign(cells, seed=asked.seed, test_subjects=tuple(asked.test))
    pixels = anna.images.load(cells, size=asked.size, cache=ws.arrays)
    folder = ws.models / "held-out" / f"{'-'.join(sorted(asked.test))}-{asked.size}-{asked.seed}"
    found = {"size alone": anna.baselines.size_alone(cells)}
    found = {"every cell ALL": anna.baselines.all_positive(found["size alone"])} | found
    for name in asked.networks:
        model = anna.models.build(name, size=asked.size, seed=asked.seed)
        run = anna.training.fit(
            model, pixels, cells, folder=folder / name, epochs=asked.epochs, seed=asked.seed
        )
        found[name] = anna.predict.cells(run.model, pixels, cells)
    print(anna.splits.flow(cells), "\n")
    table = scores(found)
    anna.tables.write(table.reset_index(), folder / "scores.csv")
    test = cells["role"] == "test"
    about = {"epochs": asked.epochs, "size": asked.size, "seed": asked.seed, "test": asked.test}
    about |= {"learn": sorted(cells.loc[~test, "group"].unique()), "cells": int((~test).sum())}
    anna.report.write_json(folder / "about.json", about)
    print(table.to_string())


def scores(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Returns the scores on the test people, a column a method."""
    judged = {}
    for name, table in found.items():
        valid = table[table["role"] == "valid"]
        fixed = name == "every cell ALL"
        threshold = 0.5 if fixed else anna.metrics.choose_threshold(valid)
        judged[name] = anna.metrics.evaluate(table[table["role"] == "test"], threshold)
    return anna.metrics.compare(judged)


if __name__ == "__main__":
    main()
