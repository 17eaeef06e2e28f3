"""The outline of one cell and of what clings to it: the pencil of the built-in sample.

Figures were measured on real C-NMC cells. Whatever passes through the mathematical library is
rounded before it can decide a pixel, so that a seed gives the same cell on every platform.
"""

from dataclasses import dataclass

import numpy as np

ANGLES = np.linspace(0, 2 * np.pi, 720, endpoint=False)
COSINES, SINES = (wave(np.arange(61)[:, None] * ANGLES) for wave in (np.cos, np.sin))
MARGIN = 8  # pixels around the cell's box, so that blurs see no border
DEBRIS = ("platelet", "red cell")


@dataclass(frozen=True)
class Donor:
    """The person a cell comes from, as far as the cell shows it.

    Attributes:
        label: 1 for ALL, 0 for HEM.
        diameter: mean diameter of this person's cells, pixels.
        stain: strength of stain and light, standard deviations.
        tint: small colour cast of the slide, RGB levels.
        maturity: shift of the class traits, standard deviations; healthy chromatin is positive.
        grain: standard deviation of the camera's noise, levels.
        rim: brightness of the cells' rims, logarithm relative to the mean.
        contrast: contrast of the chromatin, likewise.
    """

    label: int
    diameter: float
    stain: float
    tint: tuple[float, float, float]
    maturity: float
    grain: float
    rim: float
    contrast: float


@dataclass(frozen=True)
class Traits:
    """What differs between healthy and leukemic cells besides size, each near N(0, 1) + class."""

    clumps: float
    ring: float
    smooth: float
    cytoplasm: float


def normal(rng: np.random.Generator, mean: float = 0.0, sd: float = 1.0, size=None):
    """Normal variates rounded to 1e-6: the last bits may differ between platforms."""
    return np.round(rng.normal(mean, sd, size), 6)


def diameter(donor: Donor, rng: np.random.Generator) -> float:
    """The diameter sqrt(w h) of the bounding box of a donor's next cell, in pixels.

    Within a person, sizes are skewed to the right: much for healthy cells, a little for blasts.
    """
    spread, bend = (22.0, 0.08) if donor.label else (28.5, 0.25)
    z = normal(rng)
    skewed = (z + bend * (z * z - 1)) / (1 + 2 * bend * bend) ** 0.5
    return float(np.clip(donor.diameter + spread * skewed, 120, 330))


def traits_of(donor: Donor, rng: np.random.Generator) -> Traits:
    """The traits of a donor's next cell: the classes overlap in each."""
    sign = -1 if donor.label else 1
    shift = donor.maturity
    return Traits(
        clumps=normal(rng, 0.9 * sign + shift, 0.9),
        ring=normal(rng, 0.7 * sign + 0.5 * shift, 0.9),
        smooth=normal(rng, 0.5 * sign + 0.3 * shift, 0.9),
        cytoplasm=normal(rng, 0.3 * sign, 0.9),
    )


def outlines(traits: Traits, size: float, bigness: float, rng) -> dict[str, list[np.ndarray]]:
    """Outlines of the parts of a cutout, in pixels: arrays (n, 2) of x and y.

    Args:
        traits: of the cell.
        size: diameter of the common bounding box of all but the nucleus, pixels.
        bigness: how far the cutout exceeds its donor's mean; big cutouts carry more debris.
        rng: decides the rest.
    """
    radius = _radius(traits, rng)
    cell = _polar(radius)
    nucleus = _nucleus(traits, rng)
    for chance, depth in ((0.22, 0.12), (0.08, 0.2)):
        if rng.random() < chance:
            cell = _cut(cell, rng, depth)
    debris = {kind: [] for kind in DEBRIS}
    for kind, chance in zip(DEBRIS, (0.16, 0.10), strict=True):
        if rng.random() < chance + 0.08 * bigness:
            debris[kind].append(_scrap(cell, rng))
    return _fit({"cell": [cell], "nucleus": [nucleus], **debris}, size)


