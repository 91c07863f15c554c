"""How Stack Exchange writes the addresses of its posts: on any host, since every site of it has one of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from transforms.sources.source import Addresses

# Ways in which one post's address is written (path, then what follows it), and the way that we write it.
# Possessive quantifiers keep them linear: an address comes from a row and may be a megabyte of digits.
_SPELLINGS = (
    (re.compile(r"/questions/\d++(?:/[^?#]*+)?(?:\?[^#]*+)?#comment(\d++)_\d++"), r"#comment\1"),
    (re.compile(r"/(?:questions|q|a)/\d++[^#]*+#comment(\d++)_\d++"), r"#comment\1"),
    (re.compile(r"/posts/comments/(\d++).*+"), r"#comment\1"),
    (re.compile(r"/questions/\d++/[^/?#]*+/(\d++)(?:\?[^#]*+)?(?:#\1)?"), r"/a/\1"),
    (re.compile(r"/questions/\d++/[^/?#]*+(?:\?[^#]*+)?#(\d++)"), r"/a/\1"),
    (re.compile(r"/(?:questions|q)/(\d++)(?:/[^?#]*+)?(?:\?[^#]*+)?(?:#.*+)?"), r"/questions/\1"),
    (re.compile(r"/a/(\d++)(?:/\d++)?(?:\?[^#]*+)?(?:#.*+)?"), r"/a/\1"),
)
# A post by its number alone, whether it is a question or an answer: the number is one post's on its site.
_ANY_POST = re.compile(r"/posts/(\d++)(?:/[^?#]*+)?(?:[?#].*+)?", re.DOTALL)


def _posts(host: str, rest: str) -> Sequence[str]:
    for pattern, spelling in _SPELLINGS:
        if found := pattern.fullmatch(rest):
            return [host + found.expand(spelling)]
    if found := _ANY_POST.fullmatch(rest):
        return [f"{host}/{kind}/{found[1]}" for kind in ("questions", "a")]
    return ()


ADDRESSES = Addresses(posts=_posts)
