"""Looks for bytes in what is packed into each other: a graph's pickles in base64, compressed caches, Arrow."""

from __future__ import annotations

import base64
import bz2
import re
import zlib
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa
import zstandard

_DEEPEST = 8  # a pickle within one within a graph has four
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
_PACKED = re.compile(rb"BZh[1-9]1AY&SY|\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08|\x28\xb5\x2f\xfd", re.DOTALL)
_ARROW_FILE, _ARROW_STREAM = b"ARROW1", b"\xff\xff\xff\xff"


def spellings(secret: bytes) -> set[bytes]:
    """How bytes may stand in a text: as they are, in hexadecimal digits, as Python shows them."""
    return {secret, secret.hex().encode(), secret.hex().upper().encode(), repr(secret)[2:-1].encode()}


def found_in(data: bytes, wanted: Collection[bytes]) -> set[bytes]:
    """Which of the wanted stand in some bytes, or in anything that is packed into them. Nothing is unpickled: strings
    and bytes stand in a pickle as they are."""
    found: set[bytes] = set()
    for text in _texts(data, set(), _DEEPEST):
        found |= {secret for secret in wanted if secret in text}
    return found


def _texts(data: bytes, seen: set[bytes], deepest: int) -> Iterator[bytes]:
    """The bytes, and all that can be unpacked of them, each once."""
    if data in seen or not deepest:
        return
    seen.add(data)
    yield data
    for inner in _inner(data):
        yield from _texts(inner, seen, deepest - 1)


def _inner(data: bytes) -> Iterator[bytes]:
    for magic in _PACKED.finditer(data):
        try:
            yield _unpacker(magic[0]).decompress(data[magic.start() :])
        except (OSError, EOFError, ValueError, zlib.error, zstandard.ZstdError):
            continue  # it only looks like it
    for run in _BASE64.findall(data):
        for start in range(4):  # characters before it may be of the length that a protocol buffer gives
            text = run[start:].translate(bytes.maketrans(b"-_", b"+/"))
            yield base64.b64decode(text[: len(text) // 4 * 4] if len(text) % 4 == 1 else text + b"=" * (-len(text) % 4))
    if data.startswith((_ARROW_FILE, _ARROW_STREAM)):
        yield from _columns(data)


def _unpacker(magic: bytes) -> Any:
    if magic.startswith(b"BZh"):
        return bz2.BZ2Decompressor()
    return zstandard.ZstdDecompressor().decompressobj() if magic.startswith(b"\x28") else zlib.decompressobj(47)


def _columns(data: bytes) -> Iterator[bytes]:
    try:
        table = (pa.ipc.open_file if data.startswith(_ARROW_FILE) else pa.ipc.open_stream)(data).read_all()
    except (pa.ArrowInvalid, OSError):
        return  # cut short
    yield repr((table.schema.metadata, table.to_pylist())).encode("utf-8", "surrogatepass")
