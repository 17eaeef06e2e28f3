"""The part of a report on data and methods."""

from __future__ import annotations

import pandas as pd

from anna import markup, splits
from anna.card import SOURCE, SPLIT, STAND_IN, show
from anna.finished import Finished
from anna.patience import patiently

PREPARATION = (
    "From each file the central square of {crop} pixels is taken and brought to {size} pixels a "
    "side; raw bytes go into the network. Scaling, optical densities and, while training, "
    "augmentation are inside of it. Cells come cut out on black, and nothing is retouched here."
)
REFERENCE = {
    True: "The label is what was drawn: ALL or HEM. It is certain, and says nothing of people.",
    False: (
        "The published labels, one a cell: ALL (1) or HEM (0), joined by the image's name. They "
        "are taken because no other reading of these cells is published; nobody read them again. A "
        "person's cells all have the same label, so it is as much a label of the person."
    ),
}
DISJOINT = (
    "At the level of people. Whoever shares an image, pixel by pixel, is one person, under "
    "whatever names. Counted anew for this page: {cells:,} cells of {people:,} people teach, "
    "validate or test, and {leaks} of them {are} in more than one of these parts."
)
TEST_SIZE = (
    "No size was worked out beforehand. The test people are {tested}: {people:,} people with "
    "{cells:,} cells. How much that is, the width of the intervals tells."
)
NETWORK = (
    "Pixels in (uint8 RGB); the probability of ALL out. `anna` sees a cell's optical densities "
    "about its own mean. A U-Net (Ronneberger et al. 2015) gives every pixel a mask and evidence; "
    "the log-odds are the mean of the evidence over the cell plus a term for the cell's size. "
    "`anna-2020` is the network of the original student project, built again. `size alone` is a "
    "logistic regression on the logarithm of the area of the cell's bounding box. The exact "
    "layers are in the code and in the model's file; a hash of them is among the settings."
)
PREDICTORS = (
    "All pixels of a cell, chosen by nobody, and for `size alone` the bounding box. Both are "
    "measured by code that does not know the label."
)
TRAINING = (
    "AdamW and binary cross-entropy; weights begin at random from the seed below, unless `start` "
    "or `encoder` names others. While `anna` is trained, its cells are flipped, turned, shifted, "
    "scaled, blurred, tinted, compressed and stained otherwise, unless it was built without. "
    "`schedule` plateau: the rate is halved and training stopped by the loss of the validation "
    "people; cosine: the length is fixed beforehand. Settings of each network:"
)
IMBALANCE = (
    "By `balance` in the settings: “classes” weighs the classes so that both count alike; "
    "“people” draws images by class, and within it by person. As both shift probabilities, the "
    "threshold is chosen afterwards, on validation people of the natural mixture; calibration is "
    "shown under [calibration](#calibration)."
)
CHOICE = (
    "The threshold comes from the validation people alone, and so does the epoch that was kept, "
    "where `schedule` is plateau; on a cosine the last is kept, and nobody chooses. A cell is "
    "called ALL from the probability on that gives them the best weighted F1, or the one nearest "
    "to a half that is no more than a standard error worse (over resamples of people). No model "
    "was updated or recalibrated after the test."
)
MEASURES = (
    "Weighted F1 is the challenge's measure. Sensitivity, specificity, PPV and NPV tell of the "
    "calls at the threshold; AUC and average precision of the order, at all thresholds; Brier "
    "score and expected calibration error (ten bins of equal width) of the probabilities. Size "
    "alone stands beside them: a network that does no better has not shown that it uses more."
)
INTERVALS = (
    "{level:.0%} expanded percentile intervals (Hesterberg) of a bootstrap over people within each "
    "class ({resamples:,} resamples): cells of one person are no independent witnesses, and the "
    "fewer people, the further out the percentiles. Differences between models are "
    "taken on the same resamples. No tests of significance, and no correction for many measures."
)


def sections(run: Finished, found: dict[str, pd.DataFrame]) -> str:
    """Returns data, split, model and evaluation as HTML.

    Args:
        run: As `anna.finished.read` returns it.
        found: Predictions on all cells by the model's name.
    """
    return "\n".join(
        [
            markup.section("data", "Data", *_data(run)),
            markup.section("split", "Who taught, who tested", *_split(run, found[run.main])),
            markup.section("model", "Model and training", *_model(run)),
            markup.section("evaluation", "Evaluation", *_evaluation(run)),
        ]
    )


