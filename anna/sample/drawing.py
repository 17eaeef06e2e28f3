"""One stained lymphoid cell as pixels: the brush of the built-in sample.

Figures in this file were measured on real C-NMC cells; only the classes differ more in texture
than real ones, so that a short training can find it. To give the same bytes on every platform,
random fields are blurred and enlarged in fixed-point arithmetic, and whatever passes through the
mathematical library is rounded before it can reach a pixel.
"""

from statistics import NormalDist

import cv2
import numpy as np

from anna.sample.shape import MARGIN, Donor, Traits, diameter, normal, outlines, traits_of

NUCLEUS = np.array((63.5, 24.0, 75.5))  # RGB of the chromatin of an average cell
CYTOPLASM = np.array((67.0, 42.0, 89.0))
DEBRIS = {"platelet": (76.0, 55.0, 96.0), "red cell": (90.0, 62.0, 80.0)}
STAIN = np.array((6.4, 3.9, 6.0))  # one standard deviation of stain, RGB: nearly one direction

# Brightness by depth below the rim, relative to the middle of the cell: red, green, blue.
DEPTHS = (0, 1, 2, 3, 4, 6.5, 10, 14.5, 20.5, 29, 42, 65)
RIM = (
    (1.75, 1.50, 1.36, 1.28, 1.21, 1.10, 1.01, 0.98, 0.97, 0.98, 0.99, 1.01),
    (3.00, 2.50, 2.05, 1.85, 1.65, 1.35, 1.15, 1.04, 0.98, 0.97, 0.98, 0.99),
    (1.55, 1.40, 1.29, 1.25, 1.21, 1.15, 1.08, 1.03, 1.00, 0.985, 0.98, 0.98),
)
RING = (0, 0, 0, 0, 0.1, 0.4, 0.8, 1, 0.9, 0.5, 0.1, 0)  # where a dark ring of chromatin lies

OCTAVES = (1, 2, 4, 8, 16)  # lattice steps of the texture, pixels
NORMAL = np.float32([round(NormalDist().inv_cdf((k + 0.5) / 256), 4) for k in range(256)])
LATTICE_BLUR = 1.6  # standard deviation of the blur on the lattice, in steps
WEIGHTS = np.array((1.3, 2.7, 4.6, 4.1, 3.4))  # grey levels of red for each octave
TINT = np.array(((1.0, 0.45, 0.35), (1.0, 0.46, 0.27), (1.0, 0.43, 0.27),
                 (1.0, 0.43, 0.41), (1.0, 0.50, 0.58)))  # fmt: skip
CLUMPING = np.array((-0.22, -0.26, 0.28, 0.38, 0.10))  # effect of one unit of clumps on each
HUE = np.array((0.45, -0.05, -0.35))  # pink against indigo, where chromatin is loose


def draw(donor: Donor, rng: np.random.Generator, side: int = 450) -> np.ndarray:
    """A cell of `donor` on pure black, uint8 (side, side, 3) RGB.

    `rng` decides everything; its first draw is the cell's `diameter`.
    """
    size = diameter(donor, rng)
    traits = traits_of(donor, rng)
    shapes = outlines(traits, size, (size - donor.diameter) / 25, rng)
    pixels = _paint(shapes, donor, traits, rng)
    canvas = np.zeros((side, side, 3), np.uint8)
    height, width = pixels.shape[:2]
    y, x = (_corner(side, length, rng) for length in (height, width))
    canvas[y : y + height, x : x + width] = pixels
    return canvas


def _corner(side: int, length: int, rng: np.random.Generator) -> int:
    """First pixel of a box that lies near the middle, now and then well beside it."""
    spread = 16 if rng.random() < 0.12 else 3
    return int(np.clip(round((side - length) / 2 + normal(rng, 0, spread)), 0, side - length))


