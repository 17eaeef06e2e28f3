"""How a report begins: title, what to mind, summary, background, aims."""

from __future__ import annotations

import html
import re

import pandas as pd

from anna import markup, metrics
from anna.card import DRAWN, INTENDED
from anna.finished import Finished

TITLE = "ANNa: a deep-learning model that tells leukaemic blasts from healthy cells, and its test"
BACKGROUND = (
    "Acute lymphoblastic leukaemia (ALL) is the most common cancer of childhood. Blasts are sought "
    "under the microscope by trained eyes; a healthy precursor can look much like a blast. The "
    "question is diagnostic: is this one white blood cell, cut out of a smear, a blast? Others "
    "have taught networks on the same collection; [what they reported](#published) stands beside "
    "what was found here. Many reports of 97 % and more split images, so that cells of one person "
    "taught and tested: they are no comparison."
)
OBJECTIVES = (
    "To make a model that gives the probability that a cell is a blast, and to measure how good it "
    "is on people who neither taught nor validated it: above all against size alone, since blasts "
    "are larger, and against the network of the original student project. No hypothesis was filed "
    "beforehand."
)
DESIGN = (
    "Retrospective, on images that were published before. A model is made (development) and tested "
    "on people held apart (internal testing). It is a study of feasibility, no trial."
)


def head(run: Finished, page: str) -> str:
    """Returns the title, what to mind before reading on, and the contents of the page."""
    drawn = (
        f"<p class='notice'><strong>{DRAWN}.</strong> The images of this run were drawn by the "
        "project to stand in for C-NMC 2019. It shows that the machinery works. <strong>No figure "
        "on this page says anything about patients.</strong></p>"
    )
    titles = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', page)
    titles.append(("checklists", "Checklists"))
    listed = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title in titles)
    return (
        f'<h1 id="title">{TITLE}</h1>\n'
        f"<p>Report of a run, made {html.escape(run.results['made'])}.</p>\n"
        f"{drawn if run.results['drawn'] else ''}\n"
        "<p class='notice'><strong>For research and teaching. Not for diagnosis.</strong></p>\n"
        f"<nav aria-label='Contents'><ol>{listed}</ol></nav>\n"
    )


def sections(run: Finished, found: dict[str, pd.DataFrame]) -> str:
    """Returns summary, background and aims as HTML.

    Args:
        run: As `anna.finished.read` returns it.
        found: Predictions on all cells by the model's name.
    """
    return "\n".join(
        [
            markup.section("summary", "Summary", _summary(run, found)),
            markup.section(
                "introduction",
                "Introduction",
                markup.part("background", "Background", markup.prose(BACKGROUND)),
                markup.part("intended-use", "Intended use", markup.prose(INTENDED)),
                markup.part("objectives", "Aims", markup.prose(OBJECTIVES)),
                markup.part("design", "Design", markup.prose(DESIGN)),
            ),
        ]
    )


def score(model: dict, metric: str) -> str:
    """Returns a score of results.json as text, "0.912 [0.88, 0.94]"."""
    return metrics.describe(pd.Series(model["scores"][metric], dtype=float))


def _summary(run: Finished, found: dict[str, pd.DataFrame]) -> str:
    results, main = run.results, run.main
    model = run.model(main)
    cells = "drawn cells (not real)" if results["drawn"] else "cells of C-NMC 2019"
    tested = html.escape(str(results["data"].get("tested on", "test people")))
    taught = found[main][found[main]["role"].isin(["train", "valid"])]
    headline = {
        "weighted_f1": "weighted F1",
        "auc": "AUC",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "ece": "calibration error",
    }
    rows = [
        {"model": name} | {title: score(one, metric) for metric, title in headline.items()}
        for name, one in results["models"].items()
    ]
    told = {
        "Data": f"{results['data'].get('images', len(found[main])):,} {cells}; tested on {tested}.",
        "Methods": (
            f"A U-Net with a classification head (<code>{html.escape(main)}</code>). People, not "
            f"images, were split: {_people(taught):,} taught and validated, {model['people']:,} "
            f"tested ({model['cells']:,} cells). The threshold comes from the validation people, "
            "and so does the epoch where it was chosen. How often these test people were judged "
            "before is not recorded: whoever publishes must say so. Intervals are over people."
        ),
        "Results": (
            f"Weighted F1 {score(model, 'weighted_f1')}, AUC {score(model, 'auc')}, sensitivity "
            f"{score(model, 'sensitivity')}, specificity {score(model, 'specificity')}."
        ),
        "Available": "Code, notebooks, settings, predictions and these figures for machines; see "
        f"{markup.link('availability')}.",
    }
    lines = "\n".join(f"<p><strong>{title}.</strong> {text}</p>" for title, text in told.items())
    return lines + markup.table(rows)


def _people(table: pd.DataFrame) -> int:
    return int(table["group"].nunique())
