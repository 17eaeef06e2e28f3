"""The protocol of `probe.py`: a part of the people has no say in what judges it."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from real_cells import PARTS
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

import anna

STRENGTHS = (1e-2, 1e-1)
Odds = dict[tuple[str, float], np.ndarray]  # unseen parts and strength, to log-odds of all cells


@dataclass(frozen=True)
class Seen:
    """What probes are taught by.

    Attributes:
        views: Features of the cells, float (views, n, c), the last of them the size.
        changes: By how much disturbance moves them, float (ways, n, c); NaN for cells left alone.
    """

    views: np.ndarray
    changes: np.ndarray

    def without(self, channels: np.ndarray) -> "Seen":
        """Returns the same without these channels."""
        return Seen(*(np.delete(each, channels, axis=2) for each in (self.views, self.changes)))


def taught(
    cells: pd.DataFrame, seen: Seen, rows: np.ndarray, *, strength: float, **options
) -> anna.probe.Probe:
    """Returns the probe of these rows, bool (n,); `options` are those of `anna.probe.fits`."""
    return _taught(cells, seen, rows, strengths=(strength,), **options)[0]


def _taught(cells: pd.DataFrame, seen: Seen, rows: np.ndarray, **options) -> list[anna.probe.Probe]:
    labels, people = cells["label"].to_numpy(int)[rows], cells["group"].to_numpy()[rows]
    changes = seen.changes[:, rows].reshape(-1, seen.changes.shape[-1])
    changes = changes[~np.isnan(changes).any(axis=1)]
    return anna.probe.fits(seen.views[:, rows], labels, people, changes=changes, **options)


def judge(
    seen: Seen, cells: pd.DataFrame, *, strengths: tuple[float, ...] = STRENGTHS, **options
) -> Odds:
    """Returns what probes taught without one part, and without two, say of every cell.

    Log-odds (n,), the mean over the views; NaN where a probe has seen the cell's part.

    Args:
        seen: Row by row as the cells.
        cells: With `part`, `label` and `group`.
        strengths: To choose from.
        **options: Of `anna.probe.fits`.
    """
    part, said = cells["part"].to_numpy(), {}
    for count in (1, 2):
        for out in combinations(PARTS, count):
            held = np.isin(part, out)
            probes = _taught(cells, seen, ~held, strengths=strengths, **options)
            for strength, learnt in zip(strengths, probes, strict=True):
                odds = np.full(len(cells), np.nan)
                odds[held] = learnt.log_odds(seen.views[:, held]).mean(axis=0)
                said["".join(out), strength] = odds
    return said


def choose(said: Odds, cells: pd.DataFrame, part: str = "") -> tuple[float, np.ndarray]:
    """Returns the best strength for probes that will judge a part, and the log-odds behind it.

    Each of the other four parts is judged by a probe that has seen neither it nor the part; the
    best has the highest mean AUC. The log-odds are NaN in the part itself. Without a part, all
    five choose, for a probe that will judge none of them.
    """
    scores = {}
    for strength in sorted({strength for _, strength in said}):
        odds = np.full(len(cells), np.nan)
        for other in PARTS:
            if other != part:
                rows = (cells["part"] == other).to_numpy()
                odds[rows] = said["".join(sorted(part + other)), strength][rows]
        scores[strength] = (mean_auc(odds, cells), odds)
    best = max(scores, key=lambda strength: scores[strength][0])
    return best, scores[best][1]


def mean_auc(odds: np.ndarray, cells: pd.DataFrame) -> float:
    """Returns the mean of the AUC within each part; parts without log-odds do not count."""
    judged = cells.assign(odds=odds).dropna(subset="odds")
    return float(np.mean([roc_auc_score(t["label"], t["odds"]) for _, t in judged.groupby("part")]))


def unseen(
    said: Odds, cells: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, tuple[float, anna.calibration.Calibration]]]:
    """Returns calibrated out-of-part predictions, and each part's strength and calibration."""
    known, odds = {}, np.full(len(cells), np.nan)
    for part in PARTS:
        strength, inner = choose(said, cells, part)
        rows = (cells["part"] == part).to_numpy()
        known[part] = strength, calibration(predictions(cells, inner), cells[~rows])
        odds[rows] = known[part][1].moved(said[part, strength][rows])
    return predictions(cells, odds), known


def one_by_one(seen: Seen, cells: pd.DataFrame, known: dict, **options) -> pd.DataFrame:
    """Returns predictions of each person by a probe of all the others.

    Strength and calibration are those of the person's part, which come from the other parts.
    `options` are those of `anna.probe.fits`.
    """
    odds = np.full(len(cells), np.nan)
    for person, rows in cells.groupby("group").indices.items():
        strength, own = known[cells["part"].iloc[rows[0]]]
        others = (cells["group"] != person).to_numpy()
        learnt = taught(cells, seen, others, strength=strength, **options)
        odds[rows] = own.moved(learnt.log_odds(seen.views[:, rows]).mean(axis=0))
    return predictions(cells, odds)


def calibration(found: pd.DataFrame, taught: pd.DataFrame) -> anna.calibration.Calibration:
    """Returns a calibration: a temperature, and the log-odds of ALL among those who taught.

    The temperature is that of people who are not judged, each counting alike. Probe and U-Net learn
    with the classes alike; the offset gives them back their shares. It is not found by how cells
    were judged: what so few people could tell of it is mostly who they are.

    Args:
        found: Predictions of people who are not judged, by what has not seen them.
        taught: The cells that what is calibrated has learnt from.
    """
    weights = 1 / found.groupby("group")["group"].transform("size")
    fitted = anna.calibration.fit(found.assign(role="valid"), weights=weights, offset=False)
    return replace(fitted, offset=float(logit(taught["label"].mean())))


def predictions(cells: pd.DataFrame, odds: np.ndarray) -> pd.DataFrame:
    """Returns predictions as `anna.metrics` takes them, of the cells that have log-odds."""
    found = cells[["name", "part", "subject", "group", "label"]]
    return found.assign(probability=expit(odds)).dropna(subset="probability")


def settings(known: dict, before: float, after: float) -> pd.DataFrame:
    """Returns what each part's probe was given by the other four, and the calibration error."""
    rows = [
        {
            "part": part,
            "strength": strength,
            "temperature": each.temperature,
            "offset": each.offset,
        }
        for part, (strength, each) in known.items()
    ]
    return pd.DataFrame([*rows, {"part": "pooled", "ece before": before, "ece after": after}])
