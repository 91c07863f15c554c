"""The report by language: counts as the plain rule has them, examples drawn by ids, tables that a style sheet sorts."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.report import languages
from pipelines.report.html import Column, Sortable, Spark, style
from pipelines.report.languages import CLOSE, languages_table, left_out_table, read_languages
from tests.small_build import HOSTILE, Page, assert_harmless, drawn, render, row_of, whole_build
from tests.test_report_contents import at, look
from transforms.datasets import shards
from transforms.datasets.ids import keyed_hash
from transforms.datasets.schema import DOCUMENTS, required
from transforms.layers.kinds import LAYERS

SCHEMA = LAYERS["language"].schema
UNSURE, UNLISTED = "language-unsure", "language-unlisted"
EN, FR = "eng_Latn", "fra_Latn"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BATCH_ROWS", 3)


def row(doc_id: str, *guess: Any, reason: str | None = None) -> dict[str, Any]:
    """guess: language, confidence, runner-up and its confidence."""
    names = ("language", "confidence", "runner_up", "runner_up_confidence")
    given = dict(zip(names, guess, strict=True))
    flags = {"stated": False, "mixed": False}
    return row_of("language", "", 0) | given | flags | {"doc_id": doc_id, "keep": reason is None, "reason": reason}


def read(folder: Path, rows: Sequence[Sequence[dict[str, Any]]], text: str = "text of ") -> Any:
    """Shards of these rows, with a document for each."""
    number = len(rows)
    layer = {at(n, number): list(of_shard) for n, of_shard in enumerate(rows)}
    documents = {
        path: [
            row_of("documents", "", 0) | {"doc_id": r["doc_id"], "title": None, "text": text + r["doc_id"]} for r in of
        ]
        for path, of in layer.items()
    }
    return read_languages(look(folder, "language", SCHEMA, layer), look(folder, "documents", DOCUMENTS, documents))


def test_a_language_is_counted_by_hand(tmp_path: Path) -> None:
    rows = [
        row("a", EN, 1.0, None, 0.0),
        row("b", EN, 0.55, FR, 0.4),
        row("c", EN, 0.25, FR, 0.2, reason=UNSURE),
        row("d", EN, 0.29, "deu_Latn", 0.28, reason=UNSURE),
        row("e", FR, 0.6, EN, 0.1),
        row("f", None, 0.8, EN, 0.15, reason=UNLISTED),
    ]
    found = read(tmp_path, [rows[:4], rows[4:]])
    english = found.of[EN]
    assert (english.documents, english.kept, dict(english.reasons)) == (4, 2, {UNSURE: 2})
    assert english.histogram.counts == [0, 0, 2, 0, 0, 1, 0, 0, 0, 1]
    assert english.low == 0.25
    assert dict(english.runners_up) == {FR: 2, "deu_Latn": 1}
    assert found.of[FR].runners_up.total() == found.of[""].runners_up.total() == 0
    assert (found.of[""].documents, found.of[""].kept) == (1, 0)
    table = languages_table(found, {})
    assert [column.title for column in table.columns][2:6] == ["documents", "kept", "unlisted", "unsure"]
    assert [cells[:7] for cells in table.rows] == [
        ("English", EN, "4", "2", "0", "2", "52.3%"),
        ("not a listed language", "", "1", "0", "1", "0", "80.0%"),
        ("French", FR, "1", "1", "0", "0", "60.0%"),
    ]
    assert [cells[-1] for cells in table.rows] == ["French (2 of 3)", "", ""]
    assert [column.title for column in table.columns][6:9] == [
        "mean confidence",
        "10% are below",
        "confidence, 0 to 100%",
    ]
    assert [cells[7] for cells in table.rows] == ["25%", "80%", "60%"]
    assert sorted(table.keys) == list(range(len(table.columns)))  # all sort
    assert "20 to 30%: 2, 50 to 60%: 1, 90 to 100%: 1" in drawn("sortable", table)


@pytest.mark.parametrize(
    ("confidences", "low"),
    [([0.5] * 10, 0.5), ([0.1, *[0.9] * 9], 0.9), ([0.1, 0.2, *[0.9] * 17], 0.2), ([1.0], 0.99), ([0.0], 0.0)],
)
def test_a_tenth_is_below(tmp_path: Path, confidences: list[float], low: float) -> None:
    found = read(tmp_path, [[row(f"{n:02}", EN, value, None, 0.0) for n, value in enumerate(confidences)]])
    assert found.of[EN].low == low


def test_what_is_stated_but_not_listed_is_named(tmp_path: Path) -> None:
    stated = {"stated": True}
    rows = [row("a", None, 0.0, EN, 0.9, reason=UNLISTED) | stated, row("b", None, 0.8, EN, 0.1, reason=UNLISTED)]
    rows += [row("c", None, 0.0, EN, 0.9, reason=UNLISTED) | stated, row("d", EN, 0.9, None, 0.0) | stated]
    tags = {"a": "gsw", "b": "x-tag-that-leaves-it-open", "c": "gsw", "d": EN}
    documents = [row_of("documents", "", 0) | {"doc_id": name, "language": tag} for name, tag in tags.items()]
    found = read_languages(
        look(tmp_path, "language", SCHEMA, {at(0, 1): rows}),
        look(tmp_path, "documents", DOCUMENTS, {at(0, 1): documents}),
    )
    assert found.unlisted == {"gsw": 2}
    assert found.of[""].documents == 3


def test_what_is_stated_and_mixed_has_columns_where_it_occurs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["stated", "mixed"]
    schema = pa.schema(
        [field for field in SCHEMA if field.name not in flags] + [required(f, pa.bool_()) for f in flags]
    )
    monkeypatch.setattr(languages, "_FLAGS", flags)
    guesses = [(EN, True, False), (EN, True, False), (EN, False, False), (FR, True, False), (None, False, False)]
    rows = [
        row(f"{n}", code, 0.9, None, 0.0, reason=None if code else UNLISTED) | {"stated": stated, "mixed": mixed}
        for n, (code, stated, mixed) in enumerate(guesses)
    ]
    found = read_languages(
        look(tmp_path, "language", schema, {at(0, 1): rows}), look(tmp_path, "documents", DOCUMENTS, {})
    )
    table = languages_table(found, {f"{EN}≠{FR}": 1, f"{EN}≠deu_Latn": 1, f"gsw≠{FR}": 1})
    assert [column.title for column in table.columns][4:8] == ["unlisted", "stated", "disputed", "mean confidence"]
    assert [cells[1:7] for cells in table.rows] == [
        (EN, "3", "3", "0", "2", "2"), ("", "1", "0", "1", "0", "1"), (FR, "1", "1", "0", "1", "0"),
    ]  # fmt: skip
    assert list(languages_table(found, {}).keys[5]) == [2, 0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_the_plain_rule_however_rows_are_cut(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    rows = []
    for index in range(draw.randrange(40)):
        code, reason = draw.choice([(EN, None), (FR, None), (EN, UNSURE), (FR, UNSURE), (None, UNLISTED)])
        guess = (code, draw.randrange(101) / 100, draw.choice([None, EN, FR]), draw.randrange(101) / 200)
        rows.append(row(f"{index:02}", *guess, reason=reason))
    cut = sorted(draw.choices(range(len(rows) + 1), k=2))
    found = read(tmp_path, [rows[: cut[0]], rows[cut[0] : cut[1]], rows[cut[1] :]])
    assert sum(of.documents for of in found.of.values()) == len(rows)
    for code, of in found.of.items():
        its = [r for r in rows if (r["language"] or "") == code]
        assert of.documents == len(its)
        assert of.reasons == Counter(r["reason"] for r in its if r["reason"])
        assert of.kept == sum(r["keep"] for r in its)
        assert of.total_confidence == pytest.approx(sum(r["confidence"] for r in its), abs=1e-4)
        margins = [(r["runner_up"], r["confidence"] - r["runner_up_confidence"]) for r in its if r["runner_up"]]
        near = Counter(other for other, margin in margins if margin < CLOSE - 1e-6)
        assert near <= of.runners_up <= Counter(other for other, margin in margins if margin < CLOSE + 1e-6)
    for reason in (UNSURE, UNLISTED):
        ids = sorted(
            (r["doc_id"] for r in rows if r["reason"] == reason), key=lambda i: keyed_hash("report-languages", i)
        )
        assert [example.doc_id for example in found.examples if example.reason == reason] == ids[:3]
    assert all(example.excerpt == f"text of {example.doc_id}" for example in found.examples)


def test_examples_say_what_was_guessed(tmp_path: Path) -> None:
    rows = [row("a", EN, 0.25, FR, 0.2, reason=UNSURE), row("b", None, 0.8, None, 0, reason=UNLISTED)]
    rows += [row("c", None, 0.0, None, 0.0, reason=UNSURE)]
    table = left_out_table(read(tmp_path, [rows]))
    assert sorted(cells[:2] for cells in table.rows) == [
        (UNLISTED, "not a listed language 80.0%"),
        (UNSURE, "English 25.0%, then French"),
        (UNSURE, "not a listed language 0.0%"),
    ]


def test_a_build_shows_its_languages_and_what_texts_say_is_harmless(tmp_path: Path) -> None:
    whole_build(tmp_path)
    page = Page(render(tmp_path)).text
    assert "Texts that are left out" in page
    assert "x x 10 9 1" in page  # the rows of the made-up layer are all of a language called x
    hostile = [row(f"{HOSTILE}{n}", HOSTILE, 0.5, HOSTILE, 0.4, reason=HOSTILE) for n in range(5)]
    found = read(tmp_path / "hostile", [hostile], HOSTILE * 200)
    html = drawn("sortable", languages_table(found, {})) + drawn("table", left_out_table(found))
    assert "<script" not in html
    assert len(Page(html).text) < 3000


def test_a_layer_that_cannot_be_read_leaves_its_counts(tmp_path: Path) -> None:
    whole_build(tmp_path)
    for shard in (tmp_path / "layers" / "language" / "data").iterdir():
        shard.write_bytes(b"\0" * 99)
    html = render(tmp_path)
    assert_harmless(html)
    page = Page(html).text
    assert "English eng_Latn 9 100.0%" in page
    assert "Texts that are left out" not in page


# ------------------------------------------------------------------------------------------- sorting


def orders(keys: Sequence[str | float | None], turned: bool = False) -> list[int]:
    """The rows as the style sheet shows them: by rank, or by minus the rank when turned."""
    table = Sortable([Column("a")], [(key,) for key in keys], "name", {0: keys}, 0, turned)
    ranks = [int(found.removeprefix("--s1:")) for found in table.orders]
    return sorted(range(len(keys)), key=lambda place: -ranks[place] if turned else ranks[place])


def test_rows_are_sorted_by_rank() -> None:
    assert orders([3, None, 7.5, 3, 0]) == [2, 0, 3, 4, 1]  # the largest first, equal ones in order, nothing last
    assert orders(["b", "a", None, "b"]) == [1, 0, 3, 2]
    assert orders([1, 0, 0, 2], turned=True) == [1, 2, 0, 3]
    assert orders([]) == []


def test_each_column_that_sorts_has_a_button_and_a_rule_in_the_style_sheet() -> None:
    columns = [Column("name", "name"), Column("none"), Column("number")]
    table = Sortable(columns, [("x", "1", "2"), ("y", "3", "4")], "t", {0: ["x", "y"], 2: [2, 4]}, by=2)
    page = Page(drawn("sortable", table))
    radios = [(place, "checked" in attributes) for place, (name, attributes) in enumerate(page.seen) if name == "input"]
    assert [checked for _, checked in radios] == [False, False, True]  # the one that turns the order, and two columns
    assert [dict(attributes)["style"] for name, attributes in page.seen if name == "tr" and "style" in attributes] == [
        "--s1:0;--s3:1",
        "--s1:1;--s3:0",
    ]
    rules = re.findall(r"th:nth-child\((\d+)\) :checked\) tr { --by: var\(--s(\d+)\); }", style())
    assert [(n, n) for n in map(str, range(1, 21))] == rules


def test_bars_of_a_histogram_are_seen_however_low() -> None:
    spark = Spark([0, 1, 1000, 500])
    assert spark.path == "M25.00,100L25.00,95.00L50.00,95.00L50.00,100ZM50.00,100L50.00,0.00L75.00,0.00L75.00,100Z" + (
        "M75.00,100L75.00,50.00L100.00,50.00L100.00,100Z"
    )
    assert Spark([0, 0]).path == ""
