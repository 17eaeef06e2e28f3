"""A copy of C-NMC is indexed by name, and what is wrong with it is found."""

import csv
import gzip
import os
import random
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from copies import HEADER, make, picture, place, save, uid, write_labels
from PIL import Image

import anna
from anna import cnmc
from anna.sample import people as sample_people


def problems_by_file(problems):
    """The set of problems of each path."""
    return problems.groupby("path")["problem"].agg(set).to_dict()


@pytest.mark.parametrize(
    ("name", "person"),
    [
        ("UID_57_29_1_all.bmp", "57"),
        ("UID_H49_3_12_hem.bmp", "H49"),
        ("UID_h3_4_1_hem.bmp", "H3"),
        ("UID_H3_4_1_hem.bmp", "H3"),
        ("uid_h12_4_1_HEM.BMP", "H12"),
        ("UID_007_1_1_all.bmp", "7"),
        ("1105.bmp", None),
        ("UID_57_29_all.bmp", None),
        ("UID_57_29_1_blast.bmp", None),
        ("UID__29_1_all.bmp", None),
        ("UID_X3_29_1_all.bmp", None),
        ("UID_57_29_1_all.png", None),
        ("UID_57_29_1_all.bmp.bmp", None),
        ("copy of UID_57_29_1_all.bmp", None),
        ("UID_57_29_1_all.bmp\n", None),
        ("", None),
    ],
)
def test_the_person_in_a_name(name, person):
    assert cnmc.subject(name) == person


def test_every_image_once_with_what_its_place_tells(tmp_path):
    root = make(
        tmp_path,
        {
            place("57", fold=2): 1,
            place("h3", fold=0): 2,
            "prelim/2.bmp": 3,
            "prelim/10.bmp": 4,
            "prelim/3.bmp": 5,
            "final/1.bmp": 6,
        },
        [(uid("H9"), "10.bmp", 0), (uid("8"), "2.bmp", 1)],
    )
    cells = cnmc.index(root)
    assert list(cells) == ["path", "name", "split", "fold", "subject", "label", "drawn"]
    cells = cells.set_index("name")
    want = {
        uid("57"): ("train", 2, "57", 1),
        uid("h3"): ("train", 0, "H3", 0),
        uid("8"): ("prelim", None, "8", 1),
        uid("H9"): ("prelim", None, "H9", 0),
        "3.bmp": ("prelim", None, None, None),
        "1.bmp": ("final", None, None, None),
    }
    assert set(cells.index) == set(want)
    for name, row in want.items():
        found = cells.loc[name, ["split", "fold", "subject", "label"]]
        assert [None if pd.isna(value) else value for value in found] == list(row), name
    assert Path(cells.loc[uid("8"), "path"]).name == "2.bmp"
    assert not cells["drawn"].any()


def test_the_sample_is_indexed_as_planned(indexed, sample_root):
    plan = sample_people.plan(cells=48).set_index("path")
    assert indexed["drawn"].all()
    assert indexed["path"].is_monotonic_increasing
    assert "H3" in set(indexed["subject"])
    places = [str(Path(path).relative_to(sample_root)) for path in indexed["path"]]
    found = indexed.set_axis(places)
    assert all(Path(path).is_file() for path in indexed["path"])
    assert sorted(found.index) == sorted(plan.index)
    known = found[found["split"] != "final"]
    for path, cell in known.iterrows():
        planned = plan.loc[path]
        assert (cell["name"], cell["split"]) == (planned["name"], planned["split"])
        assert (cell["subject"], cell["label"]) == (planned["subject"].upper(), planned["label"])
        assert cell["fold"] is pd.NA or cell["fold"] == planned["fold"]
    assert known["fold"].notna().equals(known["split"] == "train")


def test_paths_hold_from_any_folder(tmp_path, monkeypatch):
    make(tmp_path / "data", {place("57"): 1})
    monkeypatch.chdir(tmp_path)
    path = cnmc.index("data")["path"][0]
    monkeypatch.chdir("/")
    assert Path(path).is_file()


