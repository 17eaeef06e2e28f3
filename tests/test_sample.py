"""The drawn stand-in has the layout, the formats, the oddities and the statistics of C-NMC."""

import csv
import gzip
import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import anna.sample
from anna.sample import drawing, people
from anna.sample.shape import Donor

PRELIM = "validation_data/C-NMC_test_prelim_phase_data"
FINAL = "testing_data/C-NMC_test_final_phase_data"
REAL = Path(__file__).resolve().parents[2] / "shared/data/cnmc_real/C-NMC_Leukemia"
BLAST = Donor(
    label=1,
    diameter=220.0,
    stain=0.0,
    tint=(0.0, 0.0, 0.0),
    maturity=0.0,
    grain=0.75,
    rim=0.0,
    contrast=0.0,
)


def hashes(root):
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def subject(path):
    return path.name.split("_")[1]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return anna.sample.write(tmp_path_factory.mktemp("sample"), cells=40, progress=False)


@pytest.fixture(scope="module")
def train(root):
    return sorted((root / "training_data").rglob("*.bmp"))


@pytest.fixture(scope="module")
def labels(root):
    return pd.read_csv(root / f"{PRELIM}_labels.csv")


@pytest.fixture(scope="module")
def large():
    table = anna.sample.plan(cells=10_661)
    return table[table["split"] == "train"]


# --- layout and formats ---------------------------------------------------------------------------


def test_counts_and_folders(root, train):
    assert root.name == "C-NMC_Leukemia"
    assert len(train) == 40
    assert len(list((root / PRELIM).glob("*.bmp"))) == 13
    assert len(list((root / FINAL).glob("*.bmp"))) == 4
    for fold in (0, 1, 2):
        for kind in ("all", "hem"):
            names = [path.name for path in (root / f"training_data/fold_{fold}/{kind}").iterdir()]
            assert names and all(name.endswith(f"_{kind}.bmp") for name in names)


@pytest.mark.parametrize(
    ("folder", "side", "size", "start"),
    [
        ("training_data", 450, 608_454, 54),
        (PRELIM, 450, 608_538, 138),
        (FINAL, 600, 1_080_054, 54),
    ],
)
def test_files_are_bmp_as_in_the_real_set(root, folder, side, size, start):
    path = next((root / folder).rglob("*.bmp"))
    content = path.read_bytes()
    assert len(content) == size
    assert int.from_bytes(content[10:14], "little") == start
    with Image.open(path) as image:
        image.load()
        assert (image.format, image.mode, image.size) == ("BMP", "RGB", (side, side))
        pixels = np.asarray(image)
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], pixels)


@pytest.mark.skipif(not REAL.exists(), reason="no real C-NMC files beside the checkout")
@pytest.mark.parametrize(("folder", "length"), [("training_data", 54), (PRELIM, 138), (FINAL, 54)])
def test_headers_equal_those_of_real_files(root, folder, length):
    real, drawn = (next((base / folder).rglob("*.bmp")) for base in (REAL, root))
    assert drawn.read_bytes()[:length] == real.read_bytes()[:length]


def test_labels_are_in_an_order_of_their_own(root, labels):
    assert list(labels.columns) == ["Patient_ID", "new_names", "labels"]
    assert list(labels["new_names"]) == [f"{k}.bmp" for k in range(1, 14)]
    assert all((root / PRELIM / name).is_file() for name in labels["new_names"])
    kinds = labels["Patient_ID"].str.extract(r"UID_H?\d+_\d+_\d+_(all|hem)\.bmp$")[0]
    assert list(kinds.map({"all": 1, "hem": 0})) == list(labels["labels"])
    listing = labels.sort_values("new_names")["labels"]
    assert list(listing) != list(labels["labels"])
    people = labels["Patient_ID"].str.split("_").str[1]
    assert (people != people.shift()).sum() > people.nunique()


def test_labels_belong_to_their_images(root, labels):
    """Each preliminary file shows the very cell that the plan drew for the name in its row."""
    table = anna.sample.plan(cells=40).set_index("name")
    for row in labels.itertuples():
        planned = table.loc[row.Patient_ID]
        pixels = cv2.imread(str(root / PRELIM / row.new_names))
        _, _, width, height = cv2.boundingRect(pixels.any(axis=2).astype(np.uint8))
        assert np.sqrt(width * height) == pytest.approx(planned["diameter"], abs=2)
        assert planned["label"] == planned["donor"].label == row.labels


# --- people ---------------------------------------------------------------------------------------


def test_one_subject_is_in_lower_case(train):
    names = {subject(path) for path in train}
    assert {name for name in names if name[0] == "h"} == {"h3"}
    assert "H3" not in names


@pytest.mark.parametrize("cells", [40, 640, 10_661])
def test_no_subject_stands_in_two_parts_or_folds(cells):
    table = anna.sample.plan(cells=cells)
    apart = table.groupby("subject")[["split", "label"]].nunique()
    assert apart.eq(1).all(axis=None)
    train = table[table["split"] == "train"]
    assert train.groupby("subject")[["fold"]].nunique().eq(1).all(axis=None)
    assert train.groupby("fold")[["label"]].nunique().eq(2).all(axis=None)
    assert table["path"].is_unique and table["name"].is_unique


