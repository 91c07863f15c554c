"""Nobody keeps what nobody uses, what one file uses is its own, and what others use says what it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines.cli import COMMANDS
from tests.conftest import ROOT

PACKAGES = ("tokenizer", "transforms", "pipelines", "trainers", "tests", "benchmarks", "examples")
ROOMS = ("tokenizer", "transforms", "pipelines", "trainers", "benchmarks")
# A process's begin, which its file's first lines tell of, and Beam's own methods.
CALLED_BY_OTHERS = {
    *("main", "expand", "create_accumulator", "add_input", "merge_accumulators", "extract_output"),
    *("setup", "process"),
}
Definition = ast.FunctionDef | ast.ClassDef


class Used(NamedTuple):
    """What a file uses of others: (module, name), and words of its strings that may be names."""

    names: set[tuple[str, str]]
    words: set[str]


@cache
def trees() -> dict[str, ast.Module]:
    """Every file by its module's name."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text("utf-8")) for path in paths
    }


@cache
def used(module: str) -> Used:
    aliases: dict[str, str] = {}
    found = Used(set(), set())
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.ImportFrom):
            found.names.update((str(node.module), alias.name) for alias in node.names)
            aliases.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
        elif isinstance(node, ast.Import):
            aliases.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            is_code = "import" in node.value
            found.words.update(re.findall(r"\w+", node.value) if is_code else [node.value.rpartition(":")[2]])
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.Attribute) and (other := aliases.get(ast.unparse(node.value))) in trees():
            found.names.add((str(other), node.attr))
    return found


def in_rooms() -> list[str]:
    return [module for module in trees() if any(f"{module.replace('.', '/')}.py".startswith(room) for room in ROOMS)]


def top_names(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    for node in tree.body:
        if isinstance(node, Definition):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((name.id, node) for name in ast.walk(ast.Tuple(targets)) if isinstance(name, ast.Name))


def read_in(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def shown_in(tree: ast.Module) -> set[str]:
    """What public names are typed with or made of: whoever uses those sees it."""
    found: set[str] = set()
    for name, node in top_names(tree):
        if name.startswith("_"):
            continue
        if not isinstance(node, Definition):
            found |= read_in(node)
        for part in ast.walk(node):
            if isinstance(part, ast.arg | ast.AnnAssign) and part.annotation:
                found |= read_in(part.annotation)
            if isinstance(part, ast.FunctionDef) and part.returns:
                found |= read_in(part.returns)
    return found


def is_step(tree: ast.Module) -> bool:
    """Whether a file has a transform: the pure functions beside it are for those who have no pipeline."""
    bases = (ast.unparse(base) for node in tree.body if isinstance(node, ast.ClassDef) for base in node.bases)
    return "beam.PTransform" in bases


def test_every_name_is_used_and_what_one_file_uses_is_private() -> None:
    everywhere = {module: used(module) for module in trees()}
    wrong = []
    for module in in_rooms():
        tree = trees()[module]
        own, shown = read_in(tree), shown_in(tree)
        for name, node in top_names(tree):
            elsewhere = any(
                (module, name) in other.names or name in other.words
                for its, other in everywhere.items()
                if its != module
            )
            called = isinstance(node, ast.FunctionDef) and (
                bool(node.decorator_list) or (is_step(tree) and name in own)
            )
            if elsewhere or called or name in CALLED_BY_OTHERS:
                continue
            if name not in own:
                wrong.append(f"{module}.{name} is used by nobody")
            elif not name.startswith("_") and name not in shown:
                wrong.append(f"{module}.{name} is used in its own file only: _{name}")
    assert not wrong


def public(tree: ast.Module) -> Iterator[Definition]:
    """Public functions and classes, and the public methods of public classes."""
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_") and node.name not in CALLED_BY_OTHERS:
            yield node
            for method in node.body if isinstance(node, ast.ClassDef) else ():
                known = isinstance(method, ast.FunctionDef) and method.name not in CALLED_BY_OTHERS
                if known and isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    yield method


def raises_of(function: ast.FunctionDef) -> set[str]:
    """Errors that it raises itself, but those that tell of a defect of ours."""
    raised = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node.exc is not None]
    return {name for error in raised if (name := ast.unparse(error).partition("(")[0])[0].isupper()} - {
        "AssertionError"
    }


@pytest.mark.parametrize("room", ROOMS)
def test_what_others_use_says_what_it_is_and_what_it_raises(room: str) -> None:
    commands = {(command.module, command.name) for command in COMMANDS.values()}  # their docstring is the help
    wrong = []
    for module in in_rooms():
        if not f"{module.replace('.', '/')}.py".startswith(room):
            continue
        for node in public(trees()[module]):
            overload = [decorator for decorator in node.decorator_list if ast.unparse(decorator) == "overload"]
            told = ast.get_docstring(node) or ""
            if not told and not overload:
                wrong.append(f"{module}.{node.name} has no docstring")
            if isinstance(node, ast.FunctionDef) and (module, node.name) not in commands:
                unsaid = {error for error in raises_of(node) if error.rpartition(".")[2] not in told}
                wrong += [f"{module}.{node.name} does not say that it raises {error}" for error in sorted(unsaid)]
    assert not wrong


def test_the_rooms_are_there() -> None:
    assert all((ROOT / Path(room)).exists() for room in ROOMS)
