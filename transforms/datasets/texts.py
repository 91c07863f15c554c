"""What a document says: its title above its body. One rule, for one document and for a column of them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def full_text(title: str | None, text: str) -> str:
    """What a document says: its title, where it has one (questions), above its body."""
    return f"{title}\n\n{text}" if title else text


def full_texts(documents: pa.Table) -> pa.ChunkedArray:
    """[N] full_text of each document, from the columns title and text, without a detour through Python."""
    title = pc.fill_null(documents.column("title"), "")
    separator = pc.if_else(pc.equal(title, ""), "", "\n\n")
    return pc.binary_join_element_wise(title, documents.column("text"), separator)
