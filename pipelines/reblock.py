"""Reblock: one large file of JSON lines, packed or not, to many small ones, so that later runs read them in parallel.

    agora reblock RC_2024-01.zst --output RC_2024-01

A single Zstandard or gzip stream is unpacked by one worker, however many there are. `agora ingest` with several workers
does that by itself, in scratch space, on every run; this does it once. Each file holds whole lines, in order, as a
Zstandard frame of its own with a checksum, and together they hold every byte of the original: rows, damaged ones too,
are kept or dropped by ingest exactly as before (but for the offsets of rejects, which count within a file).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from typing import IO, Annotated

import typer
import zstandard

from pipelines.command import console, run_command
from transforms.datasets import places
from transforms.datasets.settings import SettingError
from transforms.sources.rows import parquet
from transforms.sources.streams import archives
from transforms.sources.streams.pieces import read_chunk
from transforms.sources.streams.unpack import Limits, open_unpacked

_BLOCK_BYTES = 64 << 20
_HEAD_BYTES = 1 << 10  # in which a format shows
_LEVEL = 3
_FORMATS = {archives.MAGIC: "a .7z archive", parquet.MAGIC: "Parquet"}


@dataclass(frozen=True)
class Reblocked:
    """What was written: files and unpacked bytes; damage: why the original could not be read to its end, or ""."""

    files: tuple[str, ...]
    num_bytes: int
    damage: str


def run(source: str, output: str, block_bytes: int = _BLOCK_BYTES, limits: Limits | None = None) -> Reblocked:
    """Writes `source` as files of at least block_bytes of whole lines into the new folder `output`.

    The folder appears when all of it is written. Raises SettingError for block_bytes below 1, ValueError when `output`
    is there, is not local, or `source` is XML, Parquet or an archive, which have no lines (ingest cuts them by itself).
    Memory: a chunk, however long a line.
    """
    if block_bytes < 1:
        raise SettingError("block_bytes", f"must be at least 1, got {block_bytes}")
    if not places.is_local(output):
        raise ValueError(f"--output {output} is not a local folder; write to one and copy it")
    if places.exists(output):
        raise ValueError(f"{output} is there already; name a new folder")
    partial = f"{output.rstrip('/')}.partial"
    places.remove(partial)
    stem = places.name(source).split(".")[0]
    files: list[str] = []
    num_bytes = 0
    damage: list[str] = []
    with open_unpacked(source, limits or Limits()) as stream:
        chunks = _read(stream, damage)
        head = b""
        while len(head) < _HEAD_BYTES and (chunk := next(chunks, b"")):
            head += chunk
        if what := _without_lines(head):
            raise ValueError(f"{source} is {what}, which has no lines to cut at; give it to agora ingest as it is")
        for number, block in groupby(_cut(chain([head], chunks), block_bytes), itemgetter(0)):
            files.append(f"{stem}-{number:05d}.jsonl.zst")
            with places.AtomicFile(places.join(partial, files[-1])) as file:
                packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
                for _, chunk in block:
                    file.write(packer.compress(chunk))
                    num_bytes += len(chunk)
                file.write(packer.flush())
    if not files:
        raise ValueError(f"{source} holds nothing that could be read: {''.join(damage) or 'it is empty'}")
    os.rename(places.local_path(partial), places.local_path(output))
    return Reblocked(tuple(files), num_bytes, "".join(damage))


def _without_lines(head: bytes) -> str | None:
    """What a file that begins so is, where it is not lines of text."""
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "XML"
    return next((what for magic, what in _FORMATS.items() if head.startswith(magic)), None)


def _read(stream: IO[bytes], damage: list[str]) -> Iterator[bytes]:
    """The chunks of a stream as far as it can be read; what ended it before its time goes to `damage`."""
    chunk, ended = read_chunk(stream)
    while chunk:
        yield chunk
        chunk, ended = read_chunk(stream)
    damage += [str(ended)] if ended else []


def _cut(chunks: Iterable[bytes], block_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Every byte in order, with the number of its block. A block ends with the line in which it is full."""
    number, left = 0, block_bytes
    for chunk in chunks:
        while end := chunk.find(b"\n", max(left - 1, 0)) + 1:
            yield number, chunk[:end]
            number, chunk, left = number + 1, chunk[end:], block_bytes
        if chunk:
            yield number, chunk
        left -= len(chunk)


def command(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A file of JSON lines: plain, .zst, .gz, .bz2 or .xz.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The folder to make.")],
    block_bytes: Annotated[int, typer.Option(help="Unpacked bytes a file, to the end of a line.")] = _BLOCK_BYTES,
    max_unpack_ratio: Annotated[
        float, typer.Option(help="Stop where the file unpacks to more than so many times its size.")
    ] = Limits.max_ratio,
) -> None:
    """Cut one large packed file into many small ones, so that later runs read it in parallel."""
    done = run(source, output, block_bytes, Limits(max_unpack_ratio))
    console.print(f"reblock: {len(done.files):,} files, {done.num_bytes:,} bytes unpacked, in {output}", soft_wrap=True)
    if done.damage:
        raise ValueError(
            f"{source} is damaged: {done.damage}. What could be read is in {output}; the last line there may be cut"
        )


if __name__ == "__main__":
    run_command(command)
