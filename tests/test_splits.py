"""No person stands on two sides, whatever the data; a split is kept, and remade when it must."""

import csv
import logging
import re

import numpy as np
import pandas as pd
import pytest
from copies import make, place, uid

import anna
from anna import cnmc, facts, splits

USED = ["train", "valid", "test"]


@pytest.fixture
def on_paper(monkeypatch):
    """Lets cells carry a column `pixels` in place of image files."""

    def of(cells, **_):
        empty = cells["pixels"] == "black"
        return pd.DataFrame(
            {
                "pixel_hash": cells["pixels"],
                "area": np.where(empty, 0, 9),
                "problem": cells.get("problem", pd.Series(pd.NA, cells.index)),
            },
            index=cells.index,
        )

    monkeypatch.setattr(facts, "of", of)


def table(people, *, split="train"):
    """Cells of people, {subject: number of images}, each image with pixels of its own."""
    rows = []
    for person, count in people.items():
        label = 0 if person.startswith("H") else 1
        rows += [(uid(person, k), split, person, label, f"{person}/{k}") for k in range(count)]
    cells = pd.DataFrame(rows, columns=["name", "split", "subject", "label", "pixels"])
    cells["path"] = cells["split"] + "/" + cells["name"]
    return cells.astype({"label": "Int64"})


def share(cells, one, other, *, first=0):
    """`cells` with an image of one subject standing under the other's name too."""
    rows = [np.flatnonzero(cells["subject"] == person)[first] for person in (one, other)]
    cells.loc[cells.index[rows[1]], "pixels"] = cells["pixels"].iloc[rows[0]]
    return cells


def random_cells(seed, *, prelim):
    """A random data set: people of uneven counts, some of whom share images."""
    rng = np.random.default_rng(seed)
    names = [str(k) for k in range(1, rng.integers(8, 16))]
    healthy = [f"H{k}" for k in range(1, rng.integers(8, 12))]
    counts = {name: int(n) for name in names + healthy for n in [np.exp(rng.uniform(0, 4))]}
    cells = table(counts)
    for kind in (names, healthy):
        for _ in range(rng.integers(0, 4)):
            cells = share(cells, *rng.choice(kind, 2, replace=False))
    if prelim:
        tested = {"101": 5, "102": 9, "H101": 4, "H102": 8}
        cells = pd.concat([cells, table(tested, split="prelim")], ignore_index=True)
    return cells.sample(frac=1, random_state=seed)


def assert_nobody_is_on_two_sides(cells):
    """By subject and by pixels, without trusting `group`."""
    used = cells[cells["role"].isin(USED)]
    for key in ("subject", "pixels", "group"):
        assert used.groupby(key)["role"].nunique().max() == 1
    both = used.groupby("role")["label"].nunique()
    assert both.to_dict() == dict.fromkeys(USED, 2)


# Who is one person.


def people(root):
    cells = cnmc.index(root)
    return dict(zip(cells["subject"], splits.groups(cells), strict=True))


def test_people_who_share_images_are_one_person(tmp_path):
    pictures = {place("20", 0): 1, place("21", 2): 1, place("20", 0, 2): 2, place("5", 1): 3}
    pictures |= {place("51", 1, 1): 4, place("78", 2): 4, place("51", 1, 2): 5, place("75", 0): 5}
    pictures |= {place("H2", 0): 6, place("H6", 1): 6, place("H10", 1): 7, place("h3", 2): 7}
    assert people(make(tmp_path, pictures)) == {
        "20": "20+21",
        "21": "20+21",
        "51": "51+75+78",
        "75": "51+75+78",
        "78": "51+75+78",
        "H2": "H2+H6",
        "H6": "H2+H6",
        "H10": "H10+H3",
        "H3": "H10+H3",
        "5": "5",
    }


def test_the_published_duplicates_join_who_the_reference_says(shared_data, tmp_path):
    pictures = {}
    with (shared_data / "cnmc_exact_duplicates.csv").open() as lines:
        for number, row in enumerate(csv.DictReader(lines)):
            for path in row["paths"].split(";"):
                _, part, *rest = path.split("/")
                key = "/".join(rest) if part == "training_data" else f"final/{rest[-1]}"
                pictures[key] = number
    assert sum(path.startswith("fold") for path in pictures) > 180
    found = people(make(tmp_path, pictures)).values()
    found = {group for group in found if isinstance(group, str)}
    # H2 shares one image with H6 in another fold, and five with H4 and H5 in its own.
    assert found == {"20+21", "51+75+78", "H2+H4+H5+H6", "H10+H3"}


