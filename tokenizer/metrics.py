"""How well a tokenizer fits a language: bytes per token, fertility, exact round trips. Pure; counts are exact.

Fertility (tokens per word) means something only with a stated way to split words: `word_split` of the language table.
Bytes per token needs no words and stands beside it always.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

WordSplit = Literal["space", "char"]


@dataclass(frozen=True)
class Fit:
    """Counts of one language's texts under one tokenizer."""

    word_split: WordSplit
    texts: int
    bytes: int  # UTF-8
    words: int
    tokens: int
    round_trips: int  # texts that decode to what they were

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes a token; 0 without tokens."""
        return self.bytes / self.tokens if self.tokens else 0.0

    @property
    def fertility(self) -> float:
        """Tokens per word."""
        return self.tokens / self.words if self.words else 0.0

    @property
    def round_trip_rate(self) -> float:
        """The share of texts that decode to what they were; 0 without texts."""
        return self.round_trips / self.texts if self.texts else 0.0

    def to_dict(self) -> dict[str, object]:
        """The counts, and the ratios to four places."""
        return {
            "word_split": self.word_split,
            "texts": self.texts,
            "bytes": self.bytes,
            "words": self.words,
            "tokens": self.tokens,
            "round_trips": self.round_trips,
            "bytes_per_token": round(self.bytes_per_token, 4),
            "fertility": round(self.fertility, 4),
            "round_trip_rate": round(self.round_trip_rate, 4),
        }


def count_words(text: str, word_split: WordSplit) -> int:
    """Words of a text: runs between white space ("space"), or characters that are no white space ("char")."""
    words = text.split()
    return len(words) if word_split == "space" else sum(map(len, words))


def fit(texts: Sequence[str], ids: Sequence[Sequence[int]], decoded: Sequence[str], word_split: WordSplit) -> Fit:
    """Measures texts with their ids and what those decode to, in one order. Raises ValueError when lengths differ."""
    rows = list(zip(texts, ids, decoded, strict=True))
    return Fit(
        word_split=word_split,
        texts=len(rows),
        bytes=sum(len(text.encode()) for text, _, _ in rows),
        words=sum(count_words(text, word_split) for text, _, _ in rows),
        tokens=sum(len(tokens) for _, tokens, _ in rows),
        round_trips=sum(text == back for text, _, back in rows),
    )
