import io
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Text
from tables import cells_and_facts, predictions, small, unet_levels

from anna import metrics, plots
from anna.plots import style
from anna.plots.sharing import shared_pairs
from anna.published import PUBLISHED


def texts(figure):
    shown = (text.get_text() for text in figure.findobj(Text) if text.get_visible())
    return [text for text in shown if text]


def picture(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="raw", dpi=50)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def check(figure, *, drawn):
    """A figure that draws without a warning, is not blank, is closed, and says what it shows."""
    assert isinstance(figure, Figure)
    assert figure.number not in plt.get_fignums()
    assert picture(figure).std() > 5
    captions = [text for text in texts(figure) if "Drawn cells, not real" in text]
    assert len(captions) == drawn


def images(count, side=40):
    y, x = np.mgrid[:side, :side] - side / 2
    generator = np.random.default_rng(0)
    disc = (x**2 + y**2 < (side / 3) ** 2)[..., None]
    noise = generator.integers(40, 160, (count, side, side, 3))
    return (noise * disc).astype(np.uint8)


@pytest.fixture
def model_pair():
    return {"anna": (predictions((3, 4)), 0.4), "old": (predictions((3, 4), skill=0.3), 0.5)}


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize("name", ["class_balance", "subjects", "sizes", "colours", "shared_images"])
def test_figures_of_the_data(name, drawn):
    cells, facts = cells_and_facts(drawn=drawn)
    takes_facts = name in ("sizes", "colours", "shared_images")
    figure = getattr(plots, name)(cells, *([facts] if takes_facts else []))
    check(figure, drawn=drawn)


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize(
    "draw",
    [
        lambda drawn: plots.pair(images(2), ["ALL", "HEM"], ["a\nb", "c"], drawn=drawn),
        lambda drawn: plots.mosaic(images(5), list("abcde"), columns=3, drawn=drawn),
        lambda drawn: plots.resolutions({"40": images(2), "8": images(2, 8)}, drawn=drawn),
        lambda drawn: plots.crops([(images(1)[0], (6, 6, 28, 28), "big")], crop=30, drawn=drawn),
        lambda drawn: plots.augmentations(
            images(1)[0], [(f"v{i}", image) for i, image in enumerate(images(5))], drawn=drawn
        ),
        lambda drawn: plots.evidence(
            images(3), images(3)[..., :1] > 0, np.ones((3, 40, 40, 1)), list("abc"), drawn=drawn
        ),
        lambda drawn: plots.learning_curves({"anna": history()}, drawn=drawn),
        lambda drawn: plots.confusion(predictions((3, 3), drawn=drawn), 0.5),
        lambda drawn: plots.curves({"anna": (predictions((3, 3), drawn=drawn), 0.5)}),
        lambda drawn: plots.reliability({"anna": (predictions((3, 3), drawn=drawn), 0.5)}),
        lambda drawn: plots.subject_strip(predictions((3, 3), drawn=drawn), 0.5),
        lambda drawn: plots.gallery(
            images(40), predictions((2, 2), (10, 11), drawn=drawn), 0.5, count=3
        ),
        lambda drawn: plots.published({"anna": scored(drawn)}, PUBLISHED),
        lambda drawn: plots.label_order(orders(), drawn=drawn),
    ],
)
def test_figures_of_cells_and_results(draw, drawn):
    check(draw(drawn), drawn=drawn)


def history(epochs=6):
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "loss": 1 / epoch,
            "val_loss": (epoch - 4) ** 2 / 10 + 0.3,
            "auc": 1 - 0.5 / epoch,
            "val_auc": 0.9 - 0.3 / epoch,
            "learning_rate": np.where(epoch < 4, 1e-3, 1e-4),
        }
    )


def scored(drawn):
    return metrics.evaluate(predictions((3, 3), drawn=drawn), resamples=20)


