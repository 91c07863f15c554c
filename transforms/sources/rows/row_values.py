"""Values of a row: found by their path, and read as the text, number, time or id that a post needs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from transforms.datasets.fates import Reason
from transforms.sources.rows.json_rows import UnusableError
from transforms.sources.rows.mapping import TIMES, Constant, Where
from transforms.text.clean import repair, without_surrogates
from transforms.text.markup import to_markdown

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_TIME = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST_TIME = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_INT64 = 1 << 63
_EXACT = 1 << 53  # below it a float is the integer that was meant
_ITSELF = "."


def value_at(row: object, where: Where | None) -> object:
    """What stands at a path of the row (or the constant); None where there is nothing, or NaN, as pandas writes it."""
    if where is None:
        return None
    if isinstance(where, Constant):
        return where.value
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
    return None if value != value else value


def id_of(value: object, name: str) -> str | None:
    """A post's id as text; None where there is none. Raises UnusableError."""
    if value is None or value == "":
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)  # a column of integers, of which one is missing
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
    value = value_at(row, where)
    if value is None:
        return None
    if not isinstance(value, str):
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not a string")
    return repair(value).strip() or None


def tags_of(value: object) -> list[str]:
    if value is None:
        return []
    found = value.split(",") if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(tag, str) for tag in found):
        raise UnusableError(Reason.MISSING_FIELD, "tags are not a list of strings")
    return [tag for tag in (repair(str(tag)).strip() for tag in found) if tag]


def count_at(row: object, where: Where | None, name: str) -> int | None:
    value = value_at(row, where)
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value, re.ASCII):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
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
    detail = f"{name} is not in the years 1 to 9999"
    if _is_seconds(value, written) and _FIRST_TIME <= time // 1000 <= _LAST_TIME:
        detail += ", read as seconds since 1970; this looks like milliseconds"
    raise UnusableError(Reason.MISSING_FIELD, detail)


def _is_seconds(value: object, written: str) -> bool:
    return written in ("auto", "seconds") and isinstance(value, int | float | str)


def _read_time(value: object, written: str, name: str) -> int | None:
    try:
        if value is None or value == "":
            return None
        if isinstance(value, date):  # of a Parquet column; a datetime is a date as well
            return _from_utc(value if isinstance(value, datetime) else datetime(value.year, value.month, value.day))
        if isinstance(value, str) and "%" in written:
            return _from_utc(datetime.strptime(value, written))
        if isinstance(value, str) and written in ("auto", "iso"):
            return _from_utc(datetime.fromisoformat(value))
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
