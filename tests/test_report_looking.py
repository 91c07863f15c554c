"""How the report looks into shards: a bounded part, examples of what was dropped, and whatever is wrong is told."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.report import looking
from pipelines.report.examples import Rejected, read_dropped, read_rejects, rejects_table
from pipelines.report.looking import Look, Looked
from pipelines.report.paired import read_pairs
from pipelines.report.reading import Trouble
from pipelines.report.replay import Unpaired, read_unpaired, unpaired_table
from tests.small_build import HOSTILE, Page, assert_harmless, render, row_of, whole_build
from tests.small_dataset import opened, with_content
from transforms.datasets import shards
from transforms.datasets.manifest import DatasetSpec
from transforms.datasets.schema import DOCUMENTS, PAIRS, REJECTS
from transforms.dedup.spec import SCHEMA as DUPLICATES
from transforms.layers.language import SCHEMA as LANGUAGE
from transforms.pairs.rule import PairRule

Tables = Mapping[str, pa.Table]


def look(folder: Path, kind: str, schema: pa.Schema, tables: Tables, troubles: list[Trouble]) -> Look:
    with opened(folder / kind, DatasetSpec(kind, {})) as begun:
        for path, table in tables.items():
            shards.write_shard(begun.build, path, table.schema, [table])
        begun.commit(list(tables))
    return Look(str(folder / kind), kind, kind, [schema], troubles)


def table(schema: pa.Schema, *rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema)


def some_pairs(number: int) -> dict[str, pa.Table]:
    """Shards of one pair each."""
    return {
        f"data/train-{index:05d}-of-{number:05d}.arrow": table(PAIRS, row_of("pairs", f"{index}", 0))
        for index in range(number)
    }


# ---------------------------------------------------------------------------------------------- how much


def test_as_much_is_looked_at_as_a_setting_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(tmp_path, "pairs", PAIRS, some_pairs(8), [])
    size = found.files[0].bytes
    drawn = {}
    for most in (0, size - 1, 3 * size + 99, 8 * size + 999):
        monkeypatch.setattr(looking, "MOST_BYTES", most)
        drawn[most] = found.drawn
    sizes = [len(paths) for paths in drawn.values()]
    assert sizes == [1, 1, 3, 8]
    assert set(drawn[0]) < set(drawn[3 * size + 99]) < set(drawn[8 * size + 999])  # more of the same
    assert all(paths == sorted(paths) for paths in drawn.values())
    assert drawn[3 * size + 99] != [file.path for file in found.files[:3]]  # drawn by a hash, not by their order


def test_a_part_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_build(tmp_path)
    assert "drawn by a keyed hash of their names" not in Page(render(tmp_path)).text
    monkeypatch.setattr(looking, "MOST_BYTES", 1)
    assert (
        "rows of the pairs, those in 1 of 3 shards, drawn by a keyed hash of their names."
        in Page(render(tmp_path)).text
    )
    assert (
        Looked(2, 400, 3000, 9_999_999)
        .says("the pairs")
        .startswith("Read for these figures: 3,000 of 9,999,999 rows of the pairs, those in 2 of 400 shards")
    )


# ---------------------------------------------------------------------------------------------- troubles


def test_a_damaged_shard_costs_itself_only_and_is_told_once(tmp_path: Path) -> None:
    troubles: list[Trouble] = []
    found = look(tmp_path, "pairs", PAIRS, some_pairs(3), troubles)
    place = tmp_path / "pairs" / found.files[1].path
    place.write_bytes(place.read_bytes()[:-9] + b"\x00" * 9)
    for _ in range(2):
        assert read_pairs(found).margin.total == 2
    (trouble,) = troubles
    assert trouble.file == "pairs/data/train-00001-of-00003.arrow"
    assert trouble.says.startswith("has XXH3-128 ")
    assert str(tmp_path) not in trouble.says


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda found: found.drop_columns(["margin"]), "has no column 'margin'"),
        (
            lambda found: found.set_column(found.schema.names.index("margin"), "margin", pa.array(["1"])),
            "has the column margin of type string, and should have int64",
        ),
        (
            lambda found: found.set_column(found.schema.names.index("site"), "site", pa.array([None], pa.string())),
            "has no value in some rows of site, and should have one in all",
        ),
    ],
)
def test_a_shard_of_another_kind_of_rows_is_told(tmp_path: Path, change: Any, says: str) -> None:
    troubles: list[Trouble] = []
    path = "data/train-00000-of-00001.arrow"
    found = look(tmp_path, "pairs", PAIRS, {path: change(table(PAIRS, row_of("pairs", "", 0)))}, troubles)
    assert read_pairs(found).margin.total == 0
    assert [trouble.file for trouble in troubles] == [f"pairs/{path}"]
    assert says in troubles[0].says


def test_a_missing_shard_is_told_on_the_page_and_the_rest_is_shown(tmp_path: Path) -> None:
    whole_build(tmp_path)
    (tmp_path / "pairs/data/holdout-00000-of-00001.arrow").unlink()
    (tmp_path / "evaluation/data/scores.arrow").unlink()
    page = Page(render(tmp_path)).text
    assert "pairs/data/holdout-00000-of-00001.arrow should have" in page
    assert "evaluation/data/scores.arrow should have" in page
    assert page.count("no file. Copy it again") == 2
    assert "because 0" in page
    assert "As sure as it is right" not in page


def test_a_report_changes_nothing_in_a_build(tmp_path: Path) -> None:
    whole_build(tmp_path)

    def digests() -> dict[str, str]:
        files = (path for path in tmp_path.rglob("*") if path.is_file() and path.name != "report.html")
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = digests()
    render(tmp_path)
    assert digests() == before


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_in_a_shard_there_is_a_harmless_page(tmp_path: Path, seed: int) -> None:
    whole_build(tmp_path)
    draw = random.Random(seed)
    shard = draw.choice(sorted(tmp_path.rglob("*.arrow")))
    data = bytearray(shard.read_bytes())
    for _ in range(draw.choice([1, 3, 20])):
        data[draw.randrange(len(data))] = draw.randrange(256)
    folder = shard.parents[1]
    with_content(folder, str(shard.relative_to(folder)), bytes(data))  # so that it is what its manifest says
    assert_harmless(render(tmp_path))


# ---------------------------------------------------------------------------------------------- examples


def reject(reason: str, offset: int, detail: str = "odd") -> dict[str, Any]:
    record = None if reason == "removed-on-request" else f"r{offset}"
    return {"file": "Posts.xml", "offset": offset, "record_id": record, "reason": reason, "detail": detail}


def test_a_rejected_record_of_each_reason_and_none_that_was_removed_on_request(tmp_path: Path) -> None:
    tables = {
        "rejects/00000-of-00002.arrow": table(REJECTS, reject("orphan", 7), reject("orphan", 8)),
        "rejects/00001-of-00002.arrow": table(
            REJECTS, reject("removed-on-request", 1, "secret"), reject("empty", 2), reject("orphan", 3)
        ),
    }
    troubles: list[Trouble] = []
    documents = look(tmp_path, "documents", DOCUMENTS, tables, troubles)
    rejects = Look(str(tmp_path / "documents"), "documents", "documents", [REJECTS], troubles)
    counts = {"orphan": 3, "empty": 1, "removed-on-request": 1}
    found = read_rejects(documents, rejects, counts)
    assert found == [Rejected("empty", "Posts.xml", 2, "r2", "odd"), Rejected("orphan", "Posts.xml", 7, "r7", "odd")]
    assert list(rejects_table(found, counts).rows)[1:] == [
        ("orphan", "3", "Posts.xml", "7", "r7", "odd"),
        ("removed-on-request", "1", "not shown", "", "", ""),
    ]
    assert read_rejects(documents, rejects, {}) == []
    assert troubles == []


def test_a_document_of_each_reason_with_how_its_text_begins(tmp_path: Path) -> None:
    path = "data/00000-of-00001.arrow"
    documents = [row_of("documents", path, row) | {"title": None, "text": f"{row} " + "y" * 500} for row in range(5)]
    reasons = [None, "language-unsure", "language-unlisted", "language-unsure", None]
    rows = [
        row_of("language", path, row) | {"keep": reason is None, "reason": reason} for row, reason in enumerate(reasons)
    ]
    troubles: list[Trouble] = []
    layer = look(tmp_path, "language", LANGUAGE, {path: table(LANGUAGE, *rows)}, troubles)
    texts = look(tmp_path, "documents", DOCUMENTS, {path: table(DOCUMENTS, *documents)}, troubles)
    found = read_dropped("language", layer, texts, {"language-unsure": 2, "language-unlisted": 1})
    assert [(row.reason, row.doc_id) for row in found] == [("language-unlisted", "2"), ("language-unsure", "1")]
    assert found[0].excerpt == f"2 {'y' * 158} … (502 characters)"
    assert troubles == []


ANSWERS = [  # thread, kind, votes, accepted, text
    ("1", "question", 9, None, "why"), ("1", "answer", 3, False, "a"), ("1", "answer", 3, False, "b"),
    ("2", "question", 9, None, "why"), ("2", "answer", 1, True, "a"), ("2", "answer", 2, False, "b"),
    ("2", "answer", 0, False, "c"),
    ("3", "answer", 1, False, "a"), ("3", "answer", 2, False, "b"),
    ("4", "question", 9, None, "why"), ("4", "answer", None, False, "a"), ("4", "answer", 2, False, "b"),
    ("5", "question", 9, None, "why"), ("5", "answer", 7, False, "a"), ("5", "answer", 2, False, "dropped"),
]  # fmt: skip


def test_a_candidate_of_each_reason_as_the_rule_sees_it(tmp_path: Path) -> None:
    path = "data/00000-of-00001.arrow"
    posts = [
        row_of("documents", path, row)
        | {"thread_id": thread, "kind": kind, "score": votes, "accepted": accepted, "text": text, "ups": None}
        for row, (thread, kind, votes, accepted, text) in enumerate(ANSWERS)
    ]
    keeps = [
        row_of("duplicates", path, row) | {"keep": post["text"] != "dropped", "reason": "duplicate"}
        for row, post in enumerate(posts)
    ]
    troubles: list[Trouble] = []
    documents = look(tmp_path, "documents", DOCUMENTS, {path: table(DOCUMENTS, *posts)}, troubles)
    layers = {"duplicates": look(tmp_path, "duplicates", DUPLICATES, {path: table(DUPLICATES, *keeps)}, troubles)}
    rule = PairRule("r", 1, "score_plus_accepted", max_pairs_per_thread=1, max_answers_per_thread=2)
    reasons = {"tie", "no-prompt", "missing-score", "duplicate-answer", "over-answer-cap", "over-cap"}
    found = {row.reason: row for row in read_unpaired(documents, layers, rule, reasons)}
    assert found.keys() == reasons - {"over-cap"}
    assert found["tie"] == Unpaired("tie", "1", 3, "2", 3)
    assert found["no-prompt"] == Unpaired("no-prompt", "7", 1, "8", 2)
    assert found["missing-score"] == Unpaired("missing-score", "10", None, "11", 2)
    assert found["duplicate-answer"] == Unpaired("duplicate-answer", "13", 7, "14", 2)
    assert {found["over-answer-cap"].first_id, found["over-answer-cap"].second_id} < {"4", "5", "6"}
    three = PairRule("r", 1, "score", max_pairs_per_thread=1)
    assert [row.reason for row in read_unpaired(documents, layers, three, {"over-cap"})] == ["over-cap"]
    assert unpaired_table([found["missing-score"]], {"missing-score": 4}).rows == [
        ("missing-score", "4", "10", "–", "11", "2")
    ]
    assert troubles == []


def test_a_layer_of_other_documents_is_told_and_replays_nothing(tmp_path: Path) -> None:
    path = "data/00000-of-00001.arrow"
    troubles: list[Trouble] = []
    documents = look(tmp_path, "documents", DOCUMENTS, {path: table(DOCUMENTS, row_of("documents", path, 1))}, troubles)
    layer = look(tmp_path, "duplicates", DUPLICATES, {path: table(DUPLICATES, row_of("duplicates", path, 2))}, troubles)
    assert read_unpaired(documents, {"duplicates": layer}, PairRule("r", 1, "score"), {"tie"}) == []
    assert "does not stand row for row beside the documents" in troubles[0].says


def test_a_rule_that_is_none_is_told(tmp_path: Path) -> None:
    whole_build(tmp_path)
    shutil.rmtree(tmp_path / "pairs")
    with opened(tmp_path / "pairs", DatasetSpec("pairs", {"rule": {"name": "x", "score": "likes"}})) as begun:
        begun.commit([])
    assert "settings.rule is a mapping of 2, and should be a pair rule" in Page(render(tmp_path)).text


def test_what_a_dump_says_is_escaped_in_examples_and_figures(tmp_path: Path) -> None:
    whole_build(tmp_path)
    shutil.rmtree(tmp_path / "pairs")
    row = row_of("pairs", "", 0) | dict.fromkeys(("site", "source", "url", "license", "language"), HOSTILE)
    message = [{"role": HOSTILE, "content": HOSTILE * 3}]
    row |= {"prompt": message, "chosen": message, "rejected": message}
    look(tmp_path, "pairs", PAIRS, {"data/train-00000-of-00001.arrow": table(PAIRS, row)}, [])
    html = render(tmp_path)
    assert_harmless(html)
    assert Page(html).text.count('<script>alert("x")</script>\ufffd&amp;\ufffd') >= 9


def test_an_example_is_of_a_reason_that_is_counted(tmp_path: Path) -> None:
    whole_build(tmp_path)
    page = Page(render(tmp_path)).text
    assert "language language-unsure 0 x text 0" in page
    assert "duplicates duplicate 0 x text 0" in page