def test_some_images_stand_under_two_subjects_of_different_folds(root, train):
    names = {}
    for path in (*train, *(root / PRELIM).iterdir(), *(root / FINAL).iterdir()):
        names.setdefault(path.read_bytes(), []).append(path)
    shared = [paths for paths in names.values() if len(paths) > 1]
    assert all(path in train for paths in shared for path in paths)
    assert all(len({path.parts[-3] for path in paths}) == 2 for paths in shared)
    pairs = {frozenset(subject(path) for path in paths) for paths in shared}
    assert pairs == {
        frozenset(pair)
        for pair in (("20", "21"), ("51", "78"), ("51", "75"), ("H2", "H6"), ("H10", "h3"))
    }


def test_full_scale_has_the_published_census():
    table = anna.sample.plan(cells=10_661)
    census = table.groupby(["split", "label"])["name"].size()
    assert census["train"].to_dict() == {0: 3389, 1: 7272}
    assert census["prelim"].to_dict() == {0: 648, 1: 1219}
    assert census["final"].sum() == 2586
    people = table.groupby("split")["subject"].nunique()
    assert people.to_dict() == {"train": 73, "prelim": 28, "final": 17}


def test_published_names_are_drawn_in_place_of_invented_ones(shared_data, tmp_path):
    with gzip.open(shared_data / "cnmc_manifest.csv.gz", "rt") as lines:
        paths = [row["path"] for row in csv.DictReader(lines)]
    names = [path for path in paths if path.startswith("training_data")]
    table = people.plan(cells=10_661, names=names)
    assert set(table["path"]) == {path for path in paths if path.endswith(".bmp")}
    train = table[table["split"] == "train"]
    assert (train["path"].map(lambda path: Path(path).name) == train["name"]).all()
    named = train["subject"].str.upper()
    assert named.nunique() == 73
    assert not set(named) & set(table.loc[table["split"] != "train", "subject"])
    own = train[~train["key"].duplicated(keep=False)]  # those that stand under one name alone
    assert (
        own["donor"].nunique() == len(set(zip(named[own.index], own["donor"], strict=True))) == 73
    )
    assert train["key"].duplicated().sum() == 63  # at most half of the taker's
    with pytest.raises(ValueError, match=r"Received: fold_0/all/mine\.bmp"):
        people.plan(names=["fold_0/all/mine.bmp"])
    few = names[::300]
    root = anna.sample.write(tmp_path, cells=40, names=few, progress=False)
    drawn = anna.cnmc.index(root)
    assert set(drawn.loc[drawn["split"] == "train", "name"]) == {Path(path).name for path in few}
    before = (root / few[0]).stat().st_mtime_ns
    anna.sample.write(tmp_path, cells=40, names=few, progress=False)
    assert (root / few[0]).stat().st_mtime_ns == before
    anna.sample.write(tmp_path, cells=40, progress=False)
    assert not (root / few[0]).is_file()


@pytest.mark.parametrize("cells", [39, 10_662])
def test_refuses_impossible_numbers(tmp_path, cells):
    with pytest.raises(ValueError, match=rf"Received: {cells}$"):
        anna.sample.write(tmp_path, cells=cells)


# --- cells ----------------------------------------------------------------------------------------


def test_size_alone_gets_as_far_as_on_real_cells(large):
    """Facts: diameters ALL 220 ± 26.6, HEM 187 ± 30.9; area under the curve 0.81."""
    sizes = large.groupby("label")["diameter"].agg(["mean", "std"])
    np.testing.assert_allclose(sizes.loc[1], (220, 26.6), atol=1.5)
    np.testing.assert_allclose(sizes.loc[0], (187, 30.9), atol=2.0)
    assert roc_auc_score(large["label"], large["diameter"]) == pytest.approx(0.81, abs=0.02)


def test_stain_hardly_tells_the_class(large):
    people = large.drop_duplicates("subject")
    stain = [donor.stain for donor in people["donor"]]
    area = roc_auc_score(people["label"], stain)
    assert abs(area - 0.5) < 0.15
    assert np.std(stain) > 0.8


def test_cells_have_the_size_place_and_ground_of_the_plan(root):
    table = anna.sample.plan(cells=40)
    for row in table[table["split"] == "train"].iloc[::4].itertuples():
        pixels = cv2.imread(str(root / row.path))
        mask = pixels.any(axis=2).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        assert np.sqrt(width * height) == pytest.approx(row.diameter, abs=2)
        assert max(width, height) / min(width, height) < 2.2
        assert abs(x + width / 2 - 225) < 60 and abs(y + height / 2 - 225) < 60
        assert 0.04 < mask.mean() < 0.6
        assert not pixels[[0, -1]].any() and not pixels[:, [0, -1]].any()


def test_colour_is_that_of_real_cells():
    rng = np.random.default_rng(0)
    cells = [drawing.draw(BLAST, rng) for _ in range(30)]
    medians = np.array([np.median(cell[cell.any(axis=2)], axis=0) for cell in cells])
    np.testing.assert_allclose(medians.mean(axis=0), (67, 25, 77), atol=5)
    assert (medians.std(axis=0) > 1.5).all()


