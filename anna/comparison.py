"""Runs beside one another, on the same people: `anna.comparison.of(first, second)`."""

from __future__ import annotations

import html
import os
import warnings
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import pandas as pd

from anna import finished, markup, metrics, paired
from anna.card import DRAWN, ROWS
from anna.finished import Finished
from anna.report import write_text

_WIDE = "body { max-width: 72rem; } @media print { body { max-width: none; } }"
_ADDED = {"difference", "difference_low", "difference_high"}


def of(
    *folders: str | os.PathLike,
    model: str | Sequence[str] = "anna",
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Returns runs beside one another, one row a metric and run.

    Columns: metric, run, value, low, high, and difference, difference_low, difference_high, which
    are of the run minus the first one. Both are judged on the same people, each at the threshold
    that its own validation people chose, and the intervals are over people (`anna.paired`).
    `attrs` holds cells, people, level, resamples, drawn, notes (what to mind, texts) and settings
    (rows of those in which the runs differ).

    Args:
        *folders: Output folders, each with results.json and csv/predictions of the model.
        model: Its name, or one a folder.
        resamples: How often people are drawn.
        level: Of the intervals, in 0..1.
        seed: Of the draws.

    Raises:
        FileNotFoundError: A file of a run is missing.
        ValueError: There are fewer than two runs; a file is damaged or of another run; or the runs
            were tested on other people.

    Warns:
        UserWarning: The runs share only some of their tested cells; these are compared.
    """
    if len(folders) < 2:
        raise ValueError(f"Two runs or more are needed. Received: {len(folders)}")
    models = [model] * len(folders) if isinstance(model, str) else list(model)
    if len(models) != len(folders):
        raise ValueError(f"One model a run is needed. Received: {models} for {len(folders)} runs")
    runs = [finished.read(folder) for folder in folders]
    names = _names(runs, models)
    found, notes = _same_cells(runs, models, names)
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=2)
    cuts = [run.model(name)["threshold"] for run, name in zip(runs, models, strict=True)]
    options = {"resamples": resamples, "level": level, "seed": seed}
    parts = [
        table.rename_axis("metric").reset_index().assign(run=name)
        for name, table in zip(names, paired.differences(found, cuts, **options), strict=True)
    ]
    table = pd.concat(parts, ignore_index=True)[["metric", "run", *paired.COLUMNS]]
    table.loc[table["run"] == names[0], list(_ADDED)] = float("nan")
    order = {metric: place for place, metric in enumerate(metrics.METRICS)}
    table = table.sort_values("metric", key=lambda m: m.map(order), kind="stable")
    table = table.reset_index(drop=True)
    table.attrs = {
        "cells": len(found[0]),
        "people": int(found[0]["group"].nunique()),
        "level": level,
        "resamples": resamples,
        "drawn": runs[0].results["drawn"],
        "notes": notes,
        "settings": _unlike(runs, names),
    }
    return table


def shown(table: pd.DataFrame, rows: Mapping[str, str] = ROWS) -> pd.DataFrame:
    """Returns the comparison to read: one row a metric, one column a run and a difference.

    Args:
        table: As `of` returns it.
        rows: Title of each metric shown, in order.
    """
    wide = {"metric": list(rows.values())}
    for run in dict.fromkeys(table["run"]):
        own = table[table["run"] == run].set_index("metric").loc[list(rows)]
        wide[run] = [metrics.describe(row) for _, row in own.iterrows()]
        if own["difference"].notna().any():
            wide[f"{run}, difference"] = [paired.signed(row) for _, row in own.iterrows()]
    return pd.DataFrame(wide)


def write_page(path: str | Path, table: pd.DataFrame) -> Path:
    """Returns `path`, an HTML page of a comparison that needs no other file.

    Args:
        path: Where it goes.
        table: As `of` returns it.
    """
    from anna.plots.differences import differences, png

    about, names = table.attrs, list(dict.fromkeys(table["run"]))
    drawn = f"<p class='notice'><strong>{DRAWN}.</strong> Nothing here says anything about "
    drawn = f"{drawn}patients.</p>" if about["drawn"] else ""
    notes = "".join(f'<p class="notice">{html.escape(note)}</p>' for note in about["notes"])
    how = (
        f"The same {about['cells']:,} cells of {about['people']} people, each run at the threshold "
        f"that its own validation people chose. In brackets the {about['level']:.0%} interval of a "
        f"bootstrap over people ({about['resamples']:,} resamples). Differences are to "
        f"`{names[0]}`, on the same resamples; where an interval holds 0, these people cannot "
        "tell the runs apart. Of eleven measures one may well leave out 0 by chance."
    )
    image = markup.picture(png(differences(table)), "png", "Scores and differences with intervals")
    unlike = markup.table(about["settings"]) or "<p>None that was recorded.</p>"
    body = "\n".join(
        [
            f"<h1>ANNa: {html.escape(' and '.join(names))}</h1>",
            f"{drawn}<p><strong>For research and teaching. Not for diagnosis.</strong></p>",
            notes,
            markup.section("scores", "Scores", markup.prose(how)),
            markup.table(shown(table).to_dict("records")),
            f"<figure>{image}</figure>",
            markup.section("settings", "Settings in which they differ", unlike),
        ]
    )
    return write_text(path, markup.document("ANNa: runs", body, style=markup.DOCUMENT + _WIDE))


def _names(runs: Sequence[Finished], models: Sequence[str]) -> list[str]:
    """Returns a name a run: its folder's, the folder above where that is `output`, told apart."""
    names = []
    for run, model in zip(runs, models, strict=True):
        folder = run.folder.resolve()
        name = folder.parent.name if folder.name == "output" else folder.name
        same = [one for one, other in zip(runs, models, strict=True) if other != model]
        name = f"{name} {model}" if same else name
        free = (f"{name} ({number})" for number in count(2))
        names.append(name if name not in names else next(n for n in free if n not in names))
    return names


def _same_cells(
    runs: Sequence[Finished], models: Sequence[str], names: Sequence[str]
) -> tuple[list[pd.DataFrame], list[str]]:
    """Returns the predictions on the cells tested in all runs, in one order, and what to mind."""
    if len({run.results["drawn"] for run in runs}) > 1:
        kinds = {n: "drawn" if r.results["drawn"] else "real" for n, r in zip(names, runs)}  # noqa: B905
        raise ValueError(
            f"Runs on drawn and on real cells have nothing in common. Received: {kinds}"
        )
    found = [run.tested(model).set_index("name") for run, model in zip(runs, models, strict=True)]
    for name, table in zip(names, found, strict=True):
        if table.index.has_duplicates:
            twice = table.index[table.index.duplicated()][0]
            raise ValueError(f"{name}: each tested cell must have its own name. Received: {twice}")
    shared = found[0].index
    for table in found[1:]:
        shared = shared[shared.isin(table.index)]
    _require_same_people(runs, names, [table.loc[shared] for table in found])
    notes = [
        f"{name} was tested on {len(table) - len(shared):,} cells more, which are left out here."
        for name, table in zip(names, found, strict=True)
        if len(table) > len(shared)
    ]
    return [table.loc[shared].reset_index() for table in found], notes


def _require_same_people(
    runs: Sequence[Finished], names: Sequence[str], found: Sequence[pd.DataFrame]
) -> None:
    """Raises ValueError unless the cells are there, are the same pictures, and are of the same."""
    if found[0].empty:
        raise ValueError(f"Runs must be tested on the same people. Received: {names}, none shared")
    hashes = [run.pixel_hashes() for run in runs]
    for name, table, seen in zip(names, found, hashes, strict=True):
        unlike = {
            key: (table[key].astype(str) != found[0][key].astype(str)).sum()
            for key in ("label", "group")
        }
        if seen is not None and hashes[0] is not None:
            own, first = (each.reindex(table.index) for each in (seen, hashes[0]))
            unlike["picture"] = (own.astype(str) != first.astype(str)).sum()
        for key, cells in unlike.items():
            if cells:
                raise ValueError(
                    f"Runs must be tested on the same cells of the same people. Received: {cells} "
                    f"cells with another {key} in {name} than in {names[0]}"
                )


def _unlike(runs: Sequence[Finished], names: Sequence[str]) -> list[dict]:
    """Returns the settings and versions in which the runs differ, one row each."""
    flat = [
        _flat({"settings": run.results["settings"], "versions": run.results["versions"]})
        for run in runs
    ]
    keys = dict.fromkeys(key for each in flat for key in each)
    return [
        {"setting": key} | {name: each.get(key) for name, each in zip(names, flat, strict=True)}
        for key in keys
        if len({str(each.get(key)) for each in flat}) > 1
    ]


def _flat(values: Mapping, before: str = "") -> dict:
    found = {}
    for key, value in values.items():
        name = f"{before}{key}"
        found |= _flat(value, f"{name}, ") if isinstance(value, Mapping) else {name: value}
    return found
