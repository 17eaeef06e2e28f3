"""The protocol on real people: what judges a part, and what calibrates it, has not seen it."""

import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from places import REPO

from anna import calibration, tables


@pytest.fixture
def brain_tables(benchmark):
    return benchmark("brain_tables")


def cells(each=40):
    """Two people a part, one of each class; labels that a log-odds can be drawn for."""
    rows = [
        (f"{part}{label}{number}", part, f"{part}{label}", label)
        for part in "abcde"
        for label in (0, 1)
        for number in range(each)
    ]
    table = pd.DataFrame(rows, columns=["name", "part", "group", "label"])
    return table.assign(subject=table["group"], label=table["label"].astype("Int64"))


@pytest.fixture
def place(tmp_path):
    """Networks that are sure and right in twice the log-odds they ought to have."""
    table, rng = cells(), np.random.default_rng(0)
    odds = np.where(table["label"] == 1, 1.0, -1.0) + rng.normal(0, 1.2, len(table))
    table["probability"] = table["one view"] = 1 / (1 + np.exp(-2 * odds))

    def _place(variant, seed, without):
        return tmp_path / f"{variant}-{without}-{seed}.csv"

    shuts = [*"abcde", *("".join(two) for two in combinations("abcde", 2))]
    for without in shuts:
        for seed in (0, 1):
            held = table[table["part"].isin(list(without))]
            tables.write(held, _place("anna", seed, without))
    return _place


def spoil(path, part):
    """Makes what a network says of one part nonsense."""
    table = tables.read(path)
    table.loc[table["part"] == part, "probability"] = 0.123
    tables.write(table, path)


def test_a_part_has_no_say_in_its_own_calibration(brain_tables, place):
    before = brain_tables.calibrations(cells(), place, 0)
    for two in combinations("abcde", 2):
        if "c" in two:
            spoil(place("anna", 0, "".join(two)), "c")
    after = brain_tables.calibrations(cells(), place, 0)
    assert after["c"] == before["c"]
    assert all(after[part] != before[part] for part in "abde")


def test_doubled_log_odds_are_halved(brain_tables, place):
    for known in brain_tables.calibrations(cells(), place, 0).values():
        assert known.temperature > 1.3


def test_together_each_part_is_judged_by_those_who_have_not_seen_it(brain_tables, place):
    none = dict.fromkeys("abcde", calibration.Calibration())
    spoil(place("anna", 0, "ab"), "b")
    found = brain_tables.together(place, (0, 1), none)
    assert len(found) == len(cells())
    assert found["name"].is_unique
    plain = tables.read(place("anna", 0, "a"))
    same = found.set_index("name").loc[plain["name"], "probability"].to_numpy()
    np.testing.assert_allclose(same, plain["probability"], atol=1e-6)  # all members agree on a
    other = tables.read(place("anna", 0, "b"))
    moved = found.set_index("name").loc[other["name"], "probability"].to_numpy()
    assert np.abs(moved - other["probability"]).max() > 0.01  # one of six was spoilt on b


def test_row_has_the_parts_and_the_pooled_scores(brain_tables, place):
    found = pd.concat([tables.read(place("anna", 0, part)) for part in "abcde"])
    row = brain_tables.row(found, cells(), resamples=50)
    parts = [row[f"AUC {part}"] for part in "abcde"]
    assert row["mean AUC"] == pytest.approx(np.mean(parts))
    assert row["low"] <= row["weighted_f1"] <= row["high"]


def test_true_shares_raise_the_log_odds_by_those_of_the_teachers(brain_tables):
    table = cells().query("part != 'a' or label == 0 or name < 'a115'")
    found = table.assign(probability=0.5)
    moved = brain_tables.by_shares(table, found)
    share = table.loc[table["part"] != "b", "label"].mean()
    np.testing.assert_allclose(moved.loc[moved["part"] == "b", "probability"], share, atol=1e-9)


def test_ingredients_stand_beside_the_first_and_its_single_view(brain_tables, place):
    for part in "abcde":
        spoil(place("anna", 0, part), part)  # all views together; one view knows as before
        table = tables.read(place("anna", 0, part))
        tables.write(table.assign(probability=table["one view"]), place("less", 0, part))
    found = brain_tables.ingredients(cells(), place, ["anna", "less", "not trained"], 0)
    found = found.set_index("variant")
    assert list(found.index) == ["anna", "less", "with one view of eight"]
    assert found.loc["anna", "lost AUC"] == 0
    assert found.loc["less", "mean AUC"] == found.loc["with one view of eight", "mean AUC"]
    assert found.loc["less", "lost AUC"] < -0.1
    assert brain_tables.ingredients(cells(), place, ["not trained", "anna"], 0).empty


def test_other_settings_of_a_variant_have_another_folder(benchmark, monkeypatch):
    brain = benchmark("brain")
    before = {name: brain.judged(name, 0, "a") for name in brain.VARIANTS}
    assert len(set(before.values())) == len(before)
    monkeypatch.setitem(brain.TEACH, "epochs", 7)
    after = {name: brain.judged(name, 0, "a") for name in brain.VARIANTS}
    assert after["anna"] != before["anna"]
    assert after["from photographs"] == before["from photographs"]  # says its own


START = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
sys.path.insert(0, sys.argv[1])
import brain
spawn = multiprocessing.get_context("spawn")
with ProcessPoolExecutor(1, mp_context=spawn, initializer=brain._leave_with_parent) as pool:
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600)
    time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux for a process")
def test_workers_leave_when_their_parent_is_killed():
    command = [sys.executable, "-c", START, str(REPO / "benchmarks")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        worker = Path("/proc") / parent.stdout.readline().strip() / "stat"
        assert is_running(worker)
        parent.kill()
    until = time.monotonic() + 30
    while is_running(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not is_running(worker)


def is_running(process):
    """Whether a process is there and not but waiting to be buried."""
    try:
        return process.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
