"""How well nucleus and cell are found: U-Net against Otsu's thresholds, on hand-drawn masks.

    python benchmarks/segmenter.py --data ../shared/data/wbc_masks

Five folds over both data sets of Zheng et al. (2018): a U-Net learns from four parts of both and is
judged on the fifth, so every image is judged once, by a network that has not seen it. The
channels that Otsu's thresholds read are chosen on the same four parts, for each data set. Dice is
measured at each image's own resolution. Stopped and started again, no fold is trained twice.
"""

import argparse
import itertools
import os
from pathlib import Path

import numpy as np
import pandas as pd

import anna
from anna import masks, models, otsu, segment, wbc
from anna.plots import segmentation

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
UNET, OTSU, MULTI = "U-Net", "Otsu (OpenCV)", "multi-Otsu (scikit-image)"
SETTINGS = {
    OTSU: (otsu.otsu, list(itertools.product(otsu.CHANNELS, repeat=2))),
    MULTI: (otsu.multi_otsu, [(name,) for name in otsu.CHANNELS]),
}
SEEN = {"dataset_1": 1, "dataset_2": 3}  # times an epoch: a third as many cells, each seen thrice
SHOWN = (0.9, 0.5, 0.1, 0.0)  # quantiles of the mean Dice of the cells in the figure


def main() -> None:
    """Prints the table."""
    asked = arguments()
    ws = anna.Workspace.locate()
    folder = ws.models / "segmenter"
    cells = wbc.index(asked.root, seed=asked.seed)
    images, drawn = wbc.load(cells)
    found = unet(images, drawn, cells, folder, asked)
    judged = [scored(cells, drawn, found, UNET)]
    judged += [scored(cells, drawn, *thresholds(images, drawn, cells, name)) for name in SETTINGS]
    judged = pd.concat(judged, ignore_index=True)
    anna.tables.write(judged, ws.csv / "segmenter_cells.csv")
    table = summary(judged)
    anna.tables.write(table, ws.csv / "segmenter.csv")
    anna.plots.save(figure(judged, images, drawn, found), ws.viz / "segmenter.png")
    print(table.round(4).to_string(index=False))
    print(by_fold(judged).round(4).to_string())


