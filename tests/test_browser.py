"""The tests in a browser run where they are asked for, or fail: never green with nothing run."""

import os
import subprocess
import sys

import pytest
from places import REPO


@pytest.mark.parametrize(
    ("chromium", "said"),
    [
        ("", "No Chromium is here: install it"),
        (sys.executable, "No Playwright is here: pip install"),
    ],
)
def test_what_is_missing_is_a_failure_that_says_what_to_install(tmp_path, chromium, said):
    (tmp_path / "playwright.py").write_text("raise ImportError")
    environment = os.environ | {
        "PATH": str(tmp_path),
        "CHROMIUM": chromium,
        "PYTHONPATH": str(tmp_path),
    }
    words = ["-m", "browser", "-x", "-p", "no:cacheprovider", "tests/browser/test_lab.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=REPO,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout
    assert "skipped" not in done.stdout
