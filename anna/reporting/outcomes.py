"""The part of a report with the results."""

from __future__ import annotations

import pandas as pd

from anna import markup, metrics, paired
from anna.card import ROWS
from anna.checks import CLASSES
from anna.finished import Finished
from anna.reporting.opening import score

ROLES = {"train": "learn", "valid": "validate", "test": "test", "unlabelled": "no label"}
FAILURES = (
    "The people whose cells are called wrong most often, by the main model. A person below one "
    "half is misjudged throughout; why is unknown, as nothing else about the people is published."
)
BY_PART = (
    "The main model at its threshold on each part, without intervals. Those who taught flatter it; "
    "those who validated chose its threshold. What is better there than in the test may be learnt "
    "by heart."
)
EVIDENCE = (
    "Red speaks for ALL, blue for HEM, on cells called right and wrong. But for the term of size, "
    "the map is the call: the log-odds are its mean over the cell."
)


def sections(run: Finished, found: dict[str, pd.DataFrame]) -> str:
    """Returns the results as HTML.

    Args:
        run: As `anna.finished.read` returns it.
        found: Predictions on all cells by the model's name.
    """
    main = run.main
    return markup.section(
        "results",
        "Results",
        markup.part("flow", "Flow of people and cells", _flow(run, found[main])),
        markup.part("characteristics", "Who they are", _characteristics(run, found[main])),
        markup.part(
            "performance", "Performance", _scores(run), markup.prose(_what_the_brackets_are(run))
        ),
        markup.part("differences", f"Differences to {main}", _differences(run, found)),
        markup.part("by-part", "Training people and test people", _by_part(run, found[main])),
        markup.part(
            "calls", "Calls", _calls(run), markup.figure(run.figure("confusion"), "Truth and call")
        ),
        markup.part(
            "curves", "ROC and precision", markup.figure(run.figure("curves"), "ROC, and precision")
        ),
        markup.part(
            "calibration",
            "Calibration",
            markup.figure(run.figure("reliability"), "Observed share of ALL by probability"),
            _calibration(run),
        ),
        markup.part(
            "people",
            "Person by person",
            markup.figure(run.figure("people"), "Each person's cells, and the share called right"),
            _people(run),
        ),
        markup.part("failures", "Failures", markup.prose(FAILURES), _worst(run)),
        *_trust(run),
    )


def _trust(run: Finished) -> list[str]:
    pictures = {
        "robustness": ("Robustness", "Weighted F1 lost to what changes no diagnosis"),
        "evidence": ("Evidence", "Evidence of the main model on single cells"),
        "deletion": ("Does the evidence hold?", "The call as the cell vanishes"),
        "published": ("Beside published results", "Others: real preliminary test set of C-NMC"),
        "label_order": ("Labels in the wrong order", "The original's mistake, done again"),
    }
    before = {"evidence": markup.prose(EVIDENCE)}
    drawn = [(name, title, markup.figure(run.figure(name), told))
             for name, (title, told) in pictures.items()]  # fmt: skip
    return [
        markup.part(name.replace("_", "-"), title, before.get(name, ""), image)
        for name, title, image in drawn
        if image
    ]


def _flow(run: Finished, found: pd.DataFrame) -> str:
    """Returns images and people by role and class, counted from the predictions."""
    kind = found["label"].map(dict(enumerate(CLASSES))).astype(object).fillna("no label")
    rows = []
    for role in [role for role in (*ROLES, "aside") if role in set(found["role"])]:
        row = {"part": ROLES.get(role, "set aside")}
        for name in (*reversed(CLASSES), "no label"):
            own = found[(found["role"] == role) & (kind == name)]
            row |= {f"cells, {name}": len(own), f"people, {name}": int(own["group"].nunique())}
        row.pop("people, no label")
        rows.append(row)
    total = run.results["data"].get("images", len(found))
    told = f"{total:,} images were prepared; {total - len(found):,} of them have no prediction."
    return markup.prose(told) + markup.table(rows)


