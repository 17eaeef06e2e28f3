import keras
import numpy as np
import pytest

from anna import ensemble, models, predict
from anna.calibration import Calibration
from anna.layers import Views

pytestmark = pytest.mark.backend
SMALL = {"size": 32, "filters": (4, 8, 8), "precision": "float32"}


def pixels(count=3, size=32, seed=0):
    """Blotched cells off the centre, so that every view differs, uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size / 2
    cell = ((x - 2) ** 2 + (y + 1) ** 2 < (size / 3) ** 2)[None, ..., None]
    return (cell * rng.integers(40, 200, (count, size, size, 3))).astype(np.uint8)


@pytest.fixture(scope="module")
def members():
    return [models.build("anna", seed=seed, **SMALL) for seed in (0, 1)]


def log_odds(model, cells):
    odds = keras.Model(model.input, model.get_layer("logit").output)
    return np.asarray(odds.predict_on_batch(np.ascontiguousarray(cells)))[:, 0]


def eight(cells):
    turns = [np.rot90(cells, k, (1, 2)) for k in range(4)]
    return turns + [np.rot90(cells[:, :, ::-1], k, (1, 2)) for k in range(4)]


def test_the_log_odds_are_the_mean_over_members_and_views(members):
    cells = pixels()
    each = [log_odds(member, view) for member in members for view in eight(cells)]
    expected = 1 / (1 + np.exp(-np.mean(each, axis=0)))
    found = ensemble.join(members).predict_on_batch(cells)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-5)
    assert np.std(each, axis=0).max() > 1e-3  # else the mean would show nothing


def test_one_view_of_one_member_is_the_member(members):
    joined = ensemble.join(members[:1], views=1)
    cells = pixels()
    np.testing.assert_allclose(
        joined.predict_on_batch(cells), members[0].predict_on_batch(cells), atol=1e-6
    )


def test_turned_cells_get_the_same_call(members):
    joined, cells = ensemble.join(members), pixels()
    plain = joined.predict_on_batch(cells)
    for view in eight(cells)[1:]:
        turned = joined.predict_on_batch(np.ascontiguousarray(view))
        np.testing.assert_allclose(turned, plain, atol=1e-5)


def test_calibration_is_inside(members):
    cells, known = pixels(), Calibration(temperature=1.7, offset=0.4)
    plain = ensemble.join(members).predict_on_batch(cells)
    found = ensemble.join(members, calibration=known).predict_on_batch(cells)
    np.testing.assert_allclose(found, known.apply(plain), atol=1e-5)


def test_saved_and_loaded_with_crop_and_maps(members, tmp_path):
    path = models.save(ensemble.join(members, views=2), tmp_path / "both.keras", {"seeds": [0, 1]})
    again, cells = models.load(path), pixels()
    np.testing.assert_allclose(
        again.predict_on_batch(cells),
        ensemble.join(members, views=2).predict_on_batch(cells),
        atol=1e-6,
    )
    assert models.crop_of(again) == 320
    assert models.record(path) == {"seeds": [0, 1]}
    each = [predict.maps(member, cells) for member in members]
    for joined in (again, ensemble.join(members, views=2)):
        for name, found in predict.maps(joined, cells).items():
            expected = np.mean([maps[name] for maps in each], axis=0)
            np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("count", "views", "expected"), [(1, 1, 1), (1, 8, 8), (2, 4, 8)])
def test_a_network_tells_how_often_it_looks_at_a_cell(members, count, views, expected):
    assert ensemble.looks(ensemble.join(members[:count], views=views)) == expected


def test_a_network_by_itself_looks_once(members):
    assert ensemble.looks(members[0]) == 1
    assert ensemble.members(members[0]) == []


def test_members_must_fit_together(members):
    other = models.build("anna", crop=300, **SMALL)
    with pytest.raises(ValueError, match=r"\(32, 300\)"):
        ensemble.join([*members, other])
    with pytest.raises(ValueError, match=r"Received: \[\]"):
        ensemble.join([])
    with pytest.raises(ValueError, match="Received: 3"):
        Views(3)


def test_any_number_of_cells(members):
    joined, cells = ensemble.join(members), pixels(5)
    whole = joined.predict_on_batch(cells)
    single = np.concatenate([joined.predict_on_batch(cells[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(single, whole, atol=1e-5)