def _paint(shapes, donor: Donor, traits: Traits, rng) -> np.ndarray:
    """The cutout as uint8 (h, w, 3) RGB, cut to its box."""
    corners = [part.max(axis=0) for kind in shapes if kind != "nucleus" for part in shapes[kind]]
    width, height = np.ceil(np.max(corners, axis=0)).astype(int) + 1 + MARGIN
    masks = {kind: _fill(parts, (height, width)) for kind, parts in shapes.items()}
    cut = np.max([masks[kind] for kind in masks if kind != "nucleus"], axis=0)
    stain = np.clip(donor.stain + normal(rng), -2.2, 2.8)
    light = (stain + 0.12 * (stain * stain - 1)) * STAIN + donor.tint + normal(rng, 0, 0.8, 3)
    texture = _texture((height, width), donor, traits, rng)
    colour = _cell(masks, light, texture, _rim(masks["cell"], donor, traits, rng))
    _spots(colour, shapes["nucleus"][0], donor, rng)
    colour = _with_debris(colour, masks, light, texture)
    return _photograph(colour, cut, donor.grain, rng)


def _cell(masks, light, texture, rim) -> np.ndarray:
    """Nucleus and cytoplasm under their rim, float32 (h, w, 3) in levels."""
    outside = 1 - _soft(masks["nucleus"], 4)[..., None]
    colour = np.float32(NUCLEUS + light) * rim
    colour += np.float32(CYTOPLASM - NUCLEUS) * outside
    colour += texture * (1 - np.float32(0.6) * outside)
    return colour


def _photograph(colour, cut, grain: float, rng) -> np.ndarray:
    """The colours as whole levels with the camera's noise, cut out and trimmed to the cut's box."""
    noise = np.frombuffer(rng.bytes(colour.size), np.uint8).reshape(colour.shape)
    colour += NORMAL[noise] * np.float32(grain)
    colour *= np.where(_fringe(cut), np.float32(0.5), np.float32(1))[..., None]
    pixels = np.clip(np.floor(colour + np.float32(0.5)), 1, 255).astype(np.uint8)
    pixels[cut == 0] = 0
    x, y, width, height = cv2.boundingRect(cut)
    return pixels[y : y + height, x : x + width]


def _fill(parts, shape) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    for part in parts:
        cv2.fillPoly(mask, [np.rint(part * 16).astype(np.int32)], 255, shift=4)
    return mask


def _soft(mask: np.ndarray, sigma: float) -> np.ndarray:
    """The mask with soft edges, float32 from 0 to 1."""
    return cv2.GaussianBlur(mask, (0, 0), sigma).astype(np.float32) / np.float32(255)


def _fringe(mask: np.ndarray) -> np.ndarray:
    return (mask > 0) & (cv2.erode(mask, np.ones((3, 3), np.uint8)) == 0)


def _with_debris(colour, masks, light, texture) -> np.ndarray:
    """The colours with scraps beside the cell; the cell lies on top."""
    for kind, flat in DEBRIS.items():
        if masks[kind].any():
            here = _soft(masks[kind], 1) * (1 - _soft(masks["cell"], 1.2))
            scrap = np.float32(flat + 1.2 * light) + np.float32(0.8) * texture
            scrap += np.float32(40) * (1 - _soft(masks[kind], 4))[..., None]
            colour = colour + (scrap - colour) * here[..., None]
    return colour


def _depth(mask) -> np.ndarray:
    """Distance to the outside in quarters of a pixel, int32 (h, w).

    Squared distances are whole numbers: rounded, they are the same in every build of OpenCV.
    """
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.floor(np.sqrt(np.rint(distance * distance)) * 4 + 0.5).astype(np.int32)


