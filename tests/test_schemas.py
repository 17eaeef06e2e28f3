import json

import jsonschema
import outputs
import pytest

from anna import schemas


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return outputs.write(tmp_path_factory.mktemp("run"), pictures=())


@pytest.mark.parametrize("name", ["results", "model_card"])
def test_schemas_are_schemas_of_draft_2020_12(name):
    held = schemas.schema(name)
    assert held["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(held)


@pytest.mark.parametrize("name", ["results", "model_card"])
def test_what_a_run_writes_fits(folder, name):
    values = schemas.read(folder / f"{name}.json", name)
    assert values["schema_version"] == schemas.VERSION


def spoil(values, path, value):
    """Sets the value at a path of keys; ... takes it away."""
    *way, last = path
    for key in way:
        values = values[key]
    if value is ...:
        del values[last]
    else:
        values[last] = value


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("results", ["schema_version"], ...),
        ("results", ["schema_version"], 2),
        ("results", ["models", "anna", "scores", "auc"], ...),
        ("results", ["models", "anna", "scores", "auc", "value"], 1.5),
        ("results", ["models", "anna", "scores", "auc", "low"], "0.5"),
        ("results", ["models", "anna", "threshold"], None),
        ("results", ["models", "anna", "confusion", "ALL", "HEM"], -1),
        ("results", ["models", "anna", "subjects", 0, "label"], 2),
        ("results", ["models", "anna", "typo"], 1),
        ("results", ["models"], {}),
        ("results", ["drawn"], True),  # and yet no note says so
        ("model_card", ["limits"], []),
        ("model_card", ["intended_use"], ...),
        ("model_card", ["models", "anna", "people"], 0),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(folder, tmp_path, name, path, value):
    values = json.loads((folder / f"{name}.json").read_text())
    spoil(values, path, value)
    spoilt = tmp_path / "spoilt.json"
    spoilt.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"spoilt\.json must fit the schema .* Received: at \$"):
        schemas.read(spoilt, name)


def test_missing_broken_and_unknown_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="Run notebook 4"):
        schemas.read(tmp_path / "results.json", "results")
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        schemas.read(tmp_path / "results.json", "results")
    with pytest.raises(ValueError, match="Received: 'result'"):
        schemas.schema("result")
