"""What a linear probe of photographs' features is worth on real people it has not seen.

    make benchmark-probe                     # from ../shared/data, or ANNA_INPUT=/data

The five parts of people are those of `brain.py`. Nothing of a part's own is chosen by hand: the
strength of the probe's penalty and its temperature come from the other four parts, each judged by
a probe of the other three. Drawn by lot is only how the cells
are disturbed that teach what to be steady against. A pass over
the cells takes minutes; the passes are kept in output/arrays, so that a stopped run goes on. Prints
tables, and writes them to output/csv/probe_*.csv.
"""

from collections.abc import Callable, Iterator

import brain_tables
import brain_trust
import numpy as np
import pandas as pd
import probe_features
import probe_tables
from probe_features import EVERY, SIZE
from probe_tables import Seen
from real_cells import PARTS, parts_of_real_cells
from scipy.special import expit

import anna
from anna import plots

FEW = ("block1", "block4", "block7", "block10", "block14")  # one level a scale, two at a 16th
FREE = {"people": {"alike": 0.0}, "disturbance": {"steady": 0.0}}  # without a penalty


def main() -> None:
    """Reads what is missing, then prints the tables."""
    cells = parts_of_real_cells()
    for name, table in tables(cells):
        anna.tables.write(table, anna.Workspace.locate().csv / f"probe_{name}.csv")
        print(f"\n{name}\n{table.round(3).to_string(index=False)}", flush=True)