def orders():
    return pd.DataFrame(
        {
            "order": ["by name", "in listing order"],
            "accuracy": [0.9, 0.56],
            "sensitivity": [0.93, 0.65],
            "fall_out": [0.12, 0.64],
            "auc": [0.95, 0.5],
            "weighted_f1": [0.9, 0.55],
        }
    )


def test_class_balance_counts_cells_and_people():
    cells, _ = cells_and_facts()
    figure = plots.class_balance(cells)
    shown = texts(figure)
    counts = cells.groupby(["fold", "label"]).size()
    assert {str(count) for count in counts} <= set(shown)
    assert {"fold 0", "fold 1", "preliminary test", "final test"} <= set(shown)
    assert any("2 cells without a label" in text for text in shown)


def test_class_balance_by_role_needs_a_role():
    cells, _ = cells_and_facts()
    with pytest.raises(ValueError, match="Received: 'role'"):
        plots.class_balance(cells, by="role")
    with pytest.raises(ValueError, match="Received: 'phase'"):
        plots.class_balance(cells, by="phase")
    split = cells.assign(role="train", group=cells["subject"])
    split.loc[split["split"] == "prelim", "role"] = "test"
    assert {"learn", "test"} <= set(texts(plots.class_balance(split, by="role")))


def test_subjects_are_sorted_and_coloured_by_class():
    cells, _ = cells_and_facts()
    for axes, kind in zip(plots.subjects(cells).axes, ("ALL", "HEM"), strict=True):
        heights = [bar.get_height() for bar in axes.patches]
        label = 1 if kind == "ALL" else 0
        assert heights == sorted(heights, reverse=True)
        assert sum(heights) == (cells["label"] == label).sum()
        colours = {bar.get_facecolor() for bar in axes.patches}
        assert colours == {plt.matplotlib.colors.to_rgba(style.COLOURS[kind])}


def test_sizes_say_how_far_size_alone_gets():
    cells, facts = cells_and_facts()
    facts = facts.assign(diameter=np.where(cells["label"].fillna(0) == 1, 220.0, 180.0))
    facts.loc[cells.index[0], "diameter"] = np.nan  # an unreadable file
    assert any("AUC of 1.00" in text for text in texts(plots.sizes(cells, facts)))


def test_one_class_alone_can_be_drawn():
    cells, facts = cells_and_facts()
    kept = cells[cells["label"] == 1]
    for figure in (
        plots.class_balance(kept),
        plots.subjects(kept),
        plots.sizes(kept, facts.loc[kept.index]),
        plots.colours(kept, facts.loc[kept.index]),
    ):
        check(figure, drawn=False)


def test_figures_of_unlabelled_cells_alone_are_refused():
    cells, _ = cells_and_facts()
    with pytest.raises(ValueError, match="2 rows"):
        plots.subjects(cells[cells["label"].isna()])


def test_shared_pairs_are_counted_by_hand():
    table = pd.DataFrame(
        {
            "pixel_hash": ["a", "a", "b", "b", "b", "c", "c"],
            "subject": ["20", "21", "20", "21", "21", "H1", "H2"],
            "part": ["fold 0", "fold 1", "fold 0", "fold 1", "fold 1", "fold 2", "fold 2"],
        }
    )
    pairs = shared_pairs(table)
    assert pairs.to_numpy().tolist() == [["20", "21", 2, True], ["H1", "H2", 1, False]]


def test_shared_images_name_the_people_or_say_there_are_none():
    cells, facts = cells_and_facts()
    assert "No image stands under two subject names" in texts(plots.shared_images(cells, facts))
    first, other = cells.index[cells["subject"] == "1"][0], cells.index[cells["subject"] == "H1"][0]
    facts.loc[first, "pixel_hash"] = facts.loc[other, "pixel_hash"]
    shown = texts(plots.shared_images(cells, facts))
    assert {"1", "H1"} <= set(shown)
    assert any(text.startswith("1 image under two subject names") for text in shown)


