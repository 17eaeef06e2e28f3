"""The probe of `probe.py` with the last blocks of its backbone taught on, from where it stands.

    python benchmarks/tuned.py               # trains what is missing; `probe.py` makes the tables

One network is taught without each part, and one without each two neighbours, round in a ring: a
part is calibrated by what those say of its neighbours that have seen neither. Each cell is turned
by lot, and three in five are disturbed, as files are: so the network sees what it is to be steady
against. What the blocks that rest say is kept, so that a network takes minutes without a GPU;
stopped and started again, it goes on where it was.
"""

import hashlib
import logging
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import probe_features
import probe_tables
from probe_features import SIZE, VIEWS
from probe_tables import Odds, Seen
from real_cells import PARTS, parts_of_real_cells
from scipy.special import logit
from tqdm.auto import tqdm

import anna

STRENGTH = 0.1  # of the probe to start from: what every part had chosen for the probe alone
PLAN = {
    "epochs": 2,
    "learning_rate": 1e-4,
    "schedule": "cosine",
    "balance": "people",
    "smoothing": 0.05,
    "clip": 1.0,
}
NEIGHBOURS = tuple(
    "".join(sorted(two)) for two in zip(PARTS, [*PARTS][1:] + [*PARTS][:1], strict=True)
)
UNTOUCHED = 0.4  # share of the cells that are turned only


def main() -> None:
    """Trains what is missing."""
    logging.basicConfig(level=logging.WARNING)
    cells = parts_of_real_cells()
    judge(probe_features.seen(cells), cells)


def judge(seen: Seen, cells: pd.DataFrame, *, seed: int = 0) -> Odds:
    """Returns what networks taught without one part, and without two neighbours, say of those.

    Log-odds (n,), the mean over the views; NaN where a network has seen the cell's part.

    Args:
        seen: What the probes are taught by.
        cells: As `parts_of_real_cells` returns them.
        seed: Of the order of the cells.
    """
    said, kept = {}, Kept.of(cells)
    for out in (*PARTS, *NEIGHBOURS):
        path = place(out, seed) / "judged.csv"
        held = cells["part"].isin(list(out)).to_numpy()
        if not path.is_file():
            model = teach(seen, cells, kept, out=out, seed=seed)
            plain = anna.images.load(cells, size=SIZE, cache=anna.Workspace.locate().arrays)
            joined = anna.ensemble.join([model], views=VIEWS)
            found = cells.loc[held, ["name", "part", "group", "label"]]
            found["probability"] = anna.predict.probabilities(joined, plain[np.flatnonzero(held)])
            anna.tables.write(found, path)
        odds = np.full(len(cells), np.nan)
        odds[held] = logit(anna.tables.read(path)["probability"].clip(1e-7, 1 - 1e-7))
        said[out, STRENGTH] = odds
    return said


def place(out: str, seed: int) -> Path:
    """Returns the folder of the network taught without these parts."""
    return anna.Workspace.locate().models / "tuned" / f"{out or 'nobody'}-{seed}"


def teach(
    seen: Seen, cells: pd.DataFrame, kept: "Kept", *, out: str = "", seed: int = 0
) -> keras.Model:
    """Returns the network taught without these parts; it goes on where it was stopped."""
    held = cells["part"].isin(list(out)).to_numpy()
    network, folder = anna.probe.build(SIZE, weights="imagenet"), place(out, seed)
    learnt = probe_tables.taught(cells, seen, ~held, strength=STRENGTH)
    anna.probe.put(network, learnt)
    anna.probe.loosen(network)
    after = anna.halves.after(network)
    start = folder.with_name(f"{folder.name}-start.keras")
    if not start.is_file():
        anna.models.save(after, start)
    inside = kept.beside(anna.halves.others(network, learnt, kept.found))
    table = cells.assign(role=np.where(held, "aside", "train"))
    anna.training.fit(after, inside, table, folder=folder, seed=seed, start=start, **PLAN)
    return network


@dataclass(frozen=True)
class Kept:
    """What the first half of the network says of the cells, turned and disturbed by lot.

    Attributes:
        maps: float16 (n, s, s, c), as `anna.halves.before` returns them.
        found: Features, float32 (n, c), as `anna.probe.features` returns them.
        other: float (n,), as `anna.halves.others` returns it, for the second half.
    """

    maps: np.ndarray
    found: np.ndarray
    other: np.ndarray | None = None
    dtype = np.dtype("float32")

    @classmethod
    def of(cls, cells: pd.DataFrame) -> "Kept":
        """Returns them of all cells, read or kept."""
        ws = anna.Workspace.locate()
        key = hashlib.blake2b("".join(cells["name"]).encode(), digest_size=4).hexdigest()
        folder = ws.arrays / f"tuned_{key}_{SIZE}"
        if not folder.is_dir():
            pixels = anna.images.load(cells, size=SIZE, cache=ws.arrays)
            anna.workspace.write_whole(folder, lambda part: _write(part, pixels))
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("maps", "found")))

    def beside(self, other: np.ndarray) -> "Kept":
        """Returns what the second half takes."""
        return replace(self, other=other)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what the second half takes."""
        return (*self.maps.shape[:3], self.maps.shape[3] + 1)

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        maps = self.maps[rows].astype(self.dtype)
        other = np.broadcast_to(self.other[rows][:, None, None, None], (*maps.shape[:3], 1))
        return np.concatenate([maps, other], axis=-1, dtype=self.dtype)


def _write(folder: Path, pixels: np.ndarray, batch: int = 8) -> None:
    network = anna.probe.build(SIZE, weights="imagenet")
    both = [anna.halves.before(network).output, anna.probe.reader(network).output]
    read = keras.Model(network.input, both)
    maps, found = [], []
    turned = anna.pool.each(_changed, enumerate(tqdm(pixels, "first half", unit="cell")))
    while some := list(islice(turned, batch)):
        for each, new in zip((maps, found), read.predict_on_batch(np.stack(some)), strict=True):
            each.append(np.asarray(new))
    folder.mkdir()
    np.save(folder / "maps.npy", np.concatenate(maps, dtype=np.float16, casting="same_kind"))
    np.save(folder / "found.npy", np.concatenate(found))


def _changed(numbered: tuple[int, np.ndarray]) -> np.ndarray:
    """Returns one cell turned, mirrored and disturbed, by a lot of its own."""
    number, cell = numbered
    rng = np.random.default_rng([1, number])
    cell = np.rot90(cell, rng.integers(4))[:, :: rng.choice([1, -1])]
    cell = np.ascontiguousarray(cell)[None]
    if rng.random() >= UNTOUCHED:
        ways = list(probe_features.WAYS.values())[::-1]  # a file is compressed last
        used = rng.random(len(ways)) < 0.5
        used[rng.integers(len(ways))] = True
        for disturb in np.array(ways)[used]:
            cell = disturb(cell, rng)
    return cell[0]


if __name__ == "__main__":
    main()
