"""Whole fields: cells found, cut out as C-NMC's are, judged, counted and shown."""

import cv2
import numpy as np
import pandas as pd
import pytest
import smears
from places import DATA

import anna
from anna import detection, field_evidence, fields, masks, parting, smear, wbc
from anna.plots import style
from anna.sample import fields as drawn


@pytest.fixture(scope="module")
def made():
    return smears.draw(4)


@pytest.fixture(scope="module")
def found(made):
    return [smear.find(field.pixels) for field in made]


@pytest.fixture(scope="module")
def model():
    return smears.network()


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    return smears.write(tmp_path_factory.mktemp("fields"), made[0])


@pytest.fixture(scope="module")
def judged(model, folder):
    return fields.judge(model, [folder], known=smears.KNOWN, progress=False)


def discs(*circles, shape=(100, 160)):
    mask = np.zeros(shape, np.uint8)
    for x, y, radius in circles:
        cv2.circle(mask, (x, y), radius, 1, -1)
    return mask


def test_a_drawn_field_is_its_truth(made):
    for field in made:
        assert field.pixels.dtype == np.uint8
        assert sorted(np.unique(field.labels)) == list(range(len(field.cells) + 1))
        for row in field.cells.itertuples():
            inside = (field.labels == row.cell).astype(np.uint8)
            assert cv2.boundingRect(inside) == (row.left, row.top, row.width, row.height)
        inside, outside = (
            field.pixels[where].mean() for where in (field.labels > 0, ~field.nuclei)
        )
        assert inside < outside / 2
    again = drawn.draw(0, **smears.SMALL, tint=0.5)
    np.testing.assert_array_equal(again.pixels, made[0].pixels)
    assert not np.array_equal(made[1].pixels, made[0].pixels)


def test_some_drawn_cells_touch_and_lie_over_red_cells():
    field = drawn.draw(0, **smears.SMALL | {"touching": 1.0, "red_cells": 0.0})
    apart = cv2.connectedComponents((field.labels > 0).astype(np.uint8))[0] - 1
    assert apart < field.labels.max()
    granulocytes = drawn.draw(1, **smears.SMALL | {"cells": 0}, granulocytes=2)
    assert granulocytes.cells["label"].isna().all()
    assert 0 < granulocytes.nuclei.sum() < (granulocytes.labels > 0).sum()


def test_cells_of_drawn_fields_are_found(made, found):
    scores = detection.scores([field.labels for field in made], found)
    assert scores["cells"] >= 16
    assert scores["f1"] >= 0.95
    assert scores["count_error"] <= 0.25


def test_cells_are_found_at_another_magnification(made):
    half = drawn.draw(0, **smears.SMALL, tint=0.5, scale=2)
    scores = detection.scores([half.labels], [smear.find(half.pixels, scale=2)])
    assert scores["f1"] == 1
    assert detection.scores([half.labels], [smear.find(half.pixels)])["f1"] < 0.5


@pytest.mark.parametrize("scale", [0, -1, 100, np.inf, np.nan])
def test_a_scale_that_cannot_be_is_refused_with_what_it_means(made, scale):
    with pytest.raises(ValueError, match=r"187 pixels, over its width here. Received: scale="):
        smear.find(made[0].pixels, scale=scale)


@pytest.mark.parametrize("soft", [1, 40])
def test_a_picture_through_an_eyepiece(made, found, model, soft):
    field, away = made[0], np.hypot(*np.ogrid[-320:320, -400:400])
    lit = np.clip((330 - away) / soft + 0.5, 0, 1)[..., None]
    image = np.uint8(field.pixels * lit + 6 * (1 - lit))
    labels = smear.find(image)
    whole = [k for k in range(1, found[0].max() + 1) if away[found[0] == k].max() < 290]
    assert len(whole) > 1
    for cell in whole:
        own = found[0] == cell
        assert np.mean((labels > 0)[own]) > 0.95
        assert len(np.unique(labels[own & (labels > 0)])) == 1
    assert not (labels > 0)[away > 340].any()
    unlit = smear.unlit(image)
    assert unlit[away > 345].all()
    assert not unlit[away < 270].any()
    table, _ = fields.of_image(model, image, known=smears.KNOWN)
    reach = [away[labels == cell].max() for cell in table["cell"]]
    cut = (table["problem"] == fields.EDGE).tolist()
    assert all(cut[k] for k, far in enumerate(reach) if far > 320 - soft / 2)
    assert not any(cut[k] for k, far in enumerate(reach) if far < 270)
    assert len(set(cut)) == 2


