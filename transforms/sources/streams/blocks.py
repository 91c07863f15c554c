"""A packed file as blocks in scratch space, so that all workers can read one file that can only be unpacked in order.

Blocks hold the same number of unpacked bytes each and are packed again, lightly (Zstandard level 1: 400 MB/s, and a
sixth of the disk that unpacked rows would take). Together they are read as one seekable file with the offsets of the
unpacked original, so nothing that reads a byte range knows of them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO

import zstandard

from transforms.datasets import places
from transforms.datasets.fates import Reason
from transforms.sources.streams.pieces import read_chunk
from transforms.sources.streams.unpack import CHUNK_BYTES, DamageError, open_unpacked

_LEVEL = 1


@dataclass(frozen=True)
class Blocks:
    """An unpacked file in blocks. damage: what ended the original before its time; "" when nothing did."""

    folder: str
    block_bytes: int
    num_bytes: int  # of the whole unpacked file
    damage: str = ""
    damage_reason: Reason = Reason.TRUNCATED_FILE

    def block(self, index: int) -> str:
        """The place of a block."""
        return places.join(self.folder, f"{index:08d}.zst")

    def ranges(self) -> list[tuple[int, int | None]]:
        """[start, end) of one range a block. It looks at the byte before it, so it starts one byte into its block."""
        starts = [0, *range(self.block_bytes + 1, self.num_bytes, self.block_bytes)]
        return list(zip(starts, [*starts[1:], None], strict=True))


def write_blocks(stream: IO[bytes], folder: str, block_bytes: int) -> Blocks:
    """Copies a stream into blocks, as far as it can be read. Memory: a chunk; disk: about that of the packed file."""
    num_bytes = 0
    ended: DamageError | None = None
    at_end = False
    while not at_end:
        blocks = Blocks(folder, block_bytes, num_bytes)
        left = block_bytes
        chunk, ended = read_chunk(stream, min(left, CHUNK_BYTES))
        if not chunk:
            break
        with places.AtomicFile(blocks.block(num_bytes // block_bytes)) as file:
            packer = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
            while chunk:
                file.write(packer.compress(chunk))
                num_bytes += len(chunk)
                left -= len(chunk)
                if not left:
                    break
                chunk, ended = read_chunk(stream, min(left, CHUNK_BYTES))
            file.write(packer.flush())
        at_end = left > 0
    if ended:
        return Blocks(folder, block_bytes, num_bytes, str(ended), ended.reason)
    return Blocks(folder, block_bytes, num_bytes)


def open_blocks(blocks: Blocks) -> IO[bytes]:
    """The unpacked file, seekable; raises DamageError at its end when the original could not be read further."""
    return io.BufferedReader(_Joined(blocks), CHUNK_BYTES)


class _Joined(io.RawIOBase):
    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._position = 0
        self._open_index = -1
        self._file: IO[bytes] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._blocks.num_bytes}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        blocks = self._blocks
        if self._position >= blocks.num_bytes:
            if blocks.damage:
                raise DamageError(blocks.damage, blocks.damage_reason)
            return 0
        index, inside = divmod(self._position, blocks.block_bytes)
        if self._file is None or index != self._open_index:
            self._close_block()
            self._file, self._open_index = open_unpacked(blocks.block(index)), index
        if self._file.tell() != inside:
            self._file.seek(inside)
        data = self._file.read1(len(view))  # type: ignore[attr-defined]
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _close_block(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def close(self) -> None:
        if not self.closed:
            self._close_block()
        super().close()
