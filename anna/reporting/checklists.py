"""The two checklists: which of their items a report meets, and where.

What each item asks is told in our own words; the numbers are those of the published lists.
"""

from __future__ import annotations

import html
from pathlib import Path

import pandas as pd

from anna import markup

TITLES = {
    "claim_2024": ("claim", "CLAIM 2024", "Checklist for AI in Medical Imaging, 2024 update"),
    "tripod_ai": ("tripod", "TRIPOD+AI", "for studies that make or test a prediction model"),
}
STATUSES = {"met": "met", "in part": "part", "not met": "not", "does not apply": ""}
_LEFT_OUT = "this run has left nothing to show for it; run all four notebooks"


def items(name: str) -> pd.DataFrame:
    """Returns a checklist, one row an item: item, asks, status, where, lacks.

    `status` is one of `STATUSES`, `where` holds the anchors of the report that meet it, and `lacks`
    says what is missing.

    Args:
        name: "claim_2024" or "tripod_ai".
    """
    return pd.read_csv(Path(__file__).with_name(f"{name}.csv"), dtype=str, keep_default_na=False)


def judged(name: str, page: str) -> pd.DataFrame:
    """Returns a checklist as a report meets it: `where` holds only anchors that are there.

    An item that counts as met by parts none of which is in the page is not met; one of whose parts
    some are missing is met in part.

    Args:
        name: As in `items`.
        page: HTML of the report.
    """
    there, table = markup.anchors(page), items(name)
    asked = table["where"].str.split()
    table["where"] = [" ".join(a for a in each if a in there) for each in asked]
    claimed = table["status"].isin(["met", "in part"])
    gone = claimed & (table["where"] == "")
    fewer = (table["status"] == "met") & (table["where"].str.split().str.len() < asked.str.len())
    table.loc[fewer, ["status", "lacks"]] = ["in part", _LEFT_OUT.replace("it;", "the rest;")]
    table.loc[gone, ["status", "lacks"]] = ["not met", _LEFT_OUT]
    return table


def counts(table: pd.DataFrame) -> dict[str, int]:
    """Returns how many items have each of `STATUSES`."""
    return {status: int((table["status"] == status).sum()) for status in STATUSES}


def section(page: str, *, drawn: bool) -> str:
    """Returns the checklists as HTML, each item with links to where the page meets it.

    Args:
        page: HTML of the report before them.
        drawn: Whether the cells are drawn.
    """
    honest = (
        "Of drawn cells, “met” says that the page tells it, not that it holds for people."
        if drawn
        else "“Met” says that the page tells it; whether it is well done is the reader's to judge."
    )
    intro = (
        f"{honest} What a run cannot know is “not met”, and who publishes it must add it. "
        "What an item asks is told in our words; the lists themselves are in the references."
    )
    parts = []
    for name, (anchor, title, subtitle) in TITLES.items():
        table = judged(name, page)
        told = ", ".join(f"{count} {status}" for status, count in counts(table).items())
        rows = [_row(row) for row in table.to_dict("records")]
        parts.append(
            markup.part(
                anchor,
                f"{title}, {subtitle}",
                f"<p>{len(table)} items: {told}.</p>",
                markup.table(rows, raw=("", "where, or why not")),
            )
        )
    return markup.section("checklists", "Checklists", markup.prose(intro), *parts)


def _row(row: dict) -> dict:
    links = ", ".join(markup.link(anchor) for anchor in row["where"].split())
    told = "; ".join(each for each in (links, html.escape(row["lacks"])) if each)
    shade = STATUSES[row["status"]]
    status = f'<span class="status {shade}">{row["status"]}</span>'
    return {"item": row["item"], "asks for": row["asks"], "": status, "where, or why not": told}
