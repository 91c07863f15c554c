"""Packing: documents into training sequences of at most a fixed length, without padding and without a lost token.

Best-fit-decreasing, as Ding et al., "Fewer Truncations Improve Language Modeling" (arXiv 2404.10830, section 3): a
document longer than a sequence is cut into pieces of the sequence's length, and only the rest of it is packed; pieces
are placed longest first, each into the fullest sequence that still has room. It works in windows of pieces, so that
time is near linear and the order of documents survives; a sequence that is not full at the end of its window stays open
for the next one, which closes it.

Guarantees: every token is in exactly one sequence; no sequence is longer than asked; the sequences of a window come in
the order of their longest document in it, so length does not drift within a stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_WINDOW_PIECES = 4096

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Packing:
    """P pieces of documents in N sequences. Pieces stand in the order of sequences, and within one as they are read."""

    document: Ints  # [P] which of the packed documents
    start: Ints  # [P] first token of the piece within that document
    length: Ints  # [P] tokens
    bounds: Ints  # [N + 1] sequence n holds the pieces bounds[n] up to bounds[n + 1]

    @property
    def num_sequences(self) -> int:
        """N."""
        return len(self.bounds) - 1


def pack(lengths: Ints, sequence_length: int, window_pieces: int = _WINDOW_PIECES) -> Packing:
    """Packs documents of these lengths (tokens, all > 0, in the order wanted) into sequences.

    Memory: about 60 bytes a piece. Raises ValueError for a length or a setting below 1.
    """
    if sequence_length < 1 or window_pieces < 1:
        raise ValueError(f"sequence_length and window_pieces must be >= 1; got {sequence_length} and {window_pieces}")
    lengths = np.asarray(lengths, dtype=np.int64)
    if len(lengths) and lengths.min() < 1:
        raise ValueError(f"document {int(lengths.argmin())} has {int(lengths.min())} tokens; a document has at least 1")
    document, start, length = _cut(lengths, sequence_length)
    sequences = [[piece] for piece in np.flatnonzero(length == sequence_length).tolist()]
    short = np.flatnonzero(length < sequence_length)
    open_sequences: list[list[int]] = []
    for begin in range(0, len(short), window_pieces):
        window = short[begin : begin + window_pieces]
        window = window[np.argsort(-length[window], kind="stable")]
        room = [sequence_length - int(length[members].sum()) for members in open_sequences]
        opened, opened_room = _best_fit(window.tolist(), length[window].tolist(), open_sequences, room, sequence_length)
        sequences += open_sequences
        sequences += [members for members, left in zip(opened, opened_room, strict=True) if left == 0]
        open_sequences = [members for members, left in zip(opened, opened_room, strict=True) if left > 0]
    sequences += open_sequences
    sequences.sort(key=lambda members: members[0])
    order = np.array([piece for members in sequences for piece in members], dtype=np.int64)
    bounds = np.zeros(len(sequences) + 1, dtype=np.int64)
    np.cumsum([len(members) for members in sequences], out=bounds[1:])
    return Packing(document[order], start[order], length[order], bounds)


def _cut(lengths: Ints, sequence_length: int) -> tuple[Ints, Ints, Ints]:
    """Pieces of at most sequence_length: (document, start, length), [P] each, in the order of documents."""
    pieces = -(-lengths // sequence_length)
    document = np.repeat(np.arange(len(lengths), dtype=np.int64), pieces)
    first = np.cumsum(pieces) - pieces
    start = (np.arange(len(document), dtype=np.int64) - first[document]) * sequence_length
    return document, start, np.minimum(lengths[document] - start, sequence_length)


def _best_fit(
    pieces: list[int], lengths: list[int], carried: list[list[int]], carried_room: list[int], sequence_length: int
) -> tuple[list[list[int]], list[int]]:
    """Places pieces, given longest first, into the carried sequences (extended in place) and new ones.

    Returns the new sequences and the room left in each. A piece goes where the least room that is enough is left; among
    equals, into the sequence that got that room last.
    """
    members = list(carried)
    room = list(carried_room)
    by_room: list[list[int]] = [[] for _ in range(sequence_length + 1)]
    rooms = 0  # bit r is set when some sequence has room for exactly r tokens: the search is one shift
    for sequence, left in enumerate(room):
        by_room[left].append(sequence)
        rooms |= 1 << left
    for piece, length in zip(pieces, lengths, strict=True):
        enough = rooms >> length
        if enough:
            left = length + (enough & -enough).bit_length() - 1
            candidates = by_room[left]
            sequence = candidates.pop()
            if not candidates:
                rooms ^= 1 << left
            members[sequence].append(piece)
        else:
            left = sequence_length
            sequence = len(members)
            members.append([piece])
            room.append(0)
        left -= length
        room[sequence] = left
        if left:
            by_room[left].append(sequence)
            rooms |= 1 << left
    return members[len(carried) :], room[len(carried) :]
