"""What a document says: its title above its body. One rule, for one document and for a column of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

TEXT_COLUMNS = ("doc_id", "title", "text")
_BATCH_CHARS = 1 << 20


def full_text(title: str | None, text: str) -> str:
    """What a document says: its title, where it has one (questions), above its body."""
    return f"{title}\n\n{text}" if title else text


def full_texts(documents: pa.Table) -> pa.ChunkedArray:
    """[N] full_text of each document, from the columns title and text, without a detour through Python."""
    title = pc.fill_null(documents.column("title"), "")
    separator = pc.if_else(pc.equal(title, ""), "", "\n\n")
    return pc.binary_join_element_wise(title, documents.column("text"), separator)


def iter_texts(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[list[str], list[str]]]:
    """(ids, full texts) of documents in order, about a million characters at a time. batches: of TEXT_COLUMNS."""
    for rows, texts in iter_rows(batches):
        yield rows.column("doc_id").to_pylist(), texts


def iter_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, list[str]]]:
    """(rows, their full texts) of documents in order, about a million characters at a time. batches: of TEXT_COLUMNS,
    and of others that are wanted."""
    for batch in batches:
        texts = batch.column("text").to_pylist()
        if (title := batch.column("title")).null_count < len(title):
            texts = list(map(full_text, title.to_pylist(), texts))
        start = chars = 0
        for end, text in enumerate(texts):
            if chars + len(text) > _BATCH_CHARS and end > start:
                yield batch.slice(start, end - start), texts[start:end]
                start, chars = end, 0
            chars += len(text)
        yield batch.slice(start), texts[start:]
