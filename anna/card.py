"""The model card: what a reader in medical imaging must know before trusting a model.

Its headings follow Mitchell et al. 2019, "Model cards for model reporting", and ask what CLAIM and
TRIPOD+AI ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

DRAWN = "Drawn cells, not real"
CREDIT = "C-NMC 2019, doi 10.7937/tcia.2019.dc64i46r, CC BY 3.0"
SOURCE = (
    "C-NMC 2019 (Gupta A., Gupta R., The Cancer Imaging Archive, 2019, "
    "doi 10.7937/tcia.2019.dc64i46r, licence CC BY 3.0): single white blood cells cut out on "
    "black, from people with acute lymphoblastic leukaemia (ALL, label 1) and healthy people (HEM, "
    "label 0). Labels are those published; they were not read again."
)
STAND_IN = (
    "**The cells are drawn by the project, not real.** They stand in for C-NMC 2019 so that the "
    "whole suite can be run without a download. No figure below says anything about patients."
)
INTENDED = (
    "Research and teaching: how a U-Net tells ALL from healthy cells, and how far to trust it. "
    "**Not for diagnosis**, screening, triage or any decision about a person. It has not been "
    "tested in a clinic and is no medical device. Whole smears, other stains and other kinds of "
    "cells are outside of what it was made for."
)
SPLIT = (
    "People, not images, were split: subject names that share an image count as one person, and no "
    "person stands on two sides. The threshold comes from the validation people, and the epoch "
    "where it is not simply the last; no test person taught or validated. How far the default "
    "settings were chosen on real people, benchmarks/README.md tells."
)
LIMITS = (
    "The data come without age, sex, ethnicity or treatment: fairness between groups of people "
    "cannot be examined.",
    "One collection, prepared and photographed in one way: how the model does with another "
    "microscope, stain or laboratory is unknown.",
    "Few people: intervals are over people and are wide; where a class has fewer than about ten, "
    "they are rough, since they know no others. Single people may be misjudged throughout.",
    "ALL cells are larger than healthy ones, so a good score does not prove that more than size "
    "was learnt: size alone stands beside the models.",
    "Cells must come cut out on black, as in the data; some cutouts carry debris.",
    "Probabilities are those of this mixture of cells; where ALL is rarer, PPV and NPV differ.",
)
ROWS = {
    "weighted_f1": "weighted F1 (the challenge's metric)",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "fall_out": "fall-out",
    "ppv": "PPV",
    "npv": "NPV",
    "auc": "AUC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "ece": "expected calibration error",
}


def model_card(results: dict) -> str:
    """Returns the model card as Markdown, from what `report.results` returned or its JSON."""
    models = results["models"]
    sections = {
        "What it is": _model(results),
        "Intended use": INTENDED,
        "Data": _data(results),
        "Split": SPLIT,
        "Settings": listing(results["settings"]),
        "Scores": _scores(models),
        "Calls": _calls(models),
        "People": _people(models),
        "Calibration": _calibration(models),
        "Limits": "\n".join(f"- {limit}" for limit in LIMITS),
        "How to load it": _loading(results["settings"]),
    }
    notice = f"> {results['note']}.\n\n" if results.get("note") else ""
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"# Model card: ANNa\n\n{notice}{body}\n"


def card_values(results: dict) -> dict:
    """Returns the model card for machines, of the form of `anna/schema/model_card.json`.

    Args:
        results: What `report.results` returned, or its JSON.
    """
    kept = ("schema_version", "made", "drawn", "note", "versions")
    judged = ("threshold", "cells", "people", "level", "resamples")
    models = {
        name: {key: model[key] for key in judged}
        | {"scores": {metric: model["scores"][metric] for metric in ROWS}}
        for name, model in results["models"].items()
    }
    return {key: results[key] for key in kept} | {
        "name": "ANNa",
        "intended_use": INTENDED.replace("**", ""),
        "source": (STAND_IN if results["drawn"] else SOURCE).replace("**", ""),
        "split": SPLIT,
        "limits": list(LIMITS),
        "model_file": results["settings"].get("model_file", "model.keras"),
        "models": models,
    }


def table(rows: Sequence[Mapping], columns: Sequence[str] | None = None) -> str:
    """Returns rows as a Markdown table."""
    columns = columns or list(rows[0])
    lines = [columns, ["---"] * len(columns)]
    lines += [[show(row.get(column)) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def listing(values: Mapping, depth: int = 0) -> str:
    """Returns nested settings as a Markdown list; lists of rows become tables after it."""
    lines, tables = [], []
    for key, value in values.items():
        if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
            tables.append(f"{key}:\n\n{table(value)}")
        elif isinstance(value, Mapping) and value:
            lines.append(f"{'  ' * depth}- {key}:\n{listing(value, depth + 1)}")
        else:
            text = f"{value:g}" if isinstance(value, float) else show(value)
            lines.append(f"{'  ' * depth}- {key}: {text}")
    return "\n\n".join(part for part in ("\n".join(lines), *tables) if part) or "Not recorded."


def show(value: object) -> str:
    """Returns a value as it reads in a table: three decimals, "–" for none, no bare pipes."""
    if value is None or value != value:  # NaN
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"
    if isinstance(value, list):
        return ", ".join(show(one) for one in value) or "none"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _model(results: dict) -> str:
    names = ", ".join(f"`{name}`" for name in results["models"])
    software = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        "A U-Net with a classification head that gives the probability that a single white blood "
        "cell in a microscope image is a leukaemic blast (ALL).\n\n"
        f"- Models judged: {names}\n- Date: {results['made']} (UTC)\n- Software: {software}\n"
        f"- Hardware: {results['hardware']['machine']}, {results['hardware']['cores']} cores"
    )


def _data(results: dict) -> str:
    source = STAND_IN if results["drawn"] else SOURCE
    return f"{source}\n\n{listing(results['data'])}"


def _scores(models: dict) -> str:
    rows = [
        {"score": title} | {name: score(model["scores"][key]) for name, model in models.items()}
        for key, title in ROWS.items()
    ]
    notes = [
        f"`{name}`: threshold {model['threshold']:.3f}; {model['cells']:,} cells of "
        f"{model['people']} people, {model['left_out']:,} without label or probability left out."
        for name, model in models.items()
    ]
    first = next(iter(models.values()))
    how = (
        f"In brackets: {first['level']:.0%} interval of a bootstrap over people "
        f"({first['resamples']:,} resamples within each class; expanded percentiles)."
    )
    return "\n\n".join([table(rows), how, *notes])


def score(score: Mapping) -> str:
    """Returns a score as it reads, with its interval in brackets."""
    value, low, high = score["value"], score["low"], score["high"]
    if value is None:
        return "–"
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.2f}, {high:.2f}]"


def _calls(models: dict) -> str:
    rows = [
        {"model": name, "true": true} | {f"called {call}": count for call, count in calls.items()}
        for name, model in models.items()
        for true, calls in model["confusion"].items()
    ]
    return table(rows)


def _people(models: dict) -> str:
    rows = []
    for name, model in models.items():
        for label, kind in ((1, "ALL"), (0, "HEM")):
            right = [one["accuracy"] for one in model["subjects"] if one["label"] == label]
            if right:
                spread = {"mean": sum(right) / len(right), "worst": min(right), "best": max(right)}
                below = sum(one < 0.5 for one in right)
                rows.append({"model": name, "class": kind, "people": len(right)} | spread)
                rows[-1]["below one half"] = below
    return f"Accuracy of each person's cells, the share called right:\n\n{table(rows)}"


def _calibration(models: dict) -> str:
    parts = []
    for name, model in models.items():
        rows = [
            {"probability": f"{one['low']:.1f}–{one['high']:.1f}"}
            | {"cells": one["cells"], "mean": one["mean_probability"], "ALL": one["observed"]}
            for one in model["calibration"]
            if one["cells"]
        ]
        parts.append(f"`{name}`, mean probability and observed share of ALL:\n\n{table(rows)}")
    return "\n\n".join(parts)


def _loading(settings: Mapping) -> str:
    file = settings.get("model_file", "model.keras")
    return (
        "```python\nimport keras\n\nimport anna.models  # registers ANNa's own layers\n\n"
        f'model = keras.saving.load_model("{file}")\n'
        'anna.predict.files(model, ["cell.bmp"])  # path, probability, problem\n```'
    )
