"""Values of JSON that anybody may have written, taken one by one: each is what it should be, or is told and left out.

A report draws folders that were copied, cut, edited and made by other versions. Whatever is in them, the page is
written; so no value goes into it unchecked, and what fails the check is a `Trouble`, which the page shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MOST = (1 << 63) - 1  # of a count
FARTHEST = 1e15  # of a measured number from zero: differences, sums and charts stay far from overflow
_SHOWN_CHARACTERS = 80  # of a wrong value, and of a key


@dataclass(frozen=True)
class Trouble:
    """Something that cannot be read. file: below the build's folder. says: where in it, what was found and wanted."""

    file: str
    says: str


class _Absent:
    """The value under a key that is not there."""


_ABSENT = _Absent()


class Found:
    """A value of a JSON file with the way to it. What is not as it should be is told, and counts as absent."""

    def __init__(self, value: object, file: str, troubles: list[Trouble], way: str = "") -> None:
        self.value, self.file, self._troubles, self._way = value, file, troubles, way

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, Mapping) and key in self.value

    def __getitem__(self, key: str) -> Found:
        """The value under a key; what is not there is told once it is taken for something."""
        return self._below(key, self.value[key] if isinstance(self.value, Mapping) and key in self.value else _ABSENT)

    def get(self, key: str, default: object) -> Found:
        """The value under a key that need not be there."""
        return self[key] if key in self else self._below(key, default)

    def items(self) -> dict[str, Found]:
        """The values of a mapping by key; none where it is no mapping, which is told."""
        if not isinstance(self.value, Mapping):
            self.tell("a mapping")
            return {}
        return {str(key): self._below(str(key), value) for key, value in self.value.items()}

    def entries(self) -> list[Found]:
        """The values of a list; none where it is no list, which is told."""
        if not isinstance(self.value, Sequence) or isinstance(self.value, str):
            self.tell("a list")
            return []
        return [self._below(str(place), value) for place, value in enumerate(self.value)]

    def text(self) -> str:
        """A text; "" where it is none, which is told."""
        if isinstance(self.value, str):
            return self.value
        self.tell("a text")
        return ""

    def count(self) -> int:
        """A whole number that counts something; 0 where it is none, which is told."""
        if isinstance(self.value, int) and self._is_count:
            return self.value
        self.tell("a whole number from 0 to 2^63 - 1")
        return 0

    def number(self, low: float = -FARTHEST, high: float = FARTHEST) -> float | None:
        """A number within the bounds; None where it is none, which is told."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool) and low <= self.value <= high:
            return float(self.value)
        self.tell(f"a number from {low:g} to {high:g}")
        return None

    def counts(self) -> dict[str, int]:
        """Counts by name; those that are none are left out."""
        return {name: number for name, found in self.items().items() if (number := found.count()) or found._is_count}

    def texts(self) -> dict[str, str]:
        """Texts by name; what is none is left out."""
        return {name: text for name, found in self.items().items() if (text := found.text()) or found.value == ""}

    def tell(self, wanted: str) -> None:
        """Tells of a value that is not what it should be."""
        what = "is missing" if self.value is _ABSENT else f"is {shown(self.value)}"
        self._troubles.append(Trouble(self.file, f"{self._way or 'what is in it'} {what}, and should be {wanted}"))

    @property
    def _is_count(self) -> bool:
        return isinstance(self.value, int) and not isinstance(self.value, bool) and 0 <= self.value <= _MOST

    def _below(self, key: str, value: object) -> Found:
        key = _cut(key)
        return Found(value, self.file, self._troubles, f"{self._way}.{key}" if self._way else key)


def shown(value: object) -> str:
    """A value in few words: texts and numbers as they are, of a mapping or list its size."""
    if isinstance(value, Mapping):
        return f"a mapping of {len(value):,}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a list of {len(value):,}"
    return repr(_cut(value)) if isinstance(value, str) else _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}… ({len(text):,} characters)"


def parsed(data: bytes) -> object:
    """JSON as it is. Raises ValueError for what is none, or is nested too deeply to be read."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"is no JSON ({error})") from error
