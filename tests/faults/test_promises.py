"""Every promise of the README names tests, and these exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def promises():
    """The rows of the table in the section on reliability: promise, and tests by name."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## Reliability$(.*?)^## ", text, re.DOTALL | re.MULTILINE)[1]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return {promise.strip(): re.findall(r"`([^`]+)`", tests) for promise, tests in rows[2:]}


def test_there_are_promises():
    assert len(promises()) >= 15


@pytest.mark.parametrize(("promise", "tests"), promises().items(), ids=list(promises()))
def test_a_promise_names_tests_that_exist(promise, tests):
    assert tests, promise
    for test in tests:
        path, _, name = test.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test
