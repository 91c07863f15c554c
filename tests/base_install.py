"""The base install, in an environment that has more: our wheel, without a checkout, and what its requirements bring.

`setup.py` names the requirements; what they need in turn, their distributions say. A finder ahead of all others refuses
every module that only other distributions bring, in a process and, by `sitecustomize`, in those that it starts.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PACKAGES = ("pipelines", "transforms", "tokenizer", "trainers")
# The names of what is refused stand in a file beside it.
_SITECUSTOMIZE = """
import json, pathlib, sys

class Absent:
    names = frozenset(json.loads(pathlib.Path(__file__).with_name("absent.json").read_text()))

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r} in the base install", name=name)

sys.meta_path.insert(0, Absent())
"""


def required() -> list[str]:
    """`install_requires` of setup.py."""
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())):
        if isinstance(node, ast.keyword) and node.arg == "install_requires":
            return ast.literal_eval(node.value)
    raise AssertionError("setup.py has no install_requires")


def closure(requirements: list[str]) -> set[str]:
    """The names of all distributions that pip would install for them here."""
    found: set[tuple[str, str]] = set()  # (name, extra)
    left = [(Requirement(text), "") for text in requirements]
    while left:
        requirement, extra = left.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in found:
                found.add((name, wanted))
                try:
                    needs = distribution(name).requires or []
                except PackageNotFoundError as error:
                    raise AssertionError(f"{name} is required and not installed here") from error
                left += [(Requirement(text), wanted) for text in needs]
    return {name for name, _ in found}


def absent_modules() -> set[str]:
    """Modules, and packages within those that several distributions share, which the base install does not have."""
    base = closure(required())
    brought: dict[str, set[bool]] = defaultdict(set)
    for known in distributions():
        is_base = canonicalize_name(known.metadata["Name"]) in base | {"agora-forum"}
        for file in known.files or ():
            if file.suffix in (".py", ".so") and ".." not in file.parts:
                names = [part.split(".")[0] for part in file.parts if part != "__init__.py"]
                for depth in (1, 2):
                    brought[".".join(names[:depth])].add(is_base)
    return {name for name, of_base in brought.items() if of_base == {False} and name}


def install(folder: Path) -> Path:
    """Our wheel, made by way of the source distribution that `--setup_file` sends to workers, unpacked in a folder."""
    source = folder / "source"
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        source.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    _run(source, "setup.py", "-q", "sdist", "--dist-dir", str(folder))
    (packed,) = folder.glob("*.tar.gz")
    _run(
        folder, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(packed)
    )
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def _run(folder: Path, *arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def environment(site: Path) -> dict[str, str]:
    """The variables of a process, and of all it starts, that has what `install` made and nothing else."""
    (site / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    (site / "absent.json").write_text(json.dumps(sorted(absent_modules())))
    return {**os.environ, "PYTHONPATH": str(site)}