def test_final_images_are_nobodys(tmp_path):
    cells = cnmc.index(make(tmp_path, {"final/1.bmp": 1, "final/2.bmp": 1}))
    assert splits.groups(cells).isna().all()


def test_a_shared_final_image_joins_nobody(tmp_path):
    pictures = {place("1"): 1, "final/1.bmp": 1, place("2"): 2, "final/2.bmp": 2}
    cells = cnmc.index(make(tmp_path, pictures))
    found = dict(zip(cells["name"], splits.groups(cells), strict=True))
    assert (found[uid("1")], found[uid("2")]) == ("1", "2")


def test_black_and_unreadable_images_join_nobody(on_paper):
    cells = table({"1": 2, "2": 2, "3": 1})
    cells["pixels"] = ["black", "a", "black", "b", None]
    assert splits.groups(cells).tolist() == ["1", "1", "2", "2", "3"]


def test_groups_keep_the_rows_of_any_index(on_paper):
    cells = share(table({"1": 3, "2": 3, "H1": 2}), "1", "2").sample(frac=1, random_state=1)
    found = splits.groups(cells)
    assert found.index.equals(cells.index)
    want = cells["subject"].map({"1": "1+2", "2": "1+2", "H1": "H1"})
    assert found.tolist() == want.tolist()


# Who learns, who validates, who tests.


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("prelim", [True, False], ids=["prelim", "hold-out"])
def test_no_person_on_two_sides(on_paper, seed, prelim):
    cells = random_cells(seed, prelim=prelim)
    found = splits.assign(cells, seed=seed)
    assert_nobody_is_on_two_sides(found)
    assert set(found["role"]) == set(USED)
    pd.testing.assert_frame_equal(found[cells.columns], cells)
    if prelim:
        assert (found["role"] == "test").equals(found["split"] == "prelim")


@pytest.mark.parametrize("valid", [0.1, 0.2, 0.34, 0.5])
def test_about_the_asked_share_validates(on_paper, valid):
    even = {str(k): 10 for k in range(20)} | {f"H{k}": 10 for k in range(20)}
    cells = pd.concat([table(even), table({"101": 3, "H101": 3}, split="prelim")])
    found = splits.assign(cells.reset_index(drop=True), valid=valid)
    learners = found[found["role"] != "test"]
    share = (learners["role"] == "valid").mean()
    assert share == pytest.approx(valid, abs=0.03)
    of_all = learners[learners["label"] == 1]
    assert (of_all["role"] == "valid").mean() == pytest.approx(share, abs=0.03)


def test_a_share_that_people_do_not_give_is_told(on_paper, caplog):
    people = {**{f"{n}": 10 for n in range(1, 5)}, **{f"H{n}": 10 for n in range(1, 5)}}
    with caplog.at_level(logging.WARNING):
        splits.assign(table(people), valid=0.05, test_subjects=("4", "H4"))
    assert "33 % of the images stand apart, 5 % were asked for" in caplog.text


def test_two_people_of_a_class_are_enough(on_paper):
    cells = table({"1": 50, "2": 1, "H1": 1, "H2": 30})
    cells = pd.concat([cells, table({"9": 3, "H9": 2}, split="prelim")], ignore_index=True)
    for seed in range(5):
        assert_nobody_is_on_two_sides(splits.assign(cells, seed=seed))


def test_the_sample_is_split(cells):
    assert (cells["role"] == "test").equals(cells["split"] == "prelim")
    assert (cells["role"] == "unlabelled").equals(cells["split"] == "final")
    seen = facts.of(cells)
    assert_nobody_is_on_two_sides(cells.assign(pixels=seen["pixel_hash"]))


def test_the_same_seed_gives_the_same_split_and_another_another(on_paper):
    cells = random_cells(3, prelim=True)
    roles = [tuple(splits.assign(cells, seed=seed)["role"]) for seed in (0, 0, 1, 2, 3, 4)]
    assert roles[0] == roles[1]
    assert len(set(roles)) > 1


