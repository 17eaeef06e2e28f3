"""Whether a cell looks like the cells that a network has learnt from.

A network gives any picture a probability. These checks are plain measures of `anna.facts`, each
against the range that real cells had; they find the wrong magnification, another stain, a blurred
photograph and a picture that was not cut out, not every way to differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from anna.crops import CROP

# What lies below the range, and above it.
SAYS = {
    "diameter": ("smaller than the cells learnt from", "larger than the cells learnt from"),
    "red": ("darker in red", "brighter in red"),
    "green": ("darker in green", "brighter in green"),
    "blue": ("darker in blue", "brighter in blue"),
    "texture": ("blurred", "noisy or sharpened"),
}
GREY = "no colour"  # what is said where all channels have the same median; no stain looks so
FULL = 0.9  # share of an image that a cell cut out on black never fills
LOST = 0.05  # share of a cell's box beyond the square that is judged; few of C-NMC's lose more


def ranges(facts: pd.DataFrame, *, tail: float = 0.001) -> dict[str, tuple[float, float]]:
    """Returns the range of each measure in `SAYS`, by name.

    Args:
        facts: Of the cells that were learnt from, as `anna.facts.of` returns them.
        tail: Share of the cells that may lie below a range, and as many above.
    """
    seen = facts[list(SAYS)].quantile([tail, 1 - tail])
    return {name: (float(seen[name].iloc[0]), float(seen[name].iloc[1])) for name in SAYS}


def warnings(
    facts: pd.DataFrame, known: Mapping[str, tuple[float, float]], *, crop: int = CROP
) -> pd.Series:
    """Returns what is unusual about each image, text with the index of `facts`; empty if nothing.

    Args:
        facts: As `anna.facts.of` returns them; an image without measures has no warning.
        known: As `ranges` returns them.
        crop: Side of the central square that is judged, in pixels of the file.
    """
    found = [_of_row(row, known, crop) for row in facts.to_dict("records")]
    return pd.Series(found, index=facts.index, dtype="str", name="warning")


def together(*said: Iterable[str]) -> list[str]:
    """Returns for each image what is said of it in several lists, empty texts left out."""
    return ["; ".join(filter(None, each)) for each in zip(*said, strict=True)]


def _of_row(row: Mapping, known: Mapping[str, tuple[float, float]], crop: int) -> str:
    if pd.isna(row["area"]):
        return ""
    found = [GREY] if row["red"] == row["green"] == row["blue"] else []
    if row["area"] > FULL * row["width"] * row["height"]:
        return "; ".join([*found, "not cut out on black"])
    if (lost := _lost(row, crop)) > LOST:
        found.append(f"{lost:.0%} lies beyond the central {crop} pixels, which alone are judged")
    for name, (low, high) in known.items():
        below, above = SAYS[name]
        if row[name] < low or row[name] > high:
            say = below if row[name] < low else above
            found.append(f"{say} ({row[name]:.3g}, seen {low:.3g} to {high:.3g})")
    return "; ".join(found)


def _lost(row: Mapping, crop: int) -> float:
    """Returns the share of the cell's box that lies beyond the central square."""
    kept = 1.0
    for start, length, whole in (("left", "width", "width"), ("top", "height", "height")):
        first, side = row[f"box_{start}"], row[f"box_{length}"]
        edge = (row[whole] - crop) / 2
        inside = min(first + side, edge + crop) - max(first, edge)
        kept *= max(inside, 0) / side if side else 1
    return 1 - kept
