"""A page of fields to pass on: one HTML file with each field, boxes over it, and all its cells."""

from __future__ import annotations

import html
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from anna import field_evidence, fields, markup, page, pool, predict, smear
from anna.decoding import decode
from anna.models import crop_of
from anna.plots.style import COLOURS, GREY
from anna.report import write_text

WIDE = 1400  # of a field's picture in the page, in pixels, at most
MOST = 1000  # cells with pictures and evidence
_HEAD = ("cell", "evidence", "field", "number", "area", "probability of ALL", "call", "notes")
_SWITCH = "A tick shows it in the field, on one scale for all its cells."
_STYLE = """
svg { width: 100%; height: auto; } svg text { font: 600 1px sans-serif; fill: #fff; }
.key { background: var(--own); color: #fff; padding: 0 .3em; }
figure { margin: 1rem 0; } figcaption { display: inline; margin-right: 1rem; }
tr:target { outline: 3px solid #B8860B; }
.evidence { visibility: hidden; } :checked ~ svg .evidence { visibility: visible; }
"""


def write(
    path: str | Path,
    cells: pd.DataFrame,
    model: keras.Model,
    *,
    scale: float = 1.0,
    segmenter: keras.Model | None = None,
    evidence: bool = True,
    progress: bool = True,
) -> Path:
    """Returns `path`, an HTML page of judged fields that needs no other file.

    A click on a box leads to the cell's row in the table, a switch shows the evidence in the field.

    Args:
        path: Where the page goes.
        cells: As `anna.fields.judge` returns them. The first `MOST` get a picture and evidence.
        model: That made the calls.
        scale: That they were made with.
        segmenter: That they were made with.
        evidence: Whether to show each cell's evidence, if the model has maps.
        progress: Whether to show a bar.
    """
    figures, rows, shown = [], [], []
    evidence = evidence and predict.has_maps(model)
    groups = list(cells.groupby("path", sort=False))
    bar = tqdm(groups, "drawing fields", unit="field", disable=not progress)
    for number, (name, part) in enumerate(bar, 1):
        there = part[part["cell"].notna()]
        if there.empty:
            figures.append(f"<p>{page.failed(part.iloc[0].to_dict())}</p>")
            continue
        image, over = decode(name), None
        rows += [row | {"field": number} for row in there.to_dict("records")]
        if len(some := there["cell"].head(MOST - len(shown)).to_numpy(int)):
            labels = _only(smear.find(image, scale=scale, segmenter=segmenter), some)
            pictures, over = _drawn(model, image, labels, scale=scale, evidence=evidence)
            shown += pictures
        figures.append(_field(image, there, number, over))
    left = f"The first {len(shown):,} cells have pictures." if len(shown) < len(rows) else ""
    shown += [("", "")] * (len(rows) - len(shown))
    lines = [_row(row, *both) for row, both in zip(rows, shown, strict=True)]
    told = f"{page.EVIDENCE} {_SWITCH}" if evidence else ""
    return write_text(path, _page(cells, figures, lines, f"{told} {left}".strip()))


