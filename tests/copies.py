"""Made-up copies of C-NMC with tiny images, for tests of what lies where."""

from pathlib import Path

import numpy as np
from PIL import Image

from anna import cnmc

PLACES = {"prelim": cnmc.PRELIM, "final": cnmc.FINAL}
HEADER = "Patient_ID,new_names,labels"


def picture(number, side=24):
    """A coloured square on black; another number, another colour."""
    image = np.zeros((side, side, 3), np.uint8)
    image[4:-5, 5:-3] = 1 + number % 250, number // 250, 77
    return image


def save(path, image):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def make(root, pictures, labels=None):
    """The folder `root`, with pictures by `fold_0/all/NAME`, `prelim/1.bmp` or `final/1.bmp`.

    Args:
        root: Folder to make.
        pictures: The number of each file's picture.
        labels: Rows of the label CSV, (name, file, label).
    """
    for place, number in pictures.items():
        first, _, rest = place.partition("/")
        folder = PLACES.get(first, Path("training_data") / first)
        save(root / folder / rest, picture(number))
    if labels is not None:
        write_labels(root, [HEADER, *(",".join(map(str, row)) for row in labels)])
    return root


def write_labels(root, lines, *, encoding="utf-8", end="\n"):
    path = root / cnmc.LABELS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def uid(subject, image=1, cell=1):
    """A published file name; healthy subjects begin with H or h."""
    return f"UID_{subject}_{image}_{cell}_{'hem' if subject[0] in 'Hh' else 'all'}.bmp"


def place(subject, fold=0, image=1, cell=1):
    name = uid(subject, image, cell)
    return f"fold_{fold}/{name[-7:-4]}/{name}"