def arguments() -> argparse.Namespace:
    """Returns what was asked for, the folder of the data in `root`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("ANNA_REAL_DATA") or DATA, type=Path)
    parser.add_argument("--size", type=int, default=segment.SIZE)
    parser.add_argument("--epochs", type=int, default=segment.EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.root = wbc.find(asked.data)
    if asked.root is None:
        parser.error(f"no dataset_1 and dataset_2 are there. Received: {asked.data}")
    return asked


def unet(
    images: list, drawn: list, cells: pd.DataFrame, folder: Path, asked: argparse.Namespace
) -> list[np.ndarray]:
    """Returns the mask of each cell by the network of its fold."""
    found = [None] * len(cells)
    for fold in sorted(cells["fold"].unique()):
        judge = np.flatnonzero(cells["fold"] == fold)
        model = trained(images, drawn, cells, folder / f"fold-{fold}.keras", asked)
        for row, mask in zip(
            judge, segment.segment(model, [images[i] for i in judge]), strict=True
        ):
            found[row] = mask
        part = [found[i] for i in judge]
        table = scored(cells.iloc[judge], [drawn[i] for i in judge], part, UNET)
        anna.tables.write(table, folder / f"fold-{fold}.csv")
    return found


def trained(images: list, drawn: list, cells: pd.DataFrame, path: Path, asked: argparse.Namespace):
    """Returns the network of the fold that `path` is named for, trained unless it was before."""
    learn = np.flatnonzero(cells["fold"] != int(path.stem.removeprefix("fold-")))
    learn = np.repeat(learn, cells["dataset"].iloc[learn].map(SEEN))
    record = {"size": asked.size, "epochs": asked.epochs, "seed": asked.seed}
    record["learnt"] = cells["name"].iloc[learn].tolist()
    if not path.is_file() or models.record(path) != record:
        model = segment.build(asked.size, seed=asked.seed)
        segment.fit(
            model,
            [images[i] for i in learn],
            [drawn[i] for i in learn],
            epochs=asked.epochs,
            seed=asked.seed,
        )
        models.save(model, path, record)
    return models.load(path)


def thresholds(
    images: list, drawn: list, cells: pd.DataFrame, name: str
) -> tuple[list[np.ndarray], str]:
    """Returns the mask of each cell, by the channels best on the other folds of its data set."""
    method, settings = SETTINGS[name]
    scores = otsu.scores(images, drawn, method, settings)
    found = []
    for image, dataset, fold in zip(images, cells["dataset"], cells["fold"], strict=True):
        learn = ((cells["dataset"] == dataset) & (cells["fold"] != fold)).to_numpy()
        found.append(method(image, *scores[learn].mean().idxmax()))
    return found, name


def scored(cells: pd.DataFrame, drawn: list, found: list, method: str) -> pd.DataFrame:
    """Returns one row a cell: Dice of nucleus and cell, and the ratio drawn and found."""
    scores = pd.DataFrame(
        [
            masks.dice(truth, mask)
            | {
                "ratio_drawn": masks.nucleus_to_cell(truth),
                "ratio_found": masks.nucleus_to_cell(mask),
            }
            for truth, mask in zip(drawn, found, strict=True)
        ],
        index=cells.index,
    )
    return cells[["name", "dataset", "fold"]].assign(method=method).join(scores)


def summary(judged: pd.DataFrame) -> pd.DataFrame:
    """Returns one row a data set and method: means, sd over images, sd of the folds' means."""
    rows = []
    for (dataset, method), part in judged.groupby(["dataset", "method"], sort=False):
        row = {"dataset": dataset, "method": method, "images": len(part)}
        folds = part.groupby("fold")[["nucleus", "cell"]].mean()
        for name in ("nucleus", "cell"):
            row |= {name: part[name].mean(), f"{name}_sd": part[name].std()}
            row |= {f"{name}_sd_folds": folds[name].std(), f"{name}_least": part[name].min()}
        gap = part["ratio_found"].fillna(0) - part["ratio_drawn"]
        row |= {"ratio_error": gap.abs().mean(), "ratio_bias": gap.mean(), "ratio_sd": gap.std()}
        rows.append(row | {"ratio_r": part["ratio_found"].corr(part["ratio_drawn"])})
    return pd.DataFrame(rows).sort_values("dataset", kind="stable", ignore_index=True)


def by_fold(judged: pd.DataFrame) -> pd.DataFrame:
    """Returns the U-Net's mean Dice in each fold."""
    part = judged[judged["method"] == UNET]
    return part.groupby(["dataset", "fold"])[["nucleus", "cell"]].mean().unstack("fold")


def figure(judged: pd.DataFrame, images: list, drawn: list, found: list):
    """Returns the figure of a good, a middling, a poor and the worst cell of each data set."""
    part = judged[judged["method"] == UNET].reset_index(drop=True)
    order = part.assign(mean=part[["nucleus", "cell"]].mean(axis=1)).sort_values("mean")
    rows = []
    for dataset in wbc.DATASETS:
        own = order.index[order["dataset"] == dataset]
        rows += [own[round(quantile * (len(own) - 1))] for quantile in SHOWN]
    return segmentation.contours(
        *([part_of[i] for i in rows] for part_of in (images, drawn, found)),
        titles=[part.loc[i, "name"].removeprefix("dataset_") for i in rows],
        notes=[note(part.loc[i]) for i in rows],
    )


def note(row: pd.Series) -> tuple[str, str]:
    """Returns what stands below the contours by hand and below those found."""
    dice = f"Dice {row['nucleus']:.2f}, {row['cell']:.2f}"
    return f"N:C {row['ratio_drawn']:.2f}", f"N:C {row['ratio_found']:.2f}\n{dice}"


if __name__ == "__main__":
    main()