def test_without_a_preliminary_set_people_are_held_out_and_it_is_told(on_paper, caplog):
    cells = table({str(k): 5 for k in range(6)} | {f"H{k}": 4 for k in range(3)})
    with caplog.at_level(logging.WARNING):
        found = splits.assign(cells)
    assert_nobody_is_on_two_sides(found)
    assert "held out to test" in caplog.text


def test_with_a_preliminary_set_nobody_is_held_out(on_paper, caplog):
    splits.assign(random_cells(1, prelim=True))
    assert "held out" not in caplog.text


def test_a_preliminary_set_of_one_class_is_no_test(on_paper, caplog):
    cells = table({str(k): 5 for k in range(6)} | {f"H{k}": 4 for k in range(4)})
    cells = pd.concat([cells, table({"100": 3}, split="prelim")], ignore_index=True)
    found = splits.assign(cells)
    assert_nobody_is_on_two_sides(found)
    assert set(found[found["split"] == "prelim"]["role"]) == {"aside"}
    assert "held out" in caplog.text


def test_people_to_test_on_can_be_named(on_paper):
    cells = share(random_cells(5, prelim=True), "1", "2", first=-1)
    found = splits.assign(cells, test_subjects=("1", "H3"))
    assert_nobody_is_on_two_sides(found)
    tested = set(found[found["role"] == "test"]["subject"])
    assert {"1", "2", "H3"} <= tested  # 2 shares an image with 1
    assert set(found[found["split"] == "prelim"]["role"]) == {"aside"}


@pytest.mark.parametrize("person", ["999", "101"])
def test_people_to_test_on_must_be_of_the_training_set(on_paper, person):
    with pytest.raises(ValueError, match=rf"test_subjects.*Received: \['{person}'\]"):
        splits.assign(random_cells(5, prelim=True), test_subjects=("1", person))


@pytest.mark.parametrize(
    ("people", "told"),
    [
        ({"1": 9, "2": 9}, "2 of ALL, 0 of HEM"),
        ({"1": 9, "2": 9, "H1": 9}, "2 of ALL, 1 of HEM"),
        ({"1": 9, "H1": 9, "H2": 9}, "1 of ALL, 2 of HEM"),
        ({}, "0 of ALL, 0 of HEM"),
    ],
)
def test_too_few_people_are_counted_in_the_error(on_paper, people, told):
    tested = table({"101": 3, "H101": 3}, split="prelim")
    cells = pd.concat([table(people), tested], ignore_index=True)
    with pytest.raises(ValueError, match=f"Each class needs 2 people.*Received: {told}"):
        splits.assign(cells)


def test_people_who_are_one_do_not_count_as_two(on_paper):
    cells = share(table({"1": 9, "2": 9, "H1": 9, "H2": 9}), "H1", "H2")
    cells = pd.concat([cells, table({"101": 3, "H101": 3}, split="prelim")], ignore_index=True)
    with pytest.raises(ValueError, match="2 of ALL, 1 of HEM"):
        splits.assign(cells)


@pytest.mark.parametrize("valid", [0, -0.1, 0.6, 1])
def test_a_share_that_makes_no_sense(on_paper, valid):
    with pytest.raises(ValueError, match=f"Received: {valid}$"):
        splits.assign(random_cells(0, prelim=True), valid=valid)


def test_what_cannot_be_used_is_aside(on_paper):
    cells = random_cells(2, prelim=True).reset_index(drop=True)
    first = {split: cells.index[cells["split"] == split][:3] for split in ("train", "prelim")}
    cells["problem"] = pd.NA
    for rows in first.values():
        cells.loc[rows[0], "problem"] = "truncated"
        cells.loc[rows[1], "subject"] = None
        cells.loc[rows[2], "label"] = pd.NA
    found = splits.assign(cells)
    for rows in first.values():
        assert found.loc[rows, "role"].tolist() == ["aside", "aside", "unlabelled"]
    assert set(found["role"]) == {*USED, "aside", "unlabelled"}


# Leaks.


def test_a_person_in_training_and_test_is_named(on_paper):
    cells = pd.concat(
        [
            table({"1": 5, "2": 5, "H1": 5, "H2": 5}),
            table({"9": 4, "H9": 4}, split="prelim"),
        ],
        ignore_index=True,
    )
    assert_nobody_is_on_two_sides(splits.assign(cells))
    with pytest.raises(splits.LeakError, match=r"'H2\+H9'"):
        splits.assign(share(cells, "H2", "H9"))


