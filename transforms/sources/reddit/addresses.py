"""How Reddit writes the addresses of its posts, and its users' names: u/NAME.

Its ids are unique over all of it, so the subreddit, whose case varies and which a row may lack, does not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from transforms.sources.source import Addresses

_HOST = "reddit.com"
_SHORT_HOST = "redd.it"
# Possessive quantifiers keep them linear: an address comes from a row and may be a megabyte long.
_POST = re.compile(r"(?:/(?:r|u|user)/[^/?#]++)?/comments/(\w++)(?:/[^/?#]*+(?:/(\w++))?)?/?(?:[?#].*+)?", re.DOTALL)
_SHORT = re.compile(r"/(?:(?:gallery|tb|duplicates|poll|video)/)?(\w++)(?:/[^?#]*+)?(?:[?#].*+)?", re.DOTALL)
# On reddit.com itself a first word with more behind it is a section, as in /wiki/index: no post's id.
_VIEW = re.compile(r"/(?:(?:gallery|tb|duplicates|poll|video)/(\w++)(?:/[^?#]*+)?|(\w++)/?)(?:[?#].*+)?", re.DOTALL)
_WORDS = frozenset({"r", "u", "user", "comments"})  # begin an address that is no post's
_NAME = re.compile(r"/?u/([\w-]++)/?", re.ASCII)


def _host(host: str) -> str:
    """Names its languages and faces as old.reddit.com, de.reddit.com: all of them are one."""
    return _HOST if host.endswith(f".{_HOST}") else host


def _posts(host: str, rest: str) -> Sequence[str]:
    if host == _SHORT_HOST and (short := _SHORT.fullmatch(rest)):
        return [f"{_HOST}/comments/{short[1]}"]
    if host != _HOST:
        return ()
    if post := _POST.fullmatch(rest):
        return [f"{_HOST}/comments/{post[1]}" + (f"/_/{post[2]}" if post[2] else "")]
    if (view := _VIEW.fullmatch(rest)) and view[2] not in _WORDS:
        return [f"{_HOST}/comments/{view[1] or view[2]}"]
    return ()


def _author(line: str) -> str | None:
    name = _NAME.fullmatch(line)
    return f"{_HOST}:{name[1]}" if name else None


ADDRESSES = Addresses(_host, _posts, _author)