def test_stain_differs_between_people():
    def red(stain):
        donor = Donor(**{**vars(BLAST), "stain": stain})
        cells = [drawing.draw(donor, np.random.default_rng(k)) for k in range(5)]
        return np.mean([np.median(cell[cell.any(axis=2)], axis=0)[0] for cell in cells])

    assert red(1.5) - red(-1.5) > 12


# --- determinism and resuming ---------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes(root, tmp_path):
    assert hashes(anna.sample.write(tmp_path, cells=40, progress=False)) == hashes(root)


def test_another_seed_gives_other_people_and_cells():
    ours, theirs = (anna.sample.plan(seed=seed, cells=40) for seed in (0, 1))
    assert set(ours["name"]) != set(theirs["name"])
    assert not set(ours["diameter"]) & set(theirs["diameter"])


def test_another_seed_draws_the_same_key_differently():
    key = (20, 1, 0)
    first, again, other = (drawing.draw(BLAST, people.cell_rng(seed, key)) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_pinned_cells():
    """These must not change with platform or thread; a new look needs a new VERSION."""
    cells = [drawing.draw(BLAST, np.random.default_rng(k)) for k in range(3)]
    cells.append(drawing.draw(Donor(**{**vars(BLAST), "label": 0}), np.random.default_rng(3), 600))
    found = [hashlib.sha256(cell.tobytes()).hexdigest()[:16] for cell in cells]
    assert found == PINNED[people.VERSION]


PINNED = {1: ["ed2ec44c7be74fec", "0b28e5107220c8b8", "81477df456b41bc7", "2f6aab1b0cc4f754"]}


def test_cells_do_not_depend_on_how_opencv_computes():
    """IPP and SIMD give distances and blurs that differ in the last bits; no pixel may."""

    def draw():
        return [drawing.draw(BLAST, np.random.default_rng(k)) for k in range(12)]

    fast = draw()
    ipp, optimised = cv2.ipp.useIPP(), cv2.useOptimized()
    try:
        cv2.ipp.setUseIPP(False)
        cv2.setUseOptimized(False)
        plain = draw()
    finally:
        cv2.ipp.setUseIPP(ipp)
        cv2.setUseOptimized(optimised)
    np.testing.assert_array_equal(fast, plain)


def test_a_whole_sample_is_left_alone(root, monkeypatch):
    monkeypatch.setattr(drawing, "draw", None)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert anna.sample.write(root.parent, cells=40) == root
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def test_a_killed_run_is_not_taken_for_whole(tmp_path, monkeypatch):
    draw, calls = drawing.draw, []

    def killed(*args):
        calls.append(args)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return draw(*args)

    monkeypatch.setattr(drawing, "draw", killed)
    with pytest.raises(KeyboardInterrupt):
        anna.sample.write(tmp_path, cells=40, progress=False)
    assert not (tmp_path / "C-NMC_Leukemia").exists()
    monkeypatch.setattr(drawing, "draw", draw)
    root = anna.sample.write(tmp_path, cells=40, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["C-NMC_Leukemia"]
    assert len(list((root / "training_data").rglob("*.bmp"))) == 40


@pytest.mark.parametrize("cells", [40, 44])
def test_a_damaged_or_different_sample_is_drawn_anew(root, tmp_path, cells):
    copy = shutil.copytree(root, tmp_path / root.name)
    lost = next((copy / PRELIM).glob("*.bmp"))
    lost.unlink()
    anna.sample.write(tmp_path, cells=cells, progress=False)
    assert lost.is_file()
    assert len(list((copy / "training_data").rglob("*.bmp"))) == cells


def test_real_data_is_never_overwritten(tmp_path):
    (tmp_path / "C-NMC_Leukemia/training_data").mkdir(parents=True)
    with pytest.raises(FileExistsError, match=r"Received: .*C-NMC_Leukemia$"):
        anna.sample.write(tmp_path, cells=40, progress=False)
    assert (tmp_path / "C-NMC_Leukemia/training_data").is_dir()


def test_marker_says_that_the_cells_are_drawn(root, tmp_path):
    assert anna.sample.is_drawn(root) and not anna.sample.is_drawn(tmp_path)
    marker = json.loads((root / anna.sample.MARKER).read_text(encoding="utf-8"))
    assert "not real" in marker["note"]
    assert (marker["seed"], marker["cells"], marker["files"]) == (0, 40, 57)
    assert marker["parts"] == {"train": 40, "prelim": 13, "final": 4}


def test_a_folder_of_other_things_is_not_drawn_into(tmp_path):
    (tmp_path / "README.md").write_text("put C-NMC here")
    root = anna.sample.stand_in(tmp_path, cells=40)
    assert root == tmp_path / "sample" / "C-NMC_Leukemia"
    assert anna.sample.stand_in(tmp_path, cells=40) == root
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"Kaggle's zip.*holds holiday\.jpg"):
        anna.sample.stand_in(tmp_path, cells=40)
