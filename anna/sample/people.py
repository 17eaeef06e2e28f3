"""Who is in the built-in sample: invented people, their cells, and the names of the files."""

from collections.abc import Iterable
from statistics import NormalDist

import numpy as np
import pandas as pd

from anna.sample.shape import Donor, diameter, normal

VERSION = 1
SALT = 19  # with it, size alone gets the real 0.81 in both labelled parts of the default sample
PRELIM = "validation_data/C-NMC_test_prelim_phase_data"
FINAL = "testing_data/C-NMC_test_final_phase_data"
FULL = {"train": 10_661, "prelim": 1_867, "final": 2_586}
SMALLEST = 40
_PUBLISHED = (
    r"(?P<fold>\d)/(?:all|hem)/(?P<name>UID_(?P<subject>[Hh]?\d+)_\d+_\d+_(?P<kind>all|hem)\.bmp)$"
)

# Share of ALL cells, and people of both classes for the square root of the number of cells.
PARTS = {"train": (0.6821, 0.95, 0.63), "prelim": (0.653, 0.55, 0.55), "final": (0.6, 0.7, 0.7)}
MOST = {"train": (47, 26), "prelim": (13, 15), "final": (10, 7)}
LEAST = {"train": (6, 6), "prelim": (2, 2), "final": (1, 1)}
# Subjects who share images, their folds, and how many images they share at full scale.
SHARED = (("20", "21", 71), ("51", "78", 11), ("51", "75", 10), ("H2", "H6", 1), ("H10", "h3", 1))
FOLDS = {"20": 0, "21": 1, "51": 1, "78": 2, "75": 0, "H2": 0, "H6": 1, "H10": 1, "h3": 2}


def plan(*, seed: int = 0, cells: int = 640, names: Iterable[str] = ()) -> pd.DataFrame:
    """The data set on paper, one row a file; nothing is drawn.

    With `names`, paths of training images as published, these are drawn in place of invented ones;
    `cells` then only says how large the other parts are.

    Columns: path (relative), name (with subject and class), split, fold, subject, label, donor
    (a `Donor`), key (tuple of int: seeds the cell), diameter (pixels). Rows with the same key are
    the same image under two names.

    Raises:
        ValueError: if `cells` is out of range, or a name is none of C-NMC's.
    """
    if not SMALLEST <= cells <= FULL["train"]:
        raise ValueError(f"cells must be from {SMALLEST} to {FULL['train']}. Received: {cells}")
    rng = np.random.default_rng([seed, SALT])
    known = _published(names, rng) if (names := sorted(names)) else None
    people = _names(rng, frozenset(() if known is None else known["subject"]))
    parts = [
        known if split == "train" and names else _part(split, count, people, rng)
        for split, count in _counts(cells).items()
    ]
    table = pd.concat(parts, ignore_index=True)
    table = _share(table, cells)
    table["diameter"] = [
        diameter(donor, cell_rng(seed, key))
        for donor, key in zip(table["donor"], table["key"], strict=True)
    ]
    return _paths(table, rng)


