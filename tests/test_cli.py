"""The command line, from a drawn sample to calls: in one process, as one way."""

import json
import logging
import os
import subprocess
import sys

import pytest
from copies import make, picture, uid
from PIL import Image

import anna
from anna import arguments
from anna.cli import main

FIGURES = {"confusion", "curves", "reliability", "people"}
COMMANDS = tuple(arguments._EXAMPLES)[1:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with input and output, on the way of which nothing has been done yet."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("way")
        (folder / "input").mkdir()
        patch.setenv("ANNA_INPUT", str(folder / "input"))
        patch.setenv("ANNA_OUTPUT", str(folder / "output"))
        yield folder


def test_the_whole_way(folder, capsys):
    source, output = folder / "input", folder / "output"
    assert main(["sample", str(source), "--cells", "60", "--quiet"]) == 0
    found = main(["verify", str(source), "--out", str(folder / "problems.csv"), "--quiet"])
    assert found == (1 if len(anna.tables.read(folder / "problems.csv")) else 0)
    assert main(["prepare", "--size", "32", "--quiet"]) == 0
    told = json.loads((output / "csv" / "preparation.json").read_text())
    assert told == {"size": 32, "crop": 320, "valid": 0.2, "seed": 0}
    assert main(["train", "--epochs", "1", "--quiet"]) == 0
    assert main(["train", "--epochs", "1", "--quiet"]) == 0
    assert "1 epochs, 0 of them now" in capsys.readouterr().out
    assert main(["test", "--resamples", "20", "--quiet"]) == 0
    results = json.loads((output / "results.json").read_text())
    assert set(results["models"]) == {"anna", "size alone"}
    assert results["drawn"]
    assert "Drawn cells" in (output / "model_card.md").read_text()
    assert "weighted_f1" in capsys.readouterr().out
    threshold = results["settings"]["threshold"]["anna"]
    assert {path.stem for path in (output / "viz").glob("*.png")} == FIGURES

    out = folder / "saved"
    assert main(["export", str(out), "--trained", "--quiet"]) == 0
    record = anna.exported.record(out)
    assert float(record["threshold"]) == threshold
    assert "Data: Drawn cells, not real." in record["licence"]
    assert record["card"] == (output / "model_card.md").read_text()

    cells = anna.tables.read(output / "csv" / "prepared.csv").query("role == 'test'")
    table = folder / "calls.csv"
    options = ["--trained", "--out", str(table), "--quiet"]
    assert main(["predict", *cells["path"].head(5), *options]) == 0
    calls = anna.tables.read(table)
    assert (calls["call"] == "ALL").tolist() == (calls["probability"] >= threshold).tolist()
    predicted = anna.tables.read(output / "csv" / "predictions anna.csv").set_index("name")
    expected = predicted.loc[cells["name"].head(5), "probability"]
    assert calls["probability"].tolist() == pytest.approx(expected.tolist(), abs=1e-3)

    ws = anna.Workspace.locate()
    known, like = anna.trained.learnt(ws)
    model = anna.models.load(anna.trained.best(ws))
    options = {"threshold": threshold, "known": known, "like": like, "progress": False}
    again = anna.calls.of(model, cells["path"].head(5), **options)
    assert calls["unlike"].tolist() == pytest.approx(again["unlike"].tolist(), rel=1e-3)
    assert calls["warning"].tolist() == again["warning"].tolist()
    prepared = anna.tables.read(output / "csv" / "prepared.csv")
    own = anna.facts.of(prepared[prepared["role"].isin(["train", "valid"])])
    for name, (low, high) in anna.quality.ranges(own).items():
        assert known[name] == pytest.approx((low, high))

    assert main(["report"]) == 0
    assert (output / "report.html").stat().st_size > 10_000
    options = ["--out", str(folder / "both.csv"), "--page", str(folder / "both.html")]
    assert main(["compare", str(output), str(output), *options]) == 0
    assert len(anna.tables.read(folder / "both.csv")) > 0
    assert (folder / "both.html").is_file()

    assert main(["train", "--epochs", "1", "--seed", "1", "--quiet"]) == 0
    assert anna.trained.learnt(ws) == (None, None)  # what is known is of an earlier training
    with pytest.raises(SystemExit):
        main(["predict", str(source), "--trained", "--quiet"])
    assert "of an earlier training" in capsys.readouterr().err
    assert main(["export", str(out), "--trained", "--threshold", "0.5", "--quiet"]) == 0
    assert "card" not in anna.exported.record(out)  # the card is of the earlier training
    last = output / "models" / "anna" / "last.keras"
    about = anna.models.record(last) | {"planned": 3}
    anna.models.save(anna.models.load(last), last, about)
    with pytest.raises(SystemExit):
        main(["predict", str(source), "--trained", "--threshold", "0.5", "--quiet"])
    assert "1 of 3 epochs" in capsys.readouterr().err
    assert main(["prepare", "--size", "32", "--crop", "450", "--quiet"]) == 0
    anna.models.save(anna.models.load(last), last, about | {"planned": 1})
    with pytest.raises(SystemExit):
        main(["test", "--quiet"])
    assert "trained on other pixels" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[]", "null", "{", '{"digest": "%s"}', None])
def test_what_is_known_of_a_network_is_not_taken_from_a_damaged_file(tmp_path, monkeypatch, text):
    monkeypatch.setenv("ANNA_OUTPUT", str(tmp_path))
    ws = anna.Workspace.locate()
    file = anna.trained.best(ws)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a network")
    known = {"digest": anna.trained.digest(ws), "ranges": {"red": [0.0, 1.0]}, "likeness": None}
    (file.parent / "learnt.json").write_text(json.dumps(known))
    assert anna.trained.learnt(ws) == ({"red": (0.0, 1.0)}, None)
    if text is None:
        file.unlink()
    else:
        text = text.replace("%s", known["digest"])
        (file.parent / "learnt.json").write_text(text)
    assert anna.trained.learnt(ws) == (None, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prepare", "--quiet"], "ANNA_INPUT must hold C-NMC"),
        (["train", "--quiet"], "Missing: "),
        (["test", "--quiet"], "Missing: "),
        (["predict", "a.bmp", "--quiet"], "Received: a.bmp"),
        (["verify", "nowhere"], "No C-NMC below that folder"),
        (["field", "a.png", "--quiet"], "a.png"),
        (["field", "in", "--quiet"], "No images there. Received: in"),
        (["predict", "in", "--out", "in"], "A file's name is needed, not a folder's. Received: in"),
        (["train", "--name", "slow"], "--folds and --name go with --fold"),
        (["train", "--folds", "3"], "--folds and --name go with --fold"),
        (["compare", "nowhere", "elsewhere"], "nowhere"),
        (["report"], "results.json"),
        (["export", "x.h5", "--quiet"], "Received: x.h5"),
        (["export", "x.onnx", "--trained"], "must be trained first"),
    ],
)
def test_what_cannot_be_done_is_exit_code_2(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    monkeypatch.setenv("ANNA_INPUT", str(tmp_path / "in"))
    monkeypatch.setenv("ANNA_OUTPUT", str(tmp_path / "out"))
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "", "{", '{"size": "128", "crop": 320}', '{"size": 128, "crop": null}', "\x80"],
)
def test_a_damaged_preparation_is_named(text, own_output, monkeypatch, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    monkeypatch.setenv("ANNA_INPUT", str(tmp_path / "in"))
    (csv := own_output / "csv").mkdir(parents=True)
    (csv / "prepared.csv").write_text("path,name,label\na.bmp,UID_1_1_1_all.bmp,1\n")
    (csv / "preparation.json").write_text(text, encoding="latin-1")
    with pytest.raises(SystemExit) as left:
        main(["train", "--quiet"])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert f"{csv / 'preparation.json'} is damaged" in told
    assert "`anna prepare`" in told


@pytest.mark.parametrize("way", [[], ["--quiet"], ["--verbose"]])
@pytest.mark.parametrize("error", [KeyError("size"), ZeroDivisionError("one\ntwo"), OSError("no")])
def test_what_was_not_foreseen_is_exit_code_2(error, way, monkeypatch, capsys, caplog):
    caplog.set_level(logging.NOTSET, logger="anna")  # set back afterwards

    def fail():
        raise error

    monkeypatch.setattr(anna.Workspace, "locate", fail)
    with pytest.raises(SystemExit) as left:
        main(["report", *way])
    assert left.value.code == 2
    *before, last = capsys.readouterr().err.splitlines()
    said = " ".join(str(error).split())
    foreseen = isinstance(error, OSError)
    assert last.startswith(f"anna: {said}" if foreseen else f"anna: {type(error).__name__}: {said}")
    assert ("Traceback (most recent call last):" in before) == (way == ["--verbose"])
    assert before == [] or way == ["--verbose"]


def test_verbose_is_of_anna_and_not_of_what_reads_images(tmp_path):
    root = make(tmp_path / "C-NMC_Leukemia", {})
    name = root / "training_data" / "fold_0" / "all" / uid("1")
    name.parent.mkdir(parents=True)
    Image.fromarray(picture(1)).save(name, "PNG")  # of which Pillow logs each part
    code = (
        "import logging, sys, anna.cli; logging.getLogger('anna.any').debug('of ours');"
        "found = anna.cli.main(sys.argv[1:]); logging.getLogger('anna.any').debug('of ours');"
        "logging.getLogger('matplotlib').debug('of theirs'); sys.exit(found)"
    )
    command = [sys.executable, "-c", code, "verify", str(root)]
    environment = os.environ | {"ANNA_OUTPUT": str(tmp_path / "output")}
    for way, ours in (("--verbose", 1), ("--quiet", 0)):
        options = {"env": environment, "capture_output": True, "text": True, "check": False}
        done = subprocess.run([*command, way], **options)
        assert done.returncode == 1, done.stderr  # not the published number of images
        assert done.stderr.count("of ours") == ours
        assert "of theirs" not in done.stderr
        assert "PIL" not in done.stderr
        assert "census" in done.stdout


def test_quiet_says_that_the_summary_stays(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "no progress bars, no warnings; errors and the summary are still printed" in shown


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["train", "--epochs", "many"],
        ["train", "--batch-size", "0"],
        ["train", "--learning-rate", "0"],
        ["prepare", "--size", "100"],
    ],
)
def test_wrong_usage_is_exit_code_2(words, capsys):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert "usage: anna" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_helps_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert f"  anna {command}" in shown
    assert "Exit codes: 0" in shown
    assert "--quiet" in shown


def test_python_m_anna_lists_the_commands():
    done = subprocess.run(
        [sys.executable, "-m", "anna", "--help"], capture_output=True, text=True, check=True
    )
    assert all(command in done.stdout for command in COMMANDS)
    assert "examples:" in done.stdout


@pytest.mark.parametrize(("words", "goes_on"), [(["train"], True), (["report"], False)])
def test_stopped_by_hand_it_says_whether_it_goes_on(words, goes_on, monkeypatch, capsys):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(anna.Workspace, "locate", stopped)
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 130
    assert ("goes on from here" in capsys.readouterr().err) == goes_on
