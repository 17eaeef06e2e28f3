"""A page of calls to pass on: one HTML file, its pictures in it, its table sorted by a click."""

from __future__ import annotations

import html
import io
from pathlib import Path

import keras
import matplotlib as mpl
import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from anna import images, markup, predict
from anna.archive import are_drawn
from anna.card import DRAWN
from anna.checks import CLASSES
from anna.models import crop_of
from anna.report import write_text

SIDE = 160  # of a picture, in pixels of the page
MOST = 1000  # cells with pictures; more make a page that no browser likes
_HEAD = ("cell", "evidence", "file", "probability of ALL", "call", "warning")
EVIDENCE = "Evidence: red speaks for ALL, blue against it."
STYLE = f"""
thead th {{ cursor: pointer; white-space: nowrap; position: sticky; top: 0; }}
td img {{ width: {SIDE // 2}px; height: {SIDE // 2}px; display: block; }}
td img:hover {{ width: {SIDE}px; height: {SIDE}px; }}
td.file {{ overflow-wrap: anywhere; min-width: 14rem; }}
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
        calls: As `anna.calls.of` returns them. The first `MOST` by probability get a row, and
            before them whatever could not be judged.
        model: That made the calls; one without maps leaves the evidence out.
        crop: As in `anna.predict.files`.
        progress: Whether to show a bar.
    """
    ordered = calls.sort_values("probability", ascending=False, kind="stable", na_position="first")
    rows = ordered.head(MOST + int(calls["probability"].isna().sum())).to_dict("records")
    crop = crop or crop_of(model)
    bar = tqdm(rows, "drawing evidence", unit="cell", disable=not progress)
    lines = [_row(row, *_pictures(model, row, crop)) for row in bar]
    return write_text(path, _page(calls, lines, evidence=predict.has_maps(model)))


def overlay(image: np.ndarray, mask: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Returns a grey cell under its evidence, uint8: red speaks for ALL, blue against it.

    The strongest colour is the 99th percentile of this cell's evidence.

    Args:
        image: uint8 (h, w, 3) RGB.
        mask: The cell, 0 to 1, (h', w').
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


def _pictures(model: keras.Model, row: dict, crop: int) -> tuple[str, str]:
    """Returns the cell and its evidence, as HTML; nothing for a file that was not judged."""
    if pd.isna(row["probability"]):
        return "", ""
    image = images.read(row["path"], model.input_shape[1], crop=crop)
    if not predict.has_maps(model):
        return picture(image, "cell"), ""
    maps = predict.maps(model, image[None])
    seen = overlay(image, maps["mask"][0], maps["evidence"][0])
    return picture(image, "cell"), picture(seen, "evidence")


def stand_in(calls: pd.DataFrame) -> str:
    """Returns a notice as HTML where files are of a drawn stand-in; else nothing."""
    notice = f'\n<p class="notice"><strong>{DRAWN}.</strong></p>'
    return notice if any(are_drawn(calls["path"])) else ""


def picture(image: np.ndarray, name: str) -> str:
    """Returns the image as HTML that needs no other file."""
    kept = io.BytesIO()
    Image.fromarray(image).resize((SIDE, SIDE)).save(kept, "WEBP", quality=80)
    return markup.picture(kept.getvalue(), "webp", name)


def _row(row: dict, cell: str, evidence: str) -> str:
    probability = row["probability"]
    judged = not pd.isna(probability)
    key, shown = (f"{probability:.6f}", f"{probability:.1%}") if judged else ("-1", "")
    name = html.escape(Path(row["path"]).name)
    where = html.escape(str(row["path"]), quote=True)
    notes = html.escape(
        "; ".join(row[k] for k in ("problem", "warning") if isinstance(row[k], str) and row[k])
    )
    return (
        f'<tr><td data-key="{key}">{cell}</td><td data-key="{key}">{evidence}</td>'
        f'<td class="file" title="{where}">{name}</td>'
        f'<td class="number" data-key="{key}">{shown}</td>'
        f'<td class="{row["call"]}">{row["call"]}</td><td>{notes}</td></tr>'
    )


def _page(calls: pd.DataFrame, lines: list[str], *, evidence: bool) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in _HEAD)
    counts = calls["call"].value_counts()
    told = ", ".join(f"{counts.get(name, 0):,} called {name}" for name in reversed(CLASSES))
    warned = f"{(calls['warning'] != '').sum():,} with a warning"
    left = len(calls) - len(lines)
    more = f" Of those judged, the {left:,} least likely ALL are left out here." if left else ""
    body = f"""<h1>ANNa: {len(calls):,} cells</h1>{stand_in(calls)}
<p>{told}, {calls["problem"].notna().sum():,} not judged, {warned}.{more}
{EVIDENCE if evidence else ""} A click on a column's head sorts by it.</p>
<p><strong>For research and teaching. Not for diagnosis.</strong></p>
<table><thead><tr>{heads}</tr></thead><tbody>
{chr(10).join(lines)}
</tbody></table>"""
    return markup.document("ANNa: calls", body, style=STYLE, script=SORT)
