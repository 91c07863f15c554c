"""The sample a tokenizer is trained on, drawn from documents and their layers.

The documents are read twice, batch by batch: once to count the bytes of each language, once to draw. Only documents of
the train split that every layer keeps are drawn from, so that no held-out text shapes the vocabulary; the validation
split measures the result. No Beam here: the sample is small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tokenizer.sample import Reservoir, clip, sample_sizes
from transforms.datasets.align import check_rows_aligned
from transforms.datasets.ids import keyed_hash
from transforms.datasets.texts import full_text
from transforms.io.shard import Shard
from transforms.layers.read import document_batches, drop_reasons, read_layers

LAYER_COLUMNS: Mapping[str, Sequence[str]] = {"language": ["language"], "duplicates": [], "split": ["split"]}
TRAIN, VALIDATION = "train", "validation"

Group = tuple[str, str]  # split, language code


def draw_sample(
    documents: Sequence[Shard], sample_bytes: int, alpha: float, document_bytes: int, validation_bytes: int
) -> dict[Group, Reservoir]:
    """The sample of each language, in UTF-8 bytes: of the train split `sample_bytes` of all together, each language in
    proportion to its bytes to the power of alpha; of the validation split up to `validation_bytes` each.

    documents: with their layers. A document gives its first `document_bytes`. Memory: the samples, one batch of text,
    the layers of a shard. Raises ValueError when a layer is missing or not aligned, or there is nothing to train on.
    """
    available = count_bytes(documents, document_bytes)
    train = {code: size for (split, code), size in available.items() if split == TRAIN}
    quota = {(TRAIN, code): size for code, size in sample_sizes(train, sample_bytes, alpha).items()}
    quota |= {group: validation_bytes for group in available if group[0] == VALIDATION}
    samples = {group: Reservoir(size) for group, size in sorted(quota.items())}
    for batch, groups in _grouped_batches(documents, ("doc_id", "title", "text")):
        ids, titles, texts = (batch.column(name) for name in ("doc_id", "title", "text"))
        for row, group in enumerate(groups):
            if group is None:
                continue
            doc_id = ids[row].as_py()
            key = keyed_hash("tokenizer-sample", doc_id)
            if samples[group].wants(key):
                text = full_text(titles[row].as_py(), texts[row].as_py())
                samples[group].add(key, doc_id, clip(text, document_bytes))
    return samples


def count_bytes(documents: Sequence[Shard], document_bytes: int) -> dict[Group, int]:
    """UTF-8 bytes of each group's documents, no document counted for more than `document_bytes`."""
    totals: dict[Group, int] = {}
    for batch, groups in _grouped_batches(documents, ("title", "text")):
        title_bytes = pc.fill_null(pc.binary_length(batch.column("title")), 0)
        # a title stands above the body with an empty line between them: texts.full_text
        above = pc.if_else(pc.greater(title_bytes, 0), pc.add(title_bytes, 2), 0)
        sizes = pc.min_element_wise(pc.add(above, pc.binary_length(batch.column("text"))), document_bytes).to_pylist()
        for group, size in zip(groups, sizes, strict=True):
            if group is not None:
                totals[group] = totals.get(group, 0) + size
    return totals


def _grouped_batches(
    documents: Sequence[Shard], columns: tuple[str, ...]
) -> Iterator[tuple[pa.RecordBatch, list[Group | None]]]:
    """Batches of documents, with the group of each row: None for one that no sample may hold."""
    for shard in documents:
        layers = read_layers(shard, LAYER_COLUMNS)
        check_rows_aligned(shard.read(["doc_id"]), layers)
        groups = _row_groups(layers)
        start = 0
        for batch in document_batches(shard, columns):
            yield batch, groups[start : start + batch.num_rows]
            start += batch.num_rows


def _row_groups(layers: Mapping[str, pa.Table]) -> list[Group | None]:
    """The (split, language) of each row of aligned layer tables; None when a layer drops it or it is held out."""
    codes = layers["language"].column("language").to_pylist()
    splits = layers["split"].column("split").to_pylist()
    kept = pc.is_null(drop_reasons(layers)).to_pylist()
    return [
        (split, code) if keep and code is not None and split in (TRAIN, VALIDATION) else None
        for split, code, keep in zip(splits, codes, kept, strict=True)
    ]
