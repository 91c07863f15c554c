"""Lines of a text: where they are, which of them may be cut as copies, and what is cut with them.

A line is what `str.splitlines` says: line feeds, carriage returns, both together, NEL, LS, PS and the like end one. One
of white space alone is no line but a gap. Lines of code, mathematics, tables and quotes are left where they are:
there a line means nothing without its neighbours, or is somebody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.dedup.compared import compared
from transforms.dedup.parts import are_prose, is_plain

Span = tuple[int, int]


class Lines(NamedTuple):
    """The L lines of D texts, one text after the other; places are characters of their text."""

    row: npt.NDArray[np.int32]  # (L,) the text
    begin: npt.NDArray[np.int32]  # (L,)
    stop: npt.NDArray[np.int32]  # (L,) behind its last character that is no white space
    end: npt.NDArray[np.int32]  # (L,) behind what ends it
    tokens: npt.NDArray[np.int32]  # (L,) how many it has
    digest: npt.NDArray[np.uint64]  # (L,) equal where lines are after normalisation (`compared`); 0: not to be cut

    def take(self, which: slice | npt.NDArray[np.bool_]) -> Lines:
        """Some of the lines."""
        return Lines(*(column[which] for column in self))  # type: ignore[arg-type]  # each keeps its type


def read_lines(texts: Sequence[str], least_tokens: int) -> Lines:
    """The lines of each text. least_tokens: lines of fewer are not cut. Memory: about 60 bytes a character."""
    row: list[int] = []
    places: list[tuple[int, int, int]] = []
    prose: list[bool] = []
    said: list[str] = []
    for number, text in enumerate(texts):
        written = text.splitlines(keepends=True)
        content = [line.rstrip() for line in written]
        plain = "\n".join(content)
        may_be_cut = [True] * len(content) if is_plain(plain) else are_prose(content)
        begin = 0
        for line, whole, is_prose in zip(content, written, may_be_cut, strict=True):
            if line:
                row.append(number)
                places.append((begin, begin + len(line), begin + len(whole)))
                said.append(line.lstrip())
                prose.append(is_prose and said[-1][0] != "|")
            begin += len(whole)
    found = compared(said)
    counted = np.array(prose, np.bool_) & (found.counts >= least_tokens)
    begins, stops, ends = np.array(places, np.int32).reshape(-1, 3).T
    digests = np.where(counted, found.digests, np.uint64(0))
    return Lines(np.array(row, np.int32), begins, stops, ends, found.counts.astype(np.int32), digests)


def spans_of(lines: Lines, cut: Sequence[bool], length: int) -> list[Span]:
    """What goes of a text with each line that is cut, in order. lines: all of this text. length: of the text.

    A line goes with what ends it. Gaps behind it go as well where one is before it, so that lines that stood in one
    paragraph do so afterwards, and no others; and all gaps at the end of the text when its last line goes.
    """
    number = len(lines.begin)
    begins, stops, ends = (column.tolist() for column in (lines.begin, lines.stop, lines.end))
    nexts = [*begins[1:], length]
    last = number  # the first line of the row of lines at the end that all go
    while last and cut[last - 1]:
        last -= 1
    spans: list[Span] = []
    apart = True  # a gap, or nothing, is before this place in what is left
    for line in range(last):
        if line and not cut[line - 1]:
            apart = begins[line] > ends[line - 1]
        if cut[line]:
            spans.append((begins[line] if line else 0, nexts[line] if apart else ends[line]))
            apart = apart or nexts[line] > ends[line]
    for line in range(last, number):
        begin = begins[line] if line > last else stops[last - 1] if last else 0
        spans.append((begin, nexts[line]))
    return spans
