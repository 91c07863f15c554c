"""The pretraining loader: curriculum shards in order, by memory map. Their order is the schedule.

State is one number, the sequence that comes next; resuming opens the shards and reads on from there. Nothing is
shuffled and nothing depends on the number of ranks. Memory: one global batch, and maps of the shards that it is in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from trainers.data.rows import NO_TARGET, GlobalBatch, Ints, Row, SequenceBatch, pad, share
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset

_COLUMNS = ("tokens", "doc_tokens", "position")


@dataclass(frozen=True)
class _Chunk:
    """Zero-copy views of one record batch. tokens: concatenated; token_bounds [rows + 1]; the same for documents."""

    tokens: np.ndarray
    token_bounds: np.ndarray
    doc_tokens: np.ndarray
    doc_bounds: np.ndarray
    first_position: int


class CurriculumLoader:
    """Global batch s is sequences [s * G, (s + 1) * G) of the schedule; the last one may be smaller.

    micro_sequences rows make a micro-batch. steps: how many global batches there are.
    """

    def __init__(
        self, place: str, global_sequences: int, micro_sequences: int, pad_token: int, vocab_size: int
    ) -> None:
        self.dataset = Dataset.open(place, "curriculum")
        self.global_sequences = global_sequences
        self._micro_sequences = micro_sequences
        self._pad_token = pad_token
        self._vocab_size = vocab_size
        self._place = place
        self._starts = np.cumsum([0] + [file.rows for file in self.dataset.manifest.data_files])
        self._chunks: dict[int, tuple[np.ndarray, list[_Chunk]]] = {}
        self.sequences = int(self._starts[-1])
        if self.sequences == 0:
            raise ValueError(f"the curriculum {place} has no sequence to train on")
        self.steps = -(-self.sequences // global_sequences)

    def state(self, step: int) -> dict[str, object]:
        """Where the loader stands before `step`: the next sequence, and what makes the schedule."""
        return {
            "next_sequence": min(step * self.global_sequences, self.sequences),
            "global_sequences": self.global_sequences,
            "data": self.dataset.digest,
        }

    def batch(self, step: int, rank: int, world: int) -> GlobalBatch[SequenceBatch]:
        """This rank's part of a step. Raises IndexError outside 0 <= step < steps."""
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} is not in a schedule of {self.steps} steps")
        first = step * self.global_sequences
        count = min(self.global_sequences, self.sequences - first)
        self._let_go(first, first + count - 1)
        tokens = targets = 0
        for position in range(first, first + count):
            chunk, row = self._locate(position)
            size = int(chunk.token_bounds[row + 1] - chunk.token_bounds[row])
            tokens += size
            targets += size - int(chunk.doc_bounds[row + 1] - chunk.doc_bounds[row])
        micro_batches = [
            self._micro_batch([first + row for row in rows])
            for rows in share(count, rank, world, self._micro_sequences)
        ]
        ids = [f"sequence {position}" for position in range(first, first + count)]
        return GlobalBatch(step, micro_batches, max(1, targets), tokens, ids)

    def _row(self, position: int) -> tuple[Row, Ints]:
        """A sequence of the schedule and its labels [T]; the last token of a document predicts nothing.

        Raises ValueError where documents and tokens of the shard do not agree.
        """
        chunk, row = self._locate(position)
        tokens = chunk.tokens[chunk.token_bounds[row] : chunk.token_bounds[row + 1]].astype(np.int64)
        lengths = chunk.doc_tokens[chunk.doc_bounds[row] : chunk.doc_bounds[row + 1]].astype(np.int64)
        ends = np.cumsum(lengths)
        if len(lengths) == 0 or ends[-1] != len(tokens):
            raise ValueError(
                f"sequence {position} of {self._place} holds {len(tokens)} tokens but its documents "
                f"{int(lengths.sum())}: the shard is damaged; run `agora verify` on it"
            )
        groups = np.repeat(np.arange(len(lengths)), lengths)
        positions = np.arange(len(tokens)) - np.repeat(ends - lengths, lengths)
        labels = np.empty_like(tokens)
        labels[:-1] = tokens[1:]
        labels[ends - 1] = NO_TARGET
        return Row(tokens, positions, groups, np.zeros_like(tokens)), labels

    def _micro_batch(self, positions: list[int]) -> SequenceBatch:
        loaded = [self._row(position) for position in positions]
        rows = pad([row for row, _ in loaded], self._pad_token)
        if rows.tokens.max() >= self._vocab_size:
            raise ValueError(
                f"{self._place} holds token {rows.tokens.max()}, the model has {self._vocab_size}: "
                "it was made with another tokenizer; name that one as tokenizer="
            )
        labels = np.full_like(rows.tokens, NO_TARGET)
        for index, (_, label) in enumerate(loaded):
            labels[index, : len(label)] = label
        return SequenceBatch(rows, labels)

    def _locate(self, position: int) -> tuple[_Chunk, int]:
        shard = self._shard(position)
        if shard not in self._chunks:
            self._chunks[shard] = self._open(shard)
        starts, chunks = self._chunks[shard]
        within = position - int(self._starts[shard])
        index = int(np.searchsorted(starts, within, side="right")) - 1
        return chunks[index], within - int(starts[index])

    def _shard(self, position: int) -> int:
        return int(np.searchsorted(self._starts, position, side="right")) - 1

    def _let_go(self, first: int, last: int) -> None:
        """Unmaps the shards that hold none of these sequences."""
        kept = range(self._shard(first), self._shard(last) + 1)
        self._chunks = {shard: chunks for shard, chunks in self._chunks.items() if shard in kept}

    def _open(self, shard: int) -> tuple[np.ndarray, list[_Chunk]]:
        """Maps a shard, and checks that it holds the part of the schedule that its place says."""
        file = self.dataset.manifest.data_files[shard]
        chunks = [_views(batch) for batch in shards.iter_batches(self.dataset, file.path, _COLUMNS)]
        chunks = [chunk for chunk in chunks if len(chunk.token_bounds) > 1]
        starts = np.cumsum([0] + [len(chunk.token_bounds) - 1 for chunk in chunks])
        if starts[-1] != file.rows or (chunks and chunks[0].first_position != self._starts[shard]):
            raise ValueError(
                f"{file.path} in {self._place} holds {starts[-1]} sequences from position "
                f"{chunks[0].first_position if chunks else None}; the manifest wants {file.rows} from "
                f"{self._starts[shard]}: run `agora verify` on it"
            )
        return starts[:-1], chunks


def _views(batch: pa.RecordBatch) -> _Chunk:
    tokens, documents = batch.column("tokens"), batch.column("doc_tokens")
    return _Chunk(
        tokens=tokens.values.to_numpy(zero_copy_only=True),
        token_bounds=tokens.offsets.to_numpy(zero_copy_only=True),
        doc_tokens=documents.values.to_numpy(zero_copy_only=True),
        doc_bounds=documents.offsets.to_numpy(zero_copy_only=True),
        first_position=batch.column("position")[0].as_py() if batch.num_rows else -1,
    )
