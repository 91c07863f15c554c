"""Deliberate faults, one at a time: does the faulty module's own test file see each?

    python -m tests.mutate [ID ...]     (all of tests/mutations.yaml without IDs)

The tracked tree is copied to a temporary folder and tested there: the checkout is never touched. Hypothesis gets a
fixed seed and no memory of earlier runs, so that a count repeats. Exits with 1 when a fault that is listed as caught
survives, or a line is not found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transforms.datasets import strict_yaml

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tests" / "mutations.yaml"
TIMEOUT_S = 600  # a fault that makes a test wait for ever is caught as well


@dataclass(frozen=True)
class Mutation:
    """One fault: in `file`, `line` (found exactly once) becomes `to`, and `tests` should fail."""

    id: str
    file: str
    line: str
    to: str
    tests: tuple[str, ...]
    caught: bool
    why: str = ""  # of one that is not caught

    def __post_init__(self) -> None:
        if self.line == self.to or not self.line or not self.tests:
            raise ValueError(f"mutation {self.id}: needs a line, another text for it, and at least one test file")
        if self.caught == bool(self.why):
            raise ValueError(f"mutation {self.id}: a why is for one that is not caught, and for no other")

    def applied(self, source: str) -> str:
        """The file with the fault. Raises ValueError unless the line is there exactly once."""
        found = source.count(self.line)
        if found != 1:
            raise ValueError(
                f"mutation {self.id}: its line is {found} times in {self.file}, wanted once: {self.line!r}; give it "
                "the text that stands there now, or delete it when nothing like it is left"
            )
        return source.replace(self.line, self.to)


def read() -> Sequence[Mutation]:
    """The list, in order. Raises ValueError for an unknown key, a missing one, or an id given twice."""
    values = strict_yaml.read(LIST.read_text(encoding="utf-8"), LIST.name)
    found: Sequence[Mutation] = strict_yaml.convert(Sequence[Mutation], values, LIST.name)
    ids = [mutation.id for mutation in found]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise ValueError(f"{LIST.name}: ids given twice: {', '.join(twice)}")
    return found


def copy_tree(target: Path) -> None:
    """The tracked files as they stand in the checkout, and models/, which is not tracked."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    if (ROOT / "models").is_dir():
        shutil.copytree(ROOT / "models", target / "models")


def fails(tests: Sequence[str], folder: Path) -> bool:
    """Whether the tests fail in a copy of the tree, or never end."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *tests]
    clean = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # no stale bytecode of the fault before
    try:
        run = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return True
    finally:
        shutil.rmtree(folder / ".hypothesis", ignore_errors=True)
    if run.returncode not in (0, 1):  # pytest's other statuses: an import failed, there is no such test
        raise RuntimeError(f"nothing was tested by {' '.join(tests)}:\n{run.stdout[-3000:]}{run.stderr[-3000:]}")
    return run.returncode == 1


def main(ids: Sequence[str]) -> int:
    """Runs the mutations of these ids, or all."""
    listed = read()
    if unknown := set(ids) - {mutation.id for mutation in listed}:
        raise ValueError(f"{LIST.name} has no {', '.join(sorted(unknown))}")
    wanted = [mutation for mutation in listed if not ids or mutation.id in ids]
    caught = wrong = 0
    with tempfile.TemporaryDirectory(prefix="mutate-") as name:
        copy_tree(folder := Path(name) / "agora")  # nothing lies beside it: no real data either
        for file in dict.fromkeys(file for mutation in wanted for file in mutation.tests):
            if fails([file], folder):
                raise RuntimeError(f"{file} fails without any fault: what it says of faults means nothing")
        for mutation in wanted:
            place = folder / mutation.file
            source = place.read_text(encoding="utf-8")
            place.write_text(mutation.applied(source), encoding="utf-8")
            seen = fails(mutation.tests, folder)
            place.write_text(source, encoding="utf-8")
            caught += seen
            wrong += mutation.caught and not seen
            print(f"{'caught' if seen else 'SURVIVED':<9}{mutation.id}", flush=True)
    print(f"{caught} of {len(wanted)} caught")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
