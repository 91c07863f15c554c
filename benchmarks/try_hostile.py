"""Tries with hostile input: rows and files that no forum would write. Ingestion accounts for every row, or refuses."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import zstandard

from benchmarks.try_forum import Forum, Outcome, Result, Tries, Try, emptied, wrong
from pipelines import ingest
from pipelines.ingest_plan import IngestSettings
from tests import laws
from transforms.sources.inputs import Input

_SLOW_S = 20.0  # of CPU, for a file of at most some megabytes
_DEEP = 50_000
_GOOD = json.dumps({"id": "good", "text": "A row that is as it should be."}).encode()


def _row(**fields: object) -> bytes:
    return json.dumps({"id": 1, "text": "text", **fields}).encode()


_LINES: Mapping[str, bytes] = {
    "a list 50,000 deep": b'{"id": 1, "text": "x", "tags": ' + b"[" * _DEEP + b"]" * _DEEP + b"}",
    "a mapping 50,000 deep": b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
    "an integer of 5,000 digits": b'{"id": ' + b"9" * 5000 + b', "text": "x"}',
    "NaN, Infinity": b'{"id": NaN, "text": "x", "score": Infinity}',
    "a key twice": b'{"id": 1, "id": 2, "text": "x", "text": "y"}',
    "half a surrogate pair": b'{"id": "\\ud800", "text": "\\udc00 \\ud800 x"}',
    "NUL everywhere": _row(id="a\0b", text="\0\0", title="\0"),
    "escapes of a terminal": _row(id="\x1b[2J\x1b]0;x\x07", text="\x1b[31mred", title="\x9b2J"),
    "right-to-left override": _row(id="\u202egnp.exe", text="\u202e\u2066abc"),
    "400 kB of combining marks": _row(text="\u0301\u0323" * 100_000),
    "a million spaces": _row(text=" " * 1_000_000 + "x"),
    "a million line ends": _row(text="\n" * 1_000_000 + "x"),
    "a million opening brackets": _row(text="[" * 1_000_000),
    "100,000 opening tags": _row(text="<b>" * 100_000),
    "100,000 ampersands": _row(text="&" * 100_000),
    "a path as an id": _row(id="../../../etc/passwd"),
    "an id of 100 kB": _row(id="x" * 100_000),
    "bytes that are no UTF-8": b'{"id": 1, "text": "\xff\xfe\xc0\x80"}',
    "UTF-16": '{"id": 1, "text": "x"}'.encode("utf-16"),
    "a byte order mark inside": b"\xef\xbb\xbf" + _row(),
    "a row of 20 MB": _row(text="x" * (20 << 20)),
    "nothing but a quote": b'"',
    "a bare word": b"null",
    "numbers for texts": _row(text=5, title=7.5, tags=3),
    "lists for texts": _row(text=["a"], title={"a": 1}),
    "a date of the year 99999": _row(created="99999-01-01T00:00:00"),
    "a date of 10^30 seconds": _row(created=10**30),
    "scores beyond 64 bits": _row(score=2**80),
    "a thread that is its own parent": _row(id="a", thread_id="a", parent_id="a", kind="answer"),
}
_PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
_DTD = b'<!DOCTYPE x [<!ENTITY a %b>]><posts><row Id="1" PostTypeId="1" Body="&a;"/></posts>'
_XML: Mapping[str, bytes] = {
    "a billion laughs": _DTD % b'"aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;"',
    "an external entity": _DTD % b'SYSTEM "file:///etc/passwd"',
    "a row that never ends": b'<posts><row Id="1" PostTypeId="1" Body="' + b"x" * 1_000_000,
    "an attribute twice": b'<posts><row Id="1" Id="2" PostTypeId="1" Body="x"/></posts>',
    "100,000 attributes": b"<posts><row " + b" ".join(b'a%d="1"' % n for n in range(100_000)) + b"/></posts>",
    "a row in a comment": b'<posts><!-- <row Id="1" PostTypeId="1" Body="x"/> --></posts>',
    "no rows": b"<posts></posts>",
}


def hostile(forum: Forum, seed: int) -> Tries:
    """A hostile row between two good ones; packed files that are cut or damaged; hostile XML; files that are none."""
    for name, line in _LINES.items():
        content = b"\n".join([_GOOD, line, _GOOD.replace(b"good", b"fine"), b""])
        yield _of_file(forum, name, "rows.jsonl", content, good=2)
    chance = random.Random(seed)
    many = b"".join(_row(id=number) + b"\n" for number in range(5000))
    for suffix, pack in _PACKERS.items():
        packed = pack(many)
        for what, data in _cut(packed, chance):
            yield _of_file(forum, f"{suffix} {what}", f"rows.jsonl{suffix}", data)
        yield _of_file(forum, f"a bomb in {suffix}", f"rows.jsonl{suffix}", pack(b"0" * (64 << 20)))
    for name, data in _XML.items():
        yield _of_file(forum, name, "Posts.xml", data)
    for name, make in _FILES.items():
        yield Try(name, partial(_ingest, forum, make, 0))


def _cut(packed: bytes, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    for share in (0.0, 0.1, 0.5, 0.9):
        yield f"cut to {share:.0%}", packed[: int(len(packed) * share)]
    yield "without its last byte", packed[:-1]
    yield "with bytes behind it", packed + b"junk behind"
    for _ in range(5):
        place = chance.randrange(len(packed))
        yield f"with byte {place} changed", packed[:place] + bytes([packed[place] ^ 0xFF]) + packed[place + 1 :]


def _of_file(forum: Forum, name: str, file: str, content: bytes, good: int = 0) -> Try:
    def make(folder: Path) -> Path:
        (folder / file).write_bytes(content)
        return folder / file

    return Try(name, partial(_ingest, forum, make, good))


def _folder_of_itself(folder: Path) -> Path:
    (folder / "loop").symlink_to(folder)
    return folder


def _broken_link(folder: Path) -> Path:
    (folder / "Posts.xml").symlink_to(folder / "nowhere")
    return folder


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "rows.jsonl")
    return folder / "rows.jsonl"


def _odd_name(folder: Path) -> Path:
    place = folder / "rows \x1b[2J\n\u202e.jsonl"
    place.write_bytes(_GOOD)
    return place


_FILES: Mapping[str, Callable[[Path], Path]] = {
    "a folder that holds itself": _folder_of_itself,
    "a link to nowhere": _broken_link,
    "a pipe": _pipe,
    "a name with escapes of a terminal": _odd_name,
    "a device": lambda folder: Path("/dev/zero"),
    "an empty folder": lambda folder: folder,
}


def _ingest(forum: Forum, make: Callable[[Path], Path], good: int) -> Result:
    """Ingests what `make` writes; `good` rows of it must come through if anything does."""
    into = emptied(forum.folder / "tries")
    place = make(emptied(forum.folder / "hostile"))
    settings = IngestSettings(num_shards=1, max_drop_rate=1.0, allow_damaged=True)
    site = "x.example.org" if place.suffix == ".xml" else "corpus"
    started = time.process_time()
    try:
        manifest = ingest.run([Input(str(place), None, site)], str(into / "documents"), settings)
    except (ValueError, OSError) as error:
        return Result(Outcome.TOLD, str(error)) if str(error) else wrong("refused without a word")
    except Exception as error:
        return wrong(f"{type(error).__name__}: {str(error)[:300]}")
    finally:
        seconds = time.process_time() - started
    if seconds > _SLOW_S:
        return wrong(f"took {seconds:.0f} s of CPU")
    laws.assert_sound(into / "documents")
    account = manifest.inputs[0]
    parts = (sum(account.get(part, {}).values()) for part in ("used", "unused", "dropped"))
    if account["rows"] != account["kept"] + sum(parts):
        return wrong(f"rows are missing from the account: {account}")
    if manifest.rows < good:
        return wrong(f"{manifest.rows} rows, of which {good} are as they should be")
    return Result(Outcome.UNDISTURBED if manifest.rows > good else Outcome.TOLD, str(manifest.counts.get("drop", "")))
