"""What a row states of its post beside the usual fields: the language of its text, and attributes kept with it.

A language is a tag of BCP 47 or a code of the language table. One that names a row of the table is stored as its code
(`por_Latn`), another one as a canonical tag: it leaves open which row it means (`zh`), or is not listed (`pt-Cyrl`,
`cop`); `tokenizer.languages.may_mean` tells these apart. `und` states nothing.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache

from tokenizer.languages import from_tag
from transforms.datasets.fates import Reason
from transforms.sources.fields import UnusableError
from transforms.text.clean import repair

_MAX_ATTRIBUTE_CHARS = 1024
_MAX_TAG_CHARS = 64
_UNDETERMINED = "und"
# RFC 5646, of tags that begin with a language of ISO 639: its longer ones are reserved, and words look like them.
_TAG = re.compile(
    r"[a-z]{2,3}(?:-[a-z]{3}){0,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"
    r"(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"
)


def language_of(value: object) -> str | None:
    """The code of a listed language, the canonical tag of another one, or None where none is stated.

    Raises UnusableError for what is no tag.
    """
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _MAX_TAG_CHARS:
        raise UnusableError(Reason.MISSING_FIELD, "language is no tag of BCP 47")
    return _language(value)


@lru_cache(maxsize=1 << 12)  # a set states few, again and again
def _language(value: str) -> str | None:
    stated = value.strip().replace("_", "-")
    if not stated:
        return None
    tag = stated.lower()
    if not stated.isascii() or not _TAG.fullmatch(tag):
        raise UnusableError(Reason.MISSING_FIELD, "language is no tag of BCP 47")
    first, *rest = tag.split("-")
    if first == _UNDETERMINED:
        return None
    canonical = "-".join([first, *_canonical(rest)])
    listed = from_tag(canonical)
    return listed.code if listed else canonical


def _canonical(subtags: list[str]) -> list[str]:
    """As RFC 5646 writes them: Latn, BR, and what follows a single character small."""
    single = next((number for number, subtag in enumerate(subtags) if len(subtag) == 1), len(subtags))
    written = {2: str.upper, 4: str.capitalize}
    return [written.get(len(subtag), str.lower)(subtag) for subtag in subtags[:single]] + subtags[single:]


def attribute_of(value: object, name: str) -> str | None:
    """The value of an attribute as text: a text repaired, a number, true and false as JSON, a time in ISO 8601 and UTC.

    None where there is none. Raises UnusableError for anything else, and for more than 1,024 characters.
    """
    try:
        text = _text(value)
    except (ValueError, OverflowError) as error:  # of numbers that JSON has not, and of more digits than Python writes
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is neither text, a number, true nor false") from error
    if len(text) > _MAX_ATTRIBUTE_CHARS:
        raise UnusableError(Reason.MISSING_FIELD, f"{name} has more than {_MAX_ATTRIBUTE_CHARS} characters")
    return text or None


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return repair(value).strip() if len(value) <= _MAX_ATTRIBUTE_CHARS else value
    if isinstance(value, bool | int | float):
        return json.dumps(value, allow_nan=False)
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}".rstrip("0")  # whole ones are integers by now
    if isinstance(value, datetime):
        time = value if value.tzinfo else value.replace(tzinfo=UTC)
        return time.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, date):
        return value.isoformat()
    raise ValueError(f"no text stands for a {type(value).__name__}")
