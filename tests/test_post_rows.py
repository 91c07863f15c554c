"""What nearly every row of a dump has is read in a quick way, which reads nothing in another way than the slow one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.sources.fields import UnusableError
from transforms.sources.rows.row_values import count_of, to_time
from transforms.sources.stackexchange.post_rows import _plain_time, post_number

TIMES = [
    *("2020-01-02T03:04:05.678", "2099-12-31T23:59:59.999", "2000-01-01T00:00:00.000", "2020-02-29T00:00:00.000"),
    *("2021-02-29T00:00:00.000", "2020-04-31T00:00:00.000", "2020-01-02T24:00:00.000", "2020-01-02T03:04:60.000"),
    *("1999-12-31T23:59:59.999", "0001-01-01T00:00:00.000", "9999-12-31T23:59:59.999", "2020-01-02", ""),
    *("2020-01-02 03:04:05.678", "2020-01-02T03:04:05.678Z", "2020-01-02T03:04:05.678+01:00", "2020-1-2T03:04:05.678"),
    *("0000-00-00T00:00:00.000", "2020-W01-4T03:04:05.678", "2020T01T02T03:04:05.678", "2020-01-02T03:04:05.678 "),
    *("2020W01T12T05:06:07.123",),
    *("٢٠٢٠-01-02T03:04:05.678", "2020-01-02T٠٣:04:05.678", "soon-------T03:04:05.678"),
]  # fmt: skip


def slowly(value: str) -> int | None:
    try:
        return to_time(value, "iso", "created")
    except UnusableError:
        return None


@pytest.mark.parametrize("value", TIMES)
def test_a_time_is_read_as_any_source_reads_it(value: str) -> None:
    quick = _plain_time(value)
    assert quick is None or quick == slowly(value)


def test_the_times_that_dumps_write_are_read_quickly() -> None:
    assert [_plain_time(value) is not None for value in TIMES[:4]] == [True] * 4


@given(st.datetimes().map(lambda time: f"{time.isoformat(timespec='milliseconds')}"))
def test_any_time_of_the_calendar(value: str) -> None:
    assert _plain_time(value) == slowly(value)


@given(st.text("0123456789-+. _٣x", max_size=20))
def test_a_number_is_read_as_any_source_reads_it(value: str) -> None:
    try:
        wanted = count_of(value, "Id")
    except UnusableError:
        wanted = None
    if wanted is not None and 0 <= wanted < 1 << 40:
        assert post_number({"Id": value}, "Id") == wanted
    else:
        with pytest.raises(UnusableError):
            post_number({"Id": value}, "Id")
