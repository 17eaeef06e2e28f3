"""Networks on disk: `.keras` files with a record of ours, written whole and read with suspicion."""

import io
import json
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from anna.archive import leads_outside
from anna.backend import several
from anna.optimizers import LossScaleOptimizer
from anna.patience import passing, patiently
from anna.workspace import FULL, named_when_full, write_whole

_RECORD = "anna.json"  # the member of a .keras file that holds our record
_NEW = ("jit_compile", "renorm", "renorm_clipping", "renorm_momentum")


def save(model: keras.Model, path: str | Path, record: dict | None = None) -> Path:
    """Returns `path`, a `.keras` file of the model with a record of ours in it, written whole.

    One file holds both, so that a model and what is said of it cannot come apart.
    """

    def _write(part: Path) -> None:
        with several.synchronized(model, False):
            model.save(part)
        written = io.BytesIO(part.read_bytes())
        with (
            zipfile.ZipFile(written) as archive,
            part.open("wb") as file,
            zipfile.ZipFile(file, "w") as ours,
        ):
            for member in archive.infolist():
                content = archive.read(member)
                if member.filename == "config.json":
                    content = json.dumps(portable(json.loads(content)))
                ours.writestr(member, content)
            ours.writestr(_RECORD, json.dumps(record or {}, indent=1))

    return write_whole(Path(path), _write)


def portable(config: object) -> object:
    """Returns a network's configuration without what an earlier Keras or another backend minds.

    An earlier Keras, such as Colab's, refuses a setting that it does not know: those that
    initializers leave open, and renormalisation. Whether to compile is the machine's own affair.

    Args:
        config: As Keras tells it, of a network or of a part of one: dicts, lists and plain values.
    """
    if isinstance(config, list):
        return [portable(each) for each in config]
    if not isinstance(config, dict):
        return config
    if config.get("module") == "keras.initializers":
        given = {name: value for name, value in config["config"].items() if value is not None}
        return config | {"config": given}
    if config.get("renorm"):  # then it matters
        return {name: portable(value) for name, value in config.items()}
    return {name: portable(value) for name, value in config.items() if name not in _NEW}


def record(path: str | Path) -> dict:
    """Returns the record that `save` put into a `.keras` file, empty if it has none.

    Raises:
        ValueError: If the file is no such model; the message names it.
    """
    return patiently(_record, path)


def _record(path: str | Path) -> dict:
    with _named(path), zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(_RECORD)) if _RECORD in archive.namelist() else {}


def load(path: str | Path) -> keras.Model:
    """Returns the model of a `.keras` file; code in the file is refused.

    Raises:
        ValueError: If the file is no such model; the message names it.
        OSError: If the temporary folder is full.
    """
    return patiently(_load, path)


def _load(path: str | Path) -> keras.Model:
    # From a copy: Keras says of a disk that fails for a moment that the file is missing.
    with _named(path), tempfile.TemporaryDirectory() as folder:
        copy = shutil.copyfile(path, Path(folder) / "model.keras")
        _require_whole(copy)
        return keras.models.load_model(copy, safe_mode=True)


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Gives a network, and its optimizer if it has one, what a `.keras` file of it holds.

    Raises:
        ValueError: If the file is no such model; the message names it.
        OSError: If the temporary folder is full.
    """
    patiently(_load_weights, model, path)


def take_up(model: keras.Model, path: str | Path) -> None:
    """Gives a compiled network the weights and the optimizer's state of a run that goes on.

    For float16 Keras puts the optimizer into another one, whose state has another form: a run that
    was begun on a graphics card of another kind is read in its own form.

    Raises:
        ValueError: As of `load_weights`.
        OSError: As of `load_weights`.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        load_weights(model, path)
    if int(keras.ops.convert_to_numpy(model.optimizer.iterations)):
        return
    ours = model.optimizer
    if isinstance(ours, LossScaleOptimizer):
        model.optimizer = ours.inner_optimizer
    else:
        model.optimizer = LossScaleOptimizer(ours)
        model.optimizer.build(model.trainable_variables)
    load_weights(model, path)
    model.optimizer = ours


def _load_weights(model: keras.Model, path: str | Path) -> None:
    with _named(path):
        _require_whole(path)
        model.load_weights(path)


def _require_whole(path: str | Path) -> None:
    """Checks that each member of a `.keras` file is as it was written, and stays inside."""
    with zipfile.ZipFile(path) as archive:
        outside = [name for name in archive.namelist() if leads_outside(name)]
        if bad := outside or archive.testzip():
            raise ValueError(f"a member is damaged or leads outside: {bad}")


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Makes whatever reading a file raises a ValueError that names it.

    Keras unpacks the file into the system's temporary folder: where that is full, it is named.
    """
    try:
        with named_when_full(Path(tempfile.gettempdir())):
            yield
    except MemoryError:
        raise
    except Exception as error:  # of a damaged file zipfile, zlib, json, h5py and Keras raise many
        if getattr(error, "errno", None) in FULL or passing(error):
            raise
        raise ValueError(f"{path}: not a model that can be loaded. Received: {error}") from error