def _rim(mask, donor: Donor, traits: Traits, rng) -> np.ndarray:
    """Brightness relative to the middle, float32 (h, w, 3): light rim, dark ring, colour fringe."""
    depth = _depth(mask)
    stretch = np.exp(normal(rng, 0, 0.2))
    strength = np.exp(normal(rng, donor.rim, 0.2))
    ring = 0.036 * np.interp(np.arange(1200) / 4 / stretch, DEPTHS, RING) * (traits.ring + 0.3)
    shift = rng.integers(-1, 2, 2)
    channels = []
    for values, times in zip(RIM, (1, 0, -1), strict=True):
        table = np.interp(np.arange(1200) / 4 / stretch, DEPTHS, values)
        table = np.where(table > 1, 1 + (table - 1) * strength, table) - ring
        moved = np.roll(depth, tuple(shift * times), axis=(0, 1))
        channels.append(np.round(table, 4).astype(np.float32)[moved])
    return np.stack(channels, axis=-1)


def _octave(shape, step: int, rng) -> np.ndarray:
    """Smooth noise of unit variance, float32 `shape`, of grain about 1.6 `step` pixels."""
    rows, columns = (length // step + 3 for length in shape)
    noise = np.frombuffer(rng.bytes(2 * rows * columns), "<u2").reshape(rows, columns)
    noise = cv2.GaussianBlur(noise.astype(np.uint16), (0, 0), LATTICE_BLUR)
    if step > 1:
        size = (columns * step, rows * step)
        noise = cv2.resize(noise, size, interpolation=cv2.INTER_LINEAR_EXACT)
    noise = noise[: shape[0], : shape[1]].astype(np.float32) - np.float32(32767.5)
    return noise / np.float32(18918.6 / (2 * LATTICE_BLUR * 1.772454))


def _texture(shape, donor: Donor, traits: Traits, rng) -> np.ndarray:
    """Chromatin: octaves of noise skewed to bright, float32 (h, w, 3), in levels."""
    clumps = CLUMPING * traits.clumps
    contrast = donor.contrast + normal(rng, 0, 0.14) + normal(rng, 0, 0.1, len(OCTAVES))
    gains = np.round(WEIGHTS * np.exp(clumps + contrast), 4)
    planes = np.zeros((3, *shape), np.float32)
    for step, gain, tint in zip(OCTAVES, gains, TINT, strict=True):
        field = _octave(shape, step, rng)
        field += np.float32(0.2) * (field * field - 1)
        for plane, share in zip(planes, tint, strict=True):
            plane += field * np.float32(gain * share)
    for step, gain in ((2, 1.0), (8, 1.6)):
        field = _octave(shape, step, rng)
        for plane, share in zip(planes, HUE, strict=True):
            plane += field * np.float32(gain * share)
    return cv2.merge(planes)


def _spots(colour, nucleus, donor: Donor, rng) -> None:
    """Adds nucleoli (mostly in blasts) and small bright granules in place."""
    middle = nucleus.mean(axis=0)
    nucleoli = rng.poisson(0.9 if donor.label else 0.25)
    granules = rng.poisson(0.25)
    for number in range(nucleoli + granules):
        at = middle + (nucleus[rng.integers(len(nucleus))] - middle) * 0.75 * rng.random() ** 0.5
        if number < nucleoli:
            radius, rise = 6 + 5 * rng.random(), (10.0, 6.0, 9.0)
        else:
            radius, rise = 3 + 3 * rng.random(), (26.0, 18.0, 20.0)
        _spot(colour, at, radius, np.float32(rise) * np.float32(0.5 + rng.random()))


def _spot(colour, at, radius: float, rise) -> None:
    reach = int(4 * radius)
    x, y = np.rint(at).astype(int) - reach
    stamp = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
    cv2.circle(stamp, (reach, reach), round(radius), 255, -1)
    stamp = _soft(stamp, max(radius / 2.5, 1))[..., None] * rise
    top, left = max(y, 0), max(x, 0)
    window = colour[top : y + 2 * reach + 1, left : x + 2 * reach + 1]
    window += stamp[top - y :, left - x :][: window.shape[0], : window.shape[1]]
