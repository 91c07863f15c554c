"""Times of rows: read in every way a mapping can name, or refused."""

from __future__ import annotations

import pytest

from transforms.sources.rows.row_values import to_time


@pytest.mark.parametrize(
    ("value", "written", "milliseconds"),
    [
        ("2020-01-02T00:00:00Z", "iso", 1577923200000),
        ("2020-01-02T01:00:00+01:00", "auto", 1577923200000),
        (1577923200, "auto", 1577923200000),
        (1577923200.5, "seconds", 1577923200500),
        ("1577923200", "seconds", 1577923200000),
        ("1577923200000", "milliseconds", 1577923200000),
        ("2020/01/02", "%Y/%m/%d", 1577923200000),
        (None, "iso", None),
    ],
)
def test_times(value: object, written: str, milliseconds: int | None) -> None:
    assert to_time(value, written, "created") == milliseconds


@pytest.mark.parametrize(("value", "written"), [(5, "iso"), ("soon", "seconds"), (True, "auto"), ("2020", "%Y/%m/%d"),
                                                ("nan", "seconds"), (1e300, "seconds"), ([], "auto")])  # fmt: skip
def test_what_is_no_time(value: object, written: str) -> None:
    with pytest.raises(ValueError, match="created is"):
        to_time(value, written, "created")
