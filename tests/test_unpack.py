"""Packed files: everything before the damage is read, the damage is named, and nothing grows without bound."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.datasets.fates import Reason
from transforms.sources.streams.blocks import Blocks, open_blocks, write_blocks
from transforms.sources.streams.pieces import pieces
from transforms.sources.streams.unpack import DamageError, Limits, is_packed, open_unpacked, window_bytes

TEXT = b"".join(b"line %d of %d\n" % (n, n * 7919 % 10007) for n in range(60_000))


def zst(data: bytes, **options: object) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)  # type: ignore[arg-type]


def long_window(data: bytes) -> bytes:
    """As Reddit's dumps are packed: zstd --long=31, size not in the header."""
    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(data) + packer.flush()


SKIPPABLE = b"\x5a\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"comment"


def unpack(path: Path, data: bytes, limits: Limits | None = None) -> tuple[bytes, DamageError | None]:
    path.write_bytes(data)
    got: list[bytes] = []
    with open_unpacked(str(path), limits or Limits()) as stream:
        try:
            while chunk := stream.read1(50_000):  # type: ignore[attr-defined]
                got.append(chunk)
        except DamageError as error:
            with pytest.raises(DamageError):  # and again: a damaged file never seems whole
                stream.read(1)
            return b"".join(got), error
    return b"".join(got), None


@pytest.mark.parametrize(
    "packed",
    [
        zst(TEXT),
        zst(TEXT, level=19, write_checksum=True),
        zst(TEXT, write_content_size=False),
        zst(TEXT[:1000]) + zst(b"") + SKIPPABLE + zst(TEXT[1000:], write_checksum=True) + SKIPPABLE,
        SKIPPABLE + zst(TEXT),
        long_window(TEXT),
        gzip.compress(TEXT),
        gzip.compress(TEXT[:5]) + gzip.compress(TEXT[5:]),
        bz2.compress(TEXT),
        bz2.compress(TEXT[:5]) + bz2.compress(b"") + bz2.compress(TEXT[5:]),
        lzma.compress(TEXT),
        lzma.compress(TEXT[:5], check=lzma.CHECK_SHA256) + bytes(8) + lzma.compress(TEXT[5:]) + bytes(4),
        TEXT,
    ],
)
def test_whole_files(tmp_path: Path, packed: bytes) -> None:
    assert unpack(tmp_path / "f", packed) == (TEXT, None)
    assert is_packed(packed[:8]) == (packed is not TEXT)
    with open_unpacked(str(tmp_path / "f")) as stream:
        for start in (500_000, 7, 7, 300_000, len(TEXT) + 5):
            stream.seek(start)
            assert stream.read(20) == TEXT[start : start + 20]


PACKERS = [zst, long_window, gzip.compress, lambda data: zst(data, write_checksum=True), bz2.compress, lzma.compress]


