"""What the fault tests share: pictures, a small disk, another user, a child that kills itself."""

import codecs
import os
import resource
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from anna import images

NOBODY = 65_534
codecs.lookup("utf-8-sig")  # another user may not be allowed to load it from root's Python
ROOM = 600_000  # bytes of the small disk


@pytest.fixture
def load(pictures):
    """A function from a folder to the pixels of the pictures, kept there."""

    def _load(folder, size=8):
        return images.load(pictures, size, crop=16, cache=folder, progress=False)

    return _load


@pytest.fixture
def whole(load, tmp_path):
    """The pixels of the pictures, made without any fault."""
    return np.array(load(tmp_path / "whole"))


@pytest.fixture
def user():
    """A folder of a user who is not root; while the test runs, this process is that user."""
    root = os.geteuid() == 0
    if root and not hasattr(os, "setresuid"):
        pytest.skip("root is always allowed, and cannot become another user here")
    with tempfile.TemporaryDirectory() as folder:
        if root:
            os.chown(folder, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, 0)
        try:
            yield Path(folder)
        finally:
            if root:
                os.setresuid(0, 0, 0)


@pytest.fixture
def small_disk(tmp_path):
    """A folder with little room: a disk in memory where one can be mounted, else limited files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", folder]
    if (
        os.geteuid() == 0
        and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    ):
        yield folder
        subprocess.run(["umount", folder], check=True)
        return
    with limited_files(ROOM):
        yield folder


@contextmanager
def limited_files(most):
    """No file of this process can grow beyond `most` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def killed():
    """Runs a program in another Python and makes sure that it has killed itself, kill -9."""

    def _run(code, *arguments):
        command = [sys.executable, "-c", "import os, signal\n" + code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr

    return _run


@pytest.fixture
def holder():
    """A function that starts a process which holds a lock until it is killed; gives the process."""
    started = []
    code = (
        "import sys, time\nfrom anna.lock import alone\n"
        "with alone(sys.argv[1], wait=False):\n    print('held', flush=True)\n    time.sleep(600)"
    )

    def _hold(path):
        command = [sys.executable, "-c", code, str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield _hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def everything():
    """A function that lists all files below a folder, hidden ones too, by their place in it."""
    return lambda folder: sorted(
        str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()
    )
