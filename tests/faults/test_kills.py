"""Kill -9 in the middle of writing: nothing half is taken for whole, and work goes on.

Each program kills itself at a chosen write, so that nothing hangs on timing.
"""

import json
import logging
import shutil

import numpy as np
import pandas as pd
import pytest
from copies import make, place, uid

from anna import archive, facts, kept, report, tables, workspace

KILL = "os.kill(os.getpid(), signal.SIGKILL)\n"
CACHE = """
import sys
from pathlib import Path
import pandas as pd
from anna import images

kind, folder, *paths = sys.argv[1:]
images._CHUNK = 4
write, crc, count = images.write_whole, images.zlib.crc32, []

def note_then_kill(path, writer):
    write(path, writer)
    count.append(path)
    if len(count) == 3:
        KILL
def block_then_kill(block, check):
    if check:
        KILL
    return crc(block, check)
def rename_then_kill(part, target):
    KILL

if kind == "after a note":
    images.write_whole = note_then_kill
if kind == "between block and note":
    images.zlib.crc32 = block_then_kill
if kind == "before the name":
    old = Path.replace
    Path.replace = lambda a, b: rename_then_kill(a, b) if a.suffix == ".part" else old(a, b)
images.load(pd.DataFrame({"path": paths}), 8, crop=16, cache=folder, progress=False)
""".replace("KILL", KILL.strip())


@pytest.mark.parametrize("kind", ["after a note", "between block and note", "before the name"])
def test_a_cache_killed_at_any_step_ends_with_the_same_bytes(
    pictures, load, whole, tmp_path, killed, kind, everything
):
    folder = tmp_path / "arrays"
    killed(CACHE, kind, folder, *pictures["path"])
    assert not list(folder.glob("*.npy"))
    np.testing.assert_array_equal(load(folder), whole)
    [kept_file] = everything(folder)  # no lock, no note, no part
    assert (folder / kept_file).read_bytes() == (tmp_path / "whole" / kept_file).read_bytes()


@pytest.mark.parametrize("damage", ["bit", "cut", "note", "gone"])
def test_a_half_cache_damaged_while_work_was_stopped_is_begun_anew(
    pictures, load, whole, tmp_path, killed, damage
):
    folder = tmp_path / "arrays"
    killed(CACHE, "after a note", folder, *pictures["path"])
    [part], [note] = folder.glob("*.part"), folder.glob("*.done")
    content = bytearray(part.read_bytes())
    content[200] ^= 1
    if damage == "bit":
        part.write_bytes(content)
    elif damage == "cut":
        part.write_bytes(content[:-900])
    elif damage == "note":
        note.write_text("30 0")
    else:
        part.unlink()
    np.testing.assert_array_equal(load(folder), whole)


MEASURING = """
import sys
from pathlib import Path
import pandas as pd
from anna import facts, kept, tables

kept._BATCH, kept._PAUSE, write, count = 4, 0, tables.write_whole, []
def kill_in_the_third(path, writer):
    def _half(part):
        writer(part)
        part.write_bytes(part.read_bytes()[:-100])
        if len(count) == 3:
            KILL
    count.append(path)
    return write(path, _half if len(count) == 3 else writer)

tables.write_whole = kill_in_the_third
cells = pd.DataFrame({"path": sys.argv[2:]})
facts.of(cells, cache=Path(sys.argv[1]), progress=False)
""".replace("KILL", KILL.strip())


def test_killed_while_writing_measures_only_the_last_batch_is_lost(
    pictures, tmp_path, killed, monkeypatch
):
    cache = tmp_path / "csv" / "facts.csv"
    killed(MEASURING, cache, *pictures["path"])
    assert len(pd.read_csv(cache)) == 8
    read = []
    of_file = facts.of_file
    monkeypatch.setattr(facts, "of_file", lambda path: read.append(path) or of_file(path))
    found = facts.of(pictures, cache=cache, progress=False)
    assert sorted(read) == pictures["path"].tolist()[8:]
    expected = facts.of(pictures, cache=tmp_path / "other.csv", progress=False)
    pd.testing.assert_frame_equal(found, expected)


RESULTS = """
import sys
from pathlib import Path
from anna import report

write = Path.write_text
def half_then_kill(path, text, **options):
    write(path, text[: len(text) // 2], **options)
    KILL
Path.write_text = half_then_kill
report.write_json(sys.argv[1], {"auc": 0.9})
""".replace("KILL", KILL.strip())


def test_killed_while_writing_results_the_old_ones_stay(tmp_path, killed, everything):
    path = report.write_json(tmp_path / "results" / "results.json", {"auc": 0.8})
    killed(RESULTS, path)
    assert json.loads(path.read_text()) == {"auc": 0.8}
    assert len(everything(path.parent)) == 2  # the half one, under a name that nobody reads
    workspace.sweep(path.parent)
    assert everything(path.parent) == ["results.json"]


UNPACKING = """
import sys, zipfile
from anna import archive

copied = zipfile.shutil.copyfileobj
def half(source, target, *rest):
    if target.name.endswith(sys.argv[2]):
        target.write(source.read(100))
        target.flush()
        KILL
    return copied(source, target, *rest)
zipfile.shutil.copyfileobj = half
archive.find(sys.argv[1])
""".replace("KILL", KILL.strip())


def test_killed_while_unpacking_it_ends_with_the_same_files(
    tmp_path, own_output, killed, everything
):
    pictures = {place("1", k % 3, k): k for k in range(6)}
    copy = make(tmp_path / "C-NMC_Leukemia", pictures, [(uid("5"), "1.bmp", 1)])
    packed = shutil.make_archive(tmp_path / "archive", "zip", tmp_path, "C-NMC_Leukemia")
    killed(UNPACKING, packed, uid("1", 4))
    assert [path.suffix for path in (own_output / "unpacked").glob("[!.]*")] == [".part"]
    found = archive.find(packed)
    assert everything(found) == everything(copy)
    assert all((found / f).read_bytes() == (copy / f).read_bytes() for f in everything(copy))
    assert not list(own_output.rglob("*.part"))


def test_measures_half_written_by_hand_are_made_anew(pictures, tmp_path, caplog):
    cache = tmp_path / "facts.csv"
    whole = facts.of(pictures, cache=cache, progress=False)
    content = cache.read_text()
    for damaged in (content[:-30], content[: len(content) // 2], content.replace("450", "451")):
        cache.write_text(damaged)
        with caplog.at_level(logging.WARNING):
            found = facts.of(pictures, cache=cache, progress=False)
        pd.testing.assert_frame_equal(found, whole)
    assert "facts.csv is damaged" in caplog.text
    assert tables.write(whole, cache) == cache  # a table without checksums counts for nothing
    pd.testing.assert_frame_equal(facts.of(pictures, cache=cache, progress=False), whole)
    assert pd.read_csv(cache)[kept._CHECK].str.len().eq(8).all()
