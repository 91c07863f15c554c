"""Values of a row: found by their path, and read as the text, number, time or id that a post needs.

Numbers come as integers, as floats (a column of integers of which one is missing), as decimals (Snowflake's Parquet)
and as strings: `value_at` gives whole ones as integers, whatever they came as.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from transforms.datasets.fates import Reason
from transforms.sources.fields import UnusableError
from transforms.sources.mapping import TIMES, Constant, Where
from transforms.text.clean import repair, without_surrogates
from transforms.text.markup import to_markdown

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_TIME = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST_TIME = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_INT64 = 1 << 63
_EXACT = 1 << 53  # below it a float is the integer that was meant
_ITSELF = "."
_WHOLE = re.compile(r"([+-]?[0-9]{1,18})(?:\.0+)?", re.ASCII)
_BIGQUERY_ZONE = re.compile(r" UTC$")


class Unreadable:
    """Stands for a value that its file has and Python cannot hold, such as a time after the year 9999."""


def value_at(row: object, where: Where | None) -> object:
    """What stands at a path of the row (or the constant), whole numbers as integers; None where there is nothing, or
    NaN, as pandas writes it."""
    if where is None:
        return None
    if isinstance(where, Constant):
        return _whole(where.value)
    if where == _ITSELF:
        return row
    value = row
    for step in where.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return None if value != value else _whole(value)


def _whole(value: object) -> object:
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return value


def id_of(value: object, name: str) -> str | None:
    """A post's id as text; None where there is none. Raises UnusableError."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is neither a string nor an integer")
    given = str(value)
    if not _is_unicode(given) or not given.isprintable():
        raise UnusableError(Reason.MISSING_FIELD, f"{name} holds characters that do not print")
    return given


def _is_unicode(text: str) -> bool:
    """False for a string with lone surrogates, which JSON can spell and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def body_of(value: str, written_in: str) -> tuple[str, bool]:
    """(text, whether its HTML had to be flattened)."""
    if written_in == "html":
        body = to_markdown(value if _is_unicode(value) else without_surrogates(value), repair)
        return body.text.strip(), body.flattened
    return repair(value).strip(), False


def text_at(row: object, where: Where | None, name: str) -> str | None:
    """A text, repaired; None where there is none. Raises UnusableError for what is no string."""
    value = value_at(row, where)
    if value is None:
        return None
    if not isinstance(value, str):
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not a string")
    return repair(value).strip() or None


def tags_of(value: object) -> list[str]:
    """Tags of a list, or of text with commas. Raises UnusableError for anything else."""
    if value is None:
        return []
    found = value.split(",") if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(tag, str) for tag in found):
        raise UnusableError(Reason.MISSING_FIELD, "tags are not a list of strings")
    return [tag for tag in (repair(str(tag)).strip() for tag in found) if tag]


def count_at(row: object, where: Where | None, name: str) -> int | None:
    """`count_of` what stands there. Raises UnusableError."""
    return count_of(value_at(row, where), name)


def count_of(value: object, name: str) -> int | None:
    """A whole number as it is or in digits, also with zeros behind a point, as tables with gaps write it.

    Raises UnusableError for what is none, or does not fit into 64 bits.
    """
    if value is None:
        return None
    if isinstance(value, str) and (digits := _WHOLE.fullmatch(value)):
        value = int(digits[1])
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not a whole number")
    return value


def to_time(value: object, written: str, name: str) -> int | None:
    """Milliseconds since 1970; a time without a zone is UTC.

    Raises UnusableError for what is no time, or none of the years 1 to 9999.
    """
    time = _read_time(value, written, name)
    if time is None or _FIRST_TIME <= time <= _LAST_TIME:
        return time
    looks_like_milliseconds = _is_seconds(value, written) and _FIRST_TIME <= time // 1000 <= _LAST_TIME
    note = f"{name}-in-milliseconds" if looks_like_milliseconds else None  # read as seconds, as nothing else was said
    raise UnusableError(Reason.MISSING_FIELD, f"{name} is not in the years 1 to 9999", note)


def _is_seconds(value: object, written: str) -> bool:
    return written == "seconds" or (written == "auto" and isinstance(value, int | float))


def _read_time(value: object, written: str, name: str) -> int | None:
    try:
        if value is None or value == "":
            return None
        if isinstance(value, date):  # of a Parquet column; a datetime is a date as well
            return _from_utc(value if isinstance(value, datetime) else datetime(value.year, value.month, value.day))
        if isinstance(value, str) and "%" in written:
            return _from_utc(datetime.strptime(value, written))
        if isinstance(value, str) and written in ("auto", "iso"):
            return _from_utc(datetime.fromisoformat(_BIGQUERY_ZONE.sub("+00:00", value)))
        if written in TIMES and written != "iso" and not isinstance(value, bool):
            number = float(value) if isinstance(value, str) else value
            if isinstance(number, int | float) and math.isfinite(number):
                return (number * timedelta(milliseconds=1 if written == "milliseconds" else 1000)) // _MILLISECOND
    except (ValueError, OverflowError):
        pass
    wanted = {
        "auto": "neither a time in ISO 8601 nor seconds since 1970",
        "iso": "not a time in ISO 8601",
        "seconds": "not seconds since 1970",
        "milliseconds": "not milliseconds since 1970",
    }
    raise UnusableError(Reason.MISSING_FIELD, f"{name} is {wanted.get(written, f'not a time written as {written}')}")


def _from_utc(time: datetime) -> int:
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
