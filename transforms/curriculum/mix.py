"""The mix: how many tokens of each language a stage gets, and which.

Two choices, both exact in integers. *How many*: a stage's budget is divided by shares; inside "rest", languages weigh
by the power alpha of the tokens they have (XLM-R's temperature sampling, arXiv 1911.02116, section 3.1), and a language
that would recur more often than allowed is held at its cap, its surplus going to the others of "rest", as UniMax does
(arXiv 2304.09151, section 3). Largest remainders make the sum equal the budget to the token. *Which*: a language's
documents in the order of a keyed hash are one endless loop of tokens; each stage takes up where the one before stopped.
So nothing recurs before all else of its language was used, and stages <= k never depend on stage k + 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tokenizer.languages import language
from transforms.io.counts import SumCounts

_REST = "rest"  # in shares: every language of the pool that is not named itself

_DECIMAL = Context(prec=28)  # a power in software: the same digits on every machine

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stage:
    """One stage of the curriculum.

    Exactly one of `tokens` and `share_of_pool` states the budget; share_of_pool is a multiple of the tokens that the
    stage's languages have. shares maps language codes, and "rest", to shares of the budget and sums to 1; without
    "rest" the stage holds the named languages only. alpha: 1 keeps the natural proportions inside "rest", 0 makes them
    equal.
    """

    name: str
    sequence_length: int  # tokens
    tokens: int | None = None
    share_of_pool: float | None = None
    alpha: float = 1.0
    shares: Mapping[str, float] = field(default_factory=lambda: {_REST: 1.0})
    shards: int = 1  # files the stage is written to

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ValueError(f"a stage needs a name without '/'; got {self.name!r}")
        if (self.tokens is None) == (self.share_of_pool is None):
            raise ValueError(
                f"stage {self.name} needs a budget: either tokens or share_of_pool, not both and not neither"
            )
        for what, number in (
            ("tokens", self.tokens),
            ("sequence_length", self.sequence_length),
            ("shards", self.shards),
        ):
            if number is not None and number < 1:
                raise ValueError(f"stage {self.name}: {what} must be >= 1; got {number}")
        if self.share_of_pool is not None and not self.share_of_pool > 0:
            raise ValueError(f"stage {self.name}: share_of_pool must be > 0; got {self.share_of_pool}")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"stage {self.name}: alpha must be between 0 and 1; got {self.alpha}")
        for code, share in self.shares.items():
            if code != _REST:
                language(code)
            if not 0 < share <= 1:
                raise ValueError(f"stage {self.name}: the share of {code} must be above 0 and at most 1; got {share}")
        total = sum(map(_exact, self.shares.values()))
        if total != 1:
            raise ValueError(f"stage {self.name}: shares must sum to 1; they sum to {float(total):g}")


@dataclass(frozen=True)
class Recipe:
    """The whole mix: stages in order. max_repeats: how often a token may be used over all stages; 1: no token twice."""

    name: str
    version: int
    max_repeats: int
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if self.max_repeats < 1:
            raise ValueError(f"max_repeats must be >= 1 (1: no token is used twice); got {self.max_repeats}")
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a recipe needs at least one stage, and each its own name; got {names}")

    @property
    def num_shards(self) -> int:
        """Files of all stages together."""
        return sum(stage.shards for stage in self.stages)

    def takes(self, code: str) -> bool:
        """True when some stage may hold this language."""
        return any(code in stage.shares or _REST in stage.shares for stage in self.stages)


class Quota(NamedTuple):
    """What a stage takes of a language: `tokens` from its endless loop, beginning at token `start`."""

    stage: str
    language: str
    start: int
    tokens: int

    def repeated(self, available: int) -> int:
        """How many of the tokens were used before, in this stage or an earlier one."""
        return max(0, self.start + self.tokens - max(self.start, available))


def plan_stages(recipe: Recipe, available: Mapping[str, int]) -> list[Quota]:
    """The recipe over a pool: quotas in the order of stages, then languages; quotas of no tokens are left out.

    available: tokens of each language that may be used. Raises ValueError, with the numbers, when a stage cannot have
    its budget: a smaller budget or another mix is a person's decision.
    """
    pool = {code: available[code] for code in sorted(available) if available[code] > 0}
    used = dict.fromkeys(pool, 0)
    quotas: list[Quota] = []
    for stage in recipe.stages:
        left = {code: pool[code] * recipe.max_repeats - used[code] for code in pool}
        for code, tokens in sorted(_stage_tokens(stage, pool, left, recipe.max_repeats).items()):
            if tokens:
                quotas.append(Quota(stage.name, code, used[code], tokens))
                used[code] += tokens
    return quotas


class PlanStages(beam.PTransform):
    """What all token shards offer (Tally of each, of `index_shard`) to the quotas of all stages, as one list."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self._recipe = recipe

    def expand(self, counts: beam.PCollection) -> beam.PCollection:
        recipe = self._recipe
        return (
            counts
            | SumCounts()
            | "PlanStages" >> beam.Map(lambda total: plan_stages(recipe, total.group("available_tokens")))
        )


