"""Stack Exchange as a source: a dump is a folder of tables, or a .7z archive of them, and does not name its site."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from transforms.datasets import places, shown
from transforms.datasets.fates import Reason
from transforms.sources.sites import SiteRule
from transforms.sources.source import PACKED, Found, InputFile, Source
from transforms.sources.stackexchange.addresses import ADDRESSES
from transforms.sources.stackexchange.post_rows import read_posts
from transforms.sources.stackexchange.tables import NAME, TABLES, check_head, holds_of
from transforms.sources.stackexchange.vote_rows import read_marks
from transforms.sources.streams import archives
from transforms.sources.streams.unpack import DamageError

_TABLE = re.compile(rf"(?:{'|'.join(TABLES.values())})\.xml{PACKED}?", re.IGNORECASE)
_POSTS = re.compile(rf"posts\.xml{PACKED}?", re.IGNORECASE)


def _recognise(head: bytes) -> bool:
    return head.startswith(archives.MAGIC) or head.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n").startswith(b"<")


def _dump(names: Sequence[str]) -> list[str]:
    """The tables of the dump in a folder; where there is none, the archives."""
    if any(_POSTS.fullmatch(name) for name in names):
        return [name for name in names if _TABLE.fullmatch(name)]
    return [name for name in names if name.lower().endswith(".7z")]


def _describe(found: Found) -> Sequence[InputFile]:
    if found.head.startswith(archives.MAGIC):
        return list(_tables_in(found))
    site = _host(found, found.place)
    SiteRule.HOST.check(site, found.place)
    holds = holds_of(found.head, found.name)
    problem = check_head(found.head, holds)
    if problem and problem[0] is Reason.WRONG_FORMAT and found.name.lower().endswith(".7z"):
        problem = Reason.WRONG_FORMAT, "neither a 7z archive nor a table of a dump"
    whole = _TABLE.fullmatch(places.name(found.name)) is not None
    return [found.file(NAME, site, problem, holds, whole, flat_comments=True)]


def _tables_in(found: Found) -> Iterator[InputFile]:
    """The tables of an archive, or where it cannot be read at all, the archive itself with what is wrong with it.

    Its site is the one given, else the folder in it that the table lies in where that is a host's name, else the one
    that its own name states, as Stack Exchange publishes them.
    """
    site = _host(found, found.place)
    archive = found.file(NAME, site, None, flat_comments=True)
    try:
        members = archives.members(found.place, found.limits)
    except DamageError as error:
        SiteRule.HOST.check(site, found.place)
        yield replace(archive, packed=True, problem=(error.reason, str(error)))
        return
    num_tables = 0
    for member in members:
        folder, _, file_name = member.name.rpartition("/")
        if not _TABLE.fullmatch(file_name):
            continue
        own_site = _host(found, f"{places.name(folder)}.7z") or site
        SiteRule.HOST.check(own_site, shown.name(f"{member.name} in {found.place}"))
        label = "".join(letter if letter.isprintable() else "?" for letter in f"{found.name}/{member.name}")
        num_tables += 1
        yield replace(
            archive,
            name=label,
            site=own_site,
            bytes=member.bytes,
            sha256=hashlib.sha256(f"{archive.sha256}\n{member.index}".encode()).hexdigest(),
            packed=True,
            problem=member.problem or (None if member.bytes else (Reason.EMPTY_FILE, "no content")),
            holds=holds_of(b"", file_name),
            whole=True,
            member=member.index,
            dictionary_bytes=member.dictionary_bytes,
        )
    if not num_tables and found.named:
        names, tables = [member.name for member in members[:5]], ", ".join(TABLES.values())
        raise ValueError(f"{shown.name(found.place)} holds none of {tables} (.xml), which are read; found {names}")


def _host(found: Found, archive: str) -> str | None:
    """The site of a dump: as given, else as an archive's name states it. Hosts are the same in capitals."""
    site = found.site or archives.site_of(archive)
    return site.lower() if site else None


SOURCE = Source(
    name=NAME,
    questions_of=lambda file: "the site's whole Posts.xml, in which the questions are as well",
    says="Stack Exchange (folder, .7z or Posts.xml)",
    recognise=_recognise,
    names=re.compile(rf".*\.(?:xml{PACKED}?|7z)", re.IGNORECASE),
    describe=_describe,
    read=read_posts,
    dump=_dump,
    beside=re.compile(rf"(?:badges|posthistory|tags|users)\.xml{PACKED}?", re.IGNORECASE),
    check_member=check_head,
    read_marks=read_marks,
    numbered=True,
    addresses=ADDRESSES,
)
