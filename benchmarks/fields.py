"""How well nucleated cells are found in whole fields: thresholds against a U-Net.

    python benchmarks/fields.py
    python benchmarks/fields.py --network

Drawn fields have a known truth: each cell found is matched with a drawn one at an intersection over
union of 0.5. Real crops of Zheng et al. (2018), where they are there, show one cell each: it is
found once if one found cell alone holds more than 15 % of its nucleus. The calls of the trained
ANNa are compared with those of the same drawn cells cut out along their true outline. With
`--network` a small U-Net is first taught by other drawn fields, minutes on a processor, and judged
beside. The thresholds' settings were chosen with drawn fields of other seeds and with the real
crops in sight.
"""

import argparse
import functools
import os
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

import anna
from anna import detection, field_evidence, fields, models, segment, smear, wbc
from anna.sample import fields as drawn

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SCALES = {"dataset_1": 4.0, "dataset_2": 2.0}  # a lymphocyte is about 45 and 100 pixels wide
KINDS = {
    "plain": {"cells": 10, "touching": 0.3, "red_cells": 0.3},
    "crowded": {"cells": 14, "touching": 0.7, "red_cells": 0.5},
    "other stain, cytoplasm": {"cells": 10, "cytoplasm": 0.4, "tint": 1.0, "red_cells": 0.5},
    "with granulocytes": {"cells": 8, "granulocytes": 3, "red_cells": 0.5},
}
FIRST, TAUGHT = 1000, 10_000  # seeds of the fields that are judged, and that teach
FILTERS = (8, 16, 32, 64, 64)


def main() -> None:
    """Prints the tables."""
    asked = arguments()
    ws = anna.Workspace.locate()
    methods = {"thresholds": None}
    if asked.network:
        methods["U-Net, drawn fields"] = network(ws.models / "smear" / "unet.keras", asked)
    table = pd.concat([of_drawn(asked.fields, *method) for method in methods.items()])
    anna.tables.write(table, ws.csv / "fields_drawn.csv")
    print(table.round(3).to_string(index=False))
    root = wbc.find(asked.data)
    if root is not None:
        table = pd.concat([of_real(root, *method) for method in methods.items()])
        anna.tables.write(table, ws.csv / "fields_real.csv")
        print(table.round(3).to_string(index=False))
    table = of_calls(asked.judged, ws.viz / "field.png")
    anna.tables.write(table, ws.csv / "fields_calls.csv")
    print(table.round(3).to_string(index=False))


