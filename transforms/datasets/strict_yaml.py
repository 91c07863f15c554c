"""Strict YAML into frozen dataclasses: rules, recipes, builds.

A key that the dataclass does not have, a value of another type, a key given twice or one left out is an error that
names the file, the place in it, what was found, what is wanted and the nearest known name. Defaults live in the
dataclass only. Numbers follow YAML 1.2: 1e-4 is a number. Aliases, by which a few lines can stand for gigabytes, and
what is nested deeper than any of our files are refused before anything is built of them.
"""

from __future__ import annotations

import difflib
import functools
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import yaml

from transforms.datasets import places
from transforms.datasets.settings import SettingError

T = TypeVar("T")

MAX_DEPTH = 100
_SCALARS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def load(cls: type[T], place: str) -> T:
    """The file at a place as a `cls`. Raises ValueError when it is not one, or not there."""
    return parse(cls, text_of(place), place)


def text_of(place: str) -> str:
    """A file's text. Raises ValueError when there is none."""
    if not places.exists(place):
        raise ValueError(f"no such file: {place}")
    try:
        return places.read_bytes(place).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{place} is not UTF-8 at byte {error.start}; save it as UTF-8") from None


def load_named(cls: type[T], name_or_place: str, folder: Path) -> T:
    """A file shipped in `folder` by its bare name ("worldpm"), or any .yaml file by its place."""
    return load(cls, place_of(name_or_place, folder))


def place_of(name_or_place: str, folder: Path) -> str:
    """The place of a file shipped in `folder` by its bare name, or of any .yaml file. Raises ValueError for no such
    name, naming the nearest."""
    if name_or_place.endswith((".yaml", ".yml")):
        return name_or_place
    shipped = sorted(path.stem for path in folder.glob("*.yaml"))
    if name_or_place not in shipped:
        raise ValueError(
            f"no {folder.name} file named {name_or_place!r}{_nearest(name_or_place, shipped)}; wanted one that is "
            f"shipped in {folder} ({', '.join(shipped)}), or the place of a file of your own, which ends in .yaml"
        )
    return str(folder / f"{name_or_place}.yaml")


def parse(cls: type[T], text: str, file: str) -> T:
    """YAML text as a `cls`; `file` is what errors call it."""
    return typing.cast(T, convert(cls, read(text, file), file))


def read(text: str, file: str) -> Any:
    """YAML text as mappings, lists and scalars. Raises ValueError for what is no YAML, a key given twice, an alias, and
    more than MAX_DEPTH mappings and lists in one another."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, ValueError) as error:  # the latter: of a number or a date
        raise ValueError(f"{file}: not readable as YAML: {error}") from error


def override(values: dict[str, Any], item: str) -> None:
    """Puts one `key=value` of a command line into values as `read` gives them; dots in the key lead into sections.

    Raises ValueError for what has no `=`, for a key below something that has no keys, and a value that is no YAML.
    """
    dotted, equals, text = item.partition("=")
    if not equals:
        raise ValueError(f"settings are written key=value, got {item!r}")
    *parents, last = dotted.split(".")
    at = values
    for parent in parents:
        inner = at.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{dotted}: {parent} holds {inner!r}, it has no keys")
        at = inner
    at[last] = read(text, dotted) if text else ""


def convert(kind: Any, value: object, file: str, path: str = "") -> Any:
    """A value as YAML gives it (mappings, lists, scalars) as the annotated type `kind`, checked to the leaves.

    file, path: what errors call it; without a file it is a path in one that the caller names.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind):
        return _dataclass(typing.cast("type[Any]", kind), value, file, path)
    if origin in (types.UnionType, typing.Union):
        return _union(arguments, value, file, path)
    if origin is typing.Literal:
        return _choice(arguments, value, file, path)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(_choice([member.value for member in kind], value, file, path))
    if origin in (tuple, list, Sequence):
        items = _expect(list, value, "a list", file, path)
        return tuple(convert(arguments[0], item, file, f"{path}[{index}]") for index, item in enumerate(items))
    if origin in (dict, Mapping):
        pairs = _expect(dict, value, "a mapping", file, path).items()
        return {
            convert(arguments[0], key, file, path): convert(arguments[1], item, file, _below(path, key))
            for key, item in pairs
        }
    return _scalar(kind, value, file, path)