@pytest.mark.parametrize(
    ("roles", "leaks"),
    [
        (["train", "valid"], True),
        (["train", "test"], True),
        (["valid", "test"], True),
        (["train", "train"], False),
        (["train", "aside"], False),
        (["test", "unlabelled"], False),
    ],
)
def test_check(roles, leaks):
    table = pd.DataFrame({"group": ["57", "H3", "57"], "role": [roles[0], "train", roles[1]]})
    if not leaks:
        assert splits.check(table) is None
        return
    with pytest.raises(splits.LeakError, match=re.escape(f"{{'57': {sorted(roles)}}}")):
        splits.check(table)


def test_check_wants_to_know_everyone_in_use():
    table = pd.DataFrame({"group": ["57", None], "role": ["train", "train"]})
    with pytest.raises(splits.LeakError, match=r"nobody\. Received: 1 images"):
        splits.check(table)
    splits.check(table.assign(role=["train", "unlabelled"]))


# The kept split.


@pytest.fixture
def small():
    cells = table({str(k): 4 for k in range(1, 6)} | {f"H{k}": 3 for k in range(1, 5)})
    return pd.concat([cells, table({"101": 3, "H101": 2}, split="prelim")], ignore_index=True)


def swapped(folder):
    """Exchanges learning and validating in the kept split, to know it again."""
    kept = pd.read_csv(folder / "splits.csv", dtype=str)
    kept["role"] = kept["role"].replace({"train": "valid", "valid": "train"})
    kept.to_csv(folder / "splits.csv", index=False)
    return kept["role"].tolist()


def test_the_split_is_kept_and_used_again(on_paper, small, tmp_path):
    first = splits.assign(small, folder=tmp_path)
    kept = pd.read_csv(tmp_path / "splits.csv", dtype=str)
    assert kept["role"].tolist() == first["role"].tolist()
    assert kept["name"].tolist() == small["name"].tolist()
    roles = swapped(tmp_path)
    again = splits.assign(small, folder=tmp_path)
    assert again["role"].tolist() == roles != first["role"].tolist()
    assert again["group"].tolist() == first["group"].tolist()


def relabelled(cells):
    cells.loc[0, "label"] = pd.NA
    return cells


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (lambda t: t, {"seed": 1}),
        (lambda t: t, {"valid": 0.4}),
        (lambda t: t, {"test_subjects": ("1", "H1")}),
        (lambda t: t.iloc[:-1], {}),
        (lambda t: t.iloc[::-1], {}),
        (lambda t: share(t, "1", "2"), {}),
        (relabelled, {}),
        (lambda t: t.assign(problem=["truncated"] + [pd.NA] * (len(t) - 1)), {}),
    ],
    ids=["seed", "valid", "test_subjects", "fewer", "order", "shared", "label", "unreadable"],
)
def test_the_split_is_remade_when_settings_or_data_change(
    on_paper, small, tmp_path, change, settings
):
    splits.assign(small, folder=tmp_path)
    swapped(tmp_path)
    changed = change(small.copy())
    found = splits.assign(changed, folder=tmp_path, **settings)
    fresh = splits.assign(changed, **settings)
    assert found["role"].tolist() == fresh["role"].tolist()
    kept = pd.read_csv(tmp_path / "splits.csv", dtype=str)
    assert kept["role"].tolist() == fresh["role"].tolist()


def test_images_that_moved_keep_their_split(on_paper, small, tmp_path):
    splits.assign(small, folder=tmp_path)
    roles = swapped(tmp_path)
    moved = small.assign(path="elsewhere/" + small["path"])
    assert splits.assign(moved, folder=tmp_path)["role"].tolist() == roles


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "\x00", "role,settings\n"])
def test_a_damaged_split_is_made_anew(on_paper, small, tmp_path, content):
    first = splits.assign(small, folder=tmp_path)
    (tmp_path / "splits.csv").write_text(content)
    assert splits.assign(small, folder=tmp_path)["role"].tolist() == first["role"].tolist()
    assert len(pd.read_csv(tmp_path / "splits.csv")) == len(small)


def test_a_kept_split_cut_short_is_made_anew(on_paper, small, tmp_path):
    first = splits.assign(small, folder=tmp_path)
    path = tmp_path / "splits.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-5]) + "\n")
    assert splits.assign(small, folder=tmp_path)["role"].tolist() == first["role"].tolist()


