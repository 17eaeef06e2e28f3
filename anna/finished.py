"""What a run has left in its output folder: results.json and its predictions, checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from anna import metrics, schemas, tables
from anna.patience import patiently
from anna.workspace import digest

_TABLES = ("csv/prepared.csv", "csv/problems.csv")
_IMAGES = "images of the test people"
_HISTORIES = "models/*/history.csv"
_SHOWS = {  # what a picture shows, if not what the networks say
    "class_balance": "csv/problems.csv",
    "network": "csv/preparation.json",
    "learning_curves": _HISTORIES,
}


def left(folder: str | Path) -> dict[str, str]:
    """Returns a hash of each table, history and picture of a run, by path in its output folder.

    A picture older than what it shows is of an earlier run, and is not named.
    """
    folder, found = Path(folder), []
    for path in folder.glob("viz/*.png"):
        shown = folder.glob(_SHOWS.get(path.stem, "models/*/best.keras"))
        if all(_changed(each) <= _changed(path) for each in shown):
            found.append(path)
    found += [path for path in map(folder.joinpath, _TABLES) if path.is_file()]
    found += folder.glob(_HISTORIES)
    named = {path.relative_to(folder).as_posix(): digest(path) for path in sorted(found)}
    hashes = _pixel_hashes(folder)
    return named if hashes is None else named | {_IMAGES: _digest_of(hashes)}


def _pixel_hashes(folder: Path) -> pd.Series | None:
    """Returns a hash of each test image's pixels by its name, or None if none was kept."""
    prepared, facts = (folder / "csv" / f"{name}.csv" for name in ("prepared", "facts"))
    if not (prepared.is_file() and facts.is_file()):
        return None
    test = tables.read(prepared).query("role == 'test'")
    hashes = tables.read(facts).drop_duplicates("path").set_index("path")["pixel_hash"]
    return test.set_index("name")["path"].map(hashes)


def _digest_of(hashes: pd.Series) -> str:
    return hashlib.blake2b(hashes.to_csv().encode(), digest_size=8).hexdigest()


def _changed(path: Path) -> float:
    return patiently(path.stat).st_mtime


@dataclass(frozen=True)
class Finished:
    """A run that has been tested.

    Attributes:
        folder: Its output folder.
        results: The content of results.json.
    """

    folder: Path
    results: dict

    @property
    def main(self) -> str:
        """The model that the run is about: `anna`, or the first one."""
        names = list(self.results["models"])
        return "anna" if "anna" in names else names[0]

    def model(self, name: str) -> dict:
        """Returns what results.json says of a model.

        Raises:
            ValueError: The run has no such model.
        """
        if name not in self.results["models"]:
            known = list(self.results["models"])
            raise ValueError(f"{self.folder} must hold one of the models {known}. Received: {name}")
        return self.results["models"][name]

    def predictions(self, name: str) -> pd.DataFrame:
        """Returns a model's predictions on all cells, checked against results.json.

        Raises:
            FileNotFoundError: They are not there.
            ValueError: They do not give the scores of results.json.
        """
        path = self.folder / "csv" / f"predictions {name}.csv"
        told, found = self.model(name), tables.read(path)
        test = found[found["role"] == "test"]
        scores = metrics.evaluate(test, told["threshold"], resamples=0)["value"]
        for metric, value in scores.items():
            kept = told["scores"][metric]["value"]
            kept = np.nan if kept is None else kept
            if not np.isclose(value, kept, rtol=0, atol=1e-4, equal_nan=True):
                raise ValueError(
                    f"{path} must be of the same run as results.json; run notebook 4 again. "
                    f"Received: {metric} {value:.4f}, in results.json {kept:.4f}"
                )
        return found

    def tested(self, name: str) -> pd.DataFrame:
        """Returns a model's predictions on the cells of the test people that were scored."""
        found = self.predictions(name)
        scored = found["label"].notna() & found["probability"].notna()
        return found[(found["role"] == "test") & scored].reset_index(drop=True)

    def kept(self, name: str) -> Path | None:
        """Returns a file that `left` names, or None if it is not as it was when the run was tested.

        Args:
            name: Its path in the output folder.
        """
        path, told = self.folder / name, self.results.get("files", {})
        return path if path.is_file() and told.get(name) == digest(path) else None

    def figure(self, name: str) -> Path | None:
        """Returns a picture of the folder viz, or None if the run has left none of that name."""
        return self.kept(f"viz/{name}.png")

    def table(self, name: str) -> pd.DataFrame | None:
        """Returns a table of the folder csv, or None if it is not there.

        Raises:
            ValueError: It was made anew after the run was tested.
        """
        inside = f"csv/{name}.csv"
        path = self.folder / inside
        if inside in _TABLES and path.is_file() and not self.kept(inside):
            raise ValueError(
                f"{path} must be of the same run as results.json: test again (notebook 4, or "
                "`anna test`)"
            )
        return tables.read(path) if path.is_file() else None

    def pixel_hashes(self) -> pd.Series | None:
        """Returns a hash of each tested image's pixels by its name, or None if none was kept.

        Raises:
            ValueError: The images are not those that were tested.
        """
        found, told = _pixel_hashes(self.folder), self.results.get("files", {}).get(_IMAGES)
        if found is not None and told not in (None, _digest_of(found)):
            raise ValueError(
                "The images are not those that were tested: test again (notebook 4, or "
                f"`anna test`). Received: {self.folder}"
            )
        return found


def read(folder: str | Path) -> Finished:
    """Returns the run that notebook 4 has left in an output folder.

    Raises:
        FileNotFoundError: There is no results.json.
        ValueError: It does not fit its schema.
    """
    folder = Path(folder)
    return Finished(folder, schemas.read(folder / "results.json", "results"))
