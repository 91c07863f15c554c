"""Checks the section `train` of a build file, without torch, so that a build is refused before its first step.

    python -m trainers.check '{"pretrain": ["debug_cpu", "optimizer.lr=0.001"], "preference": ["debug_cpu"]}' \\
        '{"pretrain": 2}'

The arguments are those that each trainer will get, but for the places; then the number of its processes. What is wrong
is printed, a line each, with the build file's key before it; the status is then 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from trainers.configs import SHIPPED, PreferenceConfig, PretrainConfig
from transforms.datasets import places, shown, strict_yaml
from transforms.datasets.names import MANIFEST

_KINDS: Mapping[str, type[Any]] = {"pretrain": PretrainConfig, "preference": PreferenceConfig}
_PLACES = {name: name for name in ("data", "tokenizer", "output")}  # the build gives them


def problems(runs: Mapping[str, Sequence[str]], processes: Mapping[str, int]) -> Iterator[str]:
    """What is wrong with each run, of so many processes. A value of the configuration's file is told by that file."""
    for name, (config, *settings) in runs.items():
        try:
            place = strict_yaml.place_of(config, SHIPPED / name)
            text = strict_yaml.text_of(place)
            own = strict_yaml.read(text, place) or {}
            strict_yaml.convert(dict[str, object], own, place)
        except ValueError as error:
            yield f"train.{name}.config: {error}"
            continue
        try:
            made = _convert(name, text, settings, "", f"train.{name}.set")
            yield from _missing(name, made)
            if processes.get(name, 1) % made.parallel.replicate:
                yield (
                    f"train.{name}.processes: parallel.replicate {made.parallel.replicate} does not divide "
                    f"{processes.get(name, 1)} processes: change one"
                )
        except ValueError as error:
            try:
                _convert(name, text, (), place, "")
            except ValueError as of_the_file:
                yield f"train.{name}.config: {of_the_file}"
            else:
                yield str(error)


def _convert(name: str, text: str, settings: Sequence[str], file: str, path: str) -> Any:
    values: dict[str, Any] = strict_yaml.read(text, file) or {}
    for item in settings:
        try:
            strict_yaml.override(values, item)
        except ValueError as error:
            raise ValueError(f"{path}.{error}") from error
    return strict_yaml.convert(_KINDS[name], {**values, **_PLACES}, file, path)


def _missing(name: str, config: Any) -> Iterator[str]:
    """The place that a configuration names by itself."""
    place = getattr(config, "validation", "")
    if place and not places.exists(places.join(place, MANIFEST)):
        yield f"train.{name}.set.validation: there is no dataset at {place}; name a curriculum of held-out documents"


def main() -> int:
    found = list(problems(*map(json.loads, sys.argv[1:3])))
    if find_spec("torch") is None:
        found.append("train: the trainers need torch, which is not installed: pip install 'agora-forum[train]'")
    for problem in found:
        print(shown.message(problem))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
