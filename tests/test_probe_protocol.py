"""The protocol of the probe on real people: a part has no say in what judges it."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import anna

STRENGTHS = (1e-3, 1.0)


@pytest.fixture
def probe_tables(benchmark):
    return benchmark("probe_tables")


@pytest.fixture(scope="module")
def data():
    """Two people a part; two views of five channels, of which the first tells the classes apart."""
    rows = [
        (f"{part}{label}-{number}", part, f"{part}{label}", label)
        for part in "abcde"
        for label in (0, 1)
        for number in range(30)
    ]
    cells = pd.DataFrame(rows, columns=["name", "part", "group", "label"])
    cells = cells.assign(subject=cells["group"], label=cells["label"].astype("Int64"))
    rng = np.random.default_rng(0)
    views = rng.normal(size=(2, len(cells), 5))
    views[..., 0] += 2 * cells["label"].to_numpy(float)
    changes = np.full((3, len(cells), 5), np.nan)
    changes[:, ::4] = rng.normal(size=changes[:, ::4].shape)
    return cells, views, changes


@pytest.fixture
def seen(probe_tables, data):
    return probe_tables.Seen(*data[1:])


def spoilt(cells, seen, part):
    """The same with nonsense in one part: other features, and the classes the wrong way round."""
    rows = (cells["part"] == part).to_numpy()
    others = []
    for each in (seen.views, seen.changes):
        other = each.copy()
        other[:, rows] = 5 * np.random.default_rng(1).normal(size=other[:, rows].shape)
        others.append(other)
    return cells.assign(label=cells["label"].mask(rows, 1 - cells["label"])), type(seen)(*others)


def test_a_part_has_no_say_in_its_own_strength_and_calibration(probe_tables, data, seen):
    def known_of(cells, seen):
        said = probe_tables.judge(seen, cells, strengths=STRENGTHS)
        return probe_tables.unseen(said, cells)[1]

    plain, changed = known_of(data[0], seen), known_of(*spoilt(data[0], seen, "b"))
    assert changed["b"] == plain["b"]
    assert all(changed[part] != plain[part] for part in "acde")


def test_what_judges_a_cell_has_not_seen_its_part(probe_tables, data, seen):
    cells = data[0]
    said = probe_tables.judge(seen, cells, strengths=(0.1,))
    spoilt_said = probe_tables.judge(*spoilt(cells, seen, "c")[::-1], strengths=(0.1,))
    for (out, strength), odds in said.items():
        held = cells["part"].isin(list(out)).to_numpy()
        assert np.isnan(odds[~held]).all()
        assert np.isfinite(odds[held]).all()
        if "c" in out:
            rows = held & (cells["part"] != "c").to_numpy()
            np.testing.assert_array_equal(spoilt_said[out, strength][rows], odds[rows])


def test_changes_of_the_taught_cells_alone_are_used(probe_tables, data, seen):
    cells = data[0]
    rows = (cells["part"] != "c").to_numpy()
    changes = seen.changes[:, rows][:, ~np.isnan(seen.changes[0, rows, 0])].reshape(-1, 5)
    labels, people = cells["label"].to_numpy(int)[rows], cells["group"].to_numpy()[rows]
    expected = anna.probe.fit(
        seen.views[:, rows], labels, people, strength=0.1, changes=changes, steady=3.0
    )
    found = probe_tables.taught(cells, seen, rows, strength=0.1, steady=3.0)
    np.testing.assert_array_equal(found.weights, expected.weights)
    assert seen.without(np.array([1])).changes.shape == (3, len(cells), 4)


def test_every_cell_is_judged_once_and_well(probe_tables, data, seen):
    cells = data[0]
    judged, known = probe_tables.unseen(probe_tables.judge(seen, cells, strengths=STRENGTHS), cells)
    assert judged["name"].tolist() == cells["name"].tolist()
    assert ((judged["probability"] > 0.5) == (cells["label"] == 1)).mean() > 0.8
    assert set(known) == set("abcde")


def test_the_better_strength_is_chosen(probe_tables, data, seen):
    cells = data[0]
    said = probe_tables.judge(seen, cells, strengths=(0.1,))
    said |= {(out, 1.0): -odds for (out, _), odds in said.items()}
    for part in ("", *"abcde"):
        strength, odds = probe_tables.choose(said, cells, part)
        assert strength == 0.1
        assert np.isnan(odds[(cells["part"] == part).to_numpy()]).all()
        assert np.isfinite(odds[(cells["part"] != part).to_numpy()]).all()


def test_the_offset_is_the_share_among_those_who_taught(probe_tables, data, seen):
    cells = data[0]
    fewer = (cells["part"] == "a") & (cells["label"] == 0) & (np.arange(len(cells)) % 2 == 1)
    kept = np.flatnonzero(~fewer)
    cells = cells.iloc[kept].reset_index(drop=True)
    seen = type(seen)(seen.views[:, kept], seen.changes[:, kept])
    said = probe_tables.judge(seen, cells, strengths=(0.1,))
    _, known = probe_tables.unseen(said, cells)
    for part, (_, calibration) in known.items():
        share = cells.loc[cells["part"] != part, "label"].mean()
        assert expit(calibration.offset) == pytest.approx(share)
    assert known["a"][1].offset == pytest.approx(0)
    assert known["b"][1].offset > 0
