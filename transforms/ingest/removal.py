"""Posts that someone asked to be left out: a list of ids, URLs and authors, matched where posts are parsed.

One entry a line; blank lines and lines that begin with # are none:

    stackexchange:beer.stackexchange.com:6        a post's id in full, or as its forum writes it (6, t3_abc), any site
    https://beer.stackexchange.com/questions/6/x  a post's URL, in any of the ways its forum writes it
    author:42, author:beer.stackexchange.com:42   an author's id or name, on any site or on one
    https://beer.stackexchange.com/users/42/jane  the same, as a profile's address; on Reddit /user/NAME
    Jane Doe, u/NAME                              an author's name

An author is known by what the post's own row says: in Stack Exchange the id of who has an account, and the name only
of those who have none any more.

Only hashes of entries leave this module, and these no process (`withheld`): no entry reaches a graph, a manifest, a
reject or a log, nor what one could be guessed from. A meaning of an entry is 16 bytes of BLAKE2b in one sorted string,
searched by halving, and the entry's number: 20 MB for a million. With 128 bits no exact check is needed (a million
against 10^12 posts give a false match once in 10^20 runs). Order, duplicates and the case of names do not matter.

A removed question takes its thread with it: its answers and comments are dropped because their question is.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from transforms.datasets import places
from transforms.datasets.fates import WITHDRAWN, Drop, Reason
from transforms.sources.kinds import SOURCES
from transforms.sources.records import Record
from transforms.text.stream_safe import stream_safe

_DIGEST_BYTES = 16
_FORUMS = [source.addresses for source in SOURCES.values()]
_AUTHOR = "author:"
_DETAIL = "the remove list names it, its address or its author"

_HOST = re.compile(r"[a-z][a-z0-9+.-]*+://(?:www\.|old\.|new\.|np\.|i\.)?([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_PROFILE = re.compile(r"/(?:u|user|users)/([^/?#]++)(?:/[^/?#]*+)?/?(?:[?#].*+)?", re.DOTALL)


@dataclass(frozen=True)
class RemoveList:
    """hashes: of all meanings, sorted; numbers: uint32, the entry that each belongs to. Empty: nothing is removed."""

    hashes: bytes = b""
    numbers: bytes = b""
    num_entries: int = 0

    def __repr__(self) -> str:
        return f"RemoveList of {self.num_entries} entries"

    def __reduce__(self) -> str:
        raise TypeError("a remove list does not travel: its hashes tell whoever has a list of names which are in it")

    def post(self, doc_id: str, url: str | None) -> int | None:
        """The number of the entry that names this post by id or URL, or None."""
        own_id = doc_id.split(":", 2)[-1]
        for entry in (f"id\0{doc_id}", f"id\0{own_id}", f"id\0{own_id.rpartition('/')[2]}"):
            if (found := self._find(entry)) is not None:
                return found
        named = (self._find(f"url\0{normal}") for normal in (normal_urls(url) if url is not None else ()))
        return next((number for number in named if number is not None), None)

    def names(self, item: Record | Drop) -> int | None:
        """The number of the entry that names what was parsed, or None. A drop has only its id."""
        if isinstance(item, Drop):
            return None if item.record_id is None else self.post(item.record_id, None)
        number = self.post(item.doc_id, item.url)
        return self.author(item.site, *item.authors) if number is None else number

    def author(self, site: str, *known: str | None) -> int | None:
        """The number of the entry that names one of an author's ids and names on this site, or None."""
        for name in filter(None, known):
            normal = _normal_name(name)
            site, host = site.lower(), site.lower().split("/")[0]  # of Reddit, a site is a subreddit
            for entry in (f"author\0{normal}", f"author\0{site}:{normal}", f"author\0{host}:{normal}"):
                if (found := self._find(entry)) is not None:
                    return found
        return None

    def _find(self, entry: str) -> int | None:
        if not self.hashes:
            return None
        wanted, low, high = _hashed(entry), 0, len(self.hashes) // _DIGEST_BYTES
        while low < high:
            middle = (low + high) // 2
            found = self.hashes[middle * _DIGEST_BYTES : (middle + 1) * _DIGEST_BYTES]
            if found == wanted:
                return int.from_bytes(self.numbers[middle * 4 : middle * 4 + 4], "big")
            low, high = (middle + 1, high) if found < wanted else (low, middle)
        return None