def test_resolutions_keep_rows_as_cells_and_show_every_pixel():
    figure = plots.resolutions({"40": images(3), "8": images(3, 8)})
    assert len(figure.axes) == 6
    assert {axes.images[0].get_interpolation() for axes in figure.axes} == {"nearest"}
    assert figure.axes[1].images[0].get_array().shape == (8, 8, 3)
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        plots.resolutions({"40": images(3), "8": images(2, 8)})


def test_crops_keep_size_in_the_crop_and_lose_it_in_the_box():
    image = images(1)[0]
    first, crop, box = plots.crops([(image, (10, 12, 20, 16), "small")], crop=30).axes
    assert len(first.patches) == 2
    np.testing.assert_array_equal(crop.images[0].get_array(), image[5:35, 5:35])
    assert box.images[0].get_array().shape == (30, 30, 3)


def test_an_image_without_a_title_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 1\)"):
        plots.mosaic(images(2), ["one"])


def test_the_best_epoch_is_ringed_by_validation_loss():
    axes = plots.learning_curves({"anna": history()}).axes
    assert [one.get_title("left") for one in axes] == ["Loss", "AUC", "Learning rate"]
    rings = [line.get_xydata().tolist() for line in axes[0].lines if line.get_marker() == "o"]
    assert rings == [[[4.0, 0.3]]]


def test_histories_of_accuracy_alone_are_drawn():
    plain = history().rename(columns={"auc": "accuracy", "val_auc": "val_accuracy"})
    axes = plots.learning_curves({"a": plain.drop(columns="learning_rate")}).axes
    assert [one.get_title("left") for one in axes] == ["Loss", "Accuracy"]


def test_confusion_shows_the_counts():
    found = small([1, 1, 1, 0], [0.9, 0.8, 0.1, 0.2])
    shown = texts(plots.confusion(found, 0.5))
    assert {"2\n67%", "1\n33%", "1\n100%", "0\n0%"} <= set(shown)
    with pytest.raises(ValueError, match="Received: None"):
        plots.confusion(found)


def test_curves_pass_through_their_operating_points(model_pair):
    roc, precision = plots.curves(model_pair).axes
    for index, (found, threshold) in enumerate(model_pair.values()):
        score = metrics.evaluate(found, threshold, resamples=0)["value"]
        dots = [line for line in roc.lines if line.get_marker() == "o"]
        assert dots[index].get_xydata()[0] == pytest.approx(
            [score["fall_out"], score["sensitivity"]]
        )
        dots = [line for line in precision.lines if line.get_marker() == "o"]
        assert dots[index].get_xydata()[0] == pytest.approx([score["sensitivity"], score["ppv"]])


def test_reliability_leaves_empty_bins_out(model_pair):
    found = small([0, 1, 1], [0.05, 0.95, 0.96])
    top, bottom = plots.reliability({"anna": (found, 0.5)}).axes
    line = next(line for line in top.lines if line.get_marker() == "o")
    np.testing.assert_allclose(line.get_xydata(), [[0.05, 0], [0.955, 1]])
    assert list(bottom.patches[0].get_data()[0]) == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]


def test_the_strip_has_a_column_a_person_and_a_dot_a_cell():
    found = predictions((3, 4))
    top, strip = plots.subject_strip(found, 0.3).axes
    dots = [group for group in strip.collections if isinstance(group, PathCollection)]
    assert len(dots) == len(top.patches) == 7
    assert sum(len(group.get_offsets()) for group in dots) == len(found)
    people = metrics.by_subject(found, 0.3)
    assert [bar.get_height() for bar in top.patches] == pytest.approx(list(people["accuracy"]))


