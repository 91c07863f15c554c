"""Repeated lines end to end: one owner a line, the same under every cut, and texts that are read without the others."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest

from pipelines.local.options import beam_pipeline
from tests.laws import assert_conserved
from tests.small_dataset import read_unfinished, some_build
from transforms.datasets.fates import Tally
from transforms.datasets.ids import bucket_of
from transforms.datasets.names import shard_name
from transforms.dedup.line_layer import share_class
from transforms.dedup.line_owners import RepeatedLines, lines_of_shard
from transforms.dedup.line_search import LineSearch
from transforms.dedup.line_spec import SCHEMA, SHARES, LineSettings
from transforms.io.shard import Shard, document_shard
from transforms.io.write import WriteShards
from transforms.layers.read import read_documents

Row = dict[str, Any]

SETTINGS = LineSettings(tokens=3, left=6)
DAY = datetime(2020, 1, 1, tzinfo=UTC)


def document(doc_id: str, *lines: str, created: int | None = 0, **more: Any) -> Row:
    """created: days after the first; None: not known. more: language, and whether layers keep it."""
    at = None if created is None else DAY + timedelta(days=created)
    return {"doc_id": doc_id, "text": "\n".join(lines), "created": at, "language": "eng_Latn"} | more


def shards_of(rows: Sequence[Row], num_shards: int = 1) -> list[Shard]:
    """Documents with their layers, dealt by a hash of their ids, in the order in which they are given."""
    dealt: list[list[Row]] = [[] for _ in range(num_shards)]
    for row in rows:
        dealt[bucket_of("test", row["doc_id"], num_shards)].append(row)
    return [_shard(part, number, num_shards) for number, part in enumerate(dealt)]


def _shard(rows: Sequence[Row], number: int, num_shards: int) -> Shard:
    def column(name: str, kind: pa.DataType, default: object = None) -> pa.Array:
        return pa.array([row.get(name, default) for row in rows], kind)

    ids = column("doc_id", pa.string())
    table = pa.table({"doc_id": ids, "text": column("text", pa.string()), "created": column("created", TIME)})
    languages = pa.table(
        {"doc_id": ids, "language": column("language", pa.string()), "keep": column("sure", pa.bool_(), True)}
    )
    duplicates = pa.table({"doc_id": ids, "keep": column("unique", pa.bool_(), True)})
    layers = {"language": languages, "duplicates": duplicates}
    return replace(document_shard(table, number, num_shards), layers=layers)


TIME = pa.timestamp("ms", tz="UTC")


def layer_of(
    place: Path, shards: Sequence[Shard], settings: LineSettings = SETTINGS, workers: int = 1
) -> dict[str, Shard]:
    """Runs the graph; the shards of the layer by path, with their counts."""
    build = some_build(place / "layer", "repeated_lines")
    search = LineSearch(settings, str(place / "scratch"), len(shards))
    with beam_pipeline(workers) as p:
        _ = p | beam.Create(shards, reshuffle=True) | RepeatedLines(search) | WriteShards(build, SCHEMA, "doc_id")
    written = [file for shard in shards if (file := build.finished(shard.path))]
    return {file.path: Shard(file.path, read_unfinished(build, file.path), counts=file.counts) for file in written}


def found(place: Path, rows: Sequence[Row], num_shards: int = 2, **more: Any) -> dict[str, Row]:
    """Every document's row of the layer, and its text as it is read beside it, by id."""
    shards = shards_of(rows, num_shards)
    layer = layer_of(place, shards, **more)
    by_id = {}
    for shard in shards:
        beside = replace(shard, layers={**shard.layers, "repeated_lines": layer[shard.path].rows})
        texts = read_documents(beside, ["doc_id", "text"]).to_pylist()
        for row, text in zip(layer[shard.path].read().to_pylist(), texts, strict=True):
            assert row["doc_id"] == text["doc_id"]
            by_id[row["doc_id"]] = row | {"left": text["text"]}
    return by_id


def normal(line: str) -> str:
    return " ".join(line.casefold().split())


def number_of(doc_id: str) -> int:
    return int(re.sub(r"\D", "", doc_id))


