"""Mounts a folder that is already there."""

from pathlib import Path


def mount(place):
    Path(place, "MyDrive").mkdir(parents=True, exist_ok=True)
