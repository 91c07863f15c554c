"""What a source states of a post: its language is trusted as far as it is a tag, attributes are kept as text."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import ingest as pipeline
from pipelines.ingest_plan import IngestSettings
from tests import laws
from tests.test_ingest import conserved, write
from tests.test_stackexchange import posts, row
from tokenizer.languages import LANGUAGES
from transforms.datasets import strict_yaml
from transforms.datasets.fates import Drop
from transforms.datasets.ids import fingerprint
from transforms.datasets.manifest import Manifest
from transforms.sources.fields import UnusableError
from transforms.sources.inputs import Input
from transforms.sources.mapping import RowMapping
from transforms.sources.records import Record
from transforms.sources.rows import jsonl, parquet
from transforms.sources.source import Holds, Reading
from transforms.sources.stackexchange import post_rows
from transforms.sources.stated import attribute_of, language_of

CORPUS = """
source: web
language: meta.lang
attributes: {dump: dump, kind: {value: 1.0}}
document: {text: text, id: id, language: lang, attributes: {domain: meta.host.name, score: score}}
"""
NESTED = """
source: set
language: lang
attributes: {board: board}
question: {id: i, text: t, attributes: {asked: meta.0}}
answer: {list: answers, id: i, text: t, language: lang, attributes: {board: board, best: best}}
comment: {list: comments, id: i, text: t, language: {value: en}}
"""
REPLIES = """
source: r
language: lang
attributes: {room: room}
question: {id: i, text: t}
reply: {id: i, text: t, parent: p, attributes: {by: by}}
"""


def mapping(text: str) -> RowMapping:
    return strict_yaml.parse(RowMapping, text, "m.yaml")


def read(text: str, *rows: object) -> list[Record]:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    found = jsonl.read_rows(io.BytesIO(data), 0, None, Reading("f", "x", mapping=mapping(text)))
    records = [item for item in found if isinstance(item, Record)]
    assert len(records) == len(rows) or "list:" in text
    return records


def pairs(record: Record) -> dict[str, str]:
    return {item["name"]: item["value"] for item in record.attributes}


# ------------------------------------------------------------------------------------------ languages


@pytest.mark.parametrize(
    ("value", "stated"),
    [
        ("en", "eng_Latn"),
        (" EN_us\n", "eng_Latn"),
        ("por_Latn", "por_Latn"),
        ("zh-Hant-TW", "zho_Hant"),
        ("zh", "zh"),  # in which writing, it does not say
        ("cop", "cop"),
        ("COP_copt_eg", "cop-Copt-EG"),
        ("art-x-a-Quenya", "art-x-a-quenya"),
        ("sgn-u-CO-Phon", "sgn-u-co-phon"),
        ("tlh-1a2B", "tlh-1a2b"),
        (None, None),
        ("", None),
        (" ", None),
        ("und", None),
        ("und-Latn", None),
    ],
)
def test_a_stated_language(value: object, stated: str | None) -> None:
    assert language_of(value) == stated


@pytest.mark.parametrize(
    "value",
    ["english please!", "English", "e", "en us", "en--us", "-en", "en-", "en\x00", "\u212aa", "ру", "en,fr", "en.UTF-8",
     "i-klingon", "x-mine", "en-" + "abcdefgh-" * 7 + "x", "en" * (1 << 19), "🇫🇷", "\ud800", 7, 1.5, True, ["en"],
     {"a": "en"}, b"en"],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_what_is_no_tag(value: object) -> None:
    with pytest.raises(UnusableError, match=r"^language is no tag of BCP 47$"):
        language_of(value)


def test_every_language_of_the_table_is_stated_by_its_code_and_by_its_tag() -> None:
    for code, listed in LANGUAGES.items():
        for tag in (code, code.replace("_", "-"), code.lower(), listed.bcp47, listed.bcp47.upper()):
            assert language_of(tag) == code, tag


@given(st.from_regex(r"\A[a-z]{2,3}(-[a-z]{4})?(-[a-z]{2})?(-[0-9][a-z]{3})?(-x-[a-z]{1,8})?\Z"))
def test_what_is_stored_reads_as_itself_however_it_was_written(tag: str) -> None:
    stated = language_of(tag)
    assert language_of(tag.upper().replace("-", "_")) == stated
    assert stated is None or language_of(stated) == stated
    assert stated is None or stated in LANGUAGES or stated.lower() == tag


# ------------------------------------------------------------------------------------------ attributes


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" schÃ¶n ", "schön"),
        ("a\x00b", "ab"),
        ("\ud800", "\ufffd"),
        (7, "7"),
        (-0.5, "-0.5"),
        (1e300, "1e+300"),
        (True, "true"),
        (False, "false"),
        (Decimal("0.50"), "0.5"),
        (Decimal("1234567890123456789012345678901234.5"), "1234567890123456789012345678901234.5"),
        (dt.date(2020, 1, 2), "2020-01-02"),
        (dt.datetime(2020, 1, 2, 3), "2020-01-02T03:00:00.000+00:00"),
        (dt.datetime(2020, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2))), "2020-01-02T01:00:00.000+00:00"),
        ("x" * 1024, "x" * 1024),
        ("", None),
        ("\x00 ", None),
        (None, None),
    ],
)
def test_an_attribute_is_text(value: object, text: str | None) -> None:
    assert attribute_of(value, "a") == text


@pytest.mark.parametrize(
    "value",
    [float("inf"), -float("inf"), 10**5000, 10**1025, Decimal("NaN"), Decimal("Infinity"), [1], {"a": 1}, [], b"x",
     object(), "x" * 1025, "\ufb2e" * 1024, "x" * (1 << 20),
     dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_no_attribute(value: object) -> None:
    """The last text but one grows when it is normalised: what is stored is bounded."""
    with pytest.raises(UnusableError, match=r"^a (is neither|has more than 1024)"):
        attribute_of(value, "a")


@given(st.text(max_size=40) | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_attributes_can_be_written_and_numbers_read_back(value: Any) -> None:
    text = attribute_of(value, "a")
    assert text is None or text.encode()
    assert isinstance(value, str) or json.loads(text or "") == value


# ------------------------------------------------------------------------------------------ rows


def test_a_post_says_its_own_or_its_row_does() -> None:
    own, of_row, neither, odd = read(
        CORPUS,
        {
            "text": "a",
            "lang": "fr-CA",
            "meta": {"lang": "de", "host": {"name": "a.example"}},
            "dump": "w1",
            "score": 2.0,
        },
        {"text": "b", "lang": "", "meta": {"lang": "de"}},
        {"text": "c", "meta": "de"},
        {"text": "d", "lang": 5, "meta": {"lang": "de", "host": {"name": ["x"]}}, "dump": {"a": 1}, "score": False},
    )
    assert [record.language for record in (own, of_row, neither, odd)] == ["fra_Latn", "deu_Latn", None, None]
    assert pairs(own) == {"domain": "a.example", "dump": "w1", "kind": "1", "score": "2"}
    assert list(pairs(own)) == sorted(pairs(own))
    assert pairs(of_row) == pairs(neither) == {"kind": "1"}
    assert pairs(odd) == {"kind": "1", "score": "false"}
    assert (own.note, of_row.note, neither.note) == (None, None, "no-language")
    assert odd.note == "unreadable-language unreadable-attributes.domain unreadable-attributes.dump"


def test_nested_answers_and_comments_follow_their_row() -> None:
    row = {
        "i": 1, "t": "q", "lang": "ja", "board": "b", "meta": ["m"], "comments": [{"i": 1, "t": "c"}],
        "answers": [{"i": 2, "t": "a", "best": True}, {"i": 3, "t": "a", "lang": "ko", "board": "other"}],
    }  # fmt: skip
    found = read(NESTED, row)
    assert [(post.kind, post.language, pairs(post)) for post in found] == [
        ("question", "jpn_Jpan", {"asked": "m", "board": "b"}),
        ("comment", "eng_Latn", {"board": "b"}),
        ("answer", "jpn_Jpan", {"best": "true", "board": "b"}),
        ("answer", "kor_Hang", {"board": "other"}),
    ]


def test_rows_without_a_statement_have_none() -> None:
    (found,) = read("source: s\ndocument: {text: t}", {"t": "a", "language": "en", "lang": "en"})
    assert (found.language, found.attributes, found.note) == (None, (), None)


def test_a_mapping_that_states_nothing_keeps_its_name() -> None:
    plain, other = (mapping(f"source: s\n{more}document: {{text: t}}") for more in ("", "language: {value: en}\n"))
    assert not {"language", "attributes"} & plain.identity().keys()
    assert fingerprint(plain.identity()) == "8496b918d16baff3"
    assert fingerprint(other.identity()) != fingerprint(plain.identity())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("language: {value: Englisch}", "language is always 'Englisch'; want a tag such as pt-BR .* nearest: eng_Latn"),
        ("language: {value: no}", "language is always False; .*quote it"),
        ("language: {value: und}", "language is always 'und'"),
        ("language: no", "at language: got False"),
        ("language: fra_Latn", r"language 'fra_Latn' is a path in the row; a constant is \{value: fra_Latn\}"),
        ("attributes: {Domain: d}", "attributes names 'Domain': want small letters"),
        ("attributes: {a-b: d}", "attributes names 'a-b'"),
        (f"attributes: {{{'a' * 65}: d}}", "attributes names 'aaa"),
        ("attributes: {a: {value: ''}}", "attributes.a is always empty"),
        ("attributes: {a: {value: .inf}}", "attributes.a is always one that cannot be kept"),
        ("attributes: [a]", "at attributes: got .* wanted a mapping"),
        ("attributes: {a: 5}", "at attributes.a: got 5"),
        (f"attributes: {{{', '.join(f'a{n}: p' for n in range(64))}}}", "attributes have 65 names; at most 64"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(keys: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"m.yaml: {message}"):
        mapping(f"source: s\n{keys}\ndocument: {{text: t, attributes: {{b: p}}}}")
    with pytest.raises(
        ValueError, match=r"at document: language|document\.(language|attributes)|at document\.|65 names"
    ):
        mapping(f"source: s\nattributes: {{b: p}}\ndocument: {{text: t, {keys}}}")


def test_stack_exchange_sites_of_one_language() -> None:
    assert set(post_rows._LANGUAGES.values()) <= LANGUAGES.keys()
    comment = b'<comments><row Id="3" PostId="1" Text="words" /></comments>'
    for site, code in (("ru.stackoverflow.com", "rus_Cyrl"), ("russian.stackexchange.com", None)):
        (post,) = post_rows.read_posts(io.BytesIO(posts(row(1))), 0, None, Reading("Posts.xml", site))
        (said,) = post_rows.read_posts(io.BytesIO(comment), 0, None, Reading("C.xml", site, holds=Holds.COMMENTS))
        assert isinstance(post, Record)
        assert isinstance(said, Record)
        assert (post.language, said.language) == (code, code)


# ------------------------------------------------------------------------------------------ datasets

TAGS = ["en", "fr-CA", "zh", "cop", "english please!", None, 5, ["en"], "x" * 500]


def corpus(number: int = 90) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for n in range(number):
        meta = {"lang": "de" if n % 4 == 0 else None, "host": {"name": f"h{n % 3}.example" if n % 2 else None}}
        rows.append(
            {"id": n, "text": f"text {n}", "lang": TAGS[n % len(TAGS)], "meta": meta, "dump": n, "score": n / 4}
        )
    return rows


def ingest(out: Path, source: str, *files: Path, workers: int = 1, **more: Any) -> Manifest:
    place = write(out.parent / "mapping.yaml", source.encode())
    inputs = [Input(str(path), site="s", mapping=str(place)) for path in files]
    settings = IngestSettings(**{"num_shards": 3, "max_drop_rate": 1.0, "range_bytes": 5000, **more})
    return pipeline.run(inputs, str(out), settings, workers)


def lines(path: Path, rows: list[Any]) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def test_documents_state_their_language(tmp_path: Path) -> None:
    rows = corpus()
    whole = lines(tmp_path / "whole.jsonl", rows)
    manifest = ingest(tmp_path / "one", CORPUS, whole)
    conserved(tmp_path / "one")
    found = {int(post["doc_id"].split(":")[-1]): post for post in laws.all_rows(tmp_path / "one")}
    assert [found[n]["language"] for n in range(9)] == [
        "eng_Latn", "fra_Latn", "zh", "cop", None, None, None, None, None
    ]  # fmt: skip
    assert found[5 + 9 * 3]["language"] == "deu_Latn"
    assert found[1]["attributes"] == [
        {"name": "domain", "value": "h1.example"}, {"name": "dump", "value": "1"}, {"name": "kind", "value": "1"},
        {"name": "score", "value": "0.25"},
    ]  # fmt: skip
    shards = [str(tmp_path / "one" / file.path) for file in manifest.data_files]
    loaded = datasets.load_dataset("arrow", data_files=shards, cache_dir=str(tmp_path / "cache"), split="train")
    assert loaded["attributes"][:] == [post["attributes"] for post in laws.all_rows(tmp_path / "one")]
    assert manifest.counts["language"] == {
        "deu_Latn": 2,
        "eng_Latn": 10,
        "fra_Latn": 10,
        "left-open": 10,
        "unlisted": 10,
    }
    assert manifest.counts["attribute"] == {"domain": 45, "dump": 90, "kind": 90, "score": 90}
    assert manifest.counts["note"] == {"no-language": 8, "unreadable-language": 40}
    told = list(pipeline.notes(manifest, str(tmp_path / "one"), IngestSettings()))
    assert told == [
        "language stated of 42 documents: 10 eng_Latn, 10 fra_Latn, 10 left-open, 10 unlisted, 2 deu_Latn",
        "attributes: 45 domain, 90 dump, 90 kind, 90 score",
    ]


def test_same_bytes_for_workers_order_cut_and_reuse(tmp_path: Path) -> None:
    rows = corpus(40)
    rows += [
        {**rows[3], "lang": "de"},
        {**rows[3], "dump": "other"},
    ]  # copies of one id: the same one stays in any order
    whole = lines(tmp_path / "whole.jsonl", rows)
    ingest(tmp_path / "one", CORPUS, whole)
    ingest(tmp_path / "two", CORPUS, whole, workers=2, range_bytes=900)
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "two")
    first, second = lines(tmp_path / "b.jsonl", rows[:15]), lines(tmp_path / "a.jsonl", rows[:14:-1])
    cache = str(tmp_path / "cache")
    for name in ("parsed", "reused"):
        ingest(tmp_path / name, CORPUS, first, second, reuse=cache)
        laws.assert_same_bytes(tmp_path / "one", tmp_path / name, ignore=["manifest.json", "rejects/"])
    other = CORPUS.replace("language: lang,", "")
    assert ingest(tmp_path / "other", other, first, second, reuse=cache).counts["language"] == {"deu_Latn": 10}
    ingest(tmp_path / "fresh", other, first, second)
    laws.assert_same_bytes(tmp_path / "fresh", tmp_path / "other")


def test_parquet_reads_the_same_and_only_what_is_named(tmp_path: Path) -> None:
    rows = [
        {**row, "lang": row["lang"] if isinstance(row["lang"], str) else None, "other": n}
        for n, row in enumerate(corpus(20))
    ]
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "f.parquet")
    ingest(tmp_path / "p", CORPUS, tmp_path / "f.parquet")
    ingest(tmp_path / "j", CORPUS, lines(tmp_path / "f.jsonl", rows))
    assert laws.all_rows(tmp_path / "p") == laws.all_rows(tmp_path / "j")
    assert parquet._columns(mapping(CORPUS)) == ["dump", "id", "lang", "meta", "score", "text"]
    assert parquet._columns(mapping(NESTED)) == ["answers", "board", "comments", "i", "lang", "meta", "t"]


def test_replies_keep_theirs_on_their_way_to_their_thread(tmp_path: Path) -> None:
    rows = [
        {"i": 3, "t": "c", "p": 2, "lang": "fr", "room": "r", "by": "z"}, {"i": 1, "t": "q", "lang": "en", "room": "r"},
        {"i": 2, "t": "a", "p": 1, "room": 5},
    ]  # fmt: skip
    ingest(tmp_path / "out", REPLIES, lines(tmp_path / "f.jsonl", rows))
    found = {post["kind"]: post for post in laws.all_rows(tmp_path / "out")}
    assert {kind: post["language"] for kind, post in found.items()} == {
        "question": "eng_Latn", "answer": None, "comment": "fra_Latn"
    }  # fmt: skip
    assert found["comment"]["attributes"] == [{"name": "by", "value": "z"}, {"name": "room", "value": "r"}]
    assert found["answer"]["attributes"] == [{"name": "room", "value": "5"}]
    conserved(tmp_path / "out")


def test_what_is_dropped_states_nothing(tmp_path: Path) -> None:
    found = jsonl.read_rows(
        io.BytesIO(b'{"lang": 5, "dump": []}\n'), 0, None, Reading("f", "x", mapping=mapping(CORPUS))
    )
    assert [type(item) for item in found] == [Drop]
