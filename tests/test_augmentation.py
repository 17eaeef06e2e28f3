import cv2
import keras
import numpy as np
import pytest

from anna import augmentation, backend, robustness
from anna.augmentation import Focus, Hue, Pose, stages
from anna.compression import Jpeg, stored
from anna.stains import Stain, StainJitter

pytestmark = pytest.mark.backend
KINDS = (Pose, Focus, Hue, Jpeg, Stain, StainJitter)


def cells(count=4, size=32):
    """Cells with an L in them, so that every turn and mirror image differs, on black."""
    image = np.zeros((size, size, 3), "float32")
    image[6:26, 6:26] = 100
    image[8:24, 10:13] = 200
    image[20:24, 10:20] = 200
    return np.repeat(image[None] * np.float32([1, 0.7, 0.9]), count, axis=0)


def applied(layer, x, training=True):
    return keras.ops.convert_to_numpy(layer(x, training=training))


@pytest.mark.parametrize("layer", [kind(seed=1) for kind in KINDS])
def test_nothing_changes_but_while_training(layer):
    x = cells(16)
    np.testing.assert_array_equal(applied(layer, x, training=False), x)
    changed = applied(layer, x)
    assert changed.shape == x.shape
    assert np.abs(changed - x).max() > 1e-2
    assert np.ptp(changed, axis=0).max() > 1e-3  # each image in its own way


@pytest.mark.parametrize("kind", KINDS)
def test_fused_operations_do_what_they_do_one_by_one(kind, monkeypatch):
    x = cells(6)
    found = applied(kind(seed=3), x)
    monkeypatch.setattr(backend, "fuses", lambda: False)
    np.testing.assert_allclose(applied(kind(seed=3), x), found, atol=1.0 if kind is Jpeg else 1e-2)


def test_a_flip_is_the_mirror_image():
    found = applied(Pose(("flip",), seed=0), cells(16))
    plain, mirrored = cells(1)[0], cells(1)[0][:, ::-1]
    kinds = [
        "plain" if np.allclose(one, plain, atol=1e-2) else "mirrored"
        for one in found
        if np.allclose(one, plain, atol=1e-2) or np.allclose(one, mirrored, atol=1e-2)
    ]
    assert len(kinds) == 16
    assert set(kinds) == {"plain", "mirrored"}


def test_a_turn_keeps_centre_and_area():
    y, x = np.mgrid[:32, :32] - 15.5
    disc = np.repeat((x**2 + y**2 < 100)[None, ..., None] * np.ones(3) * 90.0, 8, axis=0)
    found = applied(Pose(("rotate",), seed=2), disc.astype("float32"))
    np.testing.assert_allclose(found.sum(axis=(1, 2)), disc.sum(axis=(1, 2)), rtol=0.03)
    place = (found[..., 0] * x).sum(axis=(1, 2)) / found[..., 0].sum(axis=(1, 2))
    np.testing.assert_allclose(place, 0, atol=0.2)


def test_shift_and_scale_stay_within_their_limits():
    y, x = np.mgrid[:64, :64] - 31.5
    disc = np.repeat((x**2 + y**2 < 200)[None, ..., None] * np.ones(3) * 90.0, 32, axis=0)
    disc = disc.astype("float32")
    moved = applied(Pose(("shift",), shift=0.1, seed=3), disc)[..., 0]
    place = (moved * x).sum(axis=(1, 2)) / moved.sum(axis=(1, 2))
    assert 3 < np.abs(place).max() <= 6.5
    scaled = applied(Pose(("scale",), scale=0.2, seed=3), disc)[..., 0]
    ratio = np.log(scaled.sum(axis=(1, 2)) / disc[..., 0].sum(axis=(1, 2))) / 2
    assert 0.1 < np.abs(ratio).max() < 0.23


def test_focus_keeps_black_and_range_and_can_sharpen():
    x = cells(16)
    found = applied(Focus(seed=4), x)
    assert (found[x.max(axis=-1) == 0] == 0).all()
    assert found.min() >= 0
    assert found.max() <= 255
    inside = (slice(None), slice(8, 24), slice(8, 24))
    spread = found[inside].std(axis=(1, 2, 3)) / x[inside].std(axis=(1, 2, 3))
    assert spread.min() < 0.97
    assert spread.max() > 1.03


