"""The tables of `brain.py`: the methods part by part, what an ingredient is worth, calibration."""

from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import probe_tables
from real_cells import PARTS
from scipy.special import expit, logit

import anna

SCORES = ("weighted_f1", "sensitivity", "specificity", "ece")
Place = Callable[[str, int, str], Path]  # variant, seed and parts not seen, to what was judged


def judged(place: Place, variant: str, seed: int, without: str) -> pd.DataFrame | None:
    """Returns what a network says of the parts it has not seen, None if it is not trained yet."""
    path = place(variant, seed, without)
    return anna.tables.read(path) if path.is_file() else None


def of_part(cells: pd.DataFrame, part: str) -> pd.DataFrame:
    """Returns the cells with the part as "test" and the others as "train"."""
    return cells.assign(role=np.where(cells["part"] == part, "test", "train"))


def baselines(cells: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Returns out-of-part predictions of what needs no network, called ALL from 0.5 on."""
    size, forest = [], []
    for part in PARTS:
        table = of_part(cells, part)
        alone = anna.baselines.size_alone(table)
        learnt = alone[alone["role"] == "train"]
        threshold = anna.metrics.choose_threshold(learnt)
        size.append(_from_half(alone, threshold)[alone["role"] == "test"])
        found = anna.baselines.forest(table, progress=False)
        forest.append(found[found["role"] == "test"])
    size, forest = pd.concat(size), pd.concat(forest)
    return {
        "every cell ALL": anna.baselines.all_positive(size),
        "size alone": size,
        "forest of 15 features": forest,
    }


def _from_half(found: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Returns predictions whose log-odds are moved so that the threshold becomes a half."""
    odds = logit(found["probability"].clip(1e-7, 1 - 1e-7))
    return found.assign(probability=expit(odds - logit(threshold)))


def by_shares(cells: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Returns predictions of networks taught with classes alike, at the classes' true shares.

    The log-odds rise by those of ALL among the cells that taught.
    """
    tables = []
    for part, table in found.groupby("part"):
        share = cells.loc[cells["part"] != part, "label"].mean()
        known = anna.calibration.Calibration(offset=float(logit(share)))
        tables.append(_calibrated(table, known))
    return pd.concat(tables)


def calibrations(
    cells: pd.DataFrame, place: Place, seed: int
) -> dict[str, anna.calibration.Calibration]:
    """Returns each part's calibration, found on the other four by networks that saw neither."""
    found = {}
    for part in PARTS:
        others = []
        for two in combinations(PARTS, 2):
            if part in two:
                table = judged(place, "anna", seed, "".join(two))
                others.append(table[table["part"] != part])
        found[part] = probe_tables.calibration(pd.concat(others), cells[cells["part"] != part])
    return found


def alone(place: Place, seed: int, known: dict) -> pd.DataFrame:
    """Returns one seed's out-of-part predictions, calibrated."""
    return pd.concat(_calibrated(judged(place, "anna", seed, part), known[part]) for part in PARTS)


def together(place: Place, seeds: tuple[int, ...], known: dict) -> pd.DataFrame:
    """Returns the predictions of all networks that have not seen a part, calibrated."""
    tables = []
    for part in PARTS:
        members = [judged(place, "anna", seed, part) for seed in seeds]
        for two in combinations(PARTS, 2):
            if part in two:
                both = judged(place, "anna", seeds[0], "".join(two))
                members.append(both[both["part"] == part])
        odds = [logit(each["probability"].clip(1e-7, 1 - 1e-7)).to_numpy() for each in members]
        mean = members[0].assign(probability=expit(np.mean(odds, axis=0)))
        tables.append(_calibrated(mean, known[part]))
    return pd.concat(tables)


def _calibrated(found: pd.DataFrame, known: anna.calibration.Calibration) -> pd.DataFrame:
    return found.assign(probability=known.apply(found["probability"]))


def row(found: pd.DataFrame, cells: pd.DataFrame, *, resamples: int = 2000) -> dict:
    """Returns the scores of out-of-part predictions: pooled, with intervals, and part by part."""
    found = found.drop(columns=["part", "group"], errors="ignore")
    found = found.merge(cells[["name", "part", "group"]], on="name", validate="one_to_one")
    pooled = anna.metrics.evaluate(found, 0.5, resamples=resamples)
    parts = {part: anna.metrics.evaluate(t, 0.5, resamples=0) for part, t in found.groupby("part")}
    auc = {f"AUC {part}": scores.loc["auc", "value"] for part, scores in parts.items()}
    low, high = pooled.loc["weighted_f1", ["low", "high"]]
    return (
        {name: pooled.loc[name, "value"] for name in SCORES}
        | {"low": low, "high": high, "mean AUC": np.mean(list(auc.values()))}
        | auc
        | {f"F1 {part}": scores.loc["weighted_f1", "value"] for part, scores in parts.items()}
    )


def methods(cells: pd.DataFrame, place: Place, seeds: tuple[int, ...]) -> pd.DataFrame:
    """Returns the scores of every method that is there, a row each."""
    rows = {name: row(found, cells) for name, found in baselines(cells).items()}
    old = [judged(place, "anna-2020", seeds[0], part) for part in PARTS]
    if all(table is not None for table in old):
        rows["anna-2020, labels right"] = row(pd.concat(old), cells)
    known = calibrations(cells, place, seeds[0])
    single = [row(alone(place, seed, known), cells) for seed in seeds]
    for seed, scores in zip(seeds, single, strict=True):
        rows[f"anna, seed {seed}"] = scores
    table = pd.DataFrame(single)
    rows["anna, mean of seeds"] = table.mean().to_dict() | {"low": np.nan, "high": np.nan}
    rows["anna, spread of seeds"] = table.std(ddof=1).to_dict() | {"low": np.nan, "high": np.nan}
    rows["anna, networks together"] = row(together(place, seeds, known), cells)
    return pd.DataFrame(rows).T.rename_axis("method").reset_index()


def ingredients(
    cells: pd.DataFrame, place: Place, variants: Iterable[str], seed: int
) -> pd.DataFrame:
    """Returns the scores of `single` and what each variant loses against the first of them."""
    first, *rest = variants
    table = single(cells, place, [first, *rest], seed).set_index("variant")
    if first not in table.index:
        return table.iloc[:0].reset_index()
    one = [judged(place, first, seed, part) for part in PARTS]
    found = pd.concat(one).drop(columns="probability").rename(columns={"one view": "probability"})
    table.loc["with one view of eight"] = row(by_shares(cells, found), cells, resamples=0)
    for name, gain in (("weighted_f1", "lost F1"), ("mean AUC", "lost AUC")):
        table[gain] = table.loc[first, name] - table[name]
    return table.reset_index()


def single(cells: pd.DataFrame, place: Place, variants: Iterable[str], seed: int) -> pd.DataFrame:
    """Returns the scores of the variants that are there, one seed, at the classes' true shares."""
    rows = {}
    for variant in variants:
        parts = [judged(place, variant, seed, part) for part in PARTS]
        if all(table is not None for table in parts):
            rows[variant] = row(by_shares(cells, pd.concat(parts)), cells, resamples=0)
    table = pd.DataFrame(rows).T.drop(columns=["low", "high"], errors="ignore")
    return table.rename_axis("variant").reset_index()


def calibration(cells: pd.DataFrame, place: Place, seeds: tuple[int, ...]) -> pd.DataFrame:
    """Returns each part's temperature and offset, and the error of the pooled probabilities."""
    known = calibrations(cells, place, seeds[0])
    plain = {part: anna.calibration.Calibration() for part in PARTS}
    rows = [
        {"part": part, "temperature": each.temperature, "offset": each.offset}
        for part, each in known.items()
    ]
    both = {"before": plain, "after": known}
    errors = {
        f"ece {when}": row(together(place, seeds, each), cells, resamples=0)["ece"]
        for when, each in both.items()
    }
    return pd.DataFrame([*rows, {"part": "pooled"} | errors])
