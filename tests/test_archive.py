"""A copy of C-NMC is found in every form people have it."""

import logging
import shutil
import tarfile
import zipfile

import pandas as pd
import pytest
from copies import HEADER, make, place, uid

from anna import archive, cnmc, sample

PICTURES = {
    place("20"): 1,
    place("H2", fold=1): 2,
    "prelim/1.bmp": 3,
    "final/1.bmp": 4,
}


@pytest.fixture
def copy(tmp_path):
    """A whole copy: tmp_path/data/C-NMC_Leukemia."""
    return make(tmp_path / "data" / "C-NMC_Leukemia", PICTURES, [(uid("57"), "1.bmp", 1)])


def zipped(root, target, *, top="C-NMC_Leukemia", compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(target, "w", compression) as out:
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            out.write(path, f"{top}/{path.relative_to(root)}")
    return target


@pytest.mark.parametrize(
    "given",
    ["data", "data/C-NMC_Leukemia", "data/C-NMC_Leukemia/training_data", "."],
)
def test_a_folder_at_above_or_below_the_copy(copy, tmp_path, given):
    assert archive.find(tmp_path / given) == copy


def test_deeper_down_kaggle_nests_it_twice(copy, tmp_path):
    nested = tmp_path / "kaggle" / "input" / "C-NMC_Leukemia"
    nested.mkdir(parents=True)
    moved = copy.rename(nested / "C-NMC_Leukemia")
    assert archive.find(tmp_path / "kaggle") == moved


def test_the_nearest_copy_wins(copy, tmp_path):
    shutil.copytree(copy, copy / "backup" / "C-NMC_Leukemia")
    assert archive.find(tmp_path / "data") == copy


@pytest.mark.parametrize("only", ["training_data/fold_1", "validation_data", "testing_data"])
def test_a_part_will_do(copy, tmp_path, only):
    part = tmp_path / "part"
    shutil.copytree(copy / only, part / only)
    assert archive.find(part) == part
    assert len(cnmc.index(part)) == 1


NAMES = {
    "training_data": "C-NMC_training_data",
    "validation_data": "C-NMC_test_prelim_phase_data",
    "testing_data": "C-NMC_test_final_phase_data",
}


@pytest.fixture
def as_archived(copy, tmp_path):
    """The same copy in the folders of the Cancer Imaging Archive."""
    root = copy.rename(tmp_path / "data" / "PKG - C-NMC 2019")
    for name, other in NAMES.items():
        (root / name).rename(root / other)
    return root


def content(cells):
    return cells.drop(columns="path").sort_values("name", ignore_index=True)


def flattened(root):
    """Test sets whose images lie beside their label file, not in a folder of the same name."""
    for name in list(NAMES.values())[1:]:
        for path in (root / name / name).iterdir():
            path.rename(root / name / path.name)
        (root / name / name).rmdir()


@pytest.mark.parametrize("change", [lambda root: None, flattened])
def test_the_folders_of_the_cancer_imaging_archive(copy, request, change):
    expected = content(cnmc.index(copy))
    root = request.getfixturevalue("as_archived")
    change(root)
    assert archive.find(root.parent) == root
    assert archive.find(root / "C-NMC_training_data" / "fold_0") == root
    pd.testing.assert_frame_equal(content(cnmc.index(root)), expected)
    assert expected["label"].notna().sum() == 3


def test_an_image_missing_there_is_named_once(as_archived, tmp_path):
    flattened(as_archived)
    gone = as_archived / "C-NMC_test_prelim_phase_data" / "1.bmp"
    gone.unlink()
    found = cnmc.verify(cnmc.index(as_archived), cache=tmp_path / "facts.csv", progress=False)
    missing = found.loc[found["problem"] == "missing image", "path"]
    assert missing.tolist() == [str(gone)]


def test_a_zip_of_the_cancer_imaging_archive(as_archived, tmp_path, own_output):
    packed = zipped(as_archived, tmp_path / "tcia.zip", top="PKG - C-NMC 2019")
    assert len(cnmc.index(archive.find(packed))) == 4


def test_folds_by_themselves(copy, tmp_path):
    folds = (copy / "training_data").rename(tmp_path / "folds")
    for given in (folds, folds / "fold_1", tmp_path / "folds"):
        assert archive.find(given) == folds
    assert sorted(cnmc.index(folds)["fold"]) == [0, 1]


def test_nothing_is_none(tmp_path):
    (tmp_path / "README.md").write_text("put C-NMC here")
    assert archive.find(tmp_path) is None
    assert archive.find(tmp_path / "missing") is None
    assert archive.find(tmp_path / "README.md") is None


def test_real_cells_win_over_drawn_ones(copy, tmp_path):
    drawn = make(tmp_path / "data" / "A_sample", PICTURES)
    (drawn / archive.MARKER).write_text("{}")
    assert archive.find(tmp_path / "data") == copy
    shutil.rmtree(copy)
    assert archive.find(tmp_path / "data") == drawn


def test_the_marker_is_the_samples(sample_root, tmp_path):
    assert archive.MARKER == sample.MARKER
    assert archive.find(sample_root.parent) == sample_root


def test_a_sample_half_drawn_is_not_taken_for_real_cells(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "_write_marker", killed)
    with pytest.raises(KeyboardInterrupt):
        sample.write(tmp_path / "sample", cells=40, progress=False)
    assert list(tmp_path.rglob("*.bmp"))
    assert archive.find(tmp_path) is None


@pytest.mark.parametrize("given", ["downloads/archive.zip", "downloads"])
def test_a_zip_is_unpacked_into_the_output(copy, tmp_path, own_output, given):
    (tmp_path / "downloads").mkdir()
    zipped(copy, tmp_path / "downloads" / "archive.zip")
    found = archive.find(tmp_path / given)
    assert found.is_relative_to(own_output)
    assert found.name == "C-NMC_Leukemia"
    files = [p.relative_to(copy) for p in sorted(copy.rglob("*")) if p.is_file()]
    assert [p.relative_to(found) for p in sorted(found.rglob("*")) if p.is_file()] == files
    assert all((found / f).read_bytes() == (copy / f).read_bytes() for f in files)
    assert [p.name for p in (tmp_path / "downloads").iterdir()] == ["archive.zip"]


def test_a_second_call_unpacks_nothing(copy, tmp_path, own_output, monkeypatch):
    packed = zipped(copy, tmp_path / "archive.zip")
    found = archive.find(packed)
    monkeypatch.setattr(zipfile.ZipFile, "extract", lambda *_: pytest.fail("unpacked again"))
    assert archive.find(packed) == found


def test_another_download_of_the_same_name_is_unpacked_too(copy, tmp_path, own_output):
    packed = zipped(copy, tmp_path / "archive.zip")
    assert len(cnmc.index(archive.find(packed))) == 4
    make(copy, {place("21", fold=2): 5})
    zipped(copy, packed)
    assert len(cnmc.index(archive.find(packed))) == 5


def test_unpacking_goes_on_where_it_was(copy, tmp_path, own_output, monkeypatch):
    packed, extract, done = zipped(copy, tmp_path / "archive.zip"), zipfile.ZipFile.extract, []

    def stopped(self, member, path):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(member.filename)
        return extract(self, member, path)

    monkeypatch.setattr(zipfile.ZipFile, "extract", stopped)
    with pytest.raises(KeyboardInterrupt):
        archive.find(packed)
    half = next(own_output.rglob(done[-1]))
    half.write_bytes(half.read_bytes()[:100])
    again = []

    def counted(self, member, path):
        again.append(member.filename)
        return extract(self, member, path)

    monkeypatch.setattr(zipfile.ZipFile, "extract", counted)
    assert len(cnmc.index(archive.find(packed))) == 4
    assert done[-1] in again
    assert not set(done[:-1]) & set(again)


@pytest.mark.parametrize("member", ["../training_data/evil.csv", "/training_data/evil.csv"])
def test_a_zip_that_leads_outside_is_refused(tmp_path, own_output, member):
    packed = tmp_path / "evil.zip"
    with zipfile.ZipFile(packed, "w") as out:
        out.writestr("training_data/fold_0/all/UID_1_1_1_all.bmp", b"")
        out.writestr(member, HEADER)
    with pytest.raises(ValueError, match=rf"evil\.zip.*Received: '{member}'"):
        archive.find(packed)
    assert not list(tmp_path.rglob("evil.csv"))


def test_what_is_not_of_the_data_set_stays_in_the_zip(copy, tmp_path, own_output):
    packed = zipped(copy, tmp_path / "archive.zip")
    with zipfile.ZipFile(packed, "a") as out:
        out.writestr("../../escape.txt", "no part of C-NMC")
        out.writestr("C-NMC_Leukemia/training_data/run.py", "no part of C-NMC")
    assert archive.find(packed)
    assert not list(tmp_path.rglob("escape.txt")) + list(tmp_path.rglob("run.py"))


def test_another_zip_in_the_folder_is_passed_over(copy, tmp_path, own_output):
    folder = tmp_path / "downloads"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a_thesis.zip", "w") as out:
        out.writestr("thesis.pdf", "text")
    assert archive.find(folder) is None
    zipped(copy, folder / "b_archive.zip")
    assert archive.find(folder).name == "C-NMC_Leukemia"


@pytest.mark.parametrize("given", ["downloads", "downloads/archive.zip"])
def test_a_download_cut_off_is_named(copy, tmp_path, own_output, caplog, given):
    (tmp_path / "downloads").mkdir()
    packed = zipped(copy, tmp_path / "downloads" / "archive.zip")
    packed.write_bytes(packed.read_bytes()[:-200])
    with caplog.at_level(logging.WARNING):
        assert archive.find(tmp_path / given) is None
    assert str(packed) in caplog.text


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.xz"])
def test_a_tar_cut_off_is_named_and_the_next_is_taken(copy, tmp_path, own_output, caplog, kind):
    folder = tmp_path / "downloads"
    folder.mkdir()
    packed = folder / f"a.{kind}"
    with tarfile.open(packed, f"w:{kind.partition('.')[2]}") as target:
        target.add(copy, copy.name)
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    zipped(copy, folder / "b.zip")
    with caplog.at_level(logging.WARNING):
        assert len(cnmc.index(archive.find(folder))) == 4
    assert str(packed) in caplog.text


def test_room_is_needed_only_for_what_is_not_there(copy, tmp_path, own_output, monkeypatch):
    packed, asked = zipped(copy, tmp_path / "archive.zip"), []
    monkeypatch.setattr(archive, "require_room", lambda _, needed, __: asked.append(needed))
    extract = zipfile.ZipFile.extract

    def stopped(self, member, path):
        if list(own_output.rglob("*.bmp")):
            raise KeyboardInterrupt
        return extract(self, member, path)

    monkeypatch.setattr(zipfile.ZipFile, "extract", stopped)
    with pytest.raises(KeyboardInterrupt):
        archive.find(packed)
    there = sum(path.stat().st_size for path in own_output.rglob("*.*") if path.is_file())
    monkeypatch.setattr(zipfile.ZipFile, "extract", extract)
    archive.find(packed)
    assert asked[1] == asked[0] - there < asked[0]


def test_a_full_disk_is_found_before_unpacking(copy, tmp_path, own_output, monkeypatch):
    packed = zipped(copy, tmp_path / "archive.zip")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1))
    with pytest.raises(OSError, match=r"no room to unpack .*archive\.zip"):
        archive.find(packed)
    assert not list(own_output.rglob("*.bmp"))


