"""The tables that say which test holds what name tests that exist."""

import pathlib
import re

import pytest

TESTS = pathlib.Path(__file__).parents[1]
SOURCES = {path: path.read_text() for path in TESTS.rglob("*test*") if path.suffix in (".cc", ".py")}


@pytest.mark.parametrize("table", ["hostile/README.md", "registry/README.md"])
def test_a_table_names_tests_that_exist(table):
    text = (TESTS / table).read_text()
    functions = set(re.findall(r"`(test_\w+)(\*?)`", text))
    cases = {case for case in re.findall(r"\b([A-Z][A-Za-z]+)\.([A-Z]\w*)?(\*?)", text) if case[1] or case[2]}
    assert len(functions) > 20 and len(cases) > 20
    everything = "\n".join(SOURCES.values())
    for name, rest in functions:
        assert re.search(f"^def {name}" + ("" if rest else r"\b"), everything, re.M), name
    for suite, name, rest in cases:
        assert re.search(rf"^TEST\w*\({suite}, {name}" + ("" if rest else r"\)"), everything, re.M), f"{suite}.{name}"
