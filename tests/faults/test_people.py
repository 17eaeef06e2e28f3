"""One person on two sides of a split: found in whatever way it comes about, before training."""

import shutil

import numpy as np
import pytest
from copies import make, place
from test_training import cells_and_pixels, network

import anna
from anna import cnmc, splits, training


@pytest.fixture
def copy(tmp_path, own_output):
    """A copy with people of both classes in three folds."""
    pictures = {place(f"{k}", k % 3, n): 10 * k + n for k in range(1, 7) for n in (1, 2)}
    pictures |= {place(f"H{k}", k % 3, n): 100 + 10 * k + n for k in range(1, 7) for n in (1, 2)}
    return make(tmp_path / "C-NMC_Leukemia", pictures)


@pytest.mark.parametrize("seed", range(4))
def test_a_person_under_two_names_in_two_folds_is_one_person(copy, seed):
    folder = copy / "training_data"
    shutil.copy(folder / place("1", 1, 1)[0:6] / "all" / "UID_1_1_1_all.bmp",
                folder / "fold_2" / "all" / "UID_77_9_1_all.bmp")  # fmt: skip
    cells = cnmc.index(copy)
    assert {"1", "77"} <= set(cells["subject"])
    found = splits.assign(cells, seed=seed)
    both = found[found["subject"].isin(["1", "77"])]
    assert both["group"].unique().tolist() == ["1+77"]
    assert both["role"].nunique() == 1


def test_a_person_under_two_names_of_both_classes_is_one_person(copy):
    folder = copy / "training_data"
    shutil.copy(folder / "fold_1" / "all" / "UID_1_1_1_all.bmp",
                folder / "fold_2" / "hem" / "UID_H8_9_1_hem.bmp")  # fmt: skip
    found = splits.assign(cnmc.index(copy))
    assert found.loc[found["subject"].isin(["1", "H8"]), "role"].nunique() == 1


@pytest.mark.parametrize("key", ["group", "subject"])
def test_a_person_put_on_two_sides_by_hand_is_refused_before_training(tmp_path, key):
    cells, pixels = cells_and_pixels()
    table = anna.tables.write(cells, tmp_path / "prepared.csv")
    text = table.read_text()
    row = next(line for line in text.splitlines() if line.startswith("UID_1_3_"))
    changed = row.replace(",train,", ",valid,", 1)
    if key == "subject":  # not even by giving the cell to a person of another name
        changed = changed.replace(",1,1,", ",1,somebody,")
    assert changed != row
    table.write_text(text.replace(row, changed))
    by_hand = anna.tables.read(table)
    with pytest.raises(splits.LeakError, match=r"'1': \['train', 'valid'\]"):
        training.fit(network(), pixels, by_hand, folder=tmp_path / "run", epochs=1)
    assert not (tmp_path / "run").exists()


def test_a_class_without_people_is_refused_before_training(tmp_path):
    cells, pixels = cells_and_pixels()
    ill = (cells["label"] == 1).to_numpy()
    with pytest.raises(ValueError, match=r"'train' needs both classes\. Received: \{0: 0, 1: 32\}"):
        training.fit(network(), np.array(pixels[ill]), cells[ill], folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
