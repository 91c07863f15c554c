"""Re-blocking: many small files that together are the large one, byte for byte, cut at line ends alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import reblock
from pipelines.ingest import run as ingest
from pipelines.ingest_plan import IngestSettings
from pipelines.reblock import run
from tests import laws
from transforms.sources.inputs import Input
from transforms.sources.streams.unpack import open_unpacked


def contents(folder: Path) -> list[bytes]:
    found = []
    for path in sorted(folder.iterdir()):
        with open_unpacked(str(path)) as stream:
            found.append(stream.read())
    return found


@given(st.lists(st.binary(max_size=30), max_size=40), st.integers(1, 100))
@settings(max_examples=60, deadline=None)
def test_the_blocks_are_the_file(tmp_path_factory: pytest.TempPathFactory, rows: list[bytes], block_bytes: int) -> None:
    data = b"x\n" + b"\n".join(rows)
    folder = tmp_path_factory.mktemp("reblock")
    (folder / "RC_2020-01.zst").write_bytes(zstandard.compress(data))
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return
    done = run(str(folder / "RC_2020-01.zst"), str(folder / "out"), block_bytes)
    blocks = contents(folder / "out")
    assert b"".join(blocks) == data
    assert (len(done.files), done.num_bytes, done.damage) == (len(blocks), len(data), "")
    for block in blocks[:-1]:
        assert block.endswith(b"\n")
        assert len(block) >= block_bytes
        assert b"\n" not in block[block_bytes - 1 : -1], "a block ends with the line in which it is full"


def blocks_of(data: bytes, block_bytes: int) -> list[bytes]:
    """The rule, byte by byte: a block ends with the line in which it is full."""
    blocks = [b""]
    for number in data:
        blocks[-1] += bytes([number])
        if number == ord("\n") and len(blocks[-1]) >= block_bytes:
            blocks.append(b"")
    return [block for block in blocks if block]


@given(st.lists(st.text("ab\n", min_size=1, max_size=9), max_size=9), st.integers(1, 12))
def test_blocks_are_the_same_however_a_file_comes_in_chunks(chunks: list[str], block_bytes: int) -> None:
    data = "".join(chunks).encode()
    found: dict[int, bytes] = {}
    for number, chunk in reblock._cut([chunk.encode() for chunk in chunks], block_bytes):
        assert chunk
        found[number] = found.get(number, b"") + chunk
    assert [*found] == [*range(len(found))]
    assert [*found.values()] == blocks_of(data, block_bytes)


def test_ingest_reads_the_blocks_as_it_reads_the_whole(tmp_path: Path) -> None:
    lines = b"".join(json.dumps({"id": n, "text": f"text {n}"}).encode() + b"\n" for n in range(300)) + b"{bad\n"
    (tmp_path / "all.jsonl.zst").write_bytes(zstandard.compress(lines))
    run(str(tmp_path / "all.jsonl.zst"), str(tmp_path / "blocks"), 2000)
    lenient = IngestSettings(num_shards=2, allow_damaged=True)
    whole = ingest([Input(str(tmp_path / "all.jsonl.zst"))], str(tmp_path / "one"), lenient)
    parts = ingest([Input(str(tmp_path / "blocks"))], str(tmp_path / "many"), lenient)
    assert len(parts.inputs) > 3
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "many", ignore=["manifest.json", "rejects/"])
    assert whole.counts == parts.counts


def test_a_damaged_file_gives_what_there_is_and_says_so(tmp_path: Path) -> None:
    packed = zstandard.compress(b"".join(b"%d %d\n" % (n, n * 7919 % 10007) for n in range(50_000)))
    (tmp_path / "cut.zst").write_bytes(packed[: len(packed) // 2])
    done = run(str(tmp_path / "cut.zst"), str(tmp_path / "out"), 100_000)
    assert "inside a frame" in done.damage
    assert len(b"".join(contents(tmp_path / "out"))) == done.num_bytes > 100_000


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "p.xml").write_bytes(b"\xef\xbb\xbf<posts>\n</posts>")
    (tmp_path / "t.parquet").write_bytes(b"PAR1\x15\x04")
    (tmp_path / "a.7z").write_bytes(b"7z\xbc\xaf\x27\x1c\x00\x04")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "there").mkdir()
    for source, output, message in (
        ("p.xml", "out", "is XML"),
        ("t.parquet", "out", "is Parquet, which has no lines"),
        ("a.7z", "out", r"is a \.7z archive, which has no lines"),
        ("empty", "out", "holds nothing"),
        ("empty", "there", "there already"),
    ):
        with pytest.raises(ValueError, match=message):
            run(str(tmp_path / source), str(tmp_path / output))
    with pytest.raises(ValueError, match="at least 1"):
        run(str(tmp_path / "empty"), str(tmp_path / "out"), 0)
    with pytest.raises(ValueError, match="not a local folder"):
        run(str(tmp_path / "empty"), "memory://out")
    assert not (tmp_path / "out").exists()
