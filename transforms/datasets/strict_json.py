"""JSON that some other program may have written: whatever is wrong with it is a ValueError that names the file."""

from __future__ import annotations

import json
from typing import Any

from transforms.datasets import places


def load(place: str) -> Any:
    """The values of the file at a place. Raises ValueError for what is no JSON, or nested too deeply to be read."""
    return parse(places.read_bytes(place), place)


def parse(text: bytes | str, file: str) -> Any:
    """The values of a text; `file` is what errors call it. Raises ValueError as `load` does."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"{file}: nested too deeply to be read as JSON; get the file again") from None
    except ValueError as error:
        raise ValueError(f"{file}: not readable as JSON: {error}") from error