def _nucleus(traits: Traits, rng) -> np.ndarray:
    """The nucleus: most of the cell, at times off to one side so that cytoplasm shows."""
    size = 1.03 - 0.05 * max(traits.cytoplasm, 0) + 0.1 * rng.random()
    shape = 1 + _waves(rng, (2, 5), 0.03)
    aside = 2 * np.pi * rng.random(), 0.1 * rng.random() + 0.04 * max(traits.cytoplasm, 0)
    return _polar(size * shape) + aside[1] * np.round((np.cos(aside[0]), np.sin(aside[0])), 9)


def _polar(radius: np.ndarray) -> np.ndarray:
    return np.stack((radius * COSINES[1], radius * SINES[1]), axis=1)


def _waves(rng, orders, amplitude: float) -> np.ndarray:
    """A random periodic curve over ANGLES of the given orders and root mean square."""
    chosen = slice(orders[0], orders[1] + 1)
    a, b = normal(rng, 0, amplitude / len(COSINES[chosen]) ** 0.5, (2, len(COSINES[chosen]), 1))
    return (a * COSINES[chosen] + b * SINES[chosen]).sum(axis=0)


def _radius(traits: Traits, rng) -> np.ndarray:
    """Radius over ANGLES: an ellipse, lobes, dents, buds, and an edge rough in places."""
    rough = np.exp(-0.28 * traits.smooth)
    bent = np.exp(normal(rng, -0.1, 0.45))
    patchy = 0.35 + np.clip(_waves(rng, (1, 3), 0.8), 0, 1.6)
    radius = 1 + bent * (_waves(rng, (2, 2), 0.055) + _waves(rng, (3, 3), 0.022))
    radius += rough * (_waves(rng, (4, 5), 0.018) + _waves(rng, (6, 9), 0.009))
    radius += rough * patchy * (_waves(rng, (10, 19), 0.0045) + _waves(rng, (20, 60), 0.0026))
    for _ in range(rng.poisson(0.55 * rough)):
        radius -= _bump(rng, 0.03 + 0.16 * rng.random(), 0.05 + 0.22 * rng.random())
    for _ in range(rng.poisson(0.4 * rough)):
        radius += _bump(rng, 0.03 + 0.09 * rng.random(), 0.03 + 0.06 * rng.random())
    return radius


def _bump(rng, height: float, width: float) -> np.ndarray:
    away = (ANGLES - 2 * np.pi * rng.random() + np.pi) % (2 * np.pi) - np.pi
    return height * np.exp(-0.5 * (away / width) ** 2)


def _cut(outline: np.ndarray, rng, depth: float) -> np.ndarray:
    """The outline cut straight along one of eight directions, as a tile's edge cuts a cell."""
    angle = np.pi / 4 * rng.choice((0, 2, 4, 6, 0, 2, 4, 6, 1, 3, 5, 7))
    direction = np.round((np.cos(angle), np.sin(angle)), 9)
    reach = outline[:, 0] * direction[0] + outline[:, 1] * direction[1]
    limit = reach.max() - (0.03 + depth * rng.random())
    return outline - np.maximum(reach - limit, 0)[:, None] * direction


def _scrap(cell: np.ndarray, rng) -> np.ndarray:
    """A ragged piece of something else that touches the rim."""
    at = rng.integers(len(ANGLES))
    size = 0.17 + 0.2 * rng.random()
    edge = 1 + _waves(rng, (2, 4), 0.22) + _waves(rng, (5, 12), 0.05) + _waves(rng, (13, 40), 0.015)
    piece = _polar(size * np.maximum(edge, 0.3))
    away = 0.3 * size * rng.random() * _polar(np.ones(len(ANGLES)))[at]
    return _cut(_cut(piece, rng, 0.6 * size), rng, 0.6 * size) + cell[at] + away


def _fit(shapes, size: float) -> dict[str, list[np.ndarray]]:
    """The outlines in pixels: their common box has sqrt(w h) = size and starts at MARGIN."""
    visible = np.concatenate(
        [part for kind in shapes if kind != "nucleus" for part in shapes[kind]]
    )
    low, high = visible.min(axis=0), visible.max(axis=0)
    scale = (size - 1) / np.sqrt(np.prod(high - low))
    return {
        kind: [(part - low) * scale + MARGIN for part in parts] for kind, parts in shapes.items()
    }
