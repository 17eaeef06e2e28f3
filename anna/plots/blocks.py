"""The blocks of a network's drawing: what they are, how large, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

FACES = {
    "input": "#C9C9C9",
    "encoder": "#8DB8D8",
    "bottleneck": "#C3A5CF",
    "decoder": "#9CCBA5",
    "head": "#F0C987",
    "output": "#E79B7A",
}
TALLEST, WIDEST, DEPTH, GAP = 2.2, 0.8, 0.22, 0.55  # inches or so; depth is a share of the height


@dataclass
class Block:
    """A box of the drawing: what it is, and where its front face stands."""

    name: str
    part: str
    side: int
    channels: int
    source: str | None
    skip_to: str | None
    width: float
    height: float
    x: float = 0.0
    top: float = 0.0

    @property
    def depth(self) -> float:
        """How far the box goes back, drawn to the upper right."""
        return self.height * DEPTH

    @property
    def right(self) -> float:
        """The rightmost end."""
        return self.x + self.width + self.depth

    @property
    def bottom(self) -> float:
        """The lower end of the front."""
        return self.top - self.height

    @property
    def middle(self) -> float:
        """The height of the front's centre."""
        return self.top - self.height / 2

    @property
    def flat(self) -> bool:
        """Whether it is a vector, no map."""
        return self.side == 1


def place(blocks: dict[str, Block]) -> None:
    """Sets the places of all blocks: the U, then what follows it."""
    _place_trunk(blocks)
    _place_rest(blocks)


def blocks_of(levels: pd.DataFrame) -> dict[str, Block]:
    """Returns the blocks by name, with their sizes; places are still to be set.

    Args:
        levels: As of `anna.plots.network`.

    Raises:
        ValueError: a part is unknown, or a name that is pointed to does not exist.
    """
    unknown = sorted(set(levels["part"]) - set(FACES))
    if unknown:
        raise ValueError(f"Parts must be among {list(FACES)}. Received: {unknown}")
    widest = levels.loc[levels["side"] > 1, "channels"].max()
    blocks: dict[str, Block] = {}
    for row in levels.itertuples():
        given = _name(getattr(row, "source", None))
        blocks[row.name] = Block(
            name=row.name,
            part=row.part,
            side=int(row.side),
            channels=int(row.channels),
            source=given or _source(row, blocks),
            skip_to=_name(row.skip_to),
            width=max(0.07, WIDEST * min(1.0, np.sqrt(row.channels / widest))),
            height=max(0.3, TALLEST * np.sqrt(row.side / levels["side"].max())),
        )
    ends = {end for block in blocks.values() for end in (block.skip_to, block.source) if end}
    if ends - set(blocks):
        raise ValueError(f"Connections must end at a block. Received: {sorted(ends - set(blocks))}")
    return blocks


def _name(value: object) -> str | None:
    return None if value is None or pd.isna(value) else str(value)


def _source(row, before: dict[str, Block]) -> str | None:
    """Returns the block that a row without a given source is computed from."""
    trunk = [name for name, block in before.items() if block.part not in ("head", "output")]
    heads = [name for name, block in before.items() if block.part == "head"]
    if row.part == "output" and row.side > 1:
        return trunk[-1]
    if row.part in ("head", "output"):
        return (heads or trunk)[-1]
    return trunk[-1] if trunk else None


def _place_trunk(blocks: dict[str, Block]) -> None:
    """Sets the places from input to decoder: down on the left, up on the right."""
    x, tops, before = 0.0, {}, None
    for block in blocks.values():
        if block.part in ("head", "output"):
            continue
        if before and block.side not in tops:
            tops[block.side] = before.bottom - 0.25 + block.height / 2
        block.top = tops.setdefault(block.side, 0.0)
        block.x = x
        x, before = block.right + GAP, block


def _place_rest(blocks: dict[str, Block]) -> None:
    """Sets the places of heads and outputs: maps below one another, vectors in a row beneath."""
    trunk = [block for block in blocks.values() if block.part not in ("head", "output")]
    start = trunk[-1].right + GAP + 0.25
    maps = [block for block in blocks.values() if block not in trunk and not block.flat]
    floor = min(block.middle for block in trunk)
    for block in maps:
        source = blocks[block.source]
        block.x = start if source in trunk else source.right + GAP + 0.25
        above = [one for one in maps if one is not block and one.x == block.x]
        block.top = min((one.bottom - 1.05 for one in above), default=0.0)
        floor = min(floor, block.bottom - 0.75)
    x = max((block.right + 0.4 for block in maps), default=start)
    for block in blocks.values():
        if block not in trunk and block.flat:
            block.x, block.top = x, floor + block.height / 2
            x = block.right + max(GAP, 1.15 - block.width)
