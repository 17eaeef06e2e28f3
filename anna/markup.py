"""Pages to pass on: what the HTML of every page of ANNa shares, so that each looks the same."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import mistune

from anna.card import show
from anna.patience import patiently

# Colours follow the browser's choice of light or dark; paper is always light.
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; background: Canvas; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid #8884; vertical-align: middle; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.ALL { color: #b2182b; font-weight: 600; } .HEM { color: #2166ac; font-weight: 600; }
@media (prefers-color-scheme: dark) { .ALL { color: #f4a582; } .HEM { color: #92c5de; } }
"""
# What a page of text and figures adds to it; the browser's PDF of it is A4 with numbered pages.
DOCUMENT = """
body { max-width: 56rem; }
h1 { line-height: 1.15; margin-bottom: .3rem; }
h2 { border-top: 2px solid #8886; margin: 2.6rem 0 .6rem; padding-top: .8rem; }
h3 { margin: 1.6rem 0 .4rem; }
:target { scroll-margin-top: 1rem; background: #f5d76e55; }
a { color: light-dark(#0b5cad, #8ec5ff); }
nav ol { columns: 3 14rem; padding-left: 1.4rem; }
.notice { border-left: .4rem solid #d55e00; background: #d55e0018; padding: .6rem 1rem;
  margin: 1rem 0; }
.wide { overflow-x: auto; margin: .6rem 0 1rem; }
.wide table { font-size: .9rem; min-width: 55%; width: auto; }
th { vertical-align: bottom; }
th.number { text-align: right; }
td { vertical-align: top; }
td.number { white-space: nowrap; }
figure { margin: 1.2rem 0; }
figure img { background: white; border-radius: 6px; display: block; height: auto;
  max-height: 34rem; max-width: 100%; }
figcaption { color: light-dark(#555, #aaa); font-size: .88rem; margin-top: .3rem; }
code { font-size: .9em; overflow-wrap: anywhere; }
pre { background: #8881; overflow-x: auto; padding: .6rem .8rem; }
.met { color: light-dark(#0a6b4b, #6fd3ae); } .part { color: light-dark(#8a5a00, #e9c46a); }
.not { color: light-dark(#b2182b, #f4a582); }
.status { font-weight: 600; white-space: nowrap; }
@page { size: A4; margin: 17mm 15mm;
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; } }
@media print {
  :root { color-scheme: light; }
  body { font-size: 9.5pt; margin: 0; max-width: none; padding: 0; }
  a { color: inherit; }
  h2, h3 { break-after: avoid; }
  h2 { margin-top: 1.4rem; }
  figure, tr, .notice, .together { break-inside: avoid; }
  figcaption { font-size: 8pt; }
  figure img { max-height: 100mm; max-width: 100%; width: auto; }
  thead { display: table-header-group; }
  th { position: static; }
  .wide { overflow: visible; }
  .wide table { font-size: 8pt; }
  th, td { padding: .18rem .35rem; }
  td.number { white-space: normal; }
  p, li { orphans: 3; widows: 3; }
}
"""
_prose = mistune.create_markdown(escape=True)


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """Returns a whole HTML page that needs no other file.

    Args:
        title: As text.
        body: As HTML.
        style: CSS after `STYLE`.
        script: JavaScript at the end.
    """
    code = f"<script>{script}</script>" if script else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width"><style>{STYLE}{style}</style></head><body>
{body}
{code}</body></html>
"""


def prose(markdown: str) -> str:
    """Returns Markdown as HTML; HTML in it is shown, not obeyed."""
    return _prose(markdown).strip()


def table(rows: Iterable[Mapping], *, raw: Sequence[str] = ()) -> str:
    """Returns rows as an HTML table, empty if there are none; numbers stand at the right.

    Args:
        rows: Of values that `anna.card.show` can show.
        raw: Columns that are HTML already.
    """
    rows = list(rows)
    if not rows:
        return ""
    numbers = {name for name in rows[0] if any(_is_number(row.get(name)) for row in rows)}
    heads = "".join(
        f'<th scope="col"{_kind(name in numbers)}>{html.escape(str(name))}</th>' for name in rows[0]
    )
    lines = []
    for row in rows:
        values = ((name, row.get(name)) for name in rows[0])
        lines.append(
            "".join(
                f"<td{_kind(name in numbers)}>{value if name in raw else _text(value)}</td>"
                for name, value in values
            )
        )
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def picture(content: bytes, kind: str, alt: str) -> str:
    """Returns an image as HTML with its bytes in it.

    Args:
        content: Of the file.
        kind: "png" or "webp".
        alt: What it shows, for those who do not see it.
    """
    told = html.escape(alt, quote=True)
    return f'<img alt="{told}" src="{address(content, kind)}">'


def address(content: bytes, kind: str) -> str:
    """Returns the address of an image that holds its bytes, for `src` and `href`.

    Args:
        content: As of `picture`.
        kind: As of `picture`.
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def figure(path: Path | None, caption: str) -> str:
    """Returns a PNG file as an HTML figure with its caption; empty if there is none."""
    if path is None:
        return ""
    image = picture(patiently(path.read_bytes), "png", caption)
    return f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>"


def part(anchor: str, title: str, *content: str) -> str:
    """Returns a part of a page that can be linked to; empty if all its content is."""
    held = [each for each in content if each]
    if not held:
        return ""
    head = f'<h3 id="{anchor}">{html.escape(title)}</h3>\n{held[0]}'
    return "\n".join([f'<div class="together">{head}</div>', *held[1:]])


def section(anchor: str, title: str, *content: str) -> str:
    """Returns a chapter of a page that can be linked to; empty if all its content is."""
    held = [each for each in content if each]
    head = f'<h2 id="{anchor}">{html.escape(title)}</h2>'
    return "\n".join([head, *held]) if held else ""


def anchors(page: str) -> set[str]:
    """Returns the ids of a page, those that a link can lead to."""
    return set(re.findall(r'\sid="([^"]+)"', page))


def without_dead_links(page: str) -> str:
    """Returns a page whose links to parts that it lacks are plain text."""
    there = anchors(page)
    return re.sub(r'<a href="#([^"]+)">(.*?)</a>', lambda m: m[0] if m[1] in there else m[2], page)


def link(anchor: str) -> str:
    """Returns a link to a part of the same page, under the part's name."""
    return f'<a href="#{anchor}">{anchor.replace("-", " ")}</a>'


def _text(value: object) -> str:
    """Returns a value of a cell as HTML; no line ends within the brackets of an interval."""
    if isinstance(value, str):
        kept = value.replace(", ", ",\N{NO-BREAK SPACE}") if _is_number(value) else value
        return html.escape(kept)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return html.escape(show(value))


def _is_number(value: object) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return True
    return isinstance(value, str) and bool(re.fullmatch(r"[+-]?[\d.]+ \[.*\]", value))


def _kind(number: bool) -> str:
    return ' class="number"' if number else ""
