"""Fields of a row that cannot be read: one that a row cannot do without costs the row, any other only itself.

An id, a text, the kind of a post and what it answers are needed. A field that is not, and cannot be read, is null, and
the row says so in a note that is counted: `unreadable-created`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from transforms.datasets.fates import Reason

T = TypeVar("T")


class UnusableError(ValueError):
    """A row that gives no record, or a field that cannot be read, and why. note: what counts a field's, if not its
    name alone."""

    def __init__(self, reason: Reason, detail: str, note: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.note = note


class Notes(list[str]):
    """Notes on one row, which read those of its fields that it can do without."""

    def read(self, name: str, read: Callable[[], T]) -> T | None:
        """What `read` gives; None, and noted, where it raises UnusableError."""
        try:
            return read()
        except UnusableError as error:
            self.unreadable(name, error.note)
            return None

    def unreadable(self, name: str, note: str | None = None) -> None:
        """Notes a field that cannot be read."""
        self.append(note or f"unreadable-{name}")

    def expect(self, name: str, read: Callable[[], T | None]) -> T | None:
        """As `read`, of a field that every row of the source has: one that is not there is noted as well."""
        num_notes = len(self)
        value = self.read(name, read)
        if value is None and len(self) == num_notes:
            self.append(f"no-{name}")
        return value
