"""What a linear probe of photographs' features is worth on real people it has not seen.

    make benchmark-probe                     # from ../shared/data, or ANNA_INPUT=/data

The five parts of people are those of `brain.py`. Nothing of a part's own is chosen by hand: the
strength of the probe's penalty and its temperature come from the other four parts, each judged by
a probe of the other three. Nothing is drawn at random, so there are no seeds. A pass over
the cells takes minutes; the passes are kept in output/arrays, so that a stopped run goes on. Prints
tables, and writes them to output/csv/probe_*.csv.
"""

import hashlib
from collections.abc import Iterator

import brain_tables
import brain_trust
import keras
import numpy as np
import pandas as pd
import probe_tables
from real_cells import PARTS, parts_of_real_cells

import anna
from anna.layers import Views

SIZE = 320
VIEWS = 2
FINE = 64  # channels of the first two levels
EVERY = 4  # of which cells one is disturbed


def main() -> None:
    """Reads what is missing, then prints the tables."""
    cells = parts_of_real_cells()
    for name, table in tables(cells):
        anna.tables.write(table, anna.Workspace.locate().csv / f"probe_{name}.csv")
        print(f"\n{name}\n{table.round(3).to_string(index=False)}", flush=True)


def tables(cells: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields the tables by name."""
    views = read(cells)
    said = probe_tables.judge(views, cells)
    found, known = probe_tables.unseen(said, cells)
    methods = _methods(cells, views, found, known)
    own = dict(methods.set_index("method").loc["anna, probe"])
    yield "methods", methods
    yield "people", anna.metrics.by_subject(found.assign(drawn=False), 0.5)
    yield "calibration", _calibration(cells, said, known, own["ece"])
    yield "ingredients", _ingredients(cells, views, own)
    some = cells.iloc[::EVERY].reset_index(drop=True)
    pixels = anna.images.load(cells, size=SIZE, cache=anna.Workspace.locate().arrays)[::EVERY]
    networks = dict(_networks(cells, views, known))
    yield "robustness", brain_trust.robustness(some, pixels, networks, name="probe")
    yield "deletion", brain_trust.deletion(some, pixels, networks, name="probe", count=8)


def read(cells: pd.DataFrame, *, kind: str = "imagenet", views: int = VIEWS) -> np.ndarray:
    """Returns the features of the cells, float32 (views, n, c), read or kept.

    Args:
        cells: As `parts_of_real_cells` returns them.
        kind: "imagenet"; or "scratch", with a backbone that knows nothing.
        views: The first of those of `anna.layers.Views`.
    """
    ws = anna.Workspace.locate()
    key = hashlib.blake2b("".join(cells["name"]).encode(), digest_size=4).hexdigest()
    paths = [ws.arrays / f"probe_{key}_{SIZE}_{kind}{number}.npy" for number in range(views)]
    if not all(path.is_file() for path in paths):
        keras.utils.set_random_seed(0)
        model = anna.probe.build(SIZE, weights=None if kind == "scratch" else kind)
        pixels = anna.images.load(cells, size=SIZE, cache=ws.arrays)
        for number, path in enumerate(paths):
            if not path.is_file():
                found = anna.probe.features(model, _Turned(pixels, number))
                anna.workspace.write_whole(path, lambda part, found=found: np.save(part, found))
    return np.stack([np.load(path, allow_pickle=False) for path in paths])


class _Turned:
    """Pixels in one of the views, made when they are asked for."""

    def __init__(self, pixels: np.ndarray, view: int):
        self.pixels, self.view, self.views = pixels, view, Views(VIEWS, dtype="uint8")

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: slice) -> np.ndarray:
        part = np.ascontiguousarray(self.pixels[rows])
        return np.asarray(self.views(part)).reshape(VIEWS, *part.shape)[self.view]


def _methods(
    cells: pd.DataFrame, views: np.ndarray, found: pd.DataFrame, known: dict
) -> pd.DataFrame:
    """Returns the scores of what needs no network, and of the probe in both ways of judging."""
    free = probe_tables.unseen(probe_tables.judge(views, cells, alike=0.0), cells)[1]
    judged = brain_tables.baselines(cells) | {
        "anna, probe": found,
        "anna, probe, each person left out": probe_tables.one_by_one(views, cells, known),
        "the same without the penalty on people": probe_tables.one_by_one(
            views, cells, free, alike=0.0
        ),
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


def _ingredients(cells: pd.DataFrame, views: np.ndarray, own: dict) -> pd.DataFrame:
    """Returns the scores with each ingredient left out or another in its place."""
    half = views.shape[-1] // 2
    fine = np.r_[0:FINE, half : half + FINE]
    flat = views.copy()
    flat[..., -1] = 0  # says nothing
    others = {
        "with one view of two": (views[:1], {}),
        "without centring the stain": (np.delete(views, np.s_[half:-1], axis=2), {}),
        "with the centred stain alone": (views[..., half:], {}),
        "without the term for size": (flat, {}),
        "without the penalty on people": (views, {"alike": 0.0}),
        "without the two fine levels": (np.delete(views, fine, axis=2), {}),
        "backbone from scratch, one view": (read(cells, kind="scratch", views=1), {}),
    }
    rows = {"anna, probe": own}
    for name, (found, options) in others.items():
        judged, _ = probe_tables.unseen(probe_tables.judge(found, cells, **options), cells)
        rows[name] = brain_tables.row(judged, cells, resamples=0)
    table = pd.DataFrame(rows).T.drop(columns=["low", "high"])
    for name, gain in (("weighted_f1", "lost F1"), ("mean AUC", "lost AUC")):
        table[gain] = own[name] - table[name]
    return table.rename_axis("variant").reset_index()


def _networks(cells: pd.DataFrame, views: np.ndarray, known: dict) -> Iterator[tuple[str, tuple]]:
    """Yields each part with the network that has not seen it, and its calibration."""
    for part in PARTS:
        held = (cells["part"] == part).to_numpy()
        strength, calibration = known[part]
        model = anna.probe.build(SIZE, weights="imagenet")
        anna.probe.put(model, taught(cells[~held], views[:, ~held], strength))
        yield part, (model, calibration)


def taught(cells: pd.DataFrame, views: np.ndarray, strength: float) -> anna.probe.Probe:
    """Returns the probe of these cells."""
    labels, people = cells["label"].to_numpy(int), cells["group"].to_numpy()
    return anna.probe.fit(views, labels, people, strength=strength)


if __name__ == "__main__":
    main()
