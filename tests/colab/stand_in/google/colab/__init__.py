"""A stand-in for Google Colab's own package: its folders are those below COLAB_STAND_IN."""

import os
from pathlib import Path

from anna import patience, workspace

workspace.COLAB = Path(os.environ["COLAB_STAND_IN"])
workspace.DRIVE = workspace.COLAB / "drive" / "MyDrive"
patience.WAITS = (0.01,) * 5
