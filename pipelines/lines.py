"""Lines of text as they come: a pipe is answered at once, memory is bounded, and what is not UTF-8 is told."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from pipelines.report.html import counted

_CHUNK_BYTES = 1 << 16
_MOST_BYTES = 1 << 17  # of a line: more than is read of a text for its language


@dataclass
class Lines:
    """The lines of a stream, without their ends, in batches: those that are there when it is read.

    number, damaged, cut: lines so far; those with bytes that are no UTF-8, each of which becomes U+FFFD; those of more
    than _MOST_BYTES, of which only so much is kept.
    """

    stream: IO[bytes]
    number: int = 0
    damaged: int = 0
    cut: int = 0

    def batches(self) -> Iterator[list[str]]:
        """Every line once, in order; an empty one is "". No batch is empty. A mark of UTF-8 at the start is no text."""
        read = getattr(self.stream, "read1", self.stream.read)  # files on object stores have no read1, and no lulls
        left = b""
        while chunk := read(_CHUNK_BYTES):
            *lines, left = (left + chunk).split(b"\n")
            left = left[: _MOST_BYTES + 1]
            if lines:
                yield [self._text(line) for line in lines]
        if left:
            yield [self._text(left)]

    def _text(self, line: bytes) -> str:
        whole = len(line) <= _MOST_BYTES
        self.number += 1
        self.cut += not whole
        try:
            text, _ = codecs.utf_8_decode(line[:_MOST_BYTES], "strict", whole)  # where it is cut may be in a character
        except UnicodeDecodeError:
            self.damaged += 1
            text, _ = codecs.utf_8_decode(line[:_MOST_BYTES], "replace", whole)
        return (text.removeprefix("\ufeff") if self.number == 1 else text).removesuffix("\r")

    def troubles(self) -> list[str]:
        """What is to be said of the lines so far; nothing when all were whole."""
        told = []
        if self.damaged:
            told.append(
                f"{counted(self.damaged, 'line')} of {self.number:,} with bytes that are no UTF-8: those were read as "
                "U+FFFD"
            )
        if self.cut:
            told.append(
                f"{counted(self.cut, 'line')} of {self.number:,} with more than {_MOST_BYTES:,} bytes: read so far"
            )
        return told