def load(place: str, content: bytes) -> RemoveList:
    """The list that a file holds. Raises ValueError when it holds no entry, or is no text."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the remove list {place} is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    entries = parse(text.splitlines())
    if not entries.num_entries:
        raise ValueError(f"the remove list {place} has no entries; give one a line, or leave the list out")
    return entries


def parse(lines: Iterable[str]) -> RemoveList:
    """Lines as a list."""
    entries = _numbers(lines)
    number_of: dict[bytes, int] = {}
    for hashes, number in entries.items():
        for hashed in hashes:
            number_of.setdefault(hashed, number)
    known = sorted(number_of)
    return RemoveList(b"".join(known), b"".join(number_of[h].to_bytes(4, "big") for h in known), len(entries))


def keep_out(
    parsed: Iterable[Record | Drop], file: str, remove: RemoveList, by_parents: bool = False
) -> Iterator[Record | Drop]:
    """What was parsed, with the posts that the list names as drops.

    Their ids stay with them until threads are joined, so that answers are counted as those of a removed question; they
    are not written. by_parents: threads are found by what posts reply to, so that every id stays until then.
    """
    if not remove.num_entries:
        yield from parsed
        return
    for item in parsed:
        number = remove.names(item)
        if number is None:
            yield item
        elif isinstance(item, Record) or item.reason in WITHDRAWN or by_parents:
            post_id = item.doc_id if isinstance(item, Record) else item.record_id
            yield Drop(file, item.offset, post_id, Reason.REMOVED_ON_REQUEST, _DETAIL, number, item.parent_id)
        else:
            yield replace(item, record_id=None)


def _meanings(line: str) -> Iterator[str]:
    if not line or line.startswith("#"):
        return
    if line.lower().startswith(_AUTHOR):
        yield f"author\0{_normal_name(line[len(_AUTHOR) :])}"
    elif "://" in line:
        yield from (f"url\0{url}" for url in normal_urls(line))
        if author := _profile_of(line):
            yield f"author\0{author}"
    elif authors := [author for forum in _FORUMS if (author := forum.author(line))]:
        for host, _, name in (author.partition(":") for author in authors):
            yield f"author\0{host}:{_normal_name(name)}"
    elif " " in line:
        yield f"author\0{_normal_name(line)}"
    else:  # an id, or a name of one word; a number alone is a post's, never an author's
        yield f"id\0{line}"
        if not line.isdecimal():
            yield f"author\0{_normal_name(line)}"


def _hashed(entry: str) -> bytes:
    data = entry.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, person=b"agora-entry").digest()


def _normal_name(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", stream_safe(name)).casefold().split())


def unmatched(place: str, matched: Collection[int]) -> list[int]:
    """The numbers, from 1, of the lines of a list whose entry named no post: a line itself may be somebody's name.

    matched: numbers of entries, as drops have them.
    """
    lines = places.read_bytes(place).decode("utf-8-sig").splitlines()
    numbers = _numbers(lines)
    return [at for at, line in enumerate(lines, 1) if (entry := _entry(line)) and numbers[entry] not in matched]


def _entry(line: str) -> tuple[bytes, ...]:
    """The hashes of what a line means; () for one that is no entry."""
    return tuple(_hashed(meaning) for meaning in _meanings(line.strip()))


def _numbers(lines: Iterable[str]) -> dict[tuple[bytes, ...], int]:
    """Entries are numbered in the order of their hashes, which tells nothing of the lines' order."""
    return {entry: number for number, entry in enumerate(sorted({found for found in map(_entry, lines) if found}))}


def normal_urls(url: str) -> Sequence[str]:
    """What a post's address may mean, each in one spelling: without scheme, the host in lower case, titles and tracking
    left out. One that no forum knows as its own is what it is."""
    parts = _HOST.fullmatch(url.strip())
    if parts is None:
        return [url.strip()]
    host, rest = _host(parts[1]), parts[2]
    for forum in _FORUMS:
        if found := forum.posts(host, rest):
            return found
    return [host + rest.rstrip("/")]


def _host(name: str) -> str:
    host = name.lower()
    for forum in _FORUMS:
        host = forum.host(host)
    return host


def _profile_of(url: str) -> str | None:
    """`host:author` of a profile's address, or None."""
    parts = _HOST.fullmatch(url.strip())
    profile = parts and _PROFILE.fullmatch(parts[2])
    return f"{_host(parts[1])}:{_normal_name(profile[1])}" if parts and profile else None