def _characteristics(run: Finished, found: pd.DataFrame) -> str:
    """Returns cells a person and diameters by role and class."""
    prepared, facts = run.table("prepared"), run.table("facts")
    used = found[found["role"].isin(["train", "valid", "test"]) & found["label"].notna()]
    if prepared is not None and facts is not None:
        sized = facts.drop_duplicates("path").set_index("path")["diameter"]
        prepared = prepared.assign(diameter=prepared["path"].map(sized))
        used = prepared[prepared["role"].isin(["train", "valid", "test"])]
    rows = []
    for (role, label), own in used.groupby(["role", "label"]):
        cells = own.groupby("group").size()
        row = {"part": ROLES[role], "class": CLASSES[int(label)], "people": len(cells)}
        row["cells a person, median [range]"] = (
            f"{cells.median():.0f} [{cells.min()}, {cells.max()}]"
        )
        if "diameter" in own:
            low, middle, high = own["diameter"].quantile([0.25, 0.5, 0.75])
            row["diameter in pixels, median [quartiles]"] = f"{middle:.0f} [{low:.0f}, {high:.0f}]"
        rows.append((list(ROLES).index(role), -int(label), row))
    told = "Age, sex, origin, stage and treatment are not published. What the cells tell:"
    ordered = [row for *_, row in sorted(rows, key=lambda each: each[:2])]
    return markup.prose(told) + markup.table(ordered)


def _scores(run: Finished) -> str:
    models = run.results["models"]
    return markup.table(
        {"score": title} | {name: score(model, metric) for name, model in models.items()}
        for metric, title in ROWS.items()
    )


def _what_the_brackets_are(run: Finished) -> str:
    model = run.model(run.main)
    return (
        f"On {model['cells']:,} cells of {model['people']:,} test people. In brackets the "
        f"{model['level']:.0%} interval over people; none where a class has a single person."
    )


def _differences(run: Finished, found: dict[str, pd.DataFrame]) -> str:
    """Returns the other models minus the main one, with intervals on the same resamples."""
    others = [name for name in run.results["models"] if name != run.main]
    if not others:
        return ""
    names = [run.main, *others]
    joined = [
        found[name][found[name]["role"] == "test"].drop_duplicates("name").set_index("name")
        for name in names
    ]
    shared = joined[0].index[joined[0][["label", "probability"]].notna().all(axis=1)]
    tables = [each.loc[shared] for each in joined]
    cuts = [run.model(name)["threshold"] for name in names]
    model = run.model(run.main)
    options = {"resamples": model["resamples"], "level": model["level"]}
    scored = dict(zip(names, paired.differences(tables, cuts, **options), strict=True))
    rows = [
        {"score": title}
        | {f"{other} − {run.main}": paired.signed(scored[other].loc[metric]) for other in others}
        for metric, title in ROWS.items()
    ]
    return markup.table(rows) + markup.prose(
        "Where an interval holds 0, these people cannot tell the two apart."
    )


def _by_part(run: Finished, found: pd.DataFrame) -> str:
    parts = {}
    for role, title in list(ROLES.items())[:3]:
        own = found[(found["role"] == role) & found["label"].notna()]
        if len(own):
            threshold = run.model(run.main)["threshold"]
            parts[title] = metrics.evaluate(own, threshold, resamples=0)["value"]
    rows = [
        {"score": title} | {part: float(scores[metric]) for part, scores in parts.items()}
        for metric, title in ROWS.items()
    ]
    return markup.prose(BY_PART) + markup.table(rows)


def _calls(run: Finished) -> str:
    return markup.table(
        {"model": name, "true": true} | {f"called {call}": n for call, n in calls.items()}
        for name, model in run.results["models"].items()
        for true, calls in model["confusion"].items()
    )


def _calibration(run: Finished) -> str:
    return markup.prose(f"`{run.main}`, by bin of probability:") + markup.table(
        {
            "probability of ALL": f"{one['low']:.1f} to {one['high']:.1f}",
            "cells": one["cells"],
            "mean probability": one["mean_probability"],
            "share of ALL": one["observed"],
        }
        for one in run.model(run.main)["calibration"]
        if one["cells"]
    )


def _people(run: Finished) -> str:
    return markup.prose(f"By `{run.main}`:") + markup.table(
        {
            "person": one["subject"],
            "class": CLASSES[one["label"]],
            "cells": one["cells"],
            "called right": one["accuracy"],
            "mean probability of ALL": one["mean_probability"],
        }
        for one in run.model(run.main)["subjects"]
    )


def _worst(run: Finished) -> str:
    people = sorted(run.model(run.main)["subjects"], key=lambda one: one["accuracy"])
    below = sum(one["accuracy"] < 0.5 for one in people)
    worst = ", ".join(
        f"{one['subject']} ({CLASSES[one['label']]}, {one['accuracy']:.0%} of {one['cells']} right)"
        for one in people[:3]
    )
    return markup.prose(f"{below} of {len(people)} people are below one half. Worst: {worst}.")
