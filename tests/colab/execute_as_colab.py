"""Runs notebooks as notebooks/execute.py does, but leaves the copies in ANNA_TEST_FOLDER."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "notebooks"))
import execute

parser = argparse.ArgumentParser()
parser.add_argument("names", nargs="*")
parser.add_argument("--set", nargs="*", default=[])
asked = parser.parse_args()
settings = {key: execute.value_of(text) for key, _, text in (s.partition("=") for s in asked.set)}
for name in asked.names:
    execute.execute(name, settings, Path(os.environ["ANNA_TEST_FOLDER"]))
