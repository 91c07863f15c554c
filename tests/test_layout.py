"""The layout as a test: which package may import which, and what each process loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("tokenizer", "transforms", "pipelines", "trainers")
ALLOWED = {
    "tokenizer": {"tokenizer"},
    "transforms": {"transforms", "tokenizer"},
    "pipelines": {"pipelines", "transforms", "tokenizer"},
    "trainers": {"trainers", "tokenizer", "transforms.datasets"},
}
# The rooms of transforms: which others each may open, and which of its files others open: its doors.
ROOMS: dict[str, tuple[set[str], set[str] | None]] = {
    "datasets": (set(), None),  # the contracts: all of it is open, and the only room that trainers open
    "shuffle": ({"datasets"}, {"regroup", "runs", "spills"}),
    "io": ({"datasets"}, {"counts", "described", "shard"}),
    "text": (set(), {"clean", "hashing", "markup", "math_spans", "stream_safe"}),
    "sources": ({"datasets", "text"}, None),
    "benchmarks": ({"datasets", "sources"}, {"matching", "readers"}),
    "ingest": ({"datasets", "shuffle", "text", "sources"}, set()),
    "classifiers": ({"datasets"}, {"fasttext_file"}),
    "langid": ({"datasets", "classifiers"}, {"detect", "labels", "model", "threads", "verdict"}),
    "quality": ({"datasets", "text", "classifiers"}, {"classifier", "lexicon", "presets", "signals", "thresholds"}),
    "dedup": ({"datasets", "io", "shuffle", "text"}, {"earlier", "line_spec", "signing", "spec"}),
    "layers": ({"datasets", "io", "langid", "quality", "dedup", "benchmarks"}, {"read"}),
    "pairs": ({"datasets", "io", "layers"}, set()),
    "tokens": ({"datasets", "io", "layers"}, set()),
    "curriculum": ({"datasets", "io", "shuffle", "layers"}, set()),
}
MOST_LINES = 400
# A native or vendor library is imported by one file, so that exchanging it changes one file.
ONLY_IN = {
    "fasttext": {"transforms/classifiers/fasttext_file.py"},
    "scipy": {"transforms/langid/linear.py"},
    "sentencepiece": {"tokenizer/spm.py"},
    "tokenizers": {"tokenizer/loading.py"},
    "html_to_markdown": {"transforms/text/markup.py"},
    "ftfy": {"transforms/text/clean.py"},
    "py7zr": {"transforms/sources/streams/archives.py"},
    "jinja2": {"pipelines/report/html.py"},
}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module a file imports, wherever in the file; `from a import b` gives a.b as well, in case b is a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import; name the module in full"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def is_allowed(module: str, allowed: set[str]) -> bool:
    parents = {module.rsplit(".", depth)[0] for depth in range(module.count(".") + 1)}
    # `from transforms import shards` names the package as well as the module
    return bool(parents & allowed) or any(name.startswith(f"{module}.") for name in allowed)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    files = sources(package)
    assert files
    for path in files:
        for module in imports(path):
            if module.split(".")[0] in PACKAGES:
                assert is_allowed(module, ALLOWED[package]), f"{path.relative_to(ROOT)} imports {module}"


def modules_of(path: Path, package: str) -> set[str]:
    """The modules of a package that a file imports, without the names that it takes out of them."""
    return {
        module
        for module in imports(path)
        if module.startswith(f"{package}.") and (ROOT / Path(*module.split("."))).with_suffix(".py").exists()
    }


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_opens_those_before_it_by_their_doors(room: str) -> None:
    files = sources(f"transforms/{room}")
    assert files
    for path in files:
        for module in modules_of(path, "transforms"):
            other, file = module.split(".")[1:3]
            if other != room:
                assert other in ROOMS[room][0], f"{path.relative_to(ROOT)} imports {module}"
                doors = ROOMS[other][1]
                assert doors is None or file in doors, f"{path.relative_to(ROOT)} opens {module} not by a door"


def test_every_door_is_used_and_every_folder_is_a_room() -> None:
    assert {path.name for path in (ROOT / "transforms").iterdir() if (path / "__init__.py").exists()} == set(ROOMS)
    used = {
        tuple(module.split(".")[1:3])
        for room in ROOMS
        for path in sources(f"transforms/{room}")
        for module in modules_of(path, "transforms")
        if module.split(".")[1] != room
    }
    doors = {(room, file) for room, (_, files) in ROOMS.items() for file in files or ()}
    assert doors <= used, f"nobody opens {doors - used}"


@pytest.mark.parametrize("package", [*PACKAGES, "tests", "benchmarks", "examples"])
def test_a_file_is_one_idea(package: str) -> None:
    long = {str(path.relative_to(ROOT)): lines for path in sources(package) if (lines := _lines(path)) > MOST_LINES}
    assert not long, f"more than {MOST_LINES} lines are more than one idea: {long}"


def test_files_are_neither_crumbs_nor_blocks() -> None:
    sizes = [lines for package in PACKAGES for path in sources(package) if (lines := _lines(path))]
    assert 100 <= median(sizes) <= 250


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_vendor_library_lives_in_one_place(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sources(package)
        if library in {module.split(".")[0] for module in imports(path)}
    }
    assert users == ONLY_IN[library]


def test_imports_stand_at_the_top() -> None:
    """No lazy import: a cycle or a heavy dependency is a fault of the layout, not something to hide in a function."""
    for package in PACKAGES:
        for path in sources(package):
            tree = ast.parse(path.read_text())
            nested = [
                node.lineno
                for outer in ast.walk(tree)
                if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                for node in ast.walk(outer)
                if isinstance(node, ast.Import | ast.ImportFrom)
            ]
            assert not nested, f"{path.relative_to(ROOT)} imports inside a function, line {nested}"


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    return set(run.stdout.split())


def all_modules(package: str) -> str:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources(package)]
    return "import " + ", ".join(sorted(name for name in names if not name.endswith("__init__")))


def test_trainers_do_not_load_beam() -> None:
    assert not {"apache_beam", "fasttext", "sentencepiece"} & modules_after(all_modules("trainers"))


def test_pipelines_do_not_load_torch() -> None:
    loaded = modules_after(all_modules("pipelines"))
    assert "apache_beam" in loaded
    assert not {"torch", "transformers"} & loaded


def test_contracts_load_neither() -> None:
    assert not {"torch", "apache_beam"} & modules_after(all_modules("transforms/datasets"))


def test_top_level_names_are_ours() -> None:
    """A distribution that installs a package called `tokenizer` exists; it would win outside the checkout."""
    for package in PACKAGES:
        code = f"import {package}; print({package}.__file__)"
        run = subprocess.run(
            [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, timeout=60, check=True
        )
        assert Path(run.stdout.strip()).parent == ROOT / package
    owners = packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, ["agora-forum"])) == {"agora-forum"}, (
            f"{package} is installed by {owners[package]}"
        )


def test_the_root_and_the_packages_shadow_nothing() -> None:
    assert [path.name for path in ROOT.glob("*.py")] == ["setup.py"]
    assert not set(PACKAGES) & sys.stdlib_module_names
    for package in (*PACKAGES, "tests", "benchmarks"):
        for folder in {path.parent for path in sources(package)}:
            assert (folder / "__init__.py").read_bytes() == b"", f"{folder}/__init__.py must be there, and empty"