def test_odd_folders_do_not_stop_it(tmp_path):
    root = make(
        tmp_path,
        {
            f"fold_0 (copy)/all/{uid('1')}": 1,
            f"fold_1/fold_x/hem/{uid('H1')}": 2,
            f"fold_2/unsure/{uid('2')}": 3,
            f"fold_2/{uid('3')}": 4,
            f"folder/all/{uid('4')}": 5,
        },
    )
    cells = cnmc.index(root).set_index("subject")
    assert cells["fold"].to_dict() == {"1": 0, "H1": 1, "2": 2, "3": 2}
    assert cells["label"].isna().to_dict() == {"1": False, "H1": False, "2": True, "3": True}


def test_no_image_is_an_error_that_names_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"Received: {tmp_path}$"):
        cnmc.index(tmp_path)


def rows_of(count):
    """Label rows with person k for k.bmp, so that a label by order would show."""
    return [
        (uid(f"H{number}" if number % 3 else str(number)), f"{number}.bmp", int(number % 3 == 0))
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_labels_go_by_name_whatever_the_order_of_rows(tmp_path, seed):
    rows = rows_of(12)
    random.Random(seed).shuffle(rows)
    root = make(tmp_path, {f"prelim/{number}.bmp": number for number in range(1, 13)}, rows)
    cells = cnmc.index(root)
    for cell in cells.itertuples():
        number = int(Path(cell.path).stem)
        assert (cell.subject.strip("H"), cell.label) == (str(number), int(number % 3 == 0))


PLAIN = [HEADER, *(",".join(map(str, row)) for row in rows_of(3))]
TURNED = ["labels,Patient_ID,new_names", *(f"{c},{a},{b}" for a, b, c in rows_of(3))]
SPACED = [" Patient_ID , new_names, labels ", *(f"{a} , {b},  {c} " for a, b, c in rows_of(3))]
MORE = [HEADER + ",note", *(f"{a},{b},{c},seen" for a, b, c in rows_of(3))]


@pytest.mark.parametrize(
    ("lines", "form"),
    [
        (PLAIN, {}),
        (PLAIN, {"end": "\r\n"}),
        (PLAIN, {"encoding": "utf-8-sig"}),
        (PLAIN, {"encoding": "utf-8-sig", "end": "\r\n"}),
        (TURNED, {}),
        (SPACED, {}),
        (MORE, {}),
        ([*PLAIN, PLAIN[2], PLAIN[2]], {}),
        ([*PLAIN, ",,", ""], {}),
        ([HEADER, *(f"{row}," for row in PLAIN[1:])], {}),
        ([HEADER, *(f"{row}.0" for row in PLAIN[1:])], {}),
    ],
    ids=[
        "plain",
        "crlf",
        "bom",
        "bom+crlf",
        "turned",
        "spaced",
        "more",
        "twice",
        "empty",
        "commas",
        "floats",
    ],
)
def test_label_files_as_people_save_them(tmp_path, lines, form):
    found = cnmc.labels(write_labels(tmp_path, lines, **form))
    assert found["label"].to_dict() == {"1.bmp": 0, "2.bmp": 0, "3.bmp": 1}
    assert found["name"].to_dict() == {f: a for a, f, _ in rows_of(3)}
    assert found["label"].dtype == "Int64"


@pytest.mark.parametrize("label", ["2", "", "-1", "ALL", "nan"])
def test_a_label_that_is_none_is_missing(tmp_path, label):
    root = make(tmp_path, {"prelim/1.bmp": 1, "prelim/2.bmp": 2})
    write_labels(root, [HEADER, f"{uid('7')},1.bmp,{label}", f"{uid('8')},2.bmp,1"])
    cells = cnmc.index(root).set_index("subject")
    assert pd.isna(cells.loc["7", "label"])
    assert cells.loc["8", "label"] == 1
    found = problems_by_file(cnmc.verify(cells.reset_index()))
    assert "unlabelled" in found[cells.loc["7", "path"]]
    assert "unlabelled" not in found[cells.loc["8", "path"]]


def test_two_minds_about_a_label_are_none(tmp_path):
    rows = [(uid("7"), "1.bmp", 1), (uid("7"), "1.bmp", 0), (uid("8"), "2.bmp", 1)]
    root = make(tmp_path, {"prelim/1.bmp": 1, "prelim/2.bmp": 2}, rows)
    labels = cnmc.index(root).assign(file=lambda t: t["path"].map(lambda p: Path(p).name))
    assert labels.set_index("file")["label"].isna().to_dict() == {"1.bmp": True, "2.bmp": False}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["Patient_ID,new_names", "a,1.bmp"], r"columns missing.*Received: \['Patient_ID', 'new"),
        ([""], "not a CSV of labels"),
        (["Patient_ID;new_names;labels", "a;1.bmp;1"], "columns missing"),
        ([HEADER, "a,1.bmp,1", "b,2.bmp,1,2,3,4"], "not a CSV of labels"),
    ],
)
def test_a_label_file_that_cannot_be_used_is_named(tmp_path, lines, told):
    root = make(tmp_path, {"prelim/1.bmp": 1})
    path = write_labels(root, lines)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: .*{told}"):
        cnmc.index(root)


