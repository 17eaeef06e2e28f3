"""The script and the commands of the README do what it says, on a small sample."""

import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

import anna
from anna import arguments
from anna.cli import main
from anna.sample import fields

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


def commands():
    """What the README says to type, line by line, comments and variables of a shell aside."""
    text = README.read_text()
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    inline = [part for code in re.findall(r"`([^`]+)`", text) for part in code.split(" && ")]
    found = [line.partition("   #")[0].strip() for line in lines]
    return [line.replace("$SLURM_ARRAY_TASK_ID", "0") for line in dict.fromkeys(found + inline)]


PARSER = arguments.parser(defaultdict(lambda: None))
OWN = [line for line in commands() if re.match(r"(python -m )?anna [a-z]+", line)]
MAKE = [line for line in commands() if re.match(r"(ANNA_OUTPUT=\w+ )?make [a-z-]+", line)]


@pytest.mark.parametrize("line", OWN)
def test_a_command_is_one_that_anna_takes(line):
    words = shlex.split(line.removeprefix("python -m "))[1:]
    if len(words) > 1:
        assert PARSER.parse_args(words)
    else:
        with pytest.raises(SystemExit) as left:
            PARSER.parse_args([*words, "--help"])
        assert left.value.code == 0


@pytest.mark.parametrize("line", MAKE)
def test_a_target_of_make_is_there(line):
    command = ["env", *shlex.split(line), "--dry-run"]
    done = subprocess.run(command, cwd=README.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_cells_and_fields_are_judged_by_the_very_lines(tmp_path, monkeypatch, sample_root):
    cells = sorted(sample_root.rglob("fold_0/all/*.bmp"))[:3]
    (tmp_path / "folder").mkdir()
    for cell in cells:
        shutil.copy(cell, tmp_path / "folder")
    field = fields.draw(seed=0, scale=2.0)
    Image.fromarray(field.pixels).save(tmp_path / "smear.png")
    monkeypatch.chdir(tmp_path)
    for line in OWN:
        words = shlex.split(line.removeprefix("python -m "))[1:]
        if words[0] in ("predict", "field") and "--out" in words:
            assert main([*words, "--quiet"]) == 0
    assert anna.tables.read(tmp_path / "calls.csv")["unlike"].notna().sum() == 3
    cells = anna.tables.read(tmp_path / "cells.csv")
    assert len(cells) > 3
    assert (cells["unlike"].notna() == cells["probability"].notna()).all()
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("calls.html", "field.html"))