def _data(run: Finished) -> list[str]:
    results = run.results
    made = results["settings"].get("preparation", {})
    known = {"crop", "size"} <= set(made)
    model = run.model(run.main)
    source = STAND_IN if results["drawn"] else SOURCE
    missing = (
        f"Of the test cells {model['left_out']:,} had no label or no probability and were left "
        "out of the scores. Nothing was imputed. Images that cannot be read, or that name nobody, "
        "are set aside before the split; images without a label are judged but not scored."
    )
    return [
        markup.part("source", "Source", markup.prose(source)),
        markup.part(
            "preparation", "Preparation", markup.prose(PREPARATION.format(**made)) if known else ""
        ),
        markup.part("problems", "Checks of the files", _problems(run)),
        markup.part("reference", "Reference standard", markup.prose(REFERENCE[results["drawn"]])),
        markup.part("missing", "Missing data", markup.prose(missing)),
    ]


def _problems(run: Finished) -> str:
    table = run.table("problems")
    if table is None:
        return ""
    intro = "Each file was opened and measured. What was found, by kind (files):"
    if table.empty:
        return markup.prose("Each file was opened and measured; nothing was found amiss.")
    kinds = table.groupby("problem").size().sort_values(ascending=False)
    rows = [{"problem": kind, "files": int(files)} for kind, files in kinds.items()]
    return markup.prose(intro) + markup.table(rows)


def _split(run: Finished, found: pd.DataFrame) -> list[str]:
    used = found[found["role"].isin(["train", "valid", "test"])]
    splits.check(used)
    roles = used.groupby("group")["role"].nunique()
    leaks = int((roles > 1).sum())
    counted = {"cells": len(used), "people": len(roles), "leaks": leaks}
    disjoint = DISJOINT.format(**counted, are="is" if leaks == 1 else "are")
    model = run.model(run.main)
    tested = run.results["data"].get("tested on", "those held apart")
    size = TEST_SIZE.format(tested=tested, people=model["people"], cells=model["cells"])
    share = (found["role"] == "valid").sum() / found["role"].isin(["train", "valid"]).sum()
    how = f" Of the images of those who taught or validated, {share:.0%} validated."
    return [
        markup.part("partitions", "Parts", markup.prose(SPLIT + how)),
        markup.part("disjoint", "What the parts share", markup.prose(disjoint)),
        markup.part("test-size", "Size of the test", markup.prose(size)),
        markup.figure(run.figure("class_balance"), "Cells and people in each part of the data"),
    ]


def _model(run: Finished) -> list[str]:
    results = run.results
    runs = results["settings"].get("runs", {})
    settings = {name: one.get("settings", one) for name, one in runs.items()}
    software = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    machine = results["hardware"]
    cuts = [
        {"model": name, "threshold": one["threshold"]} for name, one in results["models"].items()
    ]
    drawing = markup.figure(run.figure("network"), "The network: U-Net, mask and evidence, call")
    keys = dict.fromkeys(key for one in settings.values() for key in one)
    rows = [
        {"setting": key} | {name: show(one.get(key)) for name, one in settings.items()}
        for key in keys
    ]
    taught = [markup.prose(TRAINING), markup.table(rows)] if rows else []
    return [
        markup.part("network", "Architecture", markup.prose(NETWORK), drawing),
        markup.part("predictors", "Predictors", markup.prose(PREDICTORS)),
        markup.part("training", "Training", *taught),
        markup.part(
            "curves-of-training",
            "Curves of training",
            markup.figure(run.figure("learning_curves"), "Loss and AUC by epoch"),
            _histories(run),
        ),
        markup.part("imbalance", "Imbalance", markup.prose(IMBALANCE)),
        markup.part("choice", "Choice", markup.prose(CHOICE), markup.table(cuts)),
        markup.part(
            "software",
            "Software and hardware",
            markup.prose(f"{software}. {machine['machine']}, {machine['cores']} cores."),
        ),
    ]


def _histories(run: Finished) -> str:
    rows = []
    for name in run.results["models"]:
        if path := run.kept(f"models/{name}/history.csv"):
            history = patiently(pd.read_csv, path)
            best = history.loc[history["val_loss"].idxmin()]
            rows.append(
                {
                    "network": name,
                    "epochs": len(history),
                    "smallest validation loss": float(best["val_loss"]),
                    "in epoch": int(best["epoch"]),
                }
            )
    return markup.table(rows)


def _evaluation(run: Finished) -> list[str]:
    model = run.model(run.main)
    intervals = INTERVALS.format(level=model["level"], resamples=model["resamples"])
    return [
        markup.part("measures", "Measures", markup.prose(MEASURES)),
        markup.part("intervals", "Intervals", markup.prose(intervals)),
    ]
