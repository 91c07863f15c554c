"""Tries to make Agora pass something wrong in silence: damage, kills, races, hostile input, limits, models, secrets.

    python -m benchmarks.tries [TABLE ...] [--share 0.1] [--seed 1]

Every try ends in one of three ways. *undisturbed*: what is made has the bytes of a build that nobody disturbed. *told*:
an error names the file, the process or the limit, and a rerun without the disturbance has those bytes. Anything else is
*wrong*, is printed, and makes the status 1. The datasets are those of the goldens (tests/golden_forum.py), and tiny
ones for runs that train; checkpoints have tests of their own. A share of each table is run by tests/test_tries.py.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import (
    try_build_file,
    try_damage,
    try_hostile,
    try_models,
    try_processes,
    try_secrets,
    try_siblings,
    try_training,
)
from benchmarks.try_forum import Forum, Outcome, Tries

TABLES: Mapping[str, Callable[[Forum, int], Tries]] = {
    "damage-rerun": try_damage.rerun,
    "damage-read": try_damage.read,
    "kills": try_processes.kills,
    "signals": try_processes.signals,
    "races": try_processes.races,
    "hostile": try_hostile.hostile,
    "limits": try_processes.limits,
    "build-file": try_build_file.build_file,
    "training": try_training.training,
    "models": try_models.models,
    "secrets": try_secrets.secrets,
    "siblings": try_siblings.siblings,
}


def run(table: str, forum: Forum, share: float, seed: int) -> tuple[Counter[Outcome], list[str]]:
    """How many tries of a table ended how, and a line for each that is wrong. share: of the tries, at least one."""
    every = list(TABLES[table](forum, seed))
    number = max(1, round(len(every) * share))
    chosen = sorted(random.Random(f"{table} {seed}").sample(range(len(every)), number))
    outcomes: Counter[Outcome] = Counter()
    lines = []
    for index in chosen:
        result = every[index].run()
        outcomes[result.outcome] += 1
        if result.outcome is Outcome.WRONG:
            lines.append(f"{table}: {every[index].name}: {result.detail}")
    return outcomes, lines


def _tell(table: str, outcomes: Mapping[Outcome, int], lines: Sequence[str]) -> None:
    counts = ", ".join(f"{outcomes.get(outcome, 0)} {outcome}" for outcome in Outcome)
    print(f"{table}: {sum(outcomes.values())} tries, {counts}", flush=True)
    print(*(f"  {line}" for line in lines), sep="\n", end="\n" if lines else "", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"some of {', '.join(TABLES)}; by default all")
    parser.add_argument("--share", type=float, default=1.0, help="of each table")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.tables) - set(TABLES)):
        parser.error(f"no table {unknown[0]!r}; there are {', '.join(TABLES)}")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        forum = Forum.build(Path(folder) / "forum")
        for table in arguments.tables or TABLES:
            outcomes, lines = run(table, forum, arguments.share, arguments.seed)
            _tell(table, outcomes, lines)
            wrong += outcomes[Outcome.WRONG]
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