def test_a_label_file_in_no_known_letters_is_named(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xff\xfe\x00\x81" * 20)
    with pytest.raises(ValueError, match=r"labels\.csv"):
        cnmc.labels(path)


def test_images_without_the_label_file_are_unlabelled_and_kept(tmp_path):
    root = make(tmp_path, {place("57"): 1, "prelim/1.bmp": 2, "prelim/2.bmp": 3})
    cells = cnmc.index(root)
    problems = cnmc.verify(cells)
    unlabelled = problems[problems["problem"] == "unlabelled"]["path"].tolist()
    assert unlabelled == cells[cells["split"] == "prelim"]["path"].tolist()
    assert len(cnmc.set_aside(cells, problems)) == 3


def test_census_counts_images_and_people(tmp_path):
    pictures = {place("57", fold=1, cell=cell): cell for cell in range(1, 4)}
    pictures |= {place("58", fold=1): 4, place("H1", fold=1): 5, "final/1.bmp": 6}
    pictures |= {"prelim/1.bmp": 7, "prelim/2.bmp": 8}
    counts = cnmc.census(cnmc.index(make(tmp_path, pictures, [(uid("9"), "1.bmp", 1)])))
    assert counts.loc["training_data/fold_1"].to_dict() == {
        "all": 4, "hem": 1, "unlabelled": 0, "images": 5, "people": 3, "published": 3581,
    }  # fmt: skip
    assert counts.loc[cnmc.PRELIM.as_posix(), ["all", "unlabelled", "people"]].tolist() == [1, 1, 1]
    assert counts["images"].tolist() == [0, 5, 0, 2, 1]
    assert counts["published"].sum() == 15_114


def test_a_census_row_for_each_folder_that_differs(tmp_path):
    problems = cnmc.verify(cnmc.index(make(tmp_path, {place("57", fold=1): 1})))
    census = problems[problems["problem"] == "census"].set_index("path")["detail"]
    assert list(census.index) == list(cnmc.PUBLISHED)
    assert census["training_data/fold_1"] == "1 images, published 3,581"


def test_the_drawn_sample_is_whole_but_for_its_shared_images(indexed):
    problems = cnmc.verify(indexed)
    assert set(problems["problem"]) == {"identical pixels"}
    people = indexed.set_index("path")["subject"]
    for row in problems.itertuples():
        other = row.detail.split(", ")
        assert {people[path] for path in other} - {people[row.path]}


@pytest.fixture
def damaged(sample_copy):
    """The sample with every damage, and the problems that each file must be told of."""
    shared = set(cnmc.verify(cnmc.index(sample_copy))["path"])
    sound = (p for p in sorted(sample_copy.glob("training_data/*/*/*.bmp")) if str(p) not in shared)
    want, image = {}, np.asarray(Image.open(path := next(sound)))

    def spoil(*problems, image=None, kind="bmp"):
        path = next(sound)
        want[str(path)] = set(problems)
        if image is not None:
            Image.fromarray(image).save(path, kind)
        return path

    path = spoil("unreadable")
    path.write_bytes(path.read_bytes()[:400_000])
    spoil("unreadable").write_bytes(b"")
    spoil("unreadable").write_text("I am no image")
    spoil("wrong mode", image=image[..., 0])
    spoil("wrong mode", image=np.dstack([image, image[..., :1]]), kind="png")
    Image.fromarray(image // 2).convert("P").save(spoil("wrong mode"), "bmp")
    spoil("unreadable", image=image[..., 0].astype(np.uint16) * 99, kind="png")
    spoil("wrong size", image=image[:400])
    spoil("empty", image=np.zeros_like(image))
    path = spoil("label conflict")
    want[str(path.rename(path.with_name("UID_999_1_1_" + other(path))))] = want.pop(str(path))
    path = spoil("unnamed")
    want[str(path.rename(path.with_name("cell.bmp")))] = want.pop(str(path))
    path = spoil("duplicate name")
    twin = path.parents[2] / "fold_9" / path.parent.name / path.name
    save(twin, image[:, ::-1])
    want[str(twin)] = {"duplicate name"}
    path = spoil("duplicate name", "identical pixels")
    twin = path.parents[2] / "fold_9" / path.parent.name / path.name
    shutil.copy(path, twin)
    want[str(twin)] = {"duplicate name", "identical pixels"}
    folder = sample_copy / "training_data" / "fold_0" / "all"
    (folder / uid("800")).mkdir()
    (folder / uid("801")).symlink_to(folder / "nowhere.bmp")
    want |= {str(folder / uid(person)): {"unreadable"} for person in ("800", "801")}
    return sample_copy, want, shared


def other(path):
    return "hem.bmp" if path.parent.name == "all" else "all.bmp"


def test_every_damage_is_told_by_its_name(damaged):
    root, want, shared = damaged
    found = problems_by_file(cnmc.verify(cnmc.index(root)))
    assert {path: kinds for path, kinds in found.items() if path not in shared} == want


def test_damage_is_set_aside_and_the_rest_goes_on(damaged, own_output):
    root, want, _ = damaged
    before = sorted(path for path in root.rglob("*"))
    cells = cnmc.index(root)
    kept = cnmc.set_aside(cells, cnmc.verify(cells))
    unusable = {"unreadable", "empty", "unnamed", "label conflict"}
    gone = set(cells["path"]) - set(kept["path"])
    assert gone == {path for path, kinds in want.items() if kinds & unusable}
    assert kept.index.tolist() == list(range(len(kept)))
    assert sorted(path for path in root.rglob("*")) == before
    split = anna.splits.assign(kept)
    assert {"train", "valid", "test"} <= set(split["role"])
    pixels = anna.images.load(split, 32, cache=own_output / "arrays", progress=False)
    assert pixels.reshape(len(kept), -1).any(axis=1).all()


def test_without_setting_aside_nothing_bad_is_in_use(damaged, own_output):
    root, want, _ = damaged
    cells = anna.splits.assign(cnmc.index(root))
    used = set(cells[cells["role"].isin(["train", "valid", "test"])]["path"])
    assert not used & {p for p, kinds in want.items() if kinds & {"unreadable", "unnamed"}}
    assert len(anna.images.load(cells, 32, cache=own_output / "arrays")) == len(cells)


def test_missing_images_are_named_once_each(tmp_path):
    rows = rows_of(4)
    root = make(tmp_path, {place("57"): 1, "prelim/2.bmp": 2}, [*rows, rows[0]])
    problems = cnmc.verify(cnmc.index(root))
    missing = problems[problems["problem"] == "missing image"]
    assert missing["path"].tolist() == [str(root / cnmc.PRELIM / f"{k}.bmp") for k in (1, 3, 4)]
    assert missing["detail"].iloc[0] == f"the CSV names it {rows[0][0]}"


def test_a_name_is_the_same_in_lower_case(tmp_path):
    cells = cnmc.index(make(tmp_path, {place("h3", 0): 1, place("H3", 1): 2, place("H4", 1): 3}))
    problems = cnmc.verify(cells)
    twice = problems[problems["problem"] == "duplicate name"]
    assert sorted(Path(path).name for path in twice["path"]) == [uid("H3"), uid("h3")]


def test_a_summary_of_few_lines(tmp_path):
    root = make(tmp_path, {place("57"): 1, "prelim/2.bmp": 2}, rows_of(4))
    problems = cnmc.verify(cnmc.index(root))
    table = cnmc.summary(problems)
    assert dict(zip(table["problem"], table["files"], strict=True)) == Counter(problems["problem"])
    assert table["files"].is_monotonic_decreasing
    assert table.set_index("problem").loc["missing image", "example"].endswith("1.bmp")
    assert cnmc.summary(problems.iloc[:0]).empty


# The published images and lists.


@pytest.fixture(scope="module")
def real(real_cells):
    return cnmc.index(real_cells)


def test_real_cells_are_indexed(real, real_cells):
    assert len(real) == 19
    assert all(Path(path).is_file() for path in real["path"])
    assert real["split"].value_counts().to_dict() == {"train": 14, "prelim": 3, "final": 2}
    assert (real["subject"] == "H3").sum() == 2
    assert not real["drawn"].any()
    sizes = anna.facts.of(real)[["width", "height"]].value_counts().to_dict()
    assert sizes == {(450, 450): 17, (600, 600): 2}


def test_real_preliminary_cells_are_labelled_by_name(real, real_cells):
    with (real_cells / cnmc.LABELS).open(newline="") as lines:
        published = {row["new_names"]: row for row in csv.DictReader(lines)}
    found = real.assign(file=[Path(path).name for path in real["path"]]).set_index("file")
    prelim = found[found["split"] == "prelim"]
    assert sorted(prelim.index) == ["1002.bmp", "1005.bmp", "1105.bmp"]
    for file, row in prelim.iterrows():
        assert row["name"] == published[file]["Patient_ID"]
        assert row["label"] == int(published[file]["labels"])
    assert prelim.loc["1105.bmp", ["name", "label"]].tolist() == ["UID_53_4_8_all.bmp", 1]
    assert found[found["split"] == "final"][["label", "subject"]].isna().all(axis=None)


def test_real_cells_lack_1864_images_and_nothing_else(real, real_cells):
    problems = cnmc.verify(real)
    assert set(problems["problem"]) == {"missing image", "census"}
    missing = problems[problems["problem"] == "missing image"]
    here = {"1002.bmp", "1005.bmp", "1105.bmp"}
    want = {str(real_cells / cnmc.PRELIM / f"{k}.bmp") for k in range(1, 1868)}
    want -= {str(real_cells / cnmc.PRELIM / name) for name in here}
    assert len(missing) == 1864
    assert set(missing["path"]) == want
    assert (problems["problem"] == "census").sum() == 5
    table = cnmc.summary(problems).set_index("problem")
    assert table["files"].to_dict() == {"missing image": 1864, "census": 5}


@pytest.fixture(scope="module")
def manifest(shared_data):
    with gzip.open(shared_data / "cnmc_manifest.csv.gz", "rt") as lines:
        return [row["path"] for row in csv.DictReader(lines)]


def test_the_published_census_is_the_manifests(manifest, real_cells):
    counts = Counter(str(Path(path).parent) for path in manifest if path.endswith(".bmp"))
    labels = cnmc.labels(real_cells / cnmc.LABELS)["label"].value_counts()
    for folder, published in cnmc.PUBLISHED.items():
        if folder.startswith("training_data"):
            assert published == (counts[f"{folder}/all"], counts[f"{folder}/hem"])
        else:
            assert sum(published) == counts[folder]
    assert cnmc.PUBLISHED[cnmc.PRELIM.as_posix()] == (labels[1], labels[0])


def test_people_of_the_manifest(manifest, real_cells):
    training = [Path(path) for path in manifest if path.startswith("training_data")]
    people = {cnmc.subject(path.name) for path in training}
    assert None not in people
    assert len(people) == 73
    assert sum(person.startswith("H") for person in people) == 26
    assert sum(cnmc.subject(path.name) == "H3" for path in training) == 36
    tested = set(cnmc.labels(real_cells / cnmc.LABELS)["name"].map(cnmc.subject))
    assert len(tested) == 28
    assert not tested & people


def test_the_whole_manifest_is_indexed(manifest, real_cells, tmp_path):
    for folder in {Path(path).parent for path in manifest}:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for path in manifest:
        (tmp_path / path).touch()
    shutil.copy(real_cells / cnmc.LABELS, tmp_path / cnmc.LABELS)
    cells = cnmc.index(tmp_path)
    counts = cnmc.census(cells)
    assert (counts["images"] == counts["published"]).all()
    assert counts["people"].iloc[:3].sum() == 73
    assert not cells["path"].duplicated().any()
    for folder, published in cnmc.PUBLISHED.items():
        if len(published) == 2:
            assert tuple(counts.loc[folder, ["all", "hem"]]) == published


def test_picture_numbers_are_different_pictures():
    assert len({picture(number).tobytes() for number in range(2000)}) == 2000


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all paths are Unicode")
def test_a_path_that_is_no_unicode_is_named(tmp_path):
    copy = make(tmp_path / "copy", {place("57"): 1})
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    copy.rename(odd)
    with pytest.raises(ValueError, match=r"Unicode; rename.*caf.udce9"):
        cnmc.index(odd)
