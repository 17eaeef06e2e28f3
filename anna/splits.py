"""Who is one person, and who learns, who validates, who tests."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from anna import facts, tables
from anna.folds import fold_of, people_by_class
from anna.patience import patiently

log = logging.getLogger(__name__)
ROLES = ("train", "valid", "test", "unlabelled", "aside")


class LeakError(ValueError):
    """One person, or one image, stands on two sides of a split."""


def groups(cells: pd.DataFrame, *, cache: Path | None = None) -> pd.Series:
    """Returns the person each image is of, str, missing where no subject is known.

    Subjects of whom any two images are the same, pixel by pixel, are one person, named after all of
    them: `20+21`. An image that is all black joins nobody.

    Args:
        cells: Table with `path` and `subject`.
        cache: As in `anna.facts.of`.
    """
    seen = facts.of(cells, cache=cache)
    subject, names = pd.factorize(cells["subject"], sort=True)
    pixels, hashes = pd.factorize(seen["pixel_hash"].where(seen["area"] > 0))
    if not len(names):
        return cells["subject"]
    both = (subject >= 0) & (pixels >= 0)
    nodes = len(names) + len(hashes)
    ends = subject[both], pixels[both] + len(names)
    links = coo_array((np.ones(both.sum()), ends), shape=(nodes, nodes))
    component = connected_components(links, directed=False)[1][: len(names)]
    joined = pd.Series(names).groupby(component).agg("+".join)
    people = dict(zip(names, joined.loc[component], strict=True))
    return tables.typed(cells["subject"].map(people), "str")


def assign(
    cells: pd.DataFrame,
    seed: int = 0,
    *,
    valid: float = 0.2,
    test_subjects: tuple[str, ...] = (),
    folder: Path | None = None,
) -> pd.DataFrame:
    """Returns `cells` with `group` and `role`: "train", "valid", "test", "unlabelled" or "aside".

    The labelled preliminary set is the test. Where it is missing, people of the training set are
    held out for it, and a warning says so. The other training people are split into learning and
    validating, about `valid` of the images, with both classes on each side. Images without label
    are "unlabelled"; unreadable ones and labelled ones that name no person are "aside".

    Args:
        cells: As `anna.cnmc.index` returns it.
        seed: Of the choice among splits that are equally good.
        valid: Share of the training images that validate, between 0 and 0.5.
        test_subjects: Training subjects to test on, in place of the preliminary set.
        folder: Where the split is kept as `splits.csv`, and taken from when it is of the same
            images, people, labels and settings.

    Raises:
        LeakError: If a person would stand on two sides.
        ValueError: If a class has too few people to be on each side, or a subject is unknown.
    """
    if not 0 < valid <= 0.5:
        raise ValueError(f"valid must be above 0 and at most 0.5. Received: {valid}")
    unknown = set(test_subjects) - set(cells.loc[cells["split"] == "train", "subject"].dropna())
    if unknown:
        raise ValueError(f"test_subjects must be training subjects. Received: {sorted(unknown)}")
    cells = cells.assign(group=groups(cells))
    asked = f"seed={seed} valid={valid} test={','.join(sorted(test_subjects))}"
    settings = f"{asked} data={_digest(cells)}"
    held = _held(folder, settings, cells["name"].tolist()) if folder else None
    cells["role"] = _roles(cells, seed, valid, test_subjects) if held is None else held
    check(cells)
    if folder and held is None:
        table = cells[["name", "split", "subject", "group", "label", "role"]]
        table = table.assign(settings=settings)
        tables.write(table, Path(folder) / "splits.csv")
    return cells


def _digest(cells: pd.DataFrame) -> str:
    """Returns a hash of all that a split follows from, but for its settings."""
    table = cells[["name", "split", "group", "label"]]
    table = table.assign(readable=facts.of(cells)["problem"].isna())
    return hashlib.blake2b(table.to_csv(index=False).encode(), digest_size=8).hexdigest()


def _held(folder: Path, settings: str, names: list[str]) -> np.ndarray | None:
    """Returns the roles of the kept split, or None if it is of other images or settings."""
    path = Path(folder) / "splits.csv"
    try:
        kept = patiently(pd.read_csv, path, dtype=str)
        same = kept["name"].tolist() == names and (kept["settings"] == settings).all()
        if not same:
            return None
        if unknown := set(kept["role"]) - {*ROLES}:
            raise ValueError(f"roles must be among {ROLES}. Received: {unknown}")
        return kept["role"].to_numpy()
    except FileNotFoundError:
        return None
    except (ValueError, KeyError) as error:
        log.warning("%s is damaged and is made anew: %s", path, error)
        return None


def _roles(
    cells: pd.DataFrame, seed: int, valid: float, test_subjects: tuple[str, ...]
) -> np.ndarray:
    readable = facts.of(cells)["problem"].isna().to_numpy()
    label, person = cells["label"].notna().to_numpy(), cells["group"].notna().to_numpy()
    trains = (cells["split"] == "train").to_numpy()
    role = np.where(label, "aside", "unlabelled").astype(object)
    learners = trains & label & person & readable
    prelim = ~trains & label & person & readable
    if test_subjects:
        asked = set(cells.loc[cells["subject"].isin(test_subjects), "group"])
        testers = learners & cells["group"].isin(asked).to_numpy()
    elif cells.loc[prelim, "label"].nunique() == 2:
        testers = prelim
    else:
        log.warning(
            "No labelled preliminary set is here: people of the training set are held out to test"
        )
        testers = _part(cells, learners, seed, valid)
    role[testers] = "test"
    learners = learners & ~testers
    role[learners] = "train"
    role[_part(cells, learners, seed, valid)] = "valid"
    return role


def _part(cells: pd.DataFrame, among: np.ndarray, seed: int, share: float) -> np.ndarray:
    """Returns which images, about `share` of those in `among`, stand apart with their people."""
    table = cells[among]
    folds = fold_of(table, k=max(2, min(round(1 / share), people_by_class(table).min())), seed=seed)
    apart = np.zeros(len(cells), bool)
    apart[np.flatnonzero(among)[folds == _fullest(table, folds)]] = True
    got = apart.sum() / among.sum()
    if not 1 / 2 <= got / share <= 2:
        told = "%.0f %% of the images stand apart, %.0f %% were asked for: people are not cut"
        log.warning(told, 100 * got, 100 * share)
    return apart


def _fullest(table: pd.DataFrame, folds: np.ndarray) -> int:
    """Returns the fold with the most people of its rarer class, then the most typical mixture."""
    ratio = (table["label"] == 1).mean()
    ranks = {}
    for fold, part in table.groupby(folds):
        ranks[fold] = (-people_by_class(part).min(), abs((part["label"] == 1).mean() - ratio))
    return min(ranks, key=ranks.get)


def rotations(
    cells: pd.DataFrame, *, k: int = 5, seed: int = 0, valid: float = 0.2
) -> Iterator[pd.DataFrame]:
    """Yields `cells` k times, each time with another fold of people as "test".

    All people of role "train" or "valid" take part; those of the "test" before are "aside".

    Args:
        cells: As `assign` returns it.
        k: Number of folds.
        seed: Of the folds, and of the choice of who validates.
        valid: Share of the rest that validates.
    """
    among = cells["role"].isin(["train", "valid"]).to_numpy()
    fold = np.full(len(cells), -1)
    fold[among] = fold_of(cells[among], k=k, seed=seed)
    for number in range(k):
        role = cells["role"].replace("test", "aside").to_numpy(dtype=object, copy=True)
        role[among] = np.where(fold[among] == number, "test", "train")
        role[_part(cells, role == "train", seed, valid)] = "valid"
        table = cells.assign(role=role)
        check(table)
        yield table


def check(cells: pd.DataFrame) -> None:
    """Checks that every image in use is of a person, and no person in two of train, valid, test.

    Args:
        cells: Table with `group` and `role`; with `subject`, that is looked at, too.

    Raises:
        LeakError: If not; the message names the person.
    """
    used = cells[cells["role"].isin(["train", "valid", "test"])]
    if used["group"].isna().any():
        raise LeakError(
            f"An image in use is of nobody. Received: {used['group'].isna().sum()} images"
        )
    for key in used.columns.intersection(["group", "subject"]):
        roles = used.groupby(key)["role"].agg(lambda role: sorted(set(role)))
        leaks = roles[roles.str.len() > 1]
        if len(leaks):
            raise LeakError(f"People stand on two sides of the split. Received: {leaks.to_dict()}")


def tested_on(cells: pd.DataFrame) -> str:
    """Returns in words which people the role "test" holds."""
    splits = set(cells.loc[cells["role"] == "test", "split"])
    if splits == {"prelim"}:
        return "the preliminary test set"
    return "people held out of the training set" if splits else "nobody"


def listed(cells: pd.DataFrame) -> pd.DataFrame:
    """Returns images and people by role and class: columns `role`, `class`, `images`, `people`."""
    kind = cells["label"].map({1: "ALL", 0: "HEM"}).astype(object).fillna("no label")
    table = cells.assign(**{"class": kind}).groupby(["role", "class"])
    return table.agg(images=("path", "size"), people=("group", "nunique")).reset_index()


def flow(cells: pd.DataFrame) -> pd.DataFrame:
    """Returns images and people of each class (columns) by role (rows)."""
    table = listed(cells).set_index(["role", "class"]).unstack(fill_value=0)
    return table.reindex([role for role in ROLES if role in table.index])
