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


class OptionalFields:
    """Reads the fields of one row that it can do without. notes: on those that it does without."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def read(self, name: str, read: Callable[[], T]) -> T | None:
        """What `read` gives; None, and noted, where it raises UnusableError."""
        try:
            return read()
        except UnusableError as error:
            self.notes.append(error.note or f"unreadable-{name}")
            return None

    def expect(self, name: str, read: Callable[[], T | None]) -> T | None:
        """As `read`, of a field that every row of the source has: one that is not there is noted as well."""
        num_notes = len(self.notes)
        value = self.read(name, read)
        if value is None and len(self.notes) == num_notes:
            self.notes.append(f"no-{name}")
        return value