@pytest.mark.parametrize("pack", PACKERS)
def test_truncated_files_give_what_there_is(tmp_path: Path, pack: object) -> None:
    packed = pack(TEXT)  # type: ignore[operator]
    for cut in (len(packed) // 2, len(packed) - 1, 20):
        got, damage = unpack(tmp_path / "f", packed[:cut])
        assert damage is not None
        assert damage.reason is Reason.TRUNCATED_FILE
        assert TEXT.startswith(got)
    assert len(unpack(tmp_path / "f", packed[:-1])[0]) > len(TEXT) // 2


def test_a_damaged_block_costs_itself_and_what_follows(tmp_path: Path) -> None:
    random.seed(3)
    data = b"".join(random.randbytes(60).hex().encode() + b"\n" for _ in range(20_000))
    packed = bytearray(zst(data, write_checksum=True))
    packed[len(packed) * 3 // 4] ^= 0xFF
    got, damage = unpack(tmp_path / "f", bytes(packed))
    assert damage is not None
    assert damage.reason is Reason.TRUNCATED_FILE
    assert len(got) > len(data) // 2
    flipped = bytearray(zst(data, write_checksum=True))
    flipped[-1] ^= 1
    got, damage = unpack(tmp_path / "f", bytes(flipped))
    assert got == data
    assert damage is not None, "a wrong checksum is damage"


def test_bytes_behind_the_last_frame_are_damage(tmp_path: Path) -> None:
    got, damage = unpack(tmp_path / "f", zst(TEXT) + b"\x00\x00garbage")
    assert got == TEXT
    assert damage is not None


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_mutation_crashes_or_is_taken_for_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    packed = bytearray(data.draw(st.sampled_from([zst(TEXT[:5000], write_checksum=True), gzip.compress(TEXT[:5000])])))
    place = data.draw(st.integers(4, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    got, damage = unpack(tmp_path_factory.getbasetemp() / "mutant", bytes(packed))
    assert damage is not None or got == TEXT[:5000]


def test_bombs_are_stopped(tmp_path: Path) -> None:
    bomb = zst(b"\x00" * (300 << 20))
    assert len(bomb) < 30_000
    got, damage = unpack(tmp_path / "f", bomb)
    assert damage is not None
    assert damage.reason is Reason.BOMB
    assert len(got) < 80 << 20
    got, damage = unpack(tmp_path / "f", zst(TEXT), Limits(max_unpacked_bytes=100_000))
    assert damage is not None
    assert damage.reason is Reason.BOMB
    assert len(got) <= 100_000 + (128 << 10)
    with pytest.raises(ValueError, match="at least 1"):
        Limits(max_ratio=0)


@given(st.integers(1, 3000), st.integers(1, 7000), st.integers(0, 5000))
@settings(max_examples=60, deadline=None)
def test_blocks_are_the_file(tmp_path_factory: pytest.TempPathFactory, block_bytes: int, cut: int, length: int) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    data, block_bytes = TEXT[:length], max(block_bytes, length // 40 + 1)
    (folder / "whole").write_bytes(zst(data))
    with open_unpacked(str(folder / "whole")) as stream:
        blocks = write_blocks(stream, str(folder / "b"), block_bytes)
    assert (blocks.num_bytes, blocks.damage) == (length, "")
    assert len(list((folder / "b").glob("*"))) == -(-length // block_bytes)
    with open_blocks(blocks) as stream:
        assert stream.read() == data
        stream.seek(cut)
        assert stream.read(100) == data[cut : cut + 100]
    found = []
    for start, end in blocks.ranges():
        with open_blocks(blocks) as stream:
            found += [(piece.offset, piece.data, piece.last) for piece in pieces(stream, start, end, b"\n", 100)]
    (folder / "plain").write_bytes(data)
    with open(folder / "plain", "rb") as file:
        assert found == [(piece.offset, piece.data, piece.last) for piece in pieces(file, 0, None, b"\n", 100)]


def test_blocks_of_a_damaged_file_end_with_its_damage(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(zst(TEXT)[:-5])
    with open_unpacked(str(tmp_path / "f")) as stream:
        blocks = write_blocks(stream, str(tmp_path / "b"), 100_000)
    assert 100_000 < blocks.num_bytes < len(TEXT)
    with open_blocks(blocks) as stream:
        assert len(stream.read(blocks.num_bytes)) == blocks.num_bytes
        with pytest.raises(DamageError, match="inside a frame"):
            stream.read(1)
    assert blocks.damage
    empty = Blocks(str(tmp_path / "none"), 10, 0)
    assert empty.ranges() == [(0, None)]
    with open_blocks(empty) as stream:
        assert stream.read() == b""


def test_the_window_is_known_before_a_byte_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data, window in {
        long_window(TEXT): 1 << 31,
        zst(TEXT): len(TEXT),  # the frame says how much it holds
        zst(TEXT[:9]) + SKIPPABLE + long_window(TEXT) + zst(TEXT): 1 << 31,
        zst(TEXT)[:-5] + long_window(TEXT): len(TEXT),  # no frame is found behind a damaged one
        gzip.compress(TEXT): 0,
        long_window(TEXT)[:5]: 0,
        TEXT: 0,
        b"": 0,
    }.items():
        path.write_bytes(data)
        assert window_bytes(str(path)) == window


@pytest.mark.parametrize("level", [0, 6, 9])
def test_the_dictionary_of_xz_is_known_before_a_byte_is_unpacked(tmp_path: Path, level: int) -> None:
    (tmp_path / "f").write_bytes(lzma.compress(TEXT, preset=level))
    assert window_bytes(str(tmp_path / "f")) == {0: 1 << 18, 6: 1 << 23, 9: 1 << 26}[level]
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    (tmp_path / "f").write_bytes(lzma.compress(TEXT, filters=filters))
    assert window_bytes(str(tmp_path / "f")) == 1 << 20
    whole = lzma.compress(TEXT)
    for cut in range(20):
        (tmp_path / "f").write_bytes(whole[:cut])
        assert window_bytes(str(tmp_path / "f")) in (0, 1 << 23)


def test_a_header_of_xz_that_leads_behind_its_end_is_damage(tmp_path: Path) -> None:
    size_without_end = b"\x10\x40" + b"\x80" * 2000
    got, damage = unpack(tmp_path / "f", lzma.compress(TEXT)[:12] + size_without_end)
    assert damage is not None
    assert not got
    assert window_bytes(str(tmp_path / "f")) == 0


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_damage_inside_is_told_and_what_came_before_it_is_read(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(random.Random(1).randbytes(3 << 20)))
    packed[len(packed) // 2] ^= 0xFF
    got, damage = unpack(tmp_path / "f", bytes(packed))
    assert damage is not None
    assert len(got) > 800_000
    _, damage = unpack(tmp_path / "f", pack(TEXT) + b"behind it")
    assert damage is not None


def test_limits_are_checked() -> None:
    for limits in ({"max_ratio": 0.5}, {"max_ratio": float("nan")}, {"max_unpacked_bytes": 0}):
        with pytest.raises(ValueError, match=r"max_unpack\S+ must|max_ratio must"):
            Limits(**limits)  # type: ignore[arg-type]
