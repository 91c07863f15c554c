"""Large packed files are unpacked once into blocks of scratch space, and so become ranges that all workers parse.

Without this a month of Reddit, one Zstandard stream of tens of gigabytes, keeps one worker busy and the others idle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import apache_beam as beam

from transforms.datasets import places
from transforms.ingest.parse import FileRange
from transforms.sources.kinds import SOURCES
from transforms.sources.source import InputFile, Problem
from transforms.sources.streams.archives import read_members
from transforms.sources.streams.blocks import Blocks, open_blocks, write_blocks
from transforms.sources.streams.unpack import USUAL_LIMITS, Limits, open_unpacked

_HEAD_BYTES = 1 << 16

# A packed file of fewer bytes is parsed sooner than it is copied and shared out.
_WORTH_SHARING = 8 << 20


@dataclass(frozen=True)
class Reblock:
    """scratch: where blocks go. block_bytes: of unpacked data in each, about what a worker parses at a time.

    shared: a large packed file is worth a copy, since several workers wait for its rows. An archive always is: its
    tables can only be read one behind the other.
    """

    scratch: str
    block_bytes: int
    limits: Limits = USUAL_LIMITS
    shared: bool = True


def reblock(piece: FileRange, how: Reblock) -> Iterator[FileRange]:
    """The range as it is, or the ranges of a large packed file's blocks, which are written here.

    Names of blocks come from the file's content, so a retry writes the same ones.
    """
    file = piece.file
    small = file.bytes < min(_WORTH_SHARING, how.block_bytes)
    if not how.shared or piece.cached or not file.packed or not file.readable or small:
        yield piece
        return
    name = hashlib.sha256(f"{file.name}\n{file.sha256}".encode()).hexdigest()[:32]
    with open_unpacked(file.place, how.limits) as stream:
        blocks = write_blocks(stream, places.join(how.scratch, "blocks", name), how.block_bytes)
    for start, end in blocks.ranges():
        yield replace(piece, start=start, end=end, blocks=blocks)


def by_archive(ranges: Iterable[FileRange]) -> list[tuple[FileRange, ...]]:
    """What is unpacked together: the ranges of an archive's tables; every other range by itself."""
    alone: list[tuple[FileRange, ...]] = []
    archives: dict[tuple[str, str | None], list[FileRange]] = {}  # one may be given for two sites
    for piece in ranges:
        if piece.file.member is None or piece.cached:
            alone.append((piece,))
        else:
            archives.setdefault((piece.file.place, piece.file.site), []).append(piece)
    return [*alone, *map(tuple, archives.values())]


def _unpack_archive(pieces: Sequence[FileRange], how: Reblock) -> Iterator[FileRange]:
    """The ranges of the tables in one archive, unpacked in one pass over it. An unreadable table stays as it is."""
    wanted = {piece.file.member: piece for piece in pieces if piece.file.readable and piece.file.member is not None}
    yield from (piece for piece in pieces if piece.file.member not in wanted)
    for index, stream in read_members(pieces[0].file.place, sorted(wanted)):
        piece = wanted[index]
        folder = places.join(how.scratch, "blocks", piece.file.sha256[:32])
        blocks = write_blocks(stream, folder, how.block_bytes)
        file = replace(piece.file, problem=_problem(blocks, piece.file))
        for start, end in blocks.ranges():
            yield replace(piece, file=file, start=start, end=end, blocks=blocks)


def _problem(blocks: Blocks, file: InputFile) -> Problem | None:
    """What the first bytes of an unpacked member say is wrong with it."""
    if not blocks.num_bytes and blocks.damage:
        return blocks.damage_reason, blocks.damage
    with open_blocks(blocks) as stream:
        head = stream.read(min(blocks.num_bytes, _HEAD_BYTES))
    check = SOURCES[file.source].check_member
    return check(head, file.holds) if check else None


def _unpack(pieces: Sequence[FileRange], how: Reblock) -> Iterator[FileRange]:
    """What `by_archive` gave, as ranges that any worker can parse."""
    if pieces[0].file.member is None or pieces[0].cached:
        yield from reblock(pieces[0], how)
    else:
        yield from _unpack_archive(pieces, how)


class Unpack(beam.PTransform):
    """Tuples of FileRanges, as `by_archive` makes them, to FileRanges spread over the workers. One unpacks each tuple.

    Memory: a chunk, and what the file was packed with: an archive's dictionary, a window (up to 2 GiB for Reddit's
    monthly dumps).
    """

    def __init__(self, how: Reblock) -> None:
        super().__init__()
        self._how = how

    def expand(self, pieces: beam.PCollection) -> beam.PCollection:
        return pieces | beam.FlatMap(_unpack, self._how) | "SpreadRanges" >> beam.Reshuffle()
