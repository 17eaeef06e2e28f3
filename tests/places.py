"""Where the checkout is, and the real data beside it if it is there."""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("ANNA_REAL_DATA") or REPO.parent / "shared" / "data")