def _only(labels: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Returns the labels of some cells alone, numbered anew in their order."""
    numbers = np.zeros(labels.max() + 1, np.int32)
    numbers[cells] = np.arange(1, len(cells) + 1)
    return numbers[labels]


def _drawn(
    model: keras.Model, image: np.ndarray, labels: np.ndarray, *, scale: float, evidence: bool
) -> tuple[list[tuple[str, str]], np.ndarray | None]:
    """Returns each cell and its evidence, as HTML, and the field in grey under the evidence."""
    side = crop_of(model)
    pixels = fields.resized(model, fields.cutouts(image, labels, scale=scale, side=side))
    if not evidence:
        return [page.drawn(cell) for cell in pixels], None
    maps = field_evidence.maps(model, pixels)
    each = zip(pixels, maps["mask"], maps["evidence"], strict=True)
    pictures = list(pool.each(lambda seen: page.drawn(*seen), each))
    small = np.asarray(_small(image))
    labels = cv2.resize(labels, small.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    scale *= image.shape[1] / small.shape[1]
    laid = field_evidence.laid(maps["evidence"], labels, scale=scale, side=side)
    return pictures, page.overlay(small, labels > 0, np.nan_to_num(laid))


def _small(image: np.ndarray) -> Image.Image:
    small = Image.fromarray(image)
    small.thumbnail((WIDE, WIDE))
    return small


def _field(image: np.ndarray, cells: pd.DataFrame, number: int, evidence: np.ndarray | None) -> str:
    """Returns the field as SVG, a box for each cell over it, and a switch to its evidence."""
    height, width = image.shape[:2]
    switch, seen = "", _image(_small(image), width, height)
    if evidence is not None:
        switch = (
            f'<input type="checkbox" id="evidence{number}">'
            f'<label for="evidence{number}"> evidence</label>'
        )
        seen += _image(Image.fromarray(evidence), width, height, ' class="evidence"')
    boxes = "\n".join(_box(row, number, width) for row in cells.to_dict("records"))
    name = html.escape(Path(cells["path"].iloc[0]).name)
    return (
        f"<figure><figcaption>{name}</figcaption>{switch}"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{name}">{seen}\n'
        f"{boxes}</svg></figure>"
    )


def _image(image: Image.Image, width: int, height: int, kind: str = "") -> str:
    data = markup.address(page.webp(image), "webp")
    return f'<image width="{width}" height="{height}"{kind} href="{data}"/>'


def _box(row: dict, number: int, width: int) -> str:
    colour, line = COLOURS.get(row["call"], GREY), width / 400
    dash = "" if row["call"] else f' stroke-dasharray="{3 * line:.1f}"'
    told = f"{row['probability']:.2f}{'*' if row['warning'] else ''}" if row["call"] else ""
    size = 6 * line
    top = max(row["top"] - 1.3 * size, 0)
    label = (
        f'<rect x="{row["left"]}" y="{top:.1f}" width="{(len(told) + 0.6) * 0.6 * size:.1f}" '
        f'height="{1.3 * size:.1f}" fill="{colour}"/>'
        f'<text x="{row["left"] + 0.2 * size:.1f}" y="{top + size:.1f}" '
        f'style="font-size:{size:.1f}px">{told}</text>'
    )
    title = html.escape(f"cell {row['cell']}: {page.notes(row) or row['call']}")
    return (
        f'<a href="#f{number}c{row["cell"]}"><title>{title}</title>'
        f'<rect x="{row["left"]}" y="{row["top"]}" width="{row["width"]}" '
        f'height="{row["height"]}" fill="transparent" stroke="{colour}" '
        f'stroke-width="{line:.1f}"{dash}/>{label if told else ""}</a>'
    )


def _row(row: dict, cell: str, evidence: str) -> str:
    judged = not pd.isna(row["probability"])
    key, shown = (
        (f"{row['probability']:.6f}", f"{row['probability']:.1%}") if judged else ("-1", "")
    )
    name = html.escape(Path(row["path"]).name)
    return (
        f'<tr id="f{row["field"]}c{row["cell"]}"><td data-key="{key}">{cell}</td>'
        f'<td data-key="{key}">{evidence}</td><td class="file">{name}</td>'
        f'<td class="number">{row["cell"]}</td><td class="number">{row["area"]}</td>'
        f'<td class="number" data-key="{key}">{shown}</td>'
        f'<td class="{row["call"]}">{row["call"]}</td><td>{html.escape(page.notes(row))}</td></tr>'
    )


def _summary(cells: pd.DataFrame) -> str:
    """Returns the shares of blasts as a table; its last row is that of all fields."""
    heads = ("field", "cells judged", "called ALL", "share, 95 % interval", "with a warning")
    lines = []
    for row in fields.summary(cells).to_dict("records"):
        share = f"{row['share']:.0%} [{row['low']:.0%}, {row['high']:.0%}]" if row["cells"] else ""
        texts = (Path(row["path"]).name, row["cells"], row["blasts"], share, row["warned"])
        lines.append("".join(f"<td>{html.escape(str(text))}</td>" for text in texts))
    rows = "\n".join(f"<tr>{line}</tr>" for line in lines)
    names = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f"<table><tr>{names}</tr>{rows}</table>"


def _page(cells: pd.DataFrame, figures: list[str], lines: list[str], told: str) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in _HEAD)
    keys = ", ".join(f'<b class="key" style="--own:{COLOURS[name]}">{name}</b>' for name in COLOURS)
    fields_seen = cells["path"].nunique()
    body = f"""<h1>ANNa: {fields_seen:,} {"field" if fields_seen == 1 else "fields"},
{cells["cell"].notna().sum():,} nucleated cells</h1>{page.stand_in(cells)}
<p><strong>For research and teaching. Not for diagnosis.</strong></p>
{_summary(cells)}
<p>The interval knows of chance alone, not of wrong calls. Boxes: {keys}, grey and dashed: not
judged; the number is the probability of ALL, * a warning. A click on a box leads to its row, a
click on a column's head sorts by it. {told}</p>
{chr(10).join(figures)}
<table><thead><tr>{heads}</tr></thead><tbody>
{chr(10).join(lines)}
</tbody></table>"""
    return markup.document("ANNa: fields", body, style=page.STYLE + _STYLE, script=page.SORT)
