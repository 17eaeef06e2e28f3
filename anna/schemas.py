"""What the files that machines read must hold: JSON Schemas, and the check against them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from anna.patience import patiently

FOLDER = Path(__file__).with_name("schema")
VERSION = 1  # of results.json and model_card.json; raised when a reader must be changed


def schema(name: str) -> dict:
    """Returns a JSON Schema (draft 2020-12): "results" or "model_card".

    Raises:
        ValueError: There is no such schema.
    """
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        known = sorted(each.stem for each in FOLDER.glob("*.json"))
        raise ValueError(f"The schema must be one of {known}. Received: {name!r}")
    return json.loads(path.read_text(encoding="utf-8"))


def check(values: object, name: str, *, source: str | Path = "values") -> None:
    """Checks values of a JSON file against a schema.

    Args:
        values: As `json.load` returns them.
        name: Of the schema.
        source: Where they come from, for the message.

    Raises:
        ValueError: They do not fit; the message names the place in the file and what is wrong.
    """
    validator = jsonschema.Draft202012Validator(schema(name))
    error = jsonschema.exceptions.best_match(validator.iter_errors(values))
    if error:
        raise ValueError(
            f"{source} must fit the schema {name!r}; run notebook 4 again to write it anew. "
            f"Received: at {error.json_path}, {error.message[:200]}"
        )


def read(path: str | Path, name: str) -> dict:
    """Returns the content of a JSON file that fits a schema.

    Raises:
        FileNotFoundError: It is not there; notebook 4 writes it.
        ValueError: It is no JSON, or does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Run notebook 4, which writes it. Missing: {path}")
    try:
        values = json.loads(patiently(path.read_text, encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON; run notebook 4 again. Received: {error}") from error
    check(values, name, source=path)
    return values
