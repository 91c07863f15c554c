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
    for batch in batches:
        ids = batch.column("doc_id").to_pylist()
        titles, bodies = batch.column("title").to_pylist(), batch.column("text").to_pylist()
        texts = [full_text(title, body) for title, body in zip(titles, bodies, strict=True)]
        start = chars = 0
        for end, text in enumerate(texts):
            if chars + len(text) > _BATCH_CHARS and end > start:
                yield ids[start:end], texts[start:end]
                start, chars = end, 0
            chars += len(text)
        yield ids[start:], texts[start:]