def test_red_cells_alone_are_no_cells():
    for seed in range(3):
        field = drawn.draw(seed, **smears.SMALL | {"cells": 0, "red_cells": 0.5})
        assert smear.find(field.pixels).max() == 0
    assert smear.find(np.full((50, 70, 3), 255, np.uint8)).max() == 0
    assert smear.find(np.zeros((50, 70, 3), np.uint8)).max() == 0


def test_what_cannot_be_searched_is_named():
    with pytest.raises(ValueError, match="Received: scale=0"):
        smear.find(np.zeros((8, 8, 3), np.uint8), scale=0)
    with pytest.raises(ValueError, match=r"float64 \(8, 8\)"):
        smear.find(np.zeros((8, 8)))


def test_touching_nuclei_are_parted_and_lobes_joined():
    touching = discs((50, 50, 24), (97, 50, 24))
    assert parting.parted(2 * touching).max() == 2
    assert len(np.unique(parting.parted(2 * touching))) == 3
    lobes = discs((60, 40, 12), (90, 40, 12), (75, 62, 12))
    assert len(np.unique(parting.parted(2 * lobes))) == 2
    large = discs((58, 50, 19), (99, 50, 19))
    cytoplasm = discs((78, 50, 45))
    assert len(np.unique(parting.parted(np.where(large, 2, cytoplasm).astype(np.uint8)))) == 2
    assert len(np.unique(parting.parted(2 * large))) == 3
    speck = discs((50, 50, 6))
    assert not parting.parted(2 * speck).any()


@pytest.mark.parametrize("radius", [22, 23, 24, 25])
def test_a_slight_waist_parts_no_nucleus_not_even_one_of_equal_halves(radius):
    labels = parting.parted(2 * discs((50, 50, 24), (76, 50, radius)))
    assert len(np.unique(labels)) == 2


def test_a_lobe_is_of_the_nucleus_it_is_nearest_to():
    labels = parting.parted(2 * discs((35, 40, 15), (68, 50, 9), (94, 54, 15)))
    assert labels[40, 35] != labels[50, 68] == labels[54, 94] != 0


def test_a_speck_keeps_no_lobes_apart():
    speck, lobe, nucleus = (17, 50, 4), (40, 50, 11), (80, 50, 27)
    labels = parting.parted(2 * discs(speck, lobe, nucleus))
    assert labels[50, 40] == labels[50, 80] != 0


def test_narrow_nuclei_are_lobes_however_long():
    bands, thickness = np.zeros((100, 160), np.uint8), 21
    for x in (60, 92):
        cv2.line(bands, (x, 35), (x, 65), 1, thickness)
    assert len(np.unique(parting.parted(2 * bands))) == 2


def test_cytoplasm_goes_to_the_nearer_nucleus():
    nuclei, cell = discs((40, 50, 18), (120, 50, 18)), np.ones((100, 160), np.uint8)
    labels = parting.parted(np.where(nuclei, 2, cell).astype(np.uint8))
    assert labels[50, 70] == labels[50, 40] != 0
    assert labels[50, 90] == labels[50, 120] != labels[50, 40]


def test_a_cut_is_the_cell_on_black_in_the_middle(made):
    field = made[0]
    row = field.cells.iloc[0]
    inside = field.labels == row["cell"]
    cut = smear.cut(field.pixels, inside)
    assert cut.shape == (320, 320, 3)
    left, top, width, height = anna.decoding.box(cut)
    assert (width, height) == (row["width"], row["height"])
    assert abs(2 * left + width - 320) <= 1
    assert abs(2 * top + height - 320) <= 1
    np.testing.assert_array_equal(
        np.sort(cut[cut.any(axis=-1)], 0), np.sort(field.pixels[inside], 0)
    )
    double = anna.facts.measure(smear.cut(field.pixels, inside, scale=1.4, side=450))
    assert double["area"] == pytest.approx(1.96 * inside.sum(), rel=0.02)
    with pytest.raises(ValueError, match="Received: no pixel"):
        smear.cut(field.pixels, inside & False)


def test_calls_are_those_of_cells_cut_out_by_hand(made, found):
    model = anna.models.pretrained()
    by_hand, by_anna = [], []
    for field, labels in zip(made[:2], found[:2], strict=True):
        pairs = detection.matched(field.labels, labels)
        for truth, numbers, into in ((field.labels, 0, by_hand), (labels, 1, by_anna)):
            crops = fields.cutouts(field.pixels, truth)[pairs[:, numbers] - 1]
            into.extend(anna.predict.probabilities(model, fields.resized(model, crops)))
    assert len(by_hand) >= 8
    assert np.corrcoef(by_hand, by_anna)[0, 1] > 0.9
    assert np.abs(np.subtract(by_hand, by_anna)).mean() < 0.1