def test_hue_turns_in_both_directions_and_keeps_the_rest():
    x = cells(32)
    found = applied(Hue(0.05, seed=1), x)
    before, after = (
        np.stack([cv2.cvtColor(i / 255, cv2.COLOR_RGB2HSV) for i in y]) for y in (x, found)
    )
    np.testing.assert_allclose(after[..., 1:], before[..., 1:], atol=1e-3)
    turned = (after - before)[:, 12, 12, 0] / 360
    assert -0.0501 < turned.min() < -0.03
    assert 0.03 < turned.max() < 0.0501
    grey = np.full((2, 4, 4, 3), 90, "float32")
    np.testing.assert_allclose(applied(Hue(0.05, seed=1), grey), grey, atol=1e-3)


@pytest.mark.parametrize("quality", [60, 75, 90])
def test_a_jpeg_takes_what_a_jpeg_takes(quality):
    random = np.random.default_rng(0)
    x = cv2.GaussianBlur(random.uniform(0, 255, (64, 64, 3)).astype("float32"), (0, 0), 1.5)
    x = np.rint(100 + 2 * (x - x.mean()))[None].clip(1, 255)
    lost = robustness.jpeg(x.astype("uint8"), quality) - x
    found = stored(*map(keras.ops.convert_to_tensor, (x, np.float32([quality]))))
    ours = keras.ops.convert_to_numpy(found) - x
    assert np.corrcoef(lost.ravel(), ours.ravel())[0, 1] > 0.95
    assert np.abs(ours).mean() == pytest.approx(np.abs(lost).mean(), rel=0.15)


def test_a_jpeg_keeps_black_and_range_and_the_best_takes_little():
    x = cells(8)
    found = applied(Jpeg(50, seed=1), x)
    assert (found[x.max(axis=-1) == 0] == 0).all()
    assert found.min() >= 0
    assert found.max() <= 255
    grey = np.repeat(x[..., :1], 3, axis=-1)
    np.testing.assert_allclose(applied(Jpeg(100, share=1.0), grey), grey, atol=1.5)


@pytest.mark.parametrize("share", [0, 0.4, 0.75, 2])
def test_a_share_of_jpegs_that_cannot_be_is_refused(share):
    with pytest.raises(ValueError, match=rf"Received: {share}"):
        Jpeg(share=share)


@pytest.mark.parametrize(("count", "jpegs"), [(1, 1), (2, 1), (16, 6)])
def test_one_in_so_many_images_is_a_jpeg(count, jpegs):
    x = cells(count)
    found = applied(Jpeg(60, share=1 / 3, seed=1), x)
    assert found.shape == x.shape
    changed = [not np.array_equal(one, x[0]) for one in found]
    assert sum(changed) == jpegs
    assert count < 16 or changed != sorted(changed, reverse=True)  # not the first


def test_stain_scales_each_channel_of_an_image():
    density = np.random.default_rng(0).uniform(0.5, 2, (8, 6, 6, 3)).astype("float32")
    found = applied(Stain(0.2, 0.1, 0.0, seed=5), density) / density
    np.testing.assert_allclose(found, found[:, :1, :1] * np.ones_like(found), rtol=1e-5)
    assert 0.69 < found.min() < 0.95
    assert 1.05 < found.max() < 1.31
    assert np.ptp(found[0, 0, 0]) > 1e-3


def test_light_adds_the_same_to_every_pixel():
    density = np.full((4, 5, 5, 3), 1.0, "float32")
    added = applied(Stain(0.0, 0.0, 0.3, seed=6), density) - density
    np.testing.assert_allclose(added, added[:, :1, :1] * np.ones_like(added), atol=1e-6)
    assert np.abs(added).max() <= 0.3


def test_stain_jitter_of_bytes_keeps_black_and_range():
    x = cells(8)
    found = applied(StainJitter(0.3, 0.2, seed=1), x)
    assert (found[x.max(axis=-1) == 0] == 0).all()
    assert found.min() >= 0
    assert found.max() <= 255
    inside = x.min(axis=-1) > 0
    ratio = np.log(found[inside] / 255) / np.log(x[inside] / 255)
    assert ratio.std() > 0.05


def test_stages_by_name_and_in_order():
    assert [stage.name for stage in stages(augmentation.AUGMENTATIONS)] == [
        "pose",
        "focus",
        "hue",
        "jpeg",
        "stain",
    ]
    assert stages(()) == []
    with pytest.raises(ValueError, match="zoom"):
        stages(("zoom",))


@pytest.mark.parametrize("kind", KINDS)
def test_layers_come_back_from_their_config(kind):
    layer = kind(seed=9)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    assert keras.saving.get_registered_name(kind) == f"anna>{kind.__name__}"