def _counts(cells: int) -> dict[str, int]:
    if cells == FULL["train"]:
        return FULL
    return {"train": cells, "prelim": cells // 3, "final": int(np.clip(cells // 26, 4, 24))}


def _published(paths: list[str], rng) -> pd.DataFrame:
    """Rows of the training part by the names under which its images were published."""
    told = pd.Series(paths).str.extract(_PUBLISHED)
    if told["name"].isna().any():
        raise ValueError(
            f"No training image of C-NMC. Received: {paths[told['name'].isna().argmax()]}"
        )
    label = (told["kind"] == "all").astype(int)
    donors = {}
    for kind in (1, 0):
        counts = told.loc[label == kind, "subject"].str.upper().value_counts()
        donors |= zip(counts.index, _donors(kind, counts.tolist(), rng), strict=True)
    person = told["subject"].str.upper()
    number = told.groupby(person).cumcount()
    keys = zip(person.str.strip("H").astype(int), label, number, strict=True)
    return told[["subject", "name"]].assign(
        fold=told["fold"].astype(int),
        split="train",
        label=label,
        donor=person.map(donors),
        key=list(keys),
        path=paths,
    )


def _names(rng, taken: frozenset[str] = frozenset()) -> dict[int, list[str]]:
    """Subject names of each class in the order of their use: those who share images first."""
    names = {}
    for label, highest, mark in ((1, 120, ""), (0, 60, "H")):
        first = [name for name in FOLDS if name.upper().startswith("H") == (label == 0)]
        rest = [f"{mark}{k}" for k in rng.permutation(np.arange(1, highest))]
        unused = [name for name in rest if name not in first and name != "H3"]
        names[label] = [name for name in first + unused if name not in taken]
    return names


def _part(split: str, count: int, names, rng) -> pd.DataFrame:
    """Rows of one part: split, subject, label, donor, key, fold."""
    share, *rates = PARTS[split]
    of_class = {1: round(count * share), 0: count - round(count * share)}
    rows = []
    for label, rate, most, least in zip((1, 0), rates, MOST[split], LEAST[split], strict=True):
        number = int(np.clip(round(rate * count**0.5), least, most))
        subjects = [names[label].pop(0) for _ in range(number)]
        counts = _uneven(of_class[label], number, rng)
        folds = _folds(subjects, counts) if split == "train" else [pd.NA] * number
        for subject, size, fold, donor in zip(
            subjects, counts, folds, _donors(label, counts, rng), strict=True
        ):
            key = (int(subject.strip("Hh")), label)
            rows += [(split, subject, label, donor, (*key, k), fold) for k in range(size)]
    return pd.DataFrame(rows, columns=["split", "subject", "label", "donor", "key", "fold"])


def _quantiles(number: int, rng) -> np.ndarray:
    """Normal quantiles in random order: a small sample with the spread of a large one."""
    values = [NormalDist().inv_cdf((k + 0.5) / number) for k in range(number)]
    return rng.permutation(np.round(values, 6))


def _uneven(total: int, people: int, rng) -> list[int]:
    """`total` cells over `people`: skewed as in the real data, at least one each."""
    floor = min(2, total // people)
    weights = np.round(np.exp(0.85 * _quantiles(people, rng)), 6)
    edges = np.rint(np.cumsum(weights) / weights.sum() * (total - floor * people)).astype(int)
    return (np.diff(edges, prepend=0) + floor).tolist()


def _folds(subjects: list[str], counts: list[int]) -> list[int]:
    """Folds of about equal size: the fixed people first, then the largest to the emptiest."""
    load, folds = [0, 0, 0], {}
    for k in sorted(range(len(subjects)), key=lambda k: (subjects[k] not in FOLDS, -counts[k], k)):
        folds[k] = FOLDS.get(subjects[k], load.index(min(load)))
        load[folds[k]] += counts[k]
    return [folds[k] for k in range(len(subjects))]


def _donors(label: int, counts: list[int], rng) -> list[Donor]:
    """People of one class; the spread of their mean sizes is that of real people."""
    mean, spread = (220.0, 15.0) if label else (187.0, 12.0)
    people = len(counts)
    weights = np.array(counts) / sum(counts)
    sizes = _quantiles(people, rng)
    sizes = sizes - (weights * sizes).sum()
    sizes = np.round(mean + spread * sizes / max((weights * sizes**2).sum() ** 0.5, 0.5), 4)
    stains, maturities, grains, rims, contrasts = (_quantiles(people, rng) for _ in range(5))
    tints = normal(rng, 0, 1.2, (people, 3))
    return [
        Donor(
            label=label,
            diameter=float(sizes[k]),
            stain=float(stains[k] + 0.3 * (1 - label)),
            tint=tuple(tints[k].tolist()),
            maturity=float(0.4 * maturities[k]),
            grain=float(0.75 + 0.07 * grains[k]),
            rim=float(0.15 * rims[k]),
            contrast=float(0.12 * contrasts[k]),
        )
        for k in range(people)
    ]


def _share(table: pd.DataFrame, cells: int) -> pd.DataFrame:
    """The table with some cells of one subject standing under another's name as well."""
    taken, donors, keys = {}, list(table["donor"]), list(table["key"])
    for giver, taker, full in SHARED:
        first = taken.get(giver, 0)
        theirs = table.index[table["subject"] == giver][first:]
        own = table.index[table["subject"] == taker]
        number = min(max(1, round(full * cells / FULL["train"])), len(theirs), len(own) // 2)
        for source, target in zip(theirs[:number], own[:number], strict=True):
            donors[target], keys[target] = donors[source], keys[source]
        taken[giver] = first + number
    return table.assign(donor=donors, key=keys)


def _paths(table: pd.DataFrame, rng) -> pd.DataFrame:
    """The table with name and path where it has none; test images have an order of their own."""
    known = table.reindex(columns=["name", "path"])
    within = table.groupby("subject").cumcount()
    kind = table["label"].map({1: "all", 0: "hem"})
    per_image = 1 + table["subject"].map(lambda name: int(name.strip("Hh")) % 3)
    image, cell = within // per_image + 1, within % per_image + 1
    table["name"] = [
        f"UID_{s}_{i}_{c}_{k}.bmp"
        for s, i, c, k in zip(table["subject"], image, cell, kind, strict=True)
    ]
    table["path"] = [
        f"training_data/fold_{f}/{k}/{n}"
        for f, k, n in zip(table["fold"], kind, table["name"], strict=True)
    ]
    for split, folder in (("prelim", PRELIM), ("final", FINAL)):
        rows = rng.permutation(table.index[table["split"] == split])
        table.loc[rows, "path"] = [f"{folder}/{k}.bmp" for k in range(1, len(rows) + 1)]
    return table.assign(**known.combine_first(table[["name", "path"]]))


def cell_rng(seed: int, key: tuple[int, int, int]) -> np.random.Generator:
    """The generator of one cell, the same whichever thread draws it and when."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SALT, *key)))
