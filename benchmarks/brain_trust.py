"""The tables about trust: what disturbances cost, and what the evidence is worth."""

import keras
import numpy as np
import pandas as pd
from real_cells import PARTS

import anna
from anna import plots


def judges(folder, variant: str, seed: int, known: dict) -> dict:
    """Returns the network that has not seen a part, and its calibration, by part."""
    place = {part: folder(variant, seed, part).parent / "best.keras" for part in PARTS}
    return {part: (anna.models.load(place[part]), known[part]) for part in PARTS}


def robustness(
    cells: pd.DataFrame, pixels: np.ndarray, networks: dict, *, name: str = ""
) -> pd.DataFrame:
    """Returns `anna.robustness.sweep` over all cells, each judged out of its part.

    One view each: a mean over several would hide what turning does. Saves a figure of a name.
    """
    table = anna.robustness.sweep(_judge(cells["part"], networks), pixels, cells, 0.5)
    if name:
        plots.save(plots.robustness(table), anna.Workspace.locate().viz / f"{name}_robustness.png")
    return table


def deletion(
    cells: pd.DataFrame, pixels: np.ndarray, networks: dict, *, name: str, count: int = 100
) -> pd.DataFrame:
    """Returns the areas under the deletion curves of `count` cells a part; saves a figure."""
    some = np.sort(np.concatenate([_some(cells, part, count) for part in PARTS]))
    shown, part = pixels[some], cells["part"].to_numpy()[some]
    maps = {name: [None] * len(some) for name in ("evidence", "mask")}
    for each in PARTS:
        rows = np.flatnonzero(part == each)
        for key, found in anna.predict.maps(networks[each][0], shown[rows]).items():
            for row, one in zip(rows, found, strict=True):
                maps[key][row] = one
    evidence, masks = np.stack(maps["evidence"]), np.stack(maps["mask"])
    judge = _judge(pd.Series(part), networks)
    rows = []
    for patch in (1, 4):
        for fill in ("mean", "black"):
            curve = anna.deletion.curve(judge, shown, evidence, masks, patch=patch, fill=fill)
            rows.append({"patch": patch, "fill": fill} | anna.deletion.areas(curve).to_dict())
            if (patch, fill) == (4, "mean"):
                figure = plots.deletion(curve)
    plots.save(figure, anna.Workspace.locate().viz / f"{name}_deletion.png")
    return pd.DataFrame(rows).assign(cells=len(some))


def likeness(
    cells: pd.DataFrame, pixels: np.ndarray, networks: dict, *, count: int = 100
) -> pd.DataFrame:
    """Returns which share of a part is unlike, by the network that has not seen it, what it learnt.

    Of all cells of the part, of the person who has most, and of `count` cells changed each way.
    """
    rows = {}
    for part in PARTS:
        model, held = networks[part][0], (cells["part"] == part).to_numpy()
        people = cells["group"].to_numpy()
        known = anna.likeness.fit_network(
            model, pixels, np.flatnonzero(~held), people=people[~held]
        )
        judge = anna.likeness.beside(model, known)
        beyond = pd.Series(_unlike(judge, pixels[held]) > 1).groupby(people[held])
        rows[part] = {"as they are": beyond.obj.mean(), "most of a person": beyond.mean().max()}
        some = pixels[_some(cells, part, count)]
        rows[part] |= {way: (_unlike(judge, each(some)) > 1).mean() for way, each in ODD.items()}
    return pd.DataFrame(rows).T.rename_axis("part").reset_index()


def _unlike(judge: keras.Model, pixels: np.ndarray) -> np.ndarray:
    return anna.predict.said(judge, pixels)[:, 1]


def _noisy(pixels: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 12, pixels.shape)
    inside = pixels.any(axis=-1, keepdims=True)
    return (np.clip(pixels + noise, 1, 255) * inside).astype(np.uint8)


def _half(pixels: np.ndarray) -> np.ndarray:
    small = np.stack([anna.crops.scaled(image, 0.5) for image in pixels])
    edge = (pixels.shape[1] - small.shape[1]) // 2
    return np.pad(small, ((0, 0), (edge, edge), (edge, edge), (0, 0)))


def _grey(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)


ODD = {
    "noise": _noisy,
    "blur 3 px": lambda pixels: anna.robustness.blur(pixels, 3.0),
    "half the size": _half,
    "grey": _grey,
    "half a cell": lambda pixels: pixels * (np.arange(pixels.shape[2]) < 64)[:, None],
}
"""Changes that leave no cell of C-NMC, by what they are called."""


def _some(cells: pd.DataFrame, part: str, count: int) -> np.ndarray:
    rows = np.flatnonzero(cells["part"] == part)
    return np.random.default_rng(0).choice(rows, min(count, len(rows)), replace=False)


def _judge(part: pd.Series, networks: dict):
    """Returns a judge who asks, for each cell, the network that has not seen its part."""

    def _judged(pixels: np.ndarray) -> np.ndarray:
        found = np.empty(len(pixels))
        for name, (model, known) in networks.items():
            rows = np.flatnonzero(part == name)
            found[rows] = known.apply(anna.predict.probabilities(model, pixels[rows], batch_size=8))
        return found

    return _judged
