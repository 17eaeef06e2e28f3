"""Every figure of ANNa. Each function returns a closed matplotlib Figure."""

from anna.plots.calls import evidence, gallery
from anna.plots.comparison import label_order, learning_curves, published
from anna.plots.data import class_balance, sizes, subjects
from anna.plots.differences import differences
from anna.plots.fields import field
from anna.plots.network import network
from anna.plots.pictures import augmentations, crops, mosaic, pair, resolutions
from anna.plots.results import confusion, curves, reliability, subject_strip
from anna.plots.sharing import shared_images
from anna.plots.stain import colours
from anna.plots.style import save
from anna.plots.trust import deletion, robustness

__all__ = [
    "augmentations",
    "class_balance",
    "colours",
    "confusion",
    "crops",
    "curves",
    "deletion",
    "differences",
    "evidence",
    "field",
    "gallery",
    "label_order",
    "learning_curves",
    "mosaic",
    "network",
    "pair",
    "published",
    "reliability",
    "resolutions",
    "robustness",
    "save",
    "shared_images",
    "sizes",
    "subject_strip",
    "subjects",
]
