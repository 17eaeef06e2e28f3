"""What needs no network: size alone, a forest, every cell called ALL, labels in wrong order."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from anna import facts, features, metrics

_KEPT = ["name", "subject", "group", "role", "label", "drawn"]


def size_alone(cells: pd.DataFrame) -> pd.DataFrame:
    """Returns predictions from the area of the bounding box, learnt from role "train".

    A logistic regression on the logarithm of the area. A network that does no better has learnt
    nothing but size. Columns as of `anna.predict.cells`.

    Args:
        cells: As `anna.splits.assign` returns it.
    """
    train = (cells["role"] == "train").to_numpy()
    area = _log_area(cells)
    model = LogisticRegression().fit(area[train], cells.loc[train, "label"].astype(int))
    return cells[_KEPT].assign(probability=model.predict_proba(area)[:, 1])


def size_over_people(cells: pd.DataFrame, *, k: int = 5, seed: int = 0) -> pd.DataFrame:
    """Returns predictions as `size_alone`, each learnt from other people, before any split is made.

    Args:
        cells: Labelled rows with `group`; role becomes "valid".
        k: Folds over people, fewer if a class has fewer people.
        seed: Of the folds.
    """
    label = cells["label"].astype(int)
    k = min(k, cells.groupby("label")["group"].nunique().min())
    folds = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    found = cross_val_predict(
        LogisticRegression(),
        _log_area(cells),
        label,
        groups=cells["group"],
        cv=folds,
        method="predict_proba",
    )
    return cells.assign(role="valid")[_KEPT].assign(probability=found[:, 1])


def forest(
    cells: pd.DataFrame, *, seed: int = 0, cache: Path | None = None, progress: bool = True
) -> pd.DataFrame:
    """Returns predictions from 15 measures of size, stain and chromatin, learnt from role "train".

    A random forest (Breiman 2001) of 500 trees on `anna.features.FEATURES`, both classes weighing
    alike. A network that does no better has learnt nothing that one could not have measured.
    Columns as of `anna.predict.cells`.

    Args:
        cells: As `anna.splits.assign` returns it.
        seed: Of the trees.
        cache: The CSV that keeps the measures; by default `features.csv` of the workspace.
        progress: Whether to show a bar while images are measured.
    """
    train = (cells["role"] == "train").to_numpy()
    seen = features.of(cells, cache=cache, progress=progress)
    model = RandomForestClassifier(
        500, min_samples_leaf=5, class_weight="balanced", random_state=seed
    )
    model.fit(seen[train], cells.loc[train, "label"].astype(int))
    return cells[_KEPT].assign(probability=model.predict_proba(seen)[:, 1])


def _log_area(cells: pd.DataFrame) -> np.ndarray:
    seen = facts.of(cells, progress=False)
    area = (seen["box_width"] * seen["box_height"]).fillna(0).to_numpy()
    return np.log1p(area)[:, None]


def all_positive(found: pd.DataFrame) -> pd.DataFrame:
    """Returns the predictions with every cell called ALL."""
    return found.assign(probability=1.0)


def listing_order(count: int) -> np.ndarray:
    """Returns which row of the label CSV stands at each place of a sorted listing, int (count,).

    The preliminary images are named 1.bmp, 2.bmp, …; a listing sorts them as 1, 10, 100, ….
    """
    return np.array(sorted(range(count), key=lambda row: f"{row + 1}.bmp"))


def reenact(
    found: pd.DataFrame, threshold: float, *, numbers: pd.Series | None = None
) -> pd.DataFrame:
    """Returns how calls score with labels joined by name, and with labels in listing order.

    The original took its images from a listing and its labels from the CSV's rows, so that each
    label stood beside another image. Columns: `order`, `accuracy`, `sensitivity`, `fall_out`,
    `auc`, `weighted_f1`.

    Args:
        found: Predictions of the test set, labels joined by name.
        threshold: From which probability a cell is called ALL.
        numbers: The number of each image in its file name; by default its place in `found`.
    """
    number = pd.Series(range(len(found)), found.index) if numbers is None else numbers
    in_csv = found.iloc[np.argsort(number.to_numpy(), kind="stable")].reset_index(drop=True)
    listed = in_csv.iloc[listing_order(len(in_csv))].reset_index(drop=True)
    wrong = listed.assign(label=in_csv["label"])
    rows = []
    for order, table in (("by name", in_csv), ("in listing order", wrong)):
        scores = metrics.evaluate(table, threshold, resamples=0)["value"]
        names = ["accuracy", "sensitivity", "fall_out", "auc", "weighted_f1"]
        rows.append({"order": order} | scores[names].to_dict())
    return pd.DataFrame(rows)
