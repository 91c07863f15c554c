"""What a forum format is: one value that says all that ingest needs to know of it. `kinds` lists those there are.

A source is pure and Beam-free. It recognises a file by its first bytes, describes it, and reads any byte range of it
into Records and Drops; the steps of ingest follow what a description says, and never ask which source it is of.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO

from transforms.datasets import places
from transforms.datasets.fates import Drop, Reason
from transforms.sources.mapping import RowMapping
from transforms.sources.marks import Marks
from transforms.sources.records import Record
from transforms.sources.streams.unpack import USUAL_LIMITS, DamageError, Limits

PACKED = r"(?:\.gz|\.bz2|\.xz|\.zst)"  # ends the names of packed files

Problem = tuple[Reason, str]  # an outcome of a whole file, and what exactly is wrong


class Holds(StrEnum):
    """What the rows of a file are, and so how a post finds its thread."""

    POSTS = "posts"  # posts and documents that name their thread
    REPLIES = "replies"  # posts that name what they reply to and no more: ingest walks up to their question
    COMMENTS = "comments"  # comments that name the number of their post: they join it
    VOTES = "votes"  # votes on numbered posts
    LINKS = "links"  # links between numbered posts

    @property
    def is_marks(self) -> bool:
        """Whether rows say something of a post, and have no text."""
        return self in (Holds.VOTES, Holds.LINKS)


@dataclass(frozen=True)
class InputFile:
    """One file to read. problem: what its first bytes already say is wrong with the whole file.

    whole: its name says that it is all that its site has of what it holds. flat_comments: a comment stands under a
    question or an answer, and is nothing without it; else comments reply to each other as well.
    """

    place: str
    name: str  # names the file in rejects and in the account: below the input, with folders where it takes them
    source: str
    site: str | None
    bytes: int
    sha256: str
    packed: bool  # cannot be read from the middle
    problem: Problem | None = None
    holds: Holds = Holds.POSTS
    whole: bool = False
    flat_comments: bool = False
    member: int | None = None  # its number in the archive at `place`, for a file in an archive
    dictionary_bytes: int = 0  # what unpacking its archive holds in memory
    mapping: RowMapping | None = None  # where one was given for this input

    @property
    def told(self) -> str:
        """For messages: its name and where it is."""
        return f"{self.name} ({self.place})"

    @property
    def readable(self) -> bool:
        """Whether any of its rows can be read: a document type that is declared is told, and keeps from nothing."""
        return self.problem is None or self.problem[0] is Reason.DOCTYPE

    @property
    def forum(self) -> str:
        """What stands before a colon and a number in the ids of numbered posts."""
        return f"{self.source}:{self.site or ''}"


@dataclass(frozen=True)
class Found:
    """A file as it was found, before anything is known of it. name: below its input. site: as the user gave it.

    named: the user named this very file, not a folder that it is in.
    """

    place: str
    name: str
    named: bool
    site: str | None
    head: bytes  # its first 64 KiB, unpacked, or all there are
    damage: DamageError | None  # what keeps it from giving more
    packed: bool
    limits: Limits
    mapping: RowMapping | None = None

    def file(
        self,
        source: str,
        site: str | None,
        problem: Problem | None,
        holds: Holds = Holds.POSTS,
        whole: bool = False,
        flat_comments: bool = False,
    ) -> InputFile:
        """The file as a source describes it. One that cannot even be unpacked has that for its problem."""
        if self.damage and not self.head.strip():
            problem = self.damage.reason, str(self.damage)
        return InputFile(
            place=self.place,
            name=self.name,
            source=source,
            site=site,
            bytes=places.size(self.place),
            sha256=places.sha256(self.place),
            packed=self.packed,
            problem=problem,
            holds=holds,
            whole=whole,
            flat_comments=flat_comments,
            mapping=self.mapping,
        )


@dataclass(frozen=True)
class Reading:
    """How a file's rows are read: what they do not say of themselves.

    author_secret: a key of up to 64 bytes, or None to store no authors. limits: of what a format that packs its rows
    itself may unpack to; other packed files are unpacked before their rows are read.
    """

    file: str  # name below the input the user gave
    site: str | None = None
    max_record_bytes: int = 8 << 20
    author_secret: bytes | None = field(default=None, repr=False)
    holds: Holds = Holds.POSTS
    mapping: RowMapping | None = None
    limits: Limits = USUAL_LIMITS
    strip_edit_labels: bool = False

    def author_key(self, within: str, author: str | None) -> str | None:
        """The keyed hash that stands for an author, 32 hexadecimal digits; None for nobody, or without a secret.

        within: says among whom the name or id is one person's, such as `reddit:`.
        """
        if self.author_secret is None or not author:
            return None
        name = f"{within}{author}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(name, key=self.author_secret, digest_size=16).hexdigest()


def _as_it_is(host: str) -> str:
    return host


def _none_of_ours(host: str, rest: str) -> Sequence[str]:
    return ()


def _no_author(line: str) -> str | None:
    return None


def _the_questions(file: str) -> str:
    return "the file with the questions"


@dataclass(frozen=True)
class Addresses:
    """How a forum writes addresses, for remove lists. A host is in lower case and without `www.`.

    host: of a forum with several, the one that its posts are known by. posts: the normal addresses that what stands
    behind a host may mean; () where it is no post's. author: `host:name` of a line that names an author in the forum's
    own way, such as u/NAME.
    """

    host: Callable[[str], str] = _as_it_is
    posts: Callable[[str, str], Sequence[str]] = _none_of_ours
    author: Callable[[str], str | None] = _no_author


@dataclass(frozen=True)
class Source:
    """A forum format.

    name: of --source, and in ids. says: what it reads, for --help. recognise: whether a file that begins so (64 KiB,
    unpacked) is one of its. names: what its files are called, for those whose content says nothing, and in folders.
    describe: the file that was found as what can be read: one InputFile, of an archive one for each member; raises
    ValueError for a site that it cannot have. read: the posts that begin in [start, end) of a file, in order, each as a
    Record or a Drop, in bounded memory; any cut of a file into ranges gives the same.

    dump: of the names below a folder those that are read together, where a forum comes as a set of files. beside: names
    of files of such a set that hold nothing to read. check_member: what is wrong with a file in an archive that begins
    so; None for a source that has no archives. read_marks: as `read`, of files that hold votes or links. numbered:
    posts' ids are `forum:number`, so that votes, links and comments can name them. mapped: its rows have no agreed
    fields, and a mapping says what they are. arrow_share: bytes of its rows in Arrow for each byte unpacked.
    questions_of: where the questions are that the answers in a file of that name belong to, for a message.
    """

    name: str
    says: str
    recognise: Callable[[bytes], bool]
    names: re.Pattern[str]
    describe: Callable[[Found], Sequence[InputFile]]
    read: Callable[[IO[bytes], int, int | None, Reading], Iterator[Record | Drop]]
    dump: Callable[[Sequence[str]], list[str]] | None = None
    beside: re.Pattern[str] | None = None
    check_member: Callable[[bytes, Holds], Problem | None] | None = None
    read_marks: Callable[[IO[bytes], int, int | None, Reading], Iterator[Marks | Drop]] | None = None
    numbered: bool = False
    mapped: bool = False
    arrow_share: float = 1.0
    addresses: Addresses = Addresses()
    questions_of: Callable[[str], str] = _the_questions