def _stage_tokens(stage: Stage, pool: Mapping[str, int], left: Mapping[str, int], max_repeats: int) -> dict[str, int]:
    named = {code for code in stage.shares if code != _REST}
    rest = [code for code in pool if code not in named] if _REST in stage.shares else []
    budget = _stage_budget(stage, pool)
    groups = allocate(budget, {key: _exact(share) for key, share in stage.shares.items()}, None)
    capacity = {key: sum(left[code] for code in rest) if key == _REST else left.get(key, 0) for key in groups}
    short = {key: groups[key] - capacity[key] for key in groups if groups[key] > capacity[key]}
    if short:
        fits = min(capacity[key] / _exact(stage.shares[key]) for key in groups)
        missing = ", ".join(f"{key} lacks {tokens:,} of {groups[key]:,}" for key, tokens in sorted(short.items()))
        raise ValueError(
            f"stage {stage.name} cannot have its {budget:,} tokens with max_repeats {max_repeats}: {missing}. "
            f"About {int(fits):,} tokens would fit these shares; lower the budget, change the shares, raise "
            "max_repeats, or add documents"
        )
    tokens = {code: groups[code] for code in named}
    weights = {code: _power(pool[code], stage.alpha) for code in rest}
    return tokens | (allocate(groups[_REST], weights, {code: left[code] for code in rest}) if rest else {})


def _stage_budget(stage: Stage, pool: Mapping[str, int]) -> int:
    """Tokens of the stage. A share of the pool counts the stage's own languages, rounded down.

    Raises ValueError when that is less than one token.
    """
    if stage.tokens is not None:
        return stage.tokens
    own = sum(tokens for code, tokens in pool.items() if _REST in stage.shares or code in stage.shares)
    budget = int(own * _exact(stage.share_of_pool or 0))  # one of the two is stated
    if budget < 1:
        raise ValueError(
            f"stage {stage.name}: the pool has {own} tokens of its languages, and share_of_pool "
            f"{stage.share_of_pool} of it is less than one token; check that the layers keep documents of these "
            "languages in the train split"
        )
    return budget


def allocate(budget: int, weights: Mapping[str, Fraction], caps: Mapping[str, int] | None) -> dict[str, int]:
    """Divides a budget by weight, exactly; no part is above its cap; what a cap leaves goes to the others by weight.

    Returns whole numbers that sum to the budget: quotas rounded down, then one each for the largest remainders (equal
    ones by name). Raises ValueError when the caps hold less than the budget.
    """
    if caps is not None and sum(caps[name] for name in weights) < budget:
        held = sum(caps[name] for name in weights)
        raise ValueError(f"{budget:,} were asked for, but the caps hold {held:,}: {budget - held:,} are missing")
    parts: dict[str, int] = {}
    free = dict(weights)
    left = budget
    while caps is not None:
        total = sum(free.values())
        full = [name for name in free if left * free[name] >= caps[name] * total]
        if not full:
            break
        for name in full:
            parts[name] = caps[name]
            left -= caps[name]
            del free[name]
    total = sum(free.values())
    exact = {name: left * weight / total for name, weight in free.items()}
    parts |= {name: int(quota) for name, quota in exact.items()}
    missing = budget - sum(parts.values())
    for name in sorted(free, key=lambda name: (int(exact[name]) - exact[name], name))[:missing]:
        parts[name] += 1
    return parts


def _exact(number: float) -> Fraction:
    """The decimal number as it was written: 0.1 is a tenth."""
    return Fraction(repr(number))


def _power(tokens: int, alpha: float) -> Fraction:
    return Fraction(_DECIMAL.power(Decimal(tokens), Decimal(repr(alpha))))


@dataclass(frozen=True)
class Take:
    """S stretches of documents, in the order of the loop."""

    document: Ints  # [S] which document
    start: Ints  # [S] first token in it
    length: Ints  # [S] tokens


def take(lengths: Ints, start: int, tokens: int) -> Take:
    """The documents that `tokens` tokens cover, from token `start` of the endless loop over documents of these lengths.

    lengths: [D] tokens, all > 0. The first and the last document are cut where the interval begins and ends.
    """
    ends = np.cumsum(np.asarray(lengths, dtype=np.int64))
    pool = int(ends[-1])
    document, first, length = [], [], []
    while tokens:
        offset = start % pool
        stop = min(pool, offset + tokens)
        low = int(np.searchsorted(ends, offset, side="right"))
        high = int(np.searchsorted(ends, stop, side="left"))
        span = np.arange(low, high + 1, dtype=np.int64)
        begins = ends[span] - lengths[span]
        heads = np.maximum(offset - begins, 0)
        document.append(span)
        first.append(heads)
        length.append(np.minimum(ends[span], stop) - begins - heads)
        start += stop - offset
        tokens -= stop - offset
    return Take(np.concatenate(document), np.concatenate(first), np.concatenate(length))
