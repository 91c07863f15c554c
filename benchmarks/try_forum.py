"""What all tries share: the undisturbed datasets of the goldens, and what a try is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests import golden_forum, goldens, laws
from tests.conftest import LID_MODEL
from transforms.datasets.standing import Existing

STEPS = ("documents", "layers", "pairs", "tokenizer", "tokens", "preference", "curriculum")


class Outcome(StrEnum):
    """TOLD: refused or said; WRONG: another result, and nothing was said."""

    UNDISTURBED = "undisturbed"
    TOLD = "told"
    WRONG = "wrong"


@dataclass(frozen=True)
class Result:
    """detail: what was told, or what is wrong."""

    outcome: Outcome
    detail: str = ""


def wrong(detail: str) -> Result:
    """What passed in silence."""
    return Result(Outcome.WRONG, detail)


def end_of(process: subprocess.Popen[str], seconds: float) -> tuple[int | None, str]:
    """(status, what it said); None for one that has not ended after so many seconds, which is killed."""
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return None, process.communicate()[1]
    return process.returncode, said


@dataclass(frozen=True)
class Try:
    """run: disturbs, looks, and puts back what it disturbed."""

    name: str
    run: Callable[[], Result]


Tries = Iterator[Try]


@dataclass(frozen=True)
class Forum:
    """The datasets, built once and never disturbed but by tries that put everything back."""

    folder: Path

    @staticmethod
    def build(folder: Path) -> Forum:
        """Runs all steps of the golden forum into a folder."""
        forum = Forum(folder)
        for run in forum.steps().values():
            run()
        return forum

    def steps(self, existing: Existing = Existing.REFUSE, into: Path | None = None) -> dict[str, Callable[[], object]]:
        """What runs each step, by name."""
        return golden_forum.steps(self.folder, LID_MODEL, existing, into)

    @staticmethod
    def datasets(step: str) -> list[str]:
        """The datasets that a step makes, below the folder."""
        return [name for name in goldens.STEPS if name.partition("/")[0] == step]

    def files(self, dataset: str) -> list[Path]:
        """Every file of a dataset but the account of its run."""
        return [self.folder / dataset / name for name in sorted(laws.files_of(self.folder / dataset))]

    def differences(self, step: str, into: Path) -> str:
        """What of a step's datasets in another folder is not as here; "" when all is."""
        for dataset in self.datasets(step):
            ours, theirs = laws.files_of(self.folder / dataset), laws.files_of(into / dataset)
            if names := [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]:
                return f"{dataset} differs in {names[:3]}"
        return ""

    def remade(self, step: str, into: Path, told: str = "") -> Result:
        """Makes a step's datasets in another folder, after a disturbance, and compares them."""
        self.steps(into=into)[step]()
        if difference := self.differences(step, into):
            return wrong(f"a rerun made something else: {difference}")
        return Result(Outcome.TOLD, told) if told else Result(Outcome.UNDISTURBED)


def last_line(text: str) -> str:
    """The last line with anything on it, or nothing."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def emptied(folder: Path) -> Path:
    """The folder, new and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