def test_a_kept_split_that_leaks_is_refused(on_paper, small, tmp_path):
    splits.assign(small, folder=tmp_path)
    kept = pd.read_csv(tmp_path / "splits.csv", dtype=str)
    kept.loc[kept["subject"] == "H3", "role"] = ["train", "valid", "train"]
    kept.to_csv(tmp_path / "splits.csv", index=False)
    with pytest.raises(splits.LeakError, match="H3"):
        splits.assign(small, folder=tmp_path)


# Cross-validation.


@pytest.mark.parametrize("seed", range(5))
def test_folds_cover_all_and_part_nobody(on_paper, seed):
    cells = random_cells(seed, prelim=False)
    cells = cells.assign(group=splits.groups(cells))
    k = min(5, cells.groupby("label")["group"].nunique().min())
    fold = splits.fold_of(cells, k=k, seed=seed)
    assert sorted(set(fold)) == list(range(k))
    assert len(fold) == len(cells)
    assert cells.groupby("group")["pixels"].count().sum() == len(cells)
    assert pd.Series(fold, cells.index).groupby(cells["group"]).nunique().max() == 1
    assert (cells.groupby(fold)["label"].nunique() == 2).all()
    np.testing.assert_array_equal(fold, splits.fold_of(cells, k=k, seed=seed))


def test_folds_of_equal_people_are_equal():
    cells = table({str(k): 10 for k in range(10)} | {f"H{k}": 6 for k in range(10)})
    fold = splits.fold_of(cells.assign(group=cells["subject"]), k=5)
    counts = pd.crosstab(fold, cells["label"])
    assert (counts[1] == 20).all()
    assert (counts[0] == 12).all()


@pytest.mark.parametrize(
    ("people", "told"),
    [
        ({"1": 5, "2": 5, "3": 5, "H1": 5, "H2": 5}, "3 of ALL, 2 of HEM"),
        ({"1": 5, "2": 5, "3": 5}, "3 of ALL, 0 of HEM"),
    ],
)
def test_more_folds_than_people(people, told):
    cells = table(people)
    with pytest.raises(ValueError, match=f"needs 3 people or more.*Received: {told}"):
        splits.fold_of(cells.assign(group=cells["subject"]), k=3)


def test_rotations_test_each_person_once(on_paper):
    cells = splits.assign(random_cells(4, prelim=True))
    rounds = list(splits.rotations(cells, k=4, seed=1))
    assert len(rounds) == 4
    learners = cells["role"].isin(["train", "valid"])
    times = sum((each["role"] == "test").astype(int) for each in rounds)
    assert times.equals(learners.astype(int))
    for each in rounds:
        assert_nobody_is_on_two_sides(each)
        assert set(each.loc[cells["role"] == "test", "role"]) == {"aside"}
        assert each.index.equals(cells.index)


def test_rotations_leave_what_has_no_label(cells):
    first = next(splits.rotations(cells, k=2))
    assert set(first.loc[cells["role"] == "unlabelled", "role"]) == {"unlabelled"}


# Tables to read.


def test_flow_and_list_count_images_and_people(on_paper, small):
    found = splits.assign(small)
    flow = splits.flow(found)
    assert list(flow.index) == USED
    assert flow.loc["test"].to_dict() == {
        ("images", "ALL"): 3, ("images", "HEM"): 2, ("people", "ALL"): 1, ("people", "HEM"): 1,
    }  # fmt: skip
    assert flow["images"].to_numpy().sum() == len(small)
    listed = splits.listed(found)
    assert listed["people"].sum() == small["subject"].nunique()
    assert listed[["role", "class"]].drop_duplicates().shape == (6, 2)


def test_flow_shows_what_has_no_label(cells):
    flow = splits.flow(cells)
    assert flow.loc["unlabelled", ("images", "no label")] == 4
    assert flow.loc["unlabelled", ("people", "no label")] == 0


def test_the_notebooks_way(sample_root, tmp_path):
    cells = anna.cnmc.index(sample_root)
    found = anna.splits.assign(cells, seed=0, folder=tmp_path)
    anna.splits.check(found)
    again = anna.splits.assign(cells, seed=0, folder=tmp_path)
    pd.testing.assert_frame_equal(again, found)
