"""Two runs in the same place: the second waits or is refused, and nothing is mixed."""

import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from copies import make, place
from test_training import cells_and_pixels, network

from anna import archive, cli, lock, patience, training, workspace

ROOT = Path(__file__).resolve().parents[2]
LOAD = """
import sys, time
import pandas as pd
from anna import images

read = images.read
images.read = lambda *a, **b: time.sleep(0.01) or read(*a, **b)
images._CHUNK = 4
images.load(pd.DataFrame({"path": sys.argv[2:]}), 8, crop=16, cache=sys.argv[1], progress=False)
"""


def test_two_that_prepare_at_once_leave_one_whole_cache(
    pictures, whole, load, tmp_path, everything
):
    command = [sys.executable, "-c", LOAD, tmp_path / "arrays", *pictures["path"]]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    [kept] = everything(tmp_path / "arrays")
    assert (tmp_path / "arrays" / kept).read_bytes() == (tmp_path / "whole" / kept).read_bytes()


def later(work):
    """Starts the work in a thread; gives it, and the list that its result goes to."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    return thread, found


def test_preparing_waits_while_another_run_prepares(whole, load, tmp_path, holder, caplog):
    other = holder(tmp_path / "arrays" / ".lock")
    thread, found = later(lambda: load(tmp_path / "arrays"))
    thread.join(3 * lock._POLL)
    assert thread.is_alive()
    assert f"waits for another run, process {other.pid} on " in caplog.text
    other.kill()  # kill -9 frees the lock
    thread.join(20)
    np.testing.assert_array_equal(found[0], whole)


def test_unpacking_waits_while_another_run_unpacks(tmp_path, own_output, holder, monkeypatch):
    make(tmp_path / "data" / "C-NMC_Leukemia", {place("1"): 1})
    packed = Path(shutil.make_archive(tmp_path / "archive", "zip", tmp_path / "data"))
    target = archive.unpacked(packed)
    other = holder(target.with_name(f".{target.name}.lock"))
    thread, found = later(lambda: archive.find(packed))
    thread.join(3 * lock._POLL)
    assert thread.is_alive()
    assert not list((own_output / "unpacked").glob("[!.]*"))
    other.kill()
    thread.join(20)
    assert found[0].name == "C-NMC_Leukemia"


def test_training_is_refused_while_another_run_trains_and_not_after_its_kill(
    tmp_path, holder, everything
):
    cells, pixels = cells_and_pixels()
    options = {"folder": tmp_path / "models" / "anna", "epochs": 1, "progress": False}
    other = holder(tmp_path / "models" / ".anna.lock")
    told = rf"Another run is at work here.*\.anna\.lock, process {other.pid} on "
    with pytest.raises(lock.BusyError, match=told):
        training.fit(network(), pixels, cells, **options)
    assert everything(tmp_path) == ["models/.anna.lock"]
    other.kill()
    other.wait()
    assert training.fit(network(), pixels, cells, **options).new_epochs == 1
    assert "models/.anna.lock" not in everything(tmp_path)


def test_the_notebooks_are_refused_while_others_write_to_the_same_output(
    own_output, holder, monkeypatch, capsys
):
    spec = importlib.util.spec_from_file_location("execute", ROOT / "notebooks" / "execute.py")
    execute = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(execute)
    other = holder(own_output / ".lock")
    monkeypatch.setattr(sys, "argv", ["execute.py", "1_eda"])
    with pytest.raises(SystemExit) as left:
        execute.main()
    assert left.value.code == 2
    assert f"process {other.pid}" in capsys.readouterr().err
    assert not (own_output / "notebooks").exists()


@pytest.mark.parametrize("command", ["prepare", "test"])
def test_a_command_is_refused_while_another_run_writes_to_the_same_output(
    tmp_path, own_output, holder, everything, monkeypatch, capsys, command
):
    monkeypatch.setenv("ANNA_INPUT", str(make(tmp_path / "C-NMC_Leukemia", {place("1"): 1})))
    other = holder(own_output / ".lock")
    with pytest.raises(SystemExit) as left:
        cli.main([command])
    assert left.value.code == 2
    assert f"process {other.pid}" in capsys.readouterr().err
    assert everything(own_output) == [".lock"]


def test_a_lock_holds_though_its_holder_cannot_be_told(tmp_path, monkeypatch):
    kept, failures = os.write, [errno.EIO, errno.ENOSPC]

    def write(*given):
        raise OSError(failures.pop(0), "fails")

    for _ in range(2):
        monkeypatch.setattr(os, "write", write)
        with lock.alone(tmp_path / ".lock", wait=False):
            monkeypatch.setattr(os, "write", kept)
            with pytest.raises(lock.BusyError, match="an unknown process"):
                lock.alone(tmp_path / ".lock", wait=False).__enter__()
    assert not failures
    with lock.alone(tmp_path / ".lock", wait=False):  # nothing is left locked
        assert f"process {os.getpid()}" in (tmp_path / ".lock").read_text()


def test_a_disk_that_fails_while_a_lock_is_taken_is_tried_again(tmp_path, monkeypatch):
    kept, failures = lock._is, [errno.EIO]

    def fails(*given):
        if failures:
            raise OSError(failures.pop(), "fails")
        return kept(*given)

    monkeypatch.setattr(lock, "_is", fails)
    monkeypatch.setattr(patience, "WAITS", (0.01,))
    with lock.alone(tmp_path / ".lock", wait=False):
        assert not failures


def test_a_lock_is_for_one_and_leaves_no_file(tmp_path):
    path = tmp_path / "new" / ".lock"
    for _ in range(2):
        with lock.alone(path, wait=False):
            with pytest.raises(lock.BusyError, match=f"process {os.getpid()}"):
                lock.alone(path, wait=False).__enter__()
            with lock.alone(path.with_name(".other"), wait=False):
                pass
        assert list(path.parent.iterdir()) == []


def test_a_lock_is_freed_by_an_error(tmp_path):
    with pytest.raises(KeyError), lock.alone(tmp_path / ".lock", wait=False):
        raise KeyError
    with lock.alone(tmp_path / ".lock", wait=False):
        pass


def test_many_threads_take_turns(tmp_path):
    inside, most = [], []

    def work():
        with lock.alone(tmp_path / ".lock", wait=True):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [later(work)[0] for _ in range(8)]
    for thread in threads:
        thread.join(30)
    assert most == [1] * 8


def test_where_there_are_no_locks_work_goes_on(tmp_path, monkeypatch):
    def unknown(_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock, "_lock", unknown)
    with lock.alone(tmp_path / ".lock", wait=False), lock.alone(tmp_path / ".lock", wait=False):
        pass


def test_two_that_write_the_same_table_leave_a_whole_one(tmp_path):
    path = tmp_path / "results.json"
    texts = [str(number) * 200_000 for number in range(4)]
    threads = [
        later(lambda text=text: workspace.write_whole(path, lambda part: part.write_text(text)))[0]
        for text in texts
    ]
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]