def test_outlines_are_true_to_the_pixel(made, found):
    """The trained model calls a cell otherwise when its outline lies a pixel too far out."""
    for field, labels in zip(made, found, strict=True):
        best = detection.overlaps(field.labels, labels).max(axis=1)
        assert np.median(best) > 0.97


def test_a_row_for_each_cell_and_for_each_file_without(judged, made, folder):
    assert list(judged.columns) == fields.COLUMNS
    there = judged[judged["cell"].notna()]
    assert set(there["path"]) == {str(folder / "a & b.png")}
    assert there["cell"].tolist() == list(range(1, len(made[0].cells) + 1))
    whole = there["problem"].isna()
    assert there.loc[whole, "probability"].between(0, 1).all()
    assert (there["call"] == "ALL").equals(there["probability"] >= 0.5)
    others = judged[judged["cell"].isna()].set_index("path")["problem"]
    assert others[str(folder / "blank.png")] == fields.NONE
    assert "broken.png" in others[str(folder / "broken.png")]
    assert fields.judge(None, []).empty


def test_what_the_edge_cuts_off_is_not_judged(model, made):
    row = made[0].cells.iloc[0]
    image = made[0].pixels[row["top"] + row["height"] // 3 :]
    table, labels = fields.of_image(model, image, known=smears.KNOWN)
    edge = table["problem"] == fields.EDGE
    assert edge.any()
    assert set(table.loc[edge, "cell"]) == set(np.unique(labels[0])) - {0}
    assert table.loc[edge, "probability"].isna().all()
    assert (table.loc[edge, "call"] == "").all()
    assert table.loc[~edge, "call"].isin(["ALL", "HEM"]).all()


def test_a_wrong_magnification_is_warned_of(model, made):
    table, _ = fields.of_image(model, made[0].pixels, known=smears.KNOWN | {"diameter": (0, 100)})
    assert table["warning"].str.startswith("larger than the cells learnt from").all()
    with pytest.raises(ValueError, match="scale=-1"):
        fields.judge(model, [], scale=-1)
    with pytest.raises(ValueError, match="threshold=2"):
        fields.judge(model, [], threshold=2)


def test_shares_of_blasts_and_their_intervals():
    counts = {"a": (8, 10), "b": (1, 10), "c": (5, 5), "d": (0, 0)}
    rows = [
        {"path": path, "cell": k + 1, "probability": float(k < blasts),
         "call": "ALL" if k < blasts else "HEM", "warning": "", "problem": None}
        for path, (blasts, cells) in counts.items() for k in range(cells)
    ]  # fmt: skip
    rows.append({"path": "a", "cell": 11, "call": "", "warning": "", "problem": fields.EDGE})
    rows.append({"path": "d", "call": "", "warning": "", "problem": fields.NONE})
    cells = pd.DataFrame(rows, columns=fields.COLUMNS)
    table = fields.summary(cells).set_index("path")
    assert table["cells"].tolist() == [10, 10, 5, 0, 25]
    assert table["not_judged"].tolist() == [1, 0, 0, 0, 1]
    # Wilson's interval of 8 in 10, as in the tables of Newcombe, Stat. Med. 17 (1998) 857.
    assert table.loc["a", ["share", "low", "high"]].tolist() == pytest.approx(
        [0.8, 0.4902, 0.9433], abs=1e-4
    )
    assert table.loc["c", "high"] == pytest.approx(1)
    assert np.isnan(table.loc["d", "share"])
    total, plain = table.loc["all fields"], fields.wilson(14, 25)
    assert total["share"] == 14 / 25
    # Fields that differ say less than so many cells would.
    assert total["high"] - total["low"] > plain["high"] - plain["low"]


@pytest.mark.parametrize("blasts", [0, 1])
def test_fields_that_agree_do_not_make_the_share_certain(blasts):
    rows = [
        {"path": path, "cell": k + 1, "probability": 0.5, "warning": "", "problem": None,
         "call": "ALL" if k < blasts else "HEM"}
        for path in "abc" for k in range(5)
    ]  # fmt: skip
    total = fields.summary(pd.DataFrame(rows, columns=fields.COLUMNS)).iloc[-1]
    assert total[["low", "high"]].to_dict() == {
        key: fields.wilson(3 * blasts, 15)[key] for key in ("low", "high")
    }


def test_evidence_lies_on_the_cells(model, made, found):
    evidence = field_evidence.of_field(model, made[0].pixels, found[0])
    np.testing.assert_array_equal(np.isnan(evidence), found[0] == 0)


@pytest.mark.parametrize("scale", [1, 2])
def test_maps_are_laid_where_their_cells_are(scale):
    """Two cells; the right half of each map is 1, and so must be the right half of each cell."""
    labels = discs((40, 50, 24)).astype(np.int32) + 2 * discs((110, 45, 30)).astype(np.int32)
    maps = np.zeros((2, 8, 8), np.float32)
    maps[:, :, 4:] = 1
    maps[1] *= -3
    laid = field_evidence.laid(maps, labels, scale=scale, side=200)
    np.testing.assert_array_equal(np.isnan(laid), labels == 0)
    columns = np.arange(160)
    for number, middle, value in ((1, 40, 1), (2, 110, -3)):
        for side, expected in ((columns < middle - 1, 0), (columns > middle + 1, value)):
            assert set(laid[(labels == number) & side]) == {expected}


def test_a_map_is_as_wide_as_its_crop():
    """A frame at the end of the map is beyond the cell at one scale, and in it at another."""
    labels = discs((80, 50, 40)).astype(np.int32)
    maps = np.ones((1, 10, 10), np.float32)
    maps[:, 2:-2, 2:-2] = 0
    assert np.nanmax(field_evidence.laid(maps, labels, scale=1, side=160)) == 0
    wide = field_evidence.laid(maps, labels, scale=1.5, side=160)
    assert wide[50, 80] == 0
    assert wide[50, 42] == wide[50, 118] == wide[12, 80] == 1


def test_maps_are_laid_on_labels_shrunk_though_a_cell_be_lost(model, made, found):
    labels = found[0].copy()
    labels[0, 0] = labels.max() + 1
    maps = np.arange(labels.max())[:, None, None] * np.ones((1, 4, 4))
    few = cv2.resize(labels, (200, 160), interpolation=cv2.INTER_NEAREST)
    few[few == labels.max()] = 0
    laid = field_evidence.laid(maps, few, scale=4, side=320)
    np.testing.assert_array_equal(np.nan_to_num(laid, nan=-1), few - 1)


def test_a_figure_of_a_field(model, made, judged):
    there = judged[judged["cell"].notna()]
    evidence = np.where(made[0].labels > 0, 1.0, np.nan)
    figure = anna.plots.field(made[0].pixels, there, evidence=evidence, drawn=True)
    boxes = figure.axes[0].patches
    assert [box.get_xy()[0] + 0.5 for box in boxes] == there["left"].tolist()
    colours = [style.COLOURS.get(call, style.GREY) for call in there["call"]]
    assert [style.plt.matplotlib.colors.to_hex(b.get_edgecolor()).upper() for b in boxes] == colours
    figure.canvas.draw()


def test_a_cell_at_the_top_of_a_field_has_its_number_in_the_field():
    row = {"left": 30, "width": 40, "height": 40, "probability": 0.9, "call": "ALL", "warning": ""}
    cells = pd.DataFrame([row | {"cell": 1, "top": 0}, row | {"cell": 2, "top": 90}])
    figure = anna.plots.field(np.full((160, 200, 3), 230, np.uint8), cells)
    figure.canvas.draw()
    axes = figure.axes[0]
    frame = axes.get_window_extent()
    for text in axes.texts[-2:]:
        extent = text.get_window_extent()
        assert text.get_text() == "0.90"
        assert frame.y0 <= extent.y0 < extent.y1 <= frame.y1 + 1


def test_scores_of_finding():
    truth = discs((30, 30, 10)).astype(int) + 2 * discs((80, 30, 10))
    moved = discs((33, 30, 10)).astype(int) + 2 * discs((120, 60, 10))
    assert detection.matched(truth, moved).tolist() == [[1, 1]]
    scores = detection.scores([truth, truth], [moved, truth])
    assert (scores["precision"], scores["recall"], scores["f1"]) == (0.75, 0.75, 0.75)
    assert scores["count_error"] == 0
    with pytest.raises(ValueError, match="one shape"):
        detection.overlaps(truth, moved[:5])


def test_real_cells_are_found_once():
    """Every fifth crop; all of them in benchmarks/fields.py."""
    root = wbc.find(DATA)
    if root is None:
        pytest.skip(f"no white blood cells with masks below {DATA}")
    cells = wbc.index(root).iloc[::5]
    for dataset, scale, least in (("dataset_1", 4, 0.9), ("dataset_2", 2, 0.9)):
        images, truth = wbc.load(cells[cells["dataset"] == dataset], progress=False)
        labels = [smear.find(image, scale=scale) for image in images]
        once = [
            sum(masks.dice(mask, np.where(found == k, mask, 0))["nucleus"] > 0.2
                for k in range(1, found.max() + 1)) == 1
            for mask, found in zip(truth, labels, strict=True)
        ]  # fmt: skip
        assert np.mean(once) >= least
