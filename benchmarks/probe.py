"""What the trained ANNa's recipe is worth on real people it has not seen, and its probe at rest.

    make benchmark-probe                     # from ../shared/data, or ANNA_INPUT=/data

The recipe is that of `tuned.py`, the five parts of people are those of `brain.py`. Nothing of a
part's own is chosen by hand: the strength of the probe's penalty and the temperatures come from the
other parts, each judged by what has seen neither. Drawn by lot is how cells are disturbed, and in
which order they teach. What has been read and trained is kept in output/, so that a stopped run
goes on. Prints tables, and writes them to output/csv/probe_*.csv.
"""

from collections.abc import Callable, Iterator

import brain_tables
import brain_trust
import numpy as np
import pandas as pd
import probe_features
import probe_tables
import tuned
from probe_features import EVERY, SIZE
from probe_tables import Odds, Seen
from real_cells import PARTS, parts_of_real_cells
from scipy.special import expit

import anna

ANNA, PROBE = "anna", "its probe at rest"
FINE = 64  # channels of the first two levels
FREE = {"people": {"alike": 0.0}, "disturbance": {"steady": 0.0}}  # without a penalty


def main() -> None:
    """Reads and trains what is missing, then prints the tables."""
    cells = parts_of_real_cells()
    for name, table in tables(cells):
        anna.tables.write(table, anna.Workspace.locate().csv / f"probe_{name}.csv")
        print(f"\n{name}\n{table.round(3).to_string(index=False)}", flush=True)


def tables(cells: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields the tables by name."""
    seen = probe_features.seen(cells)
    said, of_probe = tuned.judge(seen, cells), probe_tables.judge(seen, cells)
    found, known = probe_tables.unseen(said, cells)
    methods = _methods(cells, seen, found, of_probe)
    own = dict(methods.set_index("method").loc[ANNA])
    yield "methods", methods
    yield "people", anna.metrics.by_subject(found.assign(drawn=False), 0.5)
    yield "calibration", _calibration(cells, said, known, own["ece"])
    yield "ingredients", _ingredients(cells, seen, own, of_probe)
    some = cells.iloc[::EVERY].reset_index(drop=True)
    pixels = anna.images.load(cells, size=SIZE, cache=anna.Workspace.locate().arrays)[::EVERY]
    kept = tuned.Kept.of(cells)
    networks = {part: (tuned.teach(seen, cells, kept, out=part), known[part]) for part in PARTS}
    yield "robustness", _robustness(cells, seen, networks, (some, pixels), of_probe)
    yield "deletion", brain_trust.deletion(some, pixels, networks, name="probe", count=8)


def _methods(cells: pd.DataFrame, seen: Seen, found: pd.DataFrame, of_probe: Odds) -> pd.DataFrame:
    """Returns the scores of what needs no network, of ANNa, and of its probe at rest."""
    at_rest, known = probe_tables.unseen(of_probe, cells)
    judged = brain_tables.baselines(cells) | {
        ANNA: found,
        PROBE: at_rest,
        f"{PROBE}, each person left out": probe_tables.one_by_one(seen, cells, known),
    }
    rows = {name: brain_tables.row(each, cells) for name, each in judged.items()}
    return pd.DataFrame(rows).T.rename_axis("method").reset_index()


def _calibration(cells: pd.DataFrame, said: dict, known: dict, after: float) -> pd.DataFrame:
    odds = np.full(len(cells), np.nan)
    for part, (strength, _) in known.items():
        rows = (cells["part"] == part).to_numpy()
        odds[rows] = said[part, strength][rows]
    plain = brain_tables.row(probe_tables.predictions(cells, odds), cells, resamples=0)
    return probe_tables.settings(known, plain["ece"], after)


def _ingredients(cells: pd.DataFrame, seen: Seen, own: dict, of_probe: Odds) -> pd.DataFrame:
    """Returns the scores of ANNa, of its probe at rest, and of probes that lack something."""
    half = seen.views.shape[-1] // 2
    fine = np.r_[0:FINE, half : half + FINE]
    flat = seen.views.copy()
    flat[..., -1] = 0  # says nothing
    scratch = probe_features.read(cells, kind="scratch", views=1)
    others = {
        "with one view of two": Seen(seen.views[:1], seen.changes),
        "without centring the stain": seen.without(np.arange(half, 2 * half)),
        "with the centred stain alone": seen.without(np.arange(half)),
        "without the term for size": Seen(flat, seen.changes),
        "without the two fine levels": seen.without(fine),
        "backbone from scratch, one view": Seen(scratch, np.zeros_like(seen.changes)),
    }
    said = {PROBE: of_probe}
    for name, options in FREE.items():
        said[f"{PROBE}, without the penalty on {name}"] = probe_tables.judge(seen, cells, **options)
    for name, each in others.items():
        said[f"{PROBE}, {name}"] = probe_tables.judge(each, cells)
    rows = {ANNA: own}
    for name, each in said.items():
        judged, _ = probe_tables.unseen(each, cells)
        rows[name] = brain_tables.row(judged, cells, resamples=0)
    table = pd.DataFrame(rows).T.drop(columns=["low", "high"])
    for name, gain in (("weighted_f1", "lost F1"), ("mean AUC", "lost AUC")):
        table[gain] = own[name] - table[name]
    return table.rename_axis("variant").reset_index()


def _robustness(
    cells: pd.DataFrame,
    seen: Seen,
    networks: dict,
    data: tuple[pd.DataFrame, np.ndarray],
    of_probe: Odds,
) -> pd.DataFrame:
    """Returns what disturbance costs cells out of their part, ANNa and its probe at rest.

    One view each. Saves a figure of the first.
    """
    some, pixels = data
    table = brain_trust.robustness(some, pixels, networks, name="probe")
    judge = _judge(cells, seen, probe_tables.unseen(of_probe, cells)[1])
    rest = anna.robustness.sweep(judge, pixels, some, 0.5)
    return table.assign(**{"lost by the probe at rest": rest["lost"]})


def _judge(cells: pd.DataFrame, seen: Seen, known: dict) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a judge of one cell in `EVERY`, by the probe that has not seen its part."""
    part = cells["part"].to_numpy()
    learnt = {
        name: probe_tables.taught(cells, seen, part != name, strength=known[name][0])
        for name in PARTS
    }

    def _judged(pixels: np.ndarray) -> np.ndarray:
        found, probability = probe_features.of_pixels(pixels), np.empty(len(pixels))
        for name, probe in learnt.items():
            rows = part[::EVERY] == name
            probability[rows] = expit(probe.log_odds(found[rows]) / known[name][1].temperature)
        return probability

    return _judged


if __name__ == "__main__":
    main()
