"""ANNa: tells leukemic blasts from healthy cells under the microscope.

The parts are loaded when first used, so that looking at a data set does not wait for Keras.
"""

import importlib
import os

from anna.workspace import Workspace

# What the backends read when they are first used, so it stands here, before anything can import
# Keras; what the user has set counts. TensorFlow's fast convolutions, which by itself it takes only
# on processors with AVX-512: without them training takes about twice as long. And a GPU's memory as
# it is needed: TensorFlow and JAX would take nearly all of it, and leave none to the next notebook.
ENVIRONMENT = {
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
for _name, _value in ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

__version__ = "0.1.0"
_PARTS = (
    "augmentation",
    "backend",
    "baselines",
    "calibration",
    "calls",
    "card",
    "cnmc",
    "colab",
    "comparison",
    "crops",
    "decoding",
    "deletion",
    "detection",
    "devices",
    "encoders",
    "ensemble",
    "export",
    "exported",
    "facts",
    "features",
    "field_evidence",
    "field_page",
    "fields",
    "finished",
    "front",
    "images",
    "layout",
    "likeness",
    "lite",
    "markup",
    "masks",
    "metrics",
    "models",
    "optimizers",
    "page",
    "paired",
    "parting",
    "plots",
    "pool",
    "predict",
    "probe",
    "published",
    "quality",
    "reading",
    "recipe",
    "report",
    "reporting",
    "robustness",
    "rounds",
    "runs",
    "sample",
    "schemas",
    "segment",
    "smear",
    "splits",
    "steps",
    "tables",
    "trained",
    "training",
    "unet",
    "wbc",
)
__all__ = ["Workspace", *_PARTS]


_WITH_KERAS = (
    "augmentation",
    "calls",
    "devices",
    "encoders",
    "ensemble",
    "field_evidence",
    "field_page",
    "fields",
    "export",
    "front",
    "layout",
    "likeness",
    "lite",
    "models",
    "optimizers",
    "page",
    "predict",
    "probe",
    "recipe",
    "rounds",
    "runs",
    "segment",
    "smear",
    "trained",
    "training",
    "unet",
)


def __getattr__(name: str):
    if name in _WITH_KERAS:
        importlib.import_module("anna.backend")  # loads Keras quietly, before the part does
    if name in _PARTS:
        return importlib.import_module(f"anna.{name}")
    raise AttributeError(f"module 'anna' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