def _dataclass(kind: type[Any], value: object, file: str, path: str) -> Any:
    known = {field.name: field for field in fields(kind)}
    hints = _hints(typing.cast(typing.Hashable, kind))
    given = _expect(dict, value, f"a mapping with the keys {', '.join(known)}", file, path)
    for key in given:
        if key not in known:
            raise _error(file, path, f"unknown key {key!r}{_nearest(key, known)}; {_known(known)}")
    missing = [name for name, field in known.items() if name not in given and _is_required(field)]
    if missing:
        raise _error(file, path, f"the key {missing[0]!r} is missing; required are {', '.join(_required(known))}")
    values = {key: convert(hints[key], item, file, _below(path, key)) for key, item in given.items()}
    try:
        return kind(**values)
    except SettingError as error:
        raise _error(file, "", f"{_below(path, error.setting)} {error.problem}") from error
    except ValueError as error:
        raise _error(file, path, str(error)) from error


_hints = functools.cache(typing.get_type_hints)


def _union(kinds: Sequence[Any], value: object, file: str, path: str) -> Any:
    """The first of the types that fits. None is tried first; a mapping or list goes to the member that takes one."""
    if value is None and type(None) in kinds:
        return None
    wanted = [kind for kind in kinds if kind is not type(None)]
    if len(wanted) == 1:
        return convert(wanted[0], value, file, path)
    if isinstance(value, dict) and (sections := [kind for kind in wanted if is_dataclass(kind)]):
        return convert(_section(sections, value, file, path), value, file, path)
    problems = []
    for kind in wanted:
        try:
            return convert(kind, value, file, path)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError(" / ".join(problems))


def _section(kinds: Sequence[Any], value: Mapping[str, object], file: str, path: str) -> Any:
    """Of several dataclasses the one that is meant: all its required keys are given, and none requires more."""
    keys = [{field.name: field for field in fields(kind)} for kind in kinds]
    known = {name: None for own in keys for name in own}
    for key in value:
        if key not in known:
            raise _error(file, path, f"unknown key {key!r}{_nearest(key, known)}; {_known(known)}")
    meant = [found for found in zip(kinds, keys, strict=True) if value.keys() >= set(_required(found[1]))]
    if not meant:
        raise _error(file, path, f"wanted the key {' or '.join(name for own in keys for name in _required(own))}")
    kind, own = max(meant, key=lambda found: len(_required(found[1])))
    if others := [key for key in value if key not in own]:
        beside = ", ".join(key for key in value if key in own)
        raise _error(file, path, f"the key {others[0]!r} does not go with {beside}: leave one out")
    return kind


def _choice(choices: Iterable[Any], value: object, file: str, path: str) -> Any:
    known = list(choices)
    if value not in known:
        names = [str(choice) for choice in known]
        raise _error(file, path, f"got {value!r}{_nearest(value, names)}; wanted one of {', '.join(names)}")
    return value


def _scalar(kind: Any, value: object, file: str, path: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in _SCALARS:
        return _expect(kind, value, _SCALARS[kind], file, path)
    if kind is object or kind is Any:
        return value
    raise TypeError(
        f"{kind!r} cannot be read from YAML; a settings dataclass holds scalars, lists, mappings, dataclasses"
    )


def _expect(kind: type[T], value: object, wanted: str, file: str, path: str) -> T:
    # bool is a subclass of int, but `yes` where a number belongs is a mistake
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        hint = ""
        if kind is str and value is not None:
            hint = "; quote it to make it text"
        elif kind is list and isinstance(value, str):
            hint = f"; write [{value}]"
        raise _error(file, path, f"got {value!r} ({_yaml_name(value)}), wanted {wanted}{hint}")
    return value


def _known(keys: Iterable[str]) -> str:
    return f"known are {listed}" if (listed := ", ".join(keys)) else "there are no settings here: leave it out"


def _yaml_name(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _required(known: Mapping[str, Field[Any]]) -> list[str]:
    return [name for name, field in known.items() if _is_required(field)]


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _nearest(value: object, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(value), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _error(file: str, path: str, message: str) -> ValueError:
    return ValueError(f"{f'{file}: ' if file else ''}{f'at {path}: ' if path else ''}{message}")


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice (it would keep the last one), aliases and depth, and reads 1e-4 as a
    number."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, f"the alias *{event.anchor} stands for a value; write the value out", mark
            )
        if self.depth >= MAX_DEPTH and isinstance(event, yaml.CollectionStartEvent):
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is not text; quote it", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
