"""What a document says: its title above its body. One rule, for one document and for a column of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
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
        for start, end in _parts(texts):
            yield batch.slice(start, end - start), texts[start:end]


def iter_bodies(batches: Iterable[pa.RecordBatch]) -> Iterator[list[str]]:
    """The texts alone, without their titles, of documents in order, about a million characters at a time."""
    for batch in batches:
        texts = batch.column("text").to_pylist()
        for start, end in _parts(texts):
            yield texts[start:end]


def _parts(texts: list[str]) -> Iterator[tuple[int, int]]:
    """Where texts are parted so that none has more than _BATCH_CHARS characters, unless it is one text."""
    start = chars = 0
    for end, text in enumerate(texts):
        if chars + len(text) > _BATCH_CHARS and end > start:
            yield start, end
            start, chars = end, 0
        chars += len(text)
    yield start, len(texts)


def cut_out(texts: pa.ChunkedArray, spans: pa.ChunkedArray) -> pa.ChunkedArray:
    """[N] the texts without their spans.

    spans: [N] lists of structs with `begin` and `end`, in characters of the text, in order. Only texts that have some
    go through Python. Raises ValueError for spans that do not fit their text.
    """
    chunks, start = [], 0
    for chunk in texts.chunks:
        chunks.append(_cut_out(chunk, spans.slice(start, len(chunk)).combine_chunks()))
        start += len(chunk)
    return pa.chunked_array(chunks, pa.string())


def _cut_out(texts: pa.StringArray, spans: pa.ListArray) -> pa.StringArray:
    has_some = pc.greater(pc.list_value_length(spans), 0)
    if not pc.any(has_some).as_py():
        return texts
    rows = pa.array(np.flatnonzero(has_some.to_numpy(zero_copy_only=False)))
    left = map(_without, texts.take(rows).to_pylist(), spans.take(rows).to_pylist())
    return pc.replace_with_mask(texts, has_some, pa.array(left, pa.string()))


def _without(text: str, spans: list[dict[str, int]]) -> str:
    kept, at = [], 0
    for span in spans:
        begin, end = span["begin"], span["end"]
        if not at <= begin <= end <= len(text):
            raise ValueError(
                f"characters {begin} to {end} shall be cut from a text of {len(text)}, of which {at} were looked at: "
                "these spans are of another text; annotate these documents anew"
            )
        kept.append(text[at:begin])
        at = end
    return "".join([*kept, text[at:]])