def test_a_zip_of_drawn_cells_stays_drawn(sample_root, tmp_path, own_output):
    zipped = tmp_path / "archive.zip"
    with zipfile.ZipFile(zipped, "w") as target:
        for path in sorted(sample_root.rglob("*")):
            target.write(path, path.relative_to(sample_root.parent))
    assert cnmc.index(cnmc.find(zipped))["drawn"].all()


def test_a_corrected_archive_of_the_same_name_and_size_is_unpacked_too(copy, tmp_path, own_output):
    packed, images = tmp_path / "archive.tar", []
    for number in (0, 1):
        image = next(copy.rglob("*.bmp"))
        image.write_bytes(image.read_bytes()[:-1] + bytes([number]))
        with tarfile.open(packed, "w") as file:
            file.add(copy, "C-NMC_Leukemia")
        images.append((archive.find(packed) / image.relative_to(copy)).read_bytes())
    assert [image[-1] for image in images] == [0, 1]
    assert len(list((own_output / "unpacked").glob("[!.]*"))) == 1  # the old one is gone


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_labels_beside_the_folders_are_read_from_an_archive_too(copy, tmp_path, own_output, kind):
    (copy / cnmc.LABELS).rename(copy / cnmc.LABELS.name)
    place = tmp_path / "data"
    if kind != "folder":
        place = tmp_path / "archives"
        place.mkdir()
        zipped(copy, place / "archive.zip")
        if kind == "tar":
            (place / "archive.zip").unlink()
            with tarfile.open(place / "archive.tar", "w") as out:
                out.add(copy, "C-NMC_Leukemia")
    cells = cnmc.index(archive.find(place))
    assert cells.loc[cells["split"] == "prelim", "label"].tolist() == [1]