def expected(rows: Sequence[Row], settings: LineSettings) -> dict[str, tuple[list[str], list[str], bool]]:
    """By id: the lines that stay and the owners of those that go, and whether it is kept: the rule, item by item."""
    owners: dict[str, Row] = {}
    times: dict[str, set[str]] = {}
    count = [row for row in rows if row.get("sure", True) and row.get("unique", True)]
    for row in sorted(count, key=lambda row: (row["created"] is None, row["created"] or DAY, number_of(row["doc_id"]))):
        for line in row["text"].split("\n"):
            if len(line.split()) >= settings.tokens:
                owners.setdefault(normal(line), row)
                times.setdefault(normal(line), set()).add(row["doc_id"])
    wanted = {}
    for row in rows:
        lines = [line for line in row["text"].split("\n") if line.strip()]
        owner = [owners.get(normal(line), row)["doc_id"] if row in count else row["doc_id"] for line in lines]
        stay = [line for line, of in zip(lines, owner, strict=True) if of == row["doc_id"]]
        owns = any(row in count and len(times.get(normal(line), ())) > 1 for line in stay)
        enough = sum(len(line.split()) for line in stay) >= settings.left
        wanted[row["doc_id"]] = (
            stay, [of for of in owner if of != row["doc_id"]], len(stay) == len(lines) or owns or enough
        )  # fmt: skip
    return wanted


def made_up(number: int = 120) -> list[Row]:
    """Documents of lines of which some stand in many, in other letter case and spacing; gaps and short lines."""
    chance = random.Random(7)
    common = [f"common line {letter} of many" for letter in "abcdefghij"]
    rows = []
    for index in range(number):
        lines = chance.choices([*common, "two words", "", "  "], k=chance.randrange(8))
        lines = [chance.choice([line, line.upper(), line.replace(" ", "  ")]) for line in lines]
        lines += [f"own line {index} {at}" for at in range(chance.randrange(3))]
        chance.shuffle(lines)
        created = chance.choice([None, 0, 0, 1, 2])
        rows.append(document(f"q{index}", *lines, created=created, sure=index % 9 > 0, unique=index % 7 > 0))
    return rows


def check(layer: Mapping[str, Row], rows: Sequence[Row], settings: LineSettings = SETTINGS) -> None:
    for doc_id, (stay, owners, keep) in expected(rows, settings).items():
        row = layer[doc_id]
        assert [line.rstrip() for line in row["left"].split("\n") if line.strip()] == [line.rstrip() for line in stay]
        assert [span["owner"] for span in row["cut"]] == owners, doc_id
        assert (row["keep"], row["reason"]) == (keep, None if keep else "repeated-lines"), doc_id


@pytest.mark.parametrize(("num_shards", "workers"), [(1, 1), (5, 1), (13, 1), (4, 2)])
def test_every_line_stays_with_its_owner_alone_whatever_shards_order_and_workers(
    tmp_path: Path, num_shards: int, workers: int
) -> None:
    rows = random.Random(num_shards).sample(made_up(), 120)
    check(found(tmp_path, rows, num_shards, workers=workers), rows)


def test_a_row_of_the_layer_has_the_same_bytes_whatever_shards_and_order(tmp_path: Path) -> None:
    rows = made_up()
    once = found(tmp_path / "a", rows, 1)
    assert found(tmp_path / "b", rows[::-1], 6) == once


def test_every_line_that_is_cut_stands_in_its_owner_which_is_kept(tmp_path: Path) -> None:
    rows = made_up()
    texts = {row["doc_id"]: row["text"] for row in rows}
    layer = found(tmp_path, rows, 3, settings=LineSettings(tokens=3, left=1000))
    cut = 0
    for doc_id, row in layer.items():
        for span in row["cut"]:
            line = texts[doc_id][span["begin"] : span["end"]]
            owner = layer[span["owner"]]
            assert normal(line) in map(normal, owner["left"].split("\n"))
            assert owner["keep"]
            cut += 1
    assert cut > 100
    assert sum(not row["keep"] for row in layer.values()) > 30


