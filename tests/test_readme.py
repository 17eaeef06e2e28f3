"""The script of the README does what it says, on a small sample."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
SMALLER = {
    'write(ws.input / "sample")': 'write(ws.input / "sample", cells=60)',
    "size=128": "size=32",
    "epochs=18": "epochs=1",
    "**anna.recipe": "progress=False, **anna.recipe",
}


def test_the_script_goes_the_whole_way(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (script,) = (
        block for block in blocks if "anna.training.fit" in block and "spread" not in block
    )
    for text, smaller in SMALLER.items():
        assert text in script
        script = script.replace(text, smaller)
    monkeypatch.setenv("ANNA_INPUT", str(tmp_path / "input"))
    monkeypatch.setenv("ANNA_OUTPUT", str(tmp_path / "output"))
    (tmp_path / "input").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "weighted_f1" in done.stdout