def test_the_gallery_shows_the_surest_calls_with_their_own_pixels():
    found = small([1, 1, 0, 0, 1, None], [0.7, 0.9, 0.8, 0.1, 0.2, 0.99])
    pixels = np.stack([np.full((4, 4, 3), 40 * row, np.uint8) for row in range(6)])
    figure = plots.gallery(pixels, found, 0.5, count=2)
    rows = np.array(figure.axes).reshape(4, 2)
    first = [row[0].images[0].get_array()[0, 0, 0] // 40 for row in rows]
    assert first == [1, 3, 4, 2]
    assert [row[0].get_title("center") for row in rows] == ["0.900", "0.100", "0.200", "0.800"]
    assert rows[0, 1].get_title("center") == "0.700"
    assert not rows[1, 1].images
    with pytest.raises(ValueError, match=r"\(5, 6\)"):
        plots.gallery(pixels[:5], found, 0.5)


def test_a_gallery_without_errors_says_none():
    figure = plots.gallery(images(2), small([1, 0], [0.9, 0.1]), 0.5)
    assert texts(figure).count("none") == 2


def test_evidence_is_centred_at_nothing_and_clear_outside_the_cell():
    masks = np.zeros((1, 40, 40))
    masks[:, 10:30, 10:30] = 1
    values = np.where(masks > 0, -2.0, 50.0)
    figure = plots.evidence(images(1), masks, values, ["a"])
    overlay = figure.axes[2].images[-1]
    assert overlay.get_clim() == (-2, 2)
    assert overlay.get_array().mask.sum() == 40 * 40 - 20 * 20
    red, _, blue, alpha = overlay.cmap(overlay.norm(np.ma.array([2.0, -2.0])))[0]
    assert red > blue and alpha == 1
    assert overlay.cmap(np.ma.masked)[3] == 0


def test_masks_coarser_than_the_cell_and_empty_ones_are_drawn():
    masks = np.zeros((2, 10, 10))
    masks[0, 3:7, 3:7] = 1
    check(plots.evidence(images(2), masks, np.zeros_like(masks), ["a", "b"]), drawn=False)


def test_published_results_are_sorted_with_ours_in_bold():
    figure = plots.published({"anna": scored(False)}, PUBLISHED)
    axes = figure.axes[0]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    dots = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert len(names) == len(PUBLISHED) + 1
    assert dots == sorted(dots)
    assert [tick.get_text() for tick in axes.get_yticklabels() if tick.get_weight() == "bold"] == [
        "anna"
    ]


def test_label_order_says_where_sensitivity_meets_fall_out():
    figure = plots.label_order(orders())
    assert figure.axes[0].get_title("left").startswith("Labels in listing order: sensitivity 0.65")
    assert len(figure.axes[0].patches) == 10


def test_the_network_has_every_block_and_every_skip_connection():
    levels = unet_levels()
    figure = plots.network(levels, "A small U-Net")
    check(figure, drawn=False)
    arrows = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    skips = int(levels["skip_to"].notna().sum())
    assert len(arrows) == len(levels) - 1 + skips
    shown = texts(figure)
    assert shown.count("64² × 8") == 2
    assert "mask\n64² × 1" in shown
    assert "call\n1" in shown


def test_a_network_with_unknown_parts_or_ends_is_refused():
    levels = unet_levels()
    with pytest.raises(ValueError, match="stem"):
        plots.network(levels.replace({"part": {"input": "stem"}}))
    with pytest.raises(ValueError, match="nowhere"):
        plots.network(levels.assign(skip_to="nowhere"))


def test_figures_are_saved_whole(tmp_path):
    path = plots.save(plots.mosaic(images(2)), tmp_path / "new" / "mosaic.png")
    assert [file.name for file in path.parent.iterdir()] == ["mosaic.png"]
    assert path.read_bytes().startswith(b"\x89PNG")
    assert plt.imread(path).shape[1] > 300


def test_a_failing_figure_leaves_nothing_open():
    with pytest.raises(TypeError, match="object"):
        plots.mosaic([object()])
    assert plt.get_fignums() == []


def test_drawing_leaves_the_users_style_alone():
    before = dict(plt.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plots.mosaic(images(2))
        assert dict(plt.rcParams) == before
