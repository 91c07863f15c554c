"""How many tokens of the preference data a trainer would cut at a length: by its rule, and no token is read for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.counting import Numbers
from pipelines.report.html import Column, Table, number, percent, share
from pipelines.report.looking import Look, Looked
from tokenizer.cut import cut_lengths

LENGTHS = (512, 1024, 2048, 4096)

_COLUMNS = ("prompt_tokens", "responses")


@dataclass
class Cut:
    """What a length cuts, and of how much: of tokens, prompts, responses, each response with the prompt for itself."""

    tokens: list[int] = field(default_factory=lambda: [0, 0])
    prompts: list[int] = field(default_factory=lambda: [0, 0])
    responses: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, prompts: Numbers, responses: Numbers, limit: int) -> None:
        """responses: [R] their tokens. prompts: [R] those of each one's prompt."""
        kept, kept_responses = cut_lengths(prompts, responses, limit)
        for counts, whole, left in ((self.prompts, prompts, kept), (self.responses, responses, kept_responses)):
            counts[0] += int(np.count_nonzero(left < whole))
            counts[1] += len(whole)
            self.tokens[0] += int((whole - left).sum())
            self.tokens[1] += int(whole.sum())


@dataclass(frozen=True)
class Cuts:
    """By the length at which is cut."""

    looked: Looked
    by_length: dict[int, Cut]


def read_cuts(look: Look, lengths: Sequence[int]) -> Cuts:
    """One pass over the lengths of the shards that are looked at."""
    paths = look.drawn
    found = Cuts(look.looked(paths), {length: Cut() for length in sorted({*LENGTHS, *lengths})})
    for path in paths:
        for batch in look.batches(path, _COLUMNS):
            responses = batch.column("responses")
            tokens = _lengths(pc.struct_field(responses.flatten(), "tokens"))
            prompts = np.repeat(_lengths(batch.column("prompt_tokens")), _lengths(responses))
            for length, cut in found.by_length.items():
                cut.add(prompts, tokens, length)
    return found


def _lengths(lists: pa.Array) -> Numbers:
    return pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)


def cuts_table(found: Cuts | None, trained: int) -> Table:
    """A row a length; `trained` is that of the model of this build."""
    columns = [
        Column("length in tokens", "name"), Column("tokens cut"), Column("of all tokens"), Column("prompts cut"),
        Column("of all prompts"), Column("answers cut"), Column("of all answers"),
    ]  # fmt: skip
    rows = [
        (
            f"{length:,}{', as the model of this build' if length == trained else ''}",
            *(text for part, whole in (cut.tokens, cut.prompts, cut.responses)
              for text in (number(part), percent(share(part, whole), 2))),
        )
        for length, cut in (found.by_length.items() if found else ())
        if cut.tokens[1]
    ]  # fmt: skip
    return Table(columns, rows)
