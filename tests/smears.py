"""Drawn fields, a small network, and a folder of fields, for the tests of whole fields."""

import numpy as np
from PIL import Image

import anna
from anna.sample import fields as drawn

SMALL = {"shape": (640, 800), "cells": 6, "touching": 0.5, "red_cells": 0.4}
KNOWN = {name: (-np.inf, np.inf) for name in anna.quality.SAYS}


def draw(count):
    return [drawn.draw(seed, **SMALL, tint=0.5) for seed in range(count)]


def network():
    return anna.models.build("anna", size=32, filters=(4, 8))


def background():
    return tuple(int(level) for level in drawn.BACKGROUND)


def write(folder, field):
    """A field, one without cells, and one that is no image; returns the folder."""
    Image.fromarray(field.pixels).save(folder / "a & b.png")
    Image.new("RGB", (300, 200), background()).save(folder / "blank.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder
