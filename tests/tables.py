"""Made-up tables of predictions and cells for the tests."""

import numpy as np
import pandas as pd


def predictions(people=(13, 15), cells=(20, 80), *, seed=0, role="test", drawn=False, skill=1.2):
    """A table of predictions: ALL and HEM people, each with a shift of its own."""
    generator = np.random.default_rng(seed)
    rows = []
    for label, count in ((1, people[0]), (0, people[1])):
        for number in range(count):
            subject = f"{number}" if label else f"H{number}"
            centre = (skill if label else -skill) + generator.normal(0, 0.9)
            size = int(generator.integers(*cells))
            logits = generator.normal(centre, 1.4, size)
            for index, logit in enumerate(logits):
                rows.append((f"UID_{subject}_{index}_1", subject, label, 1 / (1 + np.exp(-logit))))
    found = pd.DataFrame(rows, columns=["name", "subject", "label", "probability"])
    found["label"] = found["label"].astype("Int64")
    found["group"], found["role"], found["drawn"] = found["subject"], role, drawn
    return found


def small(labels, probabilities, groups=None, role="valid"):
    """A table of predictions written down by hand; without `groups`, each cell is a person."""
    found = pd.DataFrame({"label": labels, "probability": probabilities})
    found["label"] = found["label"].astype("Int64")
    found["group"] = groups if groups is not None else [f"p{row}" for row in range(len(found))]
    found["subject"] = found["group"]
    found["name"] = [f"cell_{row}" for row in range(len(found))]
    found["role"], found["drawn"] = role, False
    return found


def cells_and_facts(*, drawn=False, seed=0):
    """Cells of two folds, a preliminary and a final set, and the facts of their images."""
    generator = np.random.default_rng(seed)
    rows = []
    places = {"1": ("train", 0), "2": ("train", 1), "3": ("prelim", None)}
    for number, (split, fold) in places.items():
        for label in (1, 0):
            subject = number if label else f"H{number}"
            for index in range(int(number) * 7 + label * 5):
                rows.append((f"UID_{subject}_{index}_1.bmp", split, fold, subject, label))
    rows += [(f"{index}.bmp", "final", None, None, None) for index in (1, 2)]
    cells = pd.DataFrame(rows, columns=["name", "split", "fold", "subject", "label"])
    cells = cells.astype({"fold": "Int64", "label": "Int64"})
    cells["path"], cells["drawn"] = cells["name"], drawn
    count = len(cells)
    facts = pd.DataFrame({"diameter": generator.normal(200, 20, count)})
    for channel, level in (("red", 70), ("green", 28), ("blue", 80)):
        facts[channel] = generator.normal(level, 6, count)
    facts["pixel_hash"] = [f"hash{row}" for row in range(count)]
    return cells, facts


def unet_levels():
    """The blocks of a U-Net of two levels with a head."""
    rows = [
        ("image", "input", 64, 3, None),
        ("encoder1", "encoder", 64, 8, "decoder1"),
        ("encoder2", "encoder", 32, 16, "decoder2"),
        ("bottleneck", "bottleneck", 16, 32, "pooled"),
        ("decoder2", "decoder", 32, 16, None),
        ("decoder1", "decoder", 64, 8, None),
        ("mask", "output", 64, 1, "pooled"),
        ("evidence", "output", 64, 1, None),
        ("pooled", "head", 1, 40, None),
        ("call", "output", 1, 1, None),
    ]
    return pd.DataFrame(rows, columns=["name", "part", "side", "channels", "skip_to"])