def test_nothing_is_lost_uncounted(tmp_path: Path) -> None:
    rows = made_up()
    shards = shards_of(rows, 3)
    counts = Tally()
    layer = layer_of(tmp_path, shards)
    for shard in layer.values():
        counts.merge(shard.counts)
    all_rows = [row for shard in layer.values() for row in shard.read().to_pylist()]
    assert_conserved(len(rows), counts.group("documents")["kept"], dict(counts.group("drop")))
    tokens = sum(len(row["text"].split()) for row in rows)
    left = sum(row["tokens_left"] for row in all_rows)
    assert tokens == sum(row["tokens"] for row in all_rows) == left + counts.group("cut")["tokens"]
    assert counts.group("cut")["lines"] == sum(len(row["cut"]) for row in all_rows)
    spans = [span for row in all_rows for span in row["cut"]]
    assert counts.group("cut")["characters"] == sum(span["end"] - span["begin"] for span in spans)
    assert counts.group("cut")["documents"] == sum(bool(row["cut"]) for row in all_rows)
    assert counts.total("share_cut") == len(rows)
    assert counts.group("tokens_by_language") == {"eng_Latn": tokens}
    assert counts.group("cut_by_language") == {"eng_Latn": tokens - left}


def test_the_owner_is_the_oldest_then_the_first_by_the_numbers_of_its_id(tmp_path: Path) -> None:
    line = "a line of five words"
    rows = [
        document("q9", line, "and one of its own here", created=1),
        document("q10", line, "a second of its own here", created=1),
        document("q1", line, "a third of its own here", created=2),
        document("q2", line, "a fourth of its own here", created=None),
        document("q0", line, "a fifth of its own here", created=0, unique=False),
        document("q3", line, "a sixth of its own here", created=0, sure=False, language=None),
        document("q" + "9" * 5000, line, "a seventh of its own here", created=1),
    ]
    for number in (1, 4):
        layer = found(tmp_path / str(number), rows, number)
        owners = {doc_id: [span["owner"] for span in row["cut"]] for doc_id, row in layer.items()}
        assert owners.pop("q" + "9" * 5000) == ["q9"]
        assert owners == {"q9": [], "q10": ["q9"], "q1": ["q9"], "q2": ["q9"], "q0": [], "q3": []}
    of_all = found(tmp_path / "all", rows, 4, settings=replace(SETTINGS, kept_by=()))
    assert [span["owner"] for span in of_all["q9"]["cut"]] == ["q0"]


def test_an_owner_keeps_its_line_as_often_as_it_has_it_and_others_none(tmp_path: Path) -> None:
    rows = [document("q1", *["a line that repeats"] * 3, "b"), document("q2", *["A line that repeats."] * 3, "c d e f")]
    layer = found(tmp_path, rows)
    assert layer["q1"]["left"] == rows[0]["text"]
    assert (layer["q2"]["left"], layer["q2"]["tokens"], layer["q2"]["tokens_left"]) == ("c d e f", 16, 4)


def test_too_little_is_left_only_where_something_was_cut_and_nothing_is_owned(tmp_path: Path) -> None:
    rows = [
        document("q1", "the first line of all", created=0),
        document("q2", "the first line of all", "five words of its own", created=1),  # one too few, and owns nothing
        document("q3", "the first line of all", "six words that are its own", created=1),
        document("q4", "the first line of all", "three words here", created=1),  # owns this one
        document("q5", "three words here", "and six of its own as well", created=2),
        document("q6", "short", created=2),  # of nobody else
    ]
    layer = found(tmp_path, rows)
    assert [doc_id for doc_id, row in sorted(layer.items()) if not row["keep"]] == ["q2"]
    assert layer["q5"]["left"] == "and six of its own as well"


def test_languages_are_counted_with_their_share(tmp_path: Path) -> None:
    rows = [
        document("q1", "one line of words"),
        document("q2", "one line of words", "some more words", created=1, language="fra_Latn"),
        document("q3", "a third line", created=1, language=None),
    ]
    (shard,) = layer_of(tmp_path, shards_of(rows)).values()
    assert shard.counts["tokens_by_language"] == {"eng_Latn": 4, "fra_Latn": 7, "unknown": 3}
    assert shard.counts["cut_by_language"] == {"eng_Latn": 0, "fra_Latn": 4, "unknown": 0}
    assert shard.counts["share_cut"] == {"nothing": 2, "50-90%": 1}