def arguments() -> argparse.Namespace:
    """Returns what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("ANNA_REAL_DATA") or DATA, type=Path)
    parser.add_argument("--fields", type=int, default=6, help="drawn fields of each kind")
    parser.add_argument("--judged", type=int, default=4, help="drawn fields whose calls to compare")
    parser.add_argument("--network", action="store_true", help="teach and judge a U-Net, too")
    parser.add_argument("--taught", type=int, default=60, help="drawn fields that teach it")
    parser.add_argument("--epochs", type=int, default=20)
    return parser.parse_args()


@functools.cache
def field_of(kind: str, number: int) -> drawn.Field:
    """Returns a drawn field that no method has learnt from."""
    return drawn.draw(FIRST + number, **KINDS[kind])


def of_drawn(count: int, name: str, segmenter: keras.Model | None) -> pd.DataFrame:
    """Returns one row a kind of drawn field: how well cells are found."""
    rows = []
    for kind in KINDS:
        made = [field_of(kind, k) for k in range(count)]
        found = [smear.find(field.pixels, segmenter=segmenter) for field in made]
        truth = [field.labels for field in made]
        pairs = zip(truth, found, strict=True)
        overlap = np.concatenate([detection.overlaps(*pair).max(axis=1) for pair in pairs])
        row = {"method": name, "fields": kind, "number": count} | detection.scores(truth, found)
        rows.append(row | {"median_overlap": np.median(overlap)})
    return pd.DataFrame(rows)


def of_real(root: Path, name: str, segmenter: keras.Model | None) -> pd.DataFrame:
    """Returns one row a data set: the share of its cells found once, not at all, more than once."""
    cells, rows = wbc.index(root), []
    for dataset, scale in SCALES.items():
        images, truth = wbc.load(cells[cells["dataset"] == dataset], progress=False)
        labels = [smear.find(image, scale=scale, segmenter=segmenter) for image in images]
        times = np.array([times_found(*pair) for pair in zip(truth, labels, strict=True)])
        overlap = [
            detection.overlaps((mask > 0).astype(int), found).max(initial=0)
            for mask, found in zip(truth, labels, strict=True)
        ]
        row = {"method": name, "dataset": dataset, "cells": len(times)}
        row |= {"once": (times == 1).mean(), "not_found": (times == 0).mean()}
        rows.append(row | {"more_than_once": (times > 1).mean(), "mean_overlap": np.mean(overlap)})
    return pd.DataFrame(rows)


def times_found(mask: np.ndarray, labels: np.ndarray) -> int:
    """Returns how many found cells hold more than 15 % of the nucleus drawn by hand."""
    held = np.bincount(labels[mask == 2], minlength=1)[1:]
    return int((held > 0.15 * (mask == 2).sum()).sum())


def of_calls(count: int, picture: Path) -> pd.DataFrame:
    """Returns how far the calls are those of the same cells cut out along their true outline.

    The first field's figure goes to `picture`.
    """
    model, pairs = models.pretrained(), []
    for k in range(count):
        field = field_of("plain", k)
        cells, labels = fields.of_image(model, field.pixels)
        crops = fields.resized(model, fields.cutouts(field.pixels, field.labels))
        by_hand = anna.predict.probabilities(model, crops)
        for truth, number in detection.matched(field.labels, labels):
            row = cells.iloc[number - 1]
            if pd.notna(row["probability"]):
                pairs.append((by_hand[truth - 1], row["probability"]))
        if k == 0:
            evidence = field_evidence.of_field(model, field.pixels, labels)
            figure = anna.plots.field(field.pixels, cells, evidence=evidence, drawn=True)
            anna.plots.save(figure, picture)
            with Image.open(picture) as large:
                small = large.convert("RGB").resize(
                    (1000, round(1000 * large.height / large.width))
                )
            small.quantize(96).save(picture, optimize=True)  # a third of the bytes
    one, other = np.array(pairs).T
    return pd.DataFrame(
        {
            "cells": [len(one)],
            "correlation": [np.corrcoef(one, other)[0, 1]],
            "mean_difference": [np.abs(one - other).mean()],
            "same_call": [((one >= 0.5) == (other >= 0.5)).mean()],
        }
    )


def network(path: Path, asked: argparse.Namespace) -> keras.Model:
    """Returns the U-Net taught by drawn fields, from `path` if it was taught so before."""
    record = {"taught": asked.taught, "epochs": asked.epochs}
    if path.is_file() and models.record(path) == record:
        return models.load(path)
    seeds = tqdm(range(asked.taught), "drawing fields", unit="field")
    images, masks = zip(*(pair for seed in seeds for pair in squares(seed)), strict=True)
    model = segment.build(filters=FILTERS)
    segment.fit(model, images, masks, epochs=asked.epochs, cutout=0.0)
    plain = segment.build(filters=FILTERS)  # without the optimizer's state, a third as large
    plain.set_weights(model.get_weights())
    models.save(plain, path, record)
    return plain


def squares(seed: int, count: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns images and masks of squares of one drawn field, unlike the others in all respects."""
    rng = np.random.default_rng([seed, 9])
    field = drawn.draw(
        TAUGHT + seed,
        cells=int(rng.integers(5, 13)),
        granulocytes=int(rng.integers(0, 5)),
        touching=0.5,
        red_cells=rng.uniform(0, 0.9),
        cytoplasm=rng.uniform(0, 0.6) * (rng.random() < 0.7),
        tint=1.0,
        scale=smear.SHRINK * np.exp(rng.uniform(-0.25, 0.25)),
    )
    image, side = smear.balanced(field.pixels), segment.SIZE
    mask = np.where(field.nuclei, 2, field.labels > 0).astype(np.uint8)
    most, found = np.subtract(mask.shape, side) + 1, []
    for _ in range(count):
        y, x = (rng.integers(0, end) for end in most)
        found.append((image[y : y + side, x : x + side], mask[y : y + side, x : x + side]))
    return found


if __name__ == "__main__":
    main()
