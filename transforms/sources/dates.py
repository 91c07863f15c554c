"""Dates that no forum can have: counted, not dropped, since a post's text is as good as any other.

No clock decides what lies in the future: the same input shall give the same bytes tomorrow.
"""

from __future__ import annotations

ODD_DATE = "odd-date"

# Forums of the web are younger, and this century's dumps end before.
_PLAUSIBLE = range(946_684_800_000, 4_102_444_800_000)  # 2000 to 2099, in milliseconds


def is_odd(created: int | None) -> bool:
    """Whether a time, in milliseconds since 1970, lies outside the years 2000 to 2099."""
    return created is not None and created not in _PLAUSIBLE