@pytest.mark.parametrize(
    ("cut", "tokens", "name"),
    [(0, 0, 0), (0, 9, 0), (1, 1000, 1), (9, 100, 1), (10, 100, 2), (49, 100, 2), (5, 10, 3), (9, 10, 4), (3, 3, 4)],
)
def test_classes_of_shares(cut: int, tokens: int, name: int) -> None:
    assert share_class(cut, tokens) == SHARES[name]


# ------------------------------------------------------------------------------------- hostile texts


def test_a_line_that_stands_everywhere_goes_on_once_a_shard(tmp_path: Path) -> None:
    rows = [document(f"q{number}", *["the same line again"] * 20, created=None) for number in range(5_000)]
    shards = shards_of(rows, 4)
    sent = [lines_of_shard(shard, LineSearch(SETTINGS, str(tmp_path / "s"), 4)).num_rows for shard in shards]
    assert sent == [1] * 4
    layer = found(tmp_path, rows, 4)
    assert [doc_id for doc_id, row in layer.items() if row["keep"]] == ["q0"]
    assert {row["left"] for doc_id, row in layer.items() if doc_id != "q0"} == {""}


def test_odd_ends_of_lines_are_ends_of_lines(tmp_path: Path) -> None:
    lines = ["the first line of all", "own words", "and a second line"]
    endings = ["\r\n", "\r", "\x85", "\u2028", "\u2029"]
    rows = [document("q0", *lines)]
    rows += [document(f"q{number}", ending.join(lines), created=1) for number, ending in enumerate(endings, 1)]
    layer = found(tmp_path, rows)
    assert [layer[f"q{number}"]["left"] for number in range(1, 6)] == ["own words"] * 5


def test_giant_lines_white_space_and_empty_texts(tmp_path: Path) -> None:
    giant = "word and more " * 100_000
    rows = [
        document("q1", giant),
        document("q2", giant, "and these are words of its own", created=1),
        document("q3", "  \n" * 100_000, created=1),
        document("q4", "", created=1),
        document("q5", *["an equal line here"] * 100_000, created=1),
        document("q6", "an equal line here", created=2),
    ]
    layer = found(tmp_path, rows, 3)
    assert layer["q2"]["left"] == "and these are words of its own"
    assert {doc_id for doc_id, row in layer.items() if not row["keep"]} == {"q6"}
    assert (layer["q3"]["tokens"], layer["q4"]["tokens"], layer["q5"]["tokens"]) == (0, 0, 400_000)


@pytest.mark.parametrize("number", [0, 1])
def test_few_documents(tmp_path: Path, number: int) -> None:
    layer = found(tmp_path, [document(f"q{n}", "a line of words") for n in range(number)], 3)
    assert [row["cut"] for row in layer.values()] == [[]] * number


def test_shards_that_are_missing_or_of_another_search_are_told(tmp_path: Path) -> None:
    shards = shards_of(made_up(20), 3)
    with pytest.raises(ValueError, match="is none of the 2 shards that repeated lines are searched in"):
        lines_of_shard(shards[0], LineSearch(SETTINGS, str(tmp_path), 2))
    other = replace(shards[0], layers={**shards[0].layers, "duplicates": shards[1].layers["duplicates"]})
    with pytest.raises(ValueError, match="the duplicates layer does not stand row for row beside the documents"):
        lines_of_shard(other, LineSearch(SETTINGS, str(tmp_path), 3))
    for number, given in enumerate((shards[:2], [*shards[:2], shards[1]])):
        with (
            pytest.raises(Exception, match=r"were as many given, each once\?|is missing, and another came twice"),
            beam_pipeline() as p,
        ):
            _ = p | beam.Create(given) | RepeatedLines(LineSearch(SETTINGS, str(tmp_path / str(number)), 3))


def test_only_the_shards_that_are_asked_for_are_made(tmp_path: Path) -> None:
    build = some_build(tmp_path / "layer", "repeated_lines")
    search = LineSearch(SETTINGS, str(tmp_path / "scratch"), 3)
    but_for = [shard_name(0, 3), shard_name(2, 3)]
    with beam_pipeline() as p:
        made = p | beam.Create(shards_of(made_up(20), 3)) | RepeatedLines(search, but_for)
        _ = made | WriteShards(build, SCHEMA, "doc_id")
    assert [bool(build.finished(shard_name(number, 3))) for number in range(3)] == [False, True, False]
