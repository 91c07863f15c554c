"""What the preference pairs of a build are like: where from, how far apart, how length and time go with the votes."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.charts import Figure, Series, histogram, line_chart
from pipelines.report.counting import FEW, PER_VALUE, SMALL, Counted, Numbers, Share
from pipelines.report.html import Column, Few, Table, number, percent, short_percent
from pipelines.report.looking import Look, Looked
from tokenizer.languages import language_name
from transforms.datasets.ids import keyed_hash
from transforms.datasets.names import split_of
from transforms.datasets.schema import SPLITS

_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 700  # of each text of an example
_CLASSES = (1, 2, 3, 6, 11, 21, 51, 101)  # smallest margins of the classes in which biases are drawn

_COUNTED = (
    "pair_id", "group_id", "site", "source", "margin", "chosen_chars", "rejected_chars", "chosen_created",
    "rejected_created",
)  # fmt: skip
_TEXTS = (
    "pair_id", "prompt", "chosen", "rejected", "chosen_score", "rejected_score", "language", "site", "license", "url",
)  # fmt: skip


@dataclass
class Bias:
    """How often the chosen answer of a pair is the longer, and the earlier one; a tie is one half."""

    longer: Share = field(default_factory=Share)
    earlier: Share = field(default_factory=Share)


@dataclass(frozen=True)
class Example:
    """A pair as it is shown."""

    facts: str
    url: str
    prompt: str
    chosen: str
    rejected: str
    chosen_score: int
    rejected_score: int


@dataclass
class Pairs:
    """Counts of pairs. whole: the biases of all. by_margin: those of each of _CLASSES."""

    looked: Looked
    sites: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    margin: Counted = field(default_factory=lambda: Counted(SMALL))
    whole: Bias = field(default_factory=Bias)
    by_split: dict[str, Bias] = field(default_factory=dict)
    by_margin: list[Bias] = field(default_factory=lambda: [Bias() for _ in _CLASSES])
    examples: Sequence[Example] = ()


def read_pairs(look: Look) -> Pairs:
    """One pass over the pairs that are looked at, without their texts, and the texts of the examples."""
    paths = look.drawn
    found = Pairs(look.looked(paths))
    lowest: list[tuple[int, str, str]] = []  # keyed hash, id and shard of the examples
    prompts = 0
    for path in paths:
        bias = found.by_split.setdefault(split_of(path) or "", Bias())
        last = None
        for batch in look.batches(path, _COUNTED):
            for name, counts in (("site", found.sites), ("source", found.sources)):
                _count(batch.column(name), counts)
            groups = batch.column("group_id")
            numbers, prompts, last = _numbered(groups, prompts, last)
            _add(batch, numbers, bias, found)
            ids = ((keyed_hash("report-pairs", pair), pair, path) for pair in batch.column("pair_id").to_pylist())
            lowest = heapq.nsmallest(_EXAMPLES, [*lowest, *ids])
        prompts += 1
    wanted = {pair: path for _, pair, path in lowest}
    examples = {pair: example for path in sorted(set(wanted.values())) for pair, example in _texts(look, path, wanted)}
    found.examples = [examples[pair] for _, pair, _ in lowest if pair in examples]
    return found


def _count(names: pa.Array, counts: Counter[str]) -> None:
    for entry in pc.value_counts(names).to_pylist():
        counts[entry["values"]] += entry["counts"]


def _numbered(groups: pa.Array, number: int, last: str | None) -> tuple[Numbers, int, str | None]:
    """A number for each row that rises where its group is another than that of the row before; and where it ended."""
    if not len(groups):
        return np.zeros(0, np.int64), number, last
    changed = pc.not_equal(groups[1:], groups[:-1]).to_numpy(zero_copy_only=False)
    first = number + (last is not None and groups[0].as_py() != last)
    numbers = first + np.concatenate([[0], np.cumsum(changed)])
    return numbers, int(numbers[-1]), groups[-1].as_py()


def _add(batch: pa.RecordBatch, prompts: Numbers, of_split: Bias, found: Pairs) -> None:
    margins = batch.column("margin").to_numpy()
    found.margin.add(margins)
    longer = _higher(batch.column("chosen_chars").to_numpy(), batch.column("rejected_chars").to_numpy())
    chosen, rejected = batch.column("chosen_created"), batch.column("rejected_created")
    known = pc.and_(pc.is_valid(chosen), pc.is_valid(rejected)).to_numpy(zero_copy_only=False)
    times = (column.cast(pa.int64()).fill_null(0).to_numpy() for column in (rejected, chosen))
    earlier = _higher(*times)
    classes = np.searchsorted(_CLASSES, margins, side="right") - 1
    every = np.ones(len(margins), np.bool_)
    for bias, rows in (
        (found.whole, every),
        (of_split, every),
        *((bias, classes == place) for place, bias in enumerate(found.by_margin)),
    ):
        bias.longer.add(prompts[rows], longer[rows])
        bias.earlier.add(prompts[rows & known], earlier[rows & known])


def _higher(first: Numbers, second: Numbers) -> Numbers:
    """1 where first is larger, 1/2 where equal, else 0."""
    return (first > second) + 0.5 * (first == second)


def _texts(look: Look, path: str, wanted: Mapping[str, str]) -> list[tuple[str, Example]]:
    """The examples of a shard, by id."""
    found = []
    missing = {pair for pair, shard in wanted.items() if shard == path}
    for batch in look.batches(path, _TEXTS):
        rows = [row for row, pair in enumerate(batch.column("pair_id").to_pylist()) if pair in missing]
        for pair in batch.take(pa.array(rows, pa.int64())).to_pylist() if rows else ():
            found.append((pair["pair_id"], _example(pair)))
            missing.discard(pair["pair_id"])
        if not missing:
            break
    return found


def _example(pair: Mapping[str, object]) -> Example:
    prompt, chosen, rejected = (clipped(_text(pair[side])) for side in ("prompt", "chosen", "rejected"))
    language, licence = pair["language"], pair["license"]
    facts = [str(pair["site"]), language_name(str(language)) if language else "no sure language", str(licence or "")]
    return Example(
        facts=" · ".join(filter(None, facts)),
        url=str(pair["url"] or ""),
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        chosen_score=int(str(pair["chosen_score"])),
        rejected_score=int(str(pair["rejected_score"])),
    )


def _text(messages: object) -> str:
    return "\n\n".join(message["content"] for message in messages) if isinstance(messages, list) else ""


def clipped(text: str, characters: int = _EXAMPLE_CHARACTERS) -> str:
    """Its beginning, and how long all of it is."""
    return text if len(text) <= characters else f"{text[:characters].rstrip()} … ({len(text):,} characters)"


def pairs_figures(found: Pairs | None) -> list[Figure]:
    """Margins, and how the biases go with them; those of which there is something to show."""
    if found is None or not found.margin.total:
        return []
    chart = histogram(
        "Margin of a pair", SMALL, [("", found.margin.counts)], "votes", "share of pairs per vote", x_log=True
    )
    says = f"Score of the chosen answer minus that of the rejected one. {PER_VALUE}"
    says += found.margin.left_out("pair", "of less than one vote")
    return [chart.told(says), _by_margin(found)]


def _by_margin(found: Pairs) -> Figure:
    curves, ends = [], {}
    for name, whole, shares in (
        ("chosen is longer", found.whole.longer.estimate, [bias.longer.estimate for bias in found.by_margin]),
        ("chosen is earlier", found.whole.earlier.estimate, [bias.earlier.estimate for bias in found.by_margin]),
    ):
        ends[name] = f"overall {percent(whole.value)}" if whole else ""
        points = [(low, share) for low, share in zip(_CLASSES, shares, strict=True) if share is not None]
        values = ([getattr(share, key) for _, share in points] for key in ("value", "low", "high"))
        curves.append(Series(name, [low for low, _ in points], *values))
    chart = line_chart(
        "Longer and earlier answers, share of pairs by margin", [("", curves)], "margin of the pair, in votes", percent,
        short_percent, (0.5, "even"), x_log=True, dots=True, ends=ends,
    )  # fmt: skip
    says = (
        "A point stands for the pairs with margins from its own up to the next point's: 1, 2, 3 to 5, 6 to 10, 11 to "
        "20, 21 to 50, 51 to 100, 101 and more. The band is the 95% interval, as below. Beside each name stands "
        "the share of all pairs."
    )
    return chart.told(says)


def bias_table(found: Pairs | None) -> Table:
    """The biases of each split."""
    columns = [
        Column("split", "name"), Column("pairs"), Column("prompts"), Column("P(chosen longer)"), Column("95% interval"),
        Column("P(chosen earlier)"), Column("95% interval"), Column("pairs with times"),
    ]  # fmt: skip
    order = {split: place for place, split in enumerate(SPLITS)}
    by_split = sorted((found.by_split if found else {}).items(), key=lambda item: order.get(item[0], len(order)))
    rows = []
    for split, bias in by_split:
        cells = (
            split, number(bias.longer.pairs), number(bias.longer.prompts), *_share(bias.longer), *_share(bias.earlier),
            number(bias.earlier.pairs),
        )  # fmt: skip
        if bias.longer.pairs:
            rows.append(Few(cells) if bias.longer.prompts < FEW else cells)
    return Table(columns, rows)


def _share(share: Share) -> tuple[str, str]:
    found = share.estimate
    return (percent(found.value), f"{100 * found.low:.1f}–{100 * found.high:.1f}") if found else ("–", "")
