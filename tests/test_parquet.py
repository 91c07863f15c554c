"""Parquet rows: the same posts as from JSON lines, every row group once in any cut, damage with a name."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.ingest_plan import IngestSettings
from tests import laws
from tests.test_ingest import conserved, ingest, write
from tests.test_mapped_rows import H4, PREFERENCE
from transforms.datasets.fates import Drop, Reason
from transforms.sources.records import Record
from transforms.sources.rows.parquet import check_file, read_rows
from transforms.sources.source import Reading
from transforms.sources.streams.unpack import USUAL_LIMITS

CORPUS = Reading("c.parquet", "news", 10_000)


def written(rows: list[dict[str, object]], row_group_size: int = 10, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=row_group_size, **options)
    return sink.getvalue()


def read(data: bytes, start: int = 0, end: int | None = None, corpus: Reading = CORPUS) -> list[Record | Drop]:
    return list(read_rows(io.BytesIO(data), start, end, corpus))


def documents(number: int) -> list[dict[str, object]]:
    return [{"id": n, "text": f"text {n}", "other": b"x" * 50} for n in range(number)]


def test_a_document() -> None:
    time = datetime(2020, 1, 2, tzinfo=UTC)
    row = {"id": 7, "text": "schÃ¶n ", "title": "T", "created": time, "url": "https://x.example/7"}
    (document,) = read(written([row]))
    assert isinstance(document, Record)
    assert (document.doc_id, document.text, document.title) == ("parquet:news:7", "schön", "T")
    assert (document.created, document.offset, document.kind) == (1577923200000, 0, "document")


def test_nested_rows_by_a_mapping() -> None:
    found = read(written([PREFERENCE]), corpus=Reading("p", None, 10_000, mapping=H4))
    assert [item.kind for item in found if isinstance(item, Record)] == ["question", "answer", "answer"]
    assert [item.accepted for item in found if isinstance(item, Record)] == [None, False, True]


@pytest.mark.parametrize("step", [1, 7, 100, 1000, 100_000])
def test_any_cut_into_ranges_is_the_whole(step: int) -> None:
    data = written(documents(95))
    found = [item for start in range(0, len(data), step) for item in read(data, start, start + step)]
    assert found == read(data)
    assert [item.offset for item in found] == list(range(95))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY_FILE),
        (b"PAR1", Reason.TRUNCATED_FILE),
        (written(documents(50))[:-9], Reason.TRUNCATED_FILE),
        (written(documents(50))[:300], Reason.TRUNCATED_FILE),
        (written(documents(5))[:-60] + b"\xff" * 52 + written(documents(5))[-8:], Reason.DAMAGED_FILE),
        (b"PAR1" + b"\x00" * 20 + b"PARE", Reason.WRONG_FORMAT),
        (written(documents(3))[:0] + b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1", Reason.DAMAGED_FILE),
    ],
)
def test_files_that_cannot_be_opened(data: bytes, reason: Reason) -> None:
    problem = check_file(io.BytesIO(data))
    assert problem is not None
    assert problem[0] is reason


def test_a_damaged_row_group_costs_itself_only() -> None:
    data = bytearray(written(documents(30), write_page_checksum=True, compression="none", use_dictionary=False))
    place = data.index(b"text 15")
    data[place : place + 4] = b"????"
    found = read(bytes(data))
    assert [item.doc_id for item in found if isinstance(item, Record)] == [
        f"parquet:news:{n}" for n in [*range(10), *range(20, 30)]
    ]
    (damage,) = (item for item in found if isinstance(item, Drop))
    assert (damage.reason, damage.offset) == (Reason.DAMAGED_FILE, 10)
    assert "10 of 10 rows of row group 1" in damage.detail


def test_rows_that_are_not_usable() -> None:
    texts = pa.array([b"a", b"\xff", None, b"x" * 20_000, b" "], pa.binary())
    table = pa.table({"text": pa.Array.from_buffers(pa.string(), 5, texts.buffers()), "n": [1] * 5})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    reasons = [item.reason for item in read(sink.getvalue()) if isinstance(item, Drop)]
    assert reasons == [Reason.BAD_ENCODING, Reason.MISSING_FIELD, Reason.OVERSIZED, Reason.EMPTY]


def test_a_folder_as_a_whole(tmp_path: Path) -> None:
    rows = documents(40)
    write(tmp_path / "in" / "a.parquet", written(rows[:25]))
    write(tmp_path / "in" / "b.parquet", written(rows[20:]))
    write(tmp_path / "in" / "cut.parquet", written(rows)[:-20])
    whole = write(tmp_path / "whole.parquet", written(rows[::-1]))
    manifest = ingest(
        tmp_path / "out",
        tmp_path / "in",
        settings=IngestSettings(num_shards=2, range_bytes=500, max_drop_rate=1, allow_damaged=True),
    )
    ingest(tmp_path / "again", whole, settings=IngestSettings(num_shards=2))
    assert manifest.counts["drop"] == {"duplicate-id": 5}
    assert manifest.counts["file"] == {"truncated-file": 1}
    conserved(tmp_path / "out")
    laws.assert_same_bytes(tmp_path / "out", tmp_path / "again", ignore=["manifest.json", "rejects/"])


def test_a_file_without_the_fields() -> None:
    found = read(written([{"body": "a"}, {"body": "b"}]))
    assert [item.reason for item in found if isinstance(item, Drop)] == [Reason.MISSING_FIELD] * 2


def test_bombs_are_stopped() -> None:
    """A page of 80 MB in a few kB, by the footer; a value that a dictionary repeats, as it is read."""
    page, repeated = io.BytesIO(), io.BytesIO()
    pq.write_table(pa.table({"text": ["z" * (80 << 20)]}), page, compression="zstd", use_dictionary=False)
    problem = check_file(page, USUAL_LIMITS)
    assert problem
    assert problem[0] is Reason.BOMB
    assert check_file(page) is None
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array(["x" * (1 << 20)]))
    pq.write_table(pa.table({"text": column}), repeated, compression="zstd", dictionary_pagesize_limit=1 << 30)
    *kept, stopped = read_rows(repeated, 0, None, Reading("f", None, 8 << 20))
    assert isinstance(stopped, Drop)
    assert stopped.reason is Reason.BOMB
    assert f"{2000 - len(kept)} of 2000 rows" in stopped.detail
    assert len(kept) < 100


def test_a_row_is_not_as_large_as_its_dictionary() -> None:
    """As pandas stores categories: each row of a batch has a number, and all of them one dictionary."""
    sink = io.BytesIO()
    texts = pa.array([f"text {number:04d} " * 10 for number in range(300)]).dictionary_encode()
    pq.write_table(pa.table({"text": texts}), sink)
    found = list(read_rows(sink, 0, None, Reading("f", None, 1000)))
    assert [item.text[:9] for item in found if isinstance(item, Record)] == [
        f"text {number:04d}" for number in range(300)
    ]
