"""A page of calls to pass on: one HTML file, its pictures in it, its table sorted by a click."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import keras
import matplotlib as mpl
import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from anna import backend, images, markup, pool, predict
from anna.archive import are_drawn
from anna.card import DRAWN
from anna.checks import CLASSES
from anna.models import crop_of
from anna.report import write_text

SIDE = 160  # of a picture, in pixels of the page
MOST = 1000  # cells with pictures, and files not judged; more make a page that no browser likes
_HEAD = ("cell", "evidence", "file", "probability of ALL", "call", "warning")
EVIDENCE = "Evidence: red speaks for ALL, blue against it."
STYLE = f"""
thead th {{ cursor: pointer; white-space: nowrap; position: sticky; top: 0; }}
td img {{ width: {SIDE // 2}px; height: {SIDE // 2}px; display: block; }}
td img:hover {{ width: {SIDE}px; height: {SIDE}px; }}
td.file {{ overflow-wrap: anywhere; min-width: 14rem; }}
details {{ margin-bottom: 1rem; overflow-wrap: anywhere; }}
@media (max-width: 60rem) {{ table {{ display: block; overflow-x: auto; }} }}
"""
SORT = """
const heads = [...document.querySelectorAll("thead th")];
for (const [column, head] of heads.entries()) {
  head.tabIndex = 0;
  head.onclick = () => {
    const body = document.querySelector("thead + tbody");
    const key = row => row.cells[column].dataset.key ?? row.cells[column].textContent;
    const up = head.ariaSort !== "ascending";
    for (const other of heads) other.ariaSort = null;
    head.ariaSort = up ? "ascending" : "descending";
    const rows = [...body.rows].sort((a, b) =>
      key(a).localeCompare(key(b), undefined, {numeric: true}));
    body.append(...(up ? rows : rows.reverse()));
  };
  head.onkeydown = event => { if (event.key === "Enter") head.onclick(); };
}
"""


def write(
    path: str | Path,
    calls: pd.DataFrame,
    model: keras.Model,
    *,
    crop: int | None = None,
    progress: bool = True,
) -> Path:
    """Returns `path`, an HTML page of calls that needs no other file, the likeliest ALL first.

    Args:
        path: Where the page goes.
        calls: As `anna.calls.of` returns them. The first `MOST` by probability get a row; of what
            could not be judged the first `MOST` are listed, folded up.
        model: That made the calls; one without maps leaves the evidence out.
        crop: As in `anna.predict.files`.
        progress: Whether to show a bar.

    Raises:
        anna.decoding.ImageError: If a file that was judged can no longer be read.
    """
    ordered = calls.sort_values("probability", ascending=False, kind="stable")
    rows = ordered.dropna(subset="probability").head(MOST).to_dict("records")
    size, crop = model.input_shape[1], crop or crop_of(model)
    bar = tqdm(rows, "drawing cells", unit="cell", disable=not progress)
    shown = pictures(model, (images.read(row["path"], size, crop=crop) for row in bar))
    lines = [_row(row, *both) for row, both in zip(rows, shown, strict=True)]
    return write_text(path, _page(calls, lines, evidence=predict.has_maps(model)))


def pictures(model: keras.Model, cells: Iterable[np.ndarray]) -> Iterator[tuple[str, str]]:
    """Yields each cell and its evidence as HTML, in their order; no evidence if there are no maps.

    The model sees as many cells at once as suit the machine; threads draw those before meanwhile.
    Never are all cells and maps held at once.

    Args:
        model: That made the calls.
        cells: uint8 (size, size, 3) RGB, as the model sees them.
    """
    seen = _seen(model, cells) if predict.has_maps(model) else ((cell,) for cell in cells)
    return pool.each(lambda each: drawn(*each), seen)


def _seen(model: keras.Model, cells: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields each cell, its mask and its evidence."""
    cells, together = iter(cells), backend.batch_size(model.input_shape[1])
    while part := list(islice(cells, together)):
        maps = predict.maps(model, np.stack(part), batch_size=together)
        yield from zip(part, maps["mask"], maps["evidence"], strict=True)


def drawn(cell: np.ndarray, *maps: np.ndarray) -> tuple[str, str]:
    """Returns a cell and its evidence as HTML; no evidence where mask and evidence are missing.

    Args:
        cell: uint8 (h, w, 3) RGB.
        *maps: As of `overlay`.
    """
    evidence = picture(overlay(cell, *maps), "evidence") if maps else ""
    return picture(cell, "cell"), evidence


def overlay(image: np.ndarray, mask: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Returns a grey cell or field under its evidence, uint8: red speaks for ALL, blue against it.

    The strongest colour is the 99th percentile of the evidence in it.

    Args:
        image: uint8 (h, w, 3) RGB.
        mask: The cell or cells, 0 to 1, (h', w').
        evidence: Log-odds, (h', w').
    """
    inside = np.abs(evidence[mask >= 0.5])
    limit = float(np.percentile(inside, 99)) if inside.size else 0.0
    colours = mpl.colormaps["RdBu_r"](0.5 + evidence / (2 * limit or 1.0))[..., :3]
    size = image.shape[1::-1]
    large = [Image.fromarray(np.uint8(255 * each)).resize(size) for each in (colours, mask)]
    colour, share = (np.asarray(each, np.float32) / 255 for each in large)
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) / 255
    share = 0.7 * share[..., None]
    return np.uint8(np.rint(255 * ((1 - share) * grey + share * colour)))


def stand_in(calls: pd.DataFrame) -> str:
    """Returns a notice as HTML where files are of a drawn stand-in; else nothing."""
    notice = f'\n<p class="notice"><strong>{DRAWN}.</strong></p>'
    return notice if any(are_drawn(calls["path"])) else ""


def picture(image: np.ndarray, name: str) -> str:
    """Returns the image as HTML that needs no other file."""
    return markup.picture(webp(Image.fromarray(image).resize((SIDE, SIDE))), "webp", name)


def webp(image: Image.Image) -> bytes:
    """Returns the bytes of the image's WEBP file."""
    kept = io.BytesIO()
    image.save(kept, "WEBP", quality=80)
    return kept.getvalue()


def _row(row: dict, cell: str, evidence: str) -> str:
    probability = row["probability"]
    key, shown = f"{probability:.6f}", f"{probability:.1%}"
    where, name = (html.escape(str(each)) for each in (row["path"], Path(row["path"]).name))
    return (
        f'<tr><td data-key="{key}">{cell}</td><td data-key="{key}">{evidence}</td>'
        f'<td class="file" title="{where}">{name}</td>'
        f'<td class="number" data-key="{key}">{shown}</td>'
        f'<td class="{row["call"]}">{row["call"]}</td><td>{html.escape(notes(row))}</td></tr>'
    )


def notes(row: dict) -> str:
    """Returns what a row of calls has as problem and warning, as text."""
    return "; ".join(row[k] for k in ("problem", "warning") if isinstance(row[k], str) and row[k])


def failed(row: dict) -> str:
    """Returns the name of a file that could not be judged, and why, as HTML."""
    problem = notes(row).removeprefix(f"{row['path']}: ")
    return html.escape(f"{Path(row['path']).name}: {problem}")


def _not_judged(calls: pd.DataFrame) -> str:
    """Returns the files that could not be judged as a list to unfold; empty if there are none."""
    rows = calls[calls["probability"].isna()]
    if rows.empty:
        return ""
    lines = [
        f'<li title="{html.escape(str(row["path"]))}">{failed(row)}</li>'
        for row in rows.head(MOST).to_dict("records")
    ]
    more = f"<p>{left:,} more are in the CSV.</p>" if (left := len(rows) - len(lines)) else ""
    return (
        f"<details><summary>{len(rows):,} not judged</summary><ul>\n"
        f"{chr(10).join(lines)}\n</ul>{more}</details>\n"
    )


def _page(calls: pd.DataFrame, lines: list[str], *, evidence: bool) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in _HEAD)
    counts = calls["call"].value_counts()
    told = ", ".join(f"{counts.get(name, 0):,} called {name}" for name in reversed(CLASSES))
    warned = f"{(calls['warning'] != '').sum():,} with a warning"
    unjudged = int(calls["probability"].isna().sum())
    left = len(calls) - unjudged - len(lines)
    more = f" The {left:,} least likely ALL are in the CSV alone." if left else ""
    body = f"""<h1>ANNa: {len(calls):,} cells</h1>{stand_in(calls)}
<p>{told}, {unjudged:,} not judged, {warned}.{more}
{EVIDENCE if evidence else ""} A click on a column's head sorts by it.</p>
<p><strong>For research and teaching. Not for diagnosis.</strong></p>
{_not_judged(calls)}<table><thead><tr>{heads}</tr></thead><tbody>
{chr(10).join(lines)}
</tbody></table>"""
    return markup.document("ANNa: calls", body, style=STYLE, script=SORT)
