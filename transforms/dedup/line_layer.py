"""The rows of the layer repeated_lines: from the lines of a shard and who owns those that are repeated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Reason, Tally
from transforms.dedup.line_spec import LANGUAGE, SCHEMA, SHARES, LineSettings
from transforms.dedup.lines import Lines, spans_of
from transforms.io.described import described
from transforms.io.shard import Shard

_UNKNOWN = "unknown"  # in counts: the layer found no language


class Owners(NamedTuple):
    """The lines that several documents hold."""

    digests: npt.NDArray[np.uint64]  # (K,) ascending, each once
    doc_ids: pa.Array  # (K,) of the document that keeps it


def describe(path: str, documents: pa.Table, lines: Lines, owners: Owners, settings: LineSettings) -> Shard:
    """The layer's shard, with counts. documents: DOCUMENTS of `line_search`. lines: of these rows."""
    repeated = np.flatnonzero(np.isin(lines.digest, owners.digests))
    owner = owners.doc_ids.take(pa.array(np.searchsorted(owners.digests, lines.digest[repeated])))
    ids = documents.column("doc_id").combine_chunks()
    is_cut = pc.not_equal(owner, ids.take(pa.array(lines.row[repeated]))).to_numpy(zero_copy_only=False)
    cut = np.zeros(len(lines.row), np.bool_)
    cut[repeated[is_cut]] = True
    owns = np.zeros(len(ids), np.bool_)
    owns[lines.row[repeated[~is_cut]]] = True
    tokens = np.bincount(lines.row, lines.tokens, len(ids)).astype(np.int64)
    left = np.bincount(lines.row, lines.tokens * ~cut, len(ids)).astype(np.int64)
    loses = np.bincount(lines.row, cut, len(ids)) > 0
    keep = pa.array(~loses | owns | (left >= settings.left))
    columns = {
        "doc_id": ids,
        "cut": _spans(lines, cut, documents.column("length").to_numpy(), owner.filter(pa.array(is_cut))),
        "tokens": tokens,
        "tokens_left": left,
        "keep": keep,
        "reason": pc.if_else(keep, pa.scalar(None, pa.string()), Reason.REPEATED_LINES.value),
    }
    rows = pa.table(columns, schema=SCHEMA)
    return described(path, rows, _counts(rows, documents.column(LANGUAGE)))


def _spans(lines: Lines, cut: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int32], owners: pa.Array) -> pa.ListArray:
    """[D] what is cut of each document. owners: of each line that is cut."""
    of_row = np.bincount(lines.row[cut], minlength=len(lengths))
    starts = np.searchsorted(lines.row, np.arange(len(lengths) + 1))
    spans = []
    for row in np.flatnonzero(of_row).tolist():
        own = slice(int(starts[row]), int(starts[row + 1]))
        spans += spans_of(lines.take(own), cut[own].tolist(), int(lengths[row]))
    begins, ends = np.array(spans, np.int32).reshape(-1, 2).T
    kind = SCHEMA.field("cut").type
    items = pa.StructArray.from_arrays([pa.array(begins), pa.array(ends), owners], fields=list(kind.value_type))
    offsets = np.concatenate([[0], np.cumsum(of_row)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), items).cast(kind)


def _counts(rows: pa.Table, languages: pa.ChunkedArray) -> Tally:
    """What is cut, in all, by share of a document, and by language with what there was."""
    counts = Tally()
    spans = rows.column("cut").combine_chunks()
    items = spans.flatten()
    cut = pc.subtract(rows.column("tokens"), rows.column("tokens_left"))
    characters = pc.sum(pc.subtract(pc.struct_field(items, "end"), pc.struct_field(items, "begin"))).as_py() or 0
    for name, number in (
        ("lines", len(items)),
        ("characters", characters),
        ("tokens", pc.sum(cut).as_py() or 0),
        ("documents", pc.sum(pc.greater(pc.list_value_length(spans), 0)).as_py() or 0),
    ):
        counts.add("cut", name, number)
    for before, lost in zip(rows.column("tokens").to_pylist(), cut.to_pylist(), strict=True):
        counts.add("share_cut", share_class(lost, before))
    table = pa.table({"language": languages, "cut": cut, "tokens": rows.column("tokens")})
    for row in table.group_by("language").aggregate([("cut", "sum"), ("tokens", "sum")]).to_pylist():
        counts.add("cut_by_language", row["language"] or _UNKNOWN, row["cut_sum"])
        counts.add("tokens_by_language", row["language"] or _UNKNOWN, row["tokens_sum"])
    return counts


def share_class(cut: int, tokens: int) -> str:
    """The name of the class that a document falls into of which so many of its tokens are cut: one of SHARES."""
    bounds = (0.0, 0.1, 0.5, 0.9)
    share = cut / tokens if cut else 0.0
    return SHARES[sum(share >= bound for bound in bounds[1:]) + 1 if share else 0]
