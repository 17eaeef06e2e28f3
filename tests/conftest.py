"""What the tests share: an output folder of their own, a small drawn sample, the real cells."""

import importlib
import importlib.util
import shutil
import sys

import pandas as pd
import pytest
from copies import picture, save
from places import DATA, REPO

import anna


@pytest.fixture(scope="session", autouse=True)
def session_output(tmp_path_factory):
    """The output folder of `Workspace.locate`, so that no test writes to the checkout."""
    output = tmp_path_factory.mktemp("output")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANNA_OUTPUT", str(output))
        patch.delenv("ANNA_INPUT", raising=False)
        yield output


@pytest.fixture
def benchmark(monkeypatch):
    """A function from the name of a module of benchmarks/ to the module, forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(REPO / "benchmarks"))
    yield importlib.import_module
    for name in (
        "brain",
        "brain_tables",
        "brain_trust",
        "full_size",
        "gpu",
        "probe_tables",
        "probe_features",
        "real_cells",
        "speed",
        "speed_ways",
    ):
        if name not in before:
            sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def execute():
    """The module notebooks/execute.py."""
    spec = importlib.util.spec_from_file_location("execute", REPO / "notebooks" / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def own_output(monkeypatch, tmp_path):
    """An output folder that no other test has used."""
    monkeypatch.setenv("ANNA_OUTPUT", str(tmp_path / "own_output"))
    return tmp_path / "own_output"


@pytest.fixture(scope="session")
def sample_root(tmp_path_factory):
    """A drawn C-NMC of 48 training cells; look, but damage only a `sample_copy`."""
    return anna.sample.write(tmp_path_factory.mktemp("sample"), cells=48, progress=False)


@pytest.fixture
def sample_copy(sample_root, tmp_path):
    """A copy of the drawn sample that a test may damage."""
    return shutil.copytree(sample_root, tmp_path / "C-NMC_Leukemia")


@pytest.fixture(scope="session")
def indexed(sample_root):
    """The sample's cells as indexed, before any split."""
    return anna.cnmc.index(sample_root)


@pytest.fixture(scope="session")
def cells(indexed):
    """The sample's cells with group and role; do not change it, `assign` returns a new one."""
    return anna.splits.assign(indexed)


@pytest.fixture
def pictures(tmp_path):
    """Thirty different images of 24 pixels."""
    paths = [tmp_path / "images" / f"{number:02}.bmp" for number in range(30)]
    for number, path in enumerate(paths):
        save(path, picture(number))
    return pd.DataFrame({"path": [str(path) for path in paths]})


@pytest.fixture(scope="session")
def shared_data():
    """The folder of the published lists: the manifest and the byte-identical images."""
    if not (DATA / "cnmc_manifest.csv.gz").is_file():
        pytest.skip(f"the published lists are not here (set ANNA_REAL_DATA): {DATA}")
    return DATA


@pytest.fixture(scope="session")
def real_cells():
    """The folder of 19 published images and the published label CSV."""
    root = DATA / "cnmc_real" / "C-NMC_Leukemia"
    if not root.is_dir():
        pytest.skip(f"the published images are not here (set ANNA_REAL_DATA): {root}")
    return root
