"""What must not travel with a pipeline: the author secret and the remove list.

A pipeline's graph is written where others may read it: into a runner's temporary folder, onto its page of the job, into
its logs. So neither of the two is in it, nor a hash that names and weak secrets could be tried against by the million:
what stands there is where each of them lies and a digest by scrypt. Each worker process reads both itself before its
first row, and does not begin with others than those that the run began with. Manifests and the names of caches hold the
same digests.

scrypt has n = 2^15, r = 8, p = 1, and a salt that says its purpose: a guess takes 0.1 s and 32 MB. Author keys come of
it as well (they stand in datasets beside ids that the forum tells to all), so that neither way is the shorter one.
"""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import log2

from transforms.datasets import places
from transforms.ingest import removal
from transforms.ingest.removal import RemoveList

_SALT, _LIST_SALT = b"agora author secret", b"agora remove list "
_KEY_BYTES, _DIGEST_BYTES = 32, 16
_MOST_BYTES = 1 << 16  # of a secret: a larger file is something else, named by mistake
_LEAST_BITS = 128
_LEAST_STEPS = 8
# What random characters are written in, the narrowest first: a secret of n of them has at most n log2(size) bits.
_ALPHABETS = [
    (re.compile(pattern), size)
    for pattern, size in (
        (rb"[0-9]+", 10),
        (rb"[0-9a-f]+|[0-9A-F]+", 16),
        (rb"[a-z]+|[A-Z]+", 26),
        (rb"[0-9a-z]+|[0-9A-Z]+", 36),
        (rb"[0-9A-Za-z+/=_-]+", 64),
        (rb"[ -~]+", 95),
    )
]
_ANY_BYTE = 256


@dataclass(frozen=True)
class Sealed:
    """A file that stays where it is. digest: by scrypt, of what it says: line ends at its end, and in a remove list
    order, duplicates and comments, make no other one."""

    place: str
    digest: str


@dataclass(frozen=True)
class Opened:
    """What a process has read: the key of author keys, or None to store no authors, and the remove list.

    It cannot be pickled, so that no graph can hold it.
    """

    author_key: bytes | None = field(default=None, repr=False)
    remove: RemoveList = field(default_factory=RemoveList)

    def __reduce__(self) -> str:
        raise TypeError("the author secret and the remove list do not travel; send Withheld, and open it in setup()")


@dataclass(frozen=True)
class Withheld:
    """What travels in their stead. `withhold` makes it."""

    author_secret: Sealed | None = None
    remove_list: Sealed | None = None

    @property
    def digests(self) -> dict[str, str | None]:
        """Of each, by its name among the settings of ingest; None where it was not given."""
        given = {"author_secret": self.author_secret, "remove_list": self.remove_list}
        return {name: sealed.digest if sealed else None for name, sealed in given.items()}

    def open(self) -> Opened:
        """Both as this process has read them, once. Raises ValueError when one is not here, or is another one."""
        with _LOCK:
            if self not in _KNOWN:
                found, opened = _read(_place(self.author_secret), _place(self.remove_list))
                _check_same("author secret", self.author_secret, found.author_secret)
                _check_same("remove list", self.remove_list, found.remove_list)
                _keep(found, opened)
            return _KNOWN[self]


_LOCK = threading.Lock()  # Beam sets DoFns up in several threads
_KNOWN: dict[Withheld, Opened] = {}  # of the last run of this process


def withhold(author_secret: str | None, remove_list: str | None) -> Withheld:
    """Reads the files at both places; what they say stays in this process.

    Raises ValueError for a place with no such file, a secret that can be guessed, a list without entries.
    """
    found, opened = _read(author_secret, remove_list)
    with _LOCK:
        _keep(found, opened)
    return found


def _keep(found: Withheld, opened: Opened) -> None:
    _KNOWN.clear()
    _KNOWN[found] = opened


def _read(author_secret: str | None, remove_list: str | None) -> tuple[Withheld, Opened]:
    key, secret, listed, remove = None, None, None, RemoveList()
    if author_secret is not None:
        derived = _scrypt(_secret_at(author_secret), _SALT, _KEY_BYTES + _DIGEST_BYTES)
        key, secret = derived[:_KEY_BYTES], Sealed(author_secret, _told(derived[_KEY_BYTES:]))
    if remove_list is not None:
        remove = removal.load(remove_list, _content(remove_list, "remove list"))
        # Keyed with the secret, where there is one: without it nobody can try names against the digest at all.
        derived = _scrypt(remove.hashes + remove.numbers, _LIST_SALT + (key or b""), _DIGEST_BYTES)
        listed = Sealed(remove_list, _told(derived))
    return Withheld(secret, listed), Opened(key, remove)


@lru_cache(maxsize=4)  # a run looks at its files again when it ends
def _scrypt(content: bytes, salt: bytes, num_bytes: int) -> bytes:
    return hashlib.scrypt(content, salt=salt, n=1 << 15, r=8, p=1, maxmem=64 << 20, dklen=num_bytes)


def _told(digest: bytes) -> str:
    return f"scrypt:{digest.hex()}"


def _place(sealed: Sealed | None) -> str | None:
    return sealed.place if sealed else None


def _check_same(what: str, wanted: Sealed | None, found: Sealed | None) -> None:
    if wanted and wanted != found:
        raise ValueError(
            f"the {what} {wanted.place} is another one here than where the run began: it was exchanged since, or other "
            "machines have another file there. Put it back, or name a place that all workers see, such as one on gs:// "
            "or s3://, and run the same command again"
        )


def _content(place: str, what: str) -> bytes:
    if places.is_pipe(place):
        raise ValueError(f"the {what} {place} is a pipe, which can be read once; every worker reads it: name a file")
    try:
        return places.read_bytes(place)
    except FileNotFoundError:
        raise ValueError(f"there is no {what} {place}; check the path, which every worker must see") from None


def _secret_at(place: str) -> bytes:
    """The secret without white space around it: an editor's line end makes no other keys. Raises ValueError."""
    secret = _content(place, "author secret").strip()
    if not secret:
        problem = "is empty"
    elif len(secret) > _MOST_BYTES:
        problem = f"has {len(secret):,} bytes, where a secret has at most {_MOST_BYTES:,}"
    elif (bits := _most_bits(secret)) < _LEAST_BITS:
        problem = f"can be guessed: it has {len(secret)} bytes, which are at most {bits} random bits"
    elif len(_steps(secret)) < _LEAST_STEPS:
        problem = "can be guessed: it repeats itself, or counts up"
    else:
        return secret
    raise ValueError(
        f"the author secret {place} {problem}; want at least {_LEAST_BITS // 8} random bytes, as 32 hexadecimal digits "
        "or 22 characters of base64. `agora secret FILE` makes one"
    )


def _most_bits(secret: bytes) -> int:
    """What so many random characters of its alphabet have. Of words it is far too much: nothing here knows words."""
    size = next((size for pattern, size in _ALPHABETS if pattern.fullmatch(secret)), _ANY_BYTE)
    return int(len(secret) * log2(size))


def _steps(secret: bytes) -> set[int]:
    """How far each byte is from the one before it; few ways in what repeats itself or counts."""
    return {after - before for before, after in pairwise(secret)}