def tables(cells: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields the tables by name."""
    seen = probe_features.seen(cells)
    said = probe_tables.judge(seen, cells)
    found, known = probe_tables.unseen(said, cells)
    free = {name: probe_tables.judge(seen, cells, **options) for name, options in FREE.items()}
    methods = _methods(cells, seen, found, known, free)
    own = dict(methods.set_index("method").loc["anna, probe"])
    yield "methods", methods
    yield "people", anna.metrics.by_subject(found.assign(drawn=False), 0.5)
    yield "calibration", _calibration(cells, said, known, own["ece"])
    yield "ingredients", _ingredients(cells, seen, own, free)
    some = cells.iloc[::EVERY].reset_index(drop=True)
    pixels = anna.images.load(cells, size=SIZE, cache=anna.Workspace.locate().arrays)[::EVERY]
    yield "robustness", _robustness(cells, seen, known, some, pixels)
    networks = dict(_networks(cells, seen, known))
    yield "deletion", brain_trust.deletion(some, pixels, networks, name="probe", count=8)


def _methods(
    cells: pd.DataFrame, seen: Seen, found: pd.DataFrame, known: dict, free: dict[str, dict]
) -> pd.DataFrame:
    """Returns the scores of what needs no network, and of the probe in both ways of judging."""
    judged = brain_tables.baselines(cells) | {
        "anna, probe": found,
        "anna, probe, each person left out": probe_tables.one_by_one(seen, cells, known),
    }
    for name, said in free.items():
        judged[f"the same without the penalty on {name}"] = probe_tables.one_by_one(
            seen, cells, probe_tables.unseen(said, cells)[1], **FREE[name]
        )
    rows = {name: brain_tables.row(each, cells) for name, each in judged.items()}
    return pd.DataFrame(rows).T.rename_axis("method").reset_index()


def _calibration(cells: pd.DataFrame, said: dict, known: dict, after: float) -> pd.DataFrame:
    odds = np.full(len(cells), np.nan)
    for part, (strength, _) in known.items():
        rows = (cells["part"] == part).to_numpy()
        odds[rows] = said[part, strength][rows]
    plain = brain_tables.row(probe_tables.predictions(cells, odds), cells, resamples=0)
    return probe_tables.settings(known, plain["ece"], after)


def _ingredients(cells: pd.DataFrame, seen: Seen, own: dict, free: dict[str, dict]) -> pd.DataFrame:
    """Returns the scores with each ingredient left out or another in its place."""
    finest = min(anna.probe.LEVELS.values())
    flat = seen.views.copy()
    flat[..., -1] = 0  # says nothing
    scratch = probe_features.read(cells, kind="scratch")
    others = {
        "with the mirror image, too": Seen(probe_features.read(cells, views=2), seen.changes),
        "without half the resolution": seen.without(_at(lambda tap: tap.scale == 2)),
        "with half the resolution alone": seen.without(_at(lambda tap: tap.scale == 1)),
        "without centring the stain": seen.without(_at(lambda tap: tap.sight == "centred")),
        "with the centred stain alone": seen.without(_at(lambda tap: tap.sight == "raw")),
        "without the term for size": Seen(flat, seen.changes),
        "without the finest levels": seen.without(_at(lambda tap: tap.share == finest)),
        "five levels of sixteen": seen.without(_at(lambda tap: tap.block not in FEW)),
        "backbone from scratch": Seen(scratch, np.zeros_like(seen.changes)),
    }
    said = {f"without the penalty on {name}": each for name, each in free.items()}
    said |= {name: probe_tables.judge(each, cells) for name, each in others.items()}
    rows = {"anna, probe": own}
    for name, each in said.items():
        judged, _ = probe_tables.unseen(each, cells)
        rows[name] = brain_tables.row(judged, cells, resamples=0)
    table = pd.DataFrame(rows).T.drop(columns=["low", "high"])
    for name, gain in (("weighted_f1", "lost F1"), ("mean AUC", "lost AUC")):
        table[gain] = own[name] - table[name]
    return table.rename_axis("variant").reset_index()


def _at(chosen: Callable[[anna.probe.Tap], bool]) -> np.ndarray:
    """Returns the numbers of the features that are read at the chosen taps."""
    taps = anna.probe.TAPS
    return np.flatnonzero(np.repeat([chosen(tap) for tap in taps], [tap.channels for tap in taps]))


def _robustness(
    cells: pd.DataFrame, seen: Seen, known: dict, some: pd.DataFrame, pixels: np.ndarray
) -> pd.DataFrame:
    """Returns what disturbance costs cells out of their part, with and without the penalty on it.

    Saves a figure of the first.
    """
    ways = {"with": {}, "without": FREE["disturbance"]}
    sweeps = {
        name: anna.robustness.sweep(_judge(cells, seen, known, options), pixels, some, 0.5)
        for name, options in ways.items()
    }
    path = anna.Workspace.locate().viz / "probe_robustness.png"
    plots.save(plots.robustness(sweeps["with"]), path)
    table = sweeps["with"]
    return table.assign(**{"lost without the penalty": sweeps["without"]["lost"]})


def _judge(
    cells: pd.DataFrame, seen: Seen, known: dict, options: dict
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a judge of one cell in `EVERY`, by the probe that has not seen its part."""
    part = cells["part"].to_numpy()
    learnt = {
        name: probe_tables.taught(cells, seen, part != name, strength=known[name][0], **options)
        for name in PARTS
    }

    def _judged(pixels: np.ndarray) -> np.ndarray:
        found, probability = probe_features.of_pixels(pixels), np.empty(len(pixels))
        for name, probe in learnt.items():
            rows = part[::EVERY] == name
            probability[rows] = expit(known[name][1].moved(probe.log_odds(found[rows])))
        return probability

    return _judged


def _networks(cells: pd.DataFrame, seen: Seen, known: dict) -> Iterator[tuple[str, tuple]]:
    """Yields each part with the network that has not seen it, and its calibration."""
    for part in PARTS:
        strength, calibration = known[part]
        model = anna.probe.build(SIZE, weights="imagenet")
        taught = (cells["part"] != part).to_numpy()
        anna.probe.put(model, probe_tables.taught(cells, seen, taught, strength=strength))
        yield part, (model, calibration)


if __name__ == "__main__":
    main()
