"""The trained ANNa of the package: it loads anywhere, brings its own crop, and gives its record."""

import pytest
from scipy.special import expit

import anna

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def model():
    return anna.models.pretrained()


def test_it_is_small_and_tells_where_it_comes_from():
    assert anna.models.PRETRAINED.stat().st_size < 20e6
    record = anna.models.record(anna.models.PRETRAINED)
    assert "CC BY 3.0" in record["data"]
    assert "Apache License 2.0" in record["backbone"]
    assert record["calibration"]["temperature"] > 0
    assert "H10" in record["people"]
    card = anna.models.PRETRAINED.with_suffix(".md").read_text()
    for word in (
        "Not for diagnosis",
        "10.7937/tcia.2019.dc64i46r",
        "CC BY 3.0",
        "Apache",
        "Limits",
    ):
        assert word in card


def test_it_judges_files_of_a_folder(model, sample_root):
    folder = sample_root / "training_data" / "fold_0" / "hem"
    found = anna.predict.files(model, [folder], progress=False)
    assert len(found)
    assert found["problem"].isna().all()
    assert found["probability"].between(0, 1, inclusive="neither").all()


def test_it_brings_its_crop_and_its_maps(model, sample_root):
    assert anna.models.crop_of(model) == 320
    path = sorted(sample_root.rglob("*.bmp"))[0]
    cell = anna.images.read(path, model.input_shape[1])[None]
    maps = anna.predict.maps(model, cell)
    assert maps["evidence"].shape == maps["mask"].shape == (1, 80, 80)


def test_its_probabilities_are_made_for_the_share_that_its_card_tells(model):
    told = anna.models.record(anna.models.PRETRAINED)["calibration"]
    layer = model.get_layer("calibration")
    assert layer.offset == pytest.approx(told["offset"])
    assert layer.scale == pytest.approx(1 / told["temperature"])
    card = anna.models.PRETRAINED.with_suffix(".md").read_text(encoding="utf-8")
    assert f"a share of ALL as among these cells, {expit(told['offset']):.2f}" in " ".join(
        card.split()
    )


def test_real_cells_of_the_people_who_taught_it(model, real_cells):
    cells = anna.cnmc.index(real_cells)
    cells = cells[cells["split"] == "train"]
    found = anna.predict.files(model, cells["path"], progress=False)
    assert found["probability"].notna().all()
    # These people taught it: this shows that bytes, crop and classes are the right way round.
    means = found["probability"].groupby(cells["label"].to_numpy()).mean()
    assert means[1] > means[0]
