"""The report of a run: one HTML page with data, methods, results and limits, and two checklists.

It is made from what the notebooks leave in the output folder, along CLAIM 2024 (Tejani et al.,
Radiology: Artificial Intelligence 6, 2024) and TRIPOD+AI (Collins et al., BMJ 385, 2024).
"""

from __future__ import annotations

import os
from pathlib import Path

from anna import finished, markup
from anna.report import write_text
from anna.reporting import checklists, closing, methods, opening, outcomes

__all__ = ["write"]


def write(folder: str | os.PathLike, path: str | os.PathLike | None = None) -> Path:
    """Returns the path of the report, an HTML page that needs no other file.

    Every figure in it comes from the folder: results.json, csv/predictions of each model, and
    where they are there the other tables of csv/, the pictures of viz/ and what training left in
    models/. What is not there is left out, and the checklists say so.

    Args:
        folder: The output folder, as notebook 4 leaves it.
        path: Where the report goes; report.html in the folder if None.

    Raises:
        FileNotFoundError: results.json or predictions are missing.
        ValueError: results.json does not fit its schema, or is of another run than the predictions.
    """
    run = finished.read(folder)
    found = {name: run.predictions(name) for name in run.results["models"]}
    text = "\n".join(
        [
            opening.sections(run, found),
            methods.sections(run, found),
            outcomes.sections(run, found),
            closing.sections(run),
        ]
    )
    text = opening.head(run, text) + text
    lists = checklists.section(text, drawn=run.results["drawn"])
    body = markup.without_dead_links(text + lists)
    page = markup.document(opening.TITLE, body, style=markup.DOCUMENT)
    return write_text(Path(path) if path else run.folder / "report.html", page)
