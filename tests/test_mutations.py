"""The list of deliberate faults keeps up with the code; whether each is caught is `python -m tests.mutate`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import mutate
from tests.mutate import ROOT, Mutation

LISTED = mutate.read()


@pytest.mark.parametrize("mutation", LISTED, ids=[mutation.id for mutation in LISTED])
def test_a_fault_is_one_line_of_its_file_that_compiles_and_its_tests_are_there(mutation: Mutation) -> None:
    source = (ROOT / mutation.file).read_text(encoding="utf-8")
    faulty = mutation.applied(source)
    assert "\n" not in mutation.line + mutation.to
    assert ast.dump(ast.parse(faulty)) != ast.dump(ast.parse(source)), "only a comment or the layout differs"
    assert all((ROOT / test).is_file() for test in mutation.tests)


def test_nine_in_ten_are_caught() -> None:
    assert sum(mutation.caught for mutation in LISTED) >= 0.9 * len(LISTED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"to": "a = 1"}, "needs a line, another text"),
        ({"tests": ()}, "at least one test file"),
        ({"caught": False}, "a why is for one that is not caught"),
        ({"why": "nobody looks"}, "a why is for one that is not caught"),
    ],
)
def test_an_entry_that_says_nothing_is_refused(change: dict[str, object], message: str) -> None:
    entry = {"id": "x", "file": "f.py", "line": "a = 1", "to": "a = 2", "tests": ("t.py",), "caught": True}
    with pytest.raises(ValueError, match=message):
        Mutation(**{**entry, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["b = 1\n", "a = 1\na = 1\n"])
def test_a_line_that_is_gone_or_twice_there_is_an_error_that_says_what_to_do(source: str) -> None:
    mutation = Mutation("x", "f.py", "a = 1", "a = 2", ("t.py",), True)
    with pytest.raises(ValueError, match=r"mutation x: its line is [02] times in f.py, wanted once: 'a = 1'; give it"):
        mutation.applied(source)


def test_the_list_is_read_strictly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = "- {id: x, file: f.py, line: a, to: b, tests: [t.py], caught: true}\n"
    monkeypatch.setattr(mutate, "LIST", tmp_path / "list.yaml")
    for text, message in (
        (entry.replace("caught", "cought"), "unknown key 'cought'"),
        (entry.replace("true", "maybe"), "wanted true or false"),
        (entry + entry, "ids given twice: x"),
    ):
        mutate.LIST.write_text(text)
        with pytest.raises(ValueError, match=message):
            mutate.read()
