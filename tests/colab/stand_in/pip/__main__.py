"""Notes what it was asked for."""

import os
import sys
from pathlib import Path

with Path(os.environ["COLAB_STAND_IN"], "pip.log").open("a") as log:
    log.write(" ".join(sys.argv[1:]) + "\n")
