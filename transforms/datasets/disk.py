"""What a file system says, with the name of the file that it says it of: a full disk names none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def naming(place: str) -> Iterator[None]:
    """An OSError in the block names the file, if it has no name yet."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or place
        raise
