"""Parts of builds that agora why is asked of: rows anywhere in batches, layers of others, what nobody else knows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import annotate, pairs, why
from pipelines.why import explain
from tests import shouting
from tests.forum import Row, post, write_documents, write_layers
from tests.small_dataset import dataset_of, read_file
from tests.test_why import RULE
from transforms.datasets import shards
from transforms.datasets.manifest import DatasetSpec, load_manifest
from transforms.datasets.schema import DOCUMENTS, REJECTS, SCORES
from transforms.layers import kinds
from transforms.layers.kinds import settings_of


def test_rows_are_found_wherever_batches_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BATCH_ROWS", 2)
    posts = [post(number, "document", number, f"text {number}") for number in range(7)]
    write_documents(tmp_path / "documents", [posts])
    write_layers(tmp_path / "made", tmp_path / "documents")
    rows = read_file(tmp_path / "made" / "duplicates", "data/00000-of-00001.arrow").to_pylist()
    for number in (0, 2, 3, 6):
        rows[number] |= {"kept": "test:00005", "rule": "exact", "keep": False, "reason": "duplicate"}
    rows[5]["cluster_size"] = 5
    table = {"data/00000-of-00001.arrow": _table(rows, "duplicates")}
    dataset_of(tmp_path / "layers" / "duplicates", DatasetSpec("duplicates", {}), table)
    for row in posts:
        told, _ = explain(row["doc_id"], str(tmp_path))
        assert told["documents"].facts["text"] == row["text"]
    removed = explain("test:00005", str(tmp_path))[0]["duplicates"].facts["removed"]
    assert [row["doc_id"] for row in removed] == ["test:00000", "test:00002", "test:00003", "test:00006"]


def test_a_kept_document_of_another_build_is_said_to_be_none_of_these(tmp_path: Path) -> None:
    write_documents(tmp_path / "documents", [[post(1, "document", 1, "text")]])
    row = {"doc_id": "test:00001", "cluster": "far", "cluster_size": 2, "kept": "far", "rule": "exact"}
    row |= {"similarity": 1.0, "containment": 1.0, "keep": False, "reason": "duplicate"}
    spec = DatasetSpec("duplicates", {}, {"documents": load_manifest(str(tmp_path / "documents")).digest})
    dataset_of(tmp_path / "layers" / "duplicates", spec, {"data/00000-of-00001.arrow": _table([row], "duplicates")})
    told, unknown = explain("test:00001", str(tmp_path))
    assert told["duplicates"].says == "duplicate: removed for far by the rule exact"
    assert unknown[0] == "duplicates: what far says: it is none of these documents"


def test_a_kept_document_of_another_build_is_not_taken_for_one_of_its_id(tmp_path: Path) -> None:
    """1 and 2 went for a 1 of a finished build; 3 went for 4, which stays here, or for a 4 of that build."""
    posts = [post(number, "document", number, f"text {number}") for number in range(1, 5)]
    write_documents(tmp_path / "documents", [posts])
    rows = []
    for doc_id, kept in (("1", "1"), ("2", "1"), ("3", "4"), ("4", None)):
        row = {"doc_id": f"test:0000{doc_id}", "cluster": f"test:0000{kept or doc_id}", "cluster_size": 2, "keep": True}
        removed = {"kept": f"test:0000{kept}", "rule": "jaccard", "similarity": 0.9, "keep": False, "reason": "near"}
        rows.append(row | (removed if kept else {}))
    spec = DatasetSpec(
        "duplicates", {"against": [["x", "y"]]}, {"documents": load_manifest(str(tmp_path / "documents")).digest}
    )
    dataset_of(tmp_path / "layers" / "duplicates", spec, {"data/00000-of-00001.arrow": _table(rows, "duplicates")})
    for doc_id in ("test:00001", "test:00002"):
        told, unknown = explain(doc_id, str(tmp_path))
        assert not told["duplicates"].texts
        assert unknown[0] == "duplicates: what test:00001 says: it is none of these documents"
    told, unknown = explain("test:00003", str(tmp_path))
    assert [found.doc_id for found in told["duplicates"].texts] == ["test:00003", "test:00004"]
    assert unknown[0].startswith("duplicates: whether test:00004 is the one here")


def test_a_new_layer_is_told_though_nothing_else_knows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.LAYERS, "shouting", shouting.LAYER)  # type: ignore[index]
    write_documents(tmp_path / "documents", [[post(1, "document", 1, "LOUD TEXT"), post(2, "document", 2, "low text")]])
    annotate.run(str(tmp_path / "documents"), str(tmp_path / "layers"), settings_of({"shouting": 0.7}, "here"))
    assert explain("test:00002", str(tmp_path))[0]["shouting"].says == "kept"
    loud = explain("test:00001", str(tmp_path))[0]["shouting"]
    assert loud.says == f"{shouting.DROPPED.value}: not kept"
    assert loud.facts["reason"] == shouting.DROPPED.value


def test_what_a_layer_cuts_is_marked_and_pairs_are_told_without_it(tmp_path: Path) -> None:
    line = "Sent from my telephone while I was walking along the river.\n"
    answers = [post(1, "answer", 0, f"{line}yes", score=2), post(2, "answer", 0, "yes", score=1)]
    write_documents(tmp_path / "documents", [[post(0, "question", 0, "why"), *answers]])
    documents, layers = str(tmp_path / "documents"), str(tmp_path / "layers")
    write_layers(tmp_path / "layers", tmp_path / "documents")
    rows = [
        {"doc_id": f"test:0000{number}", "cut": [], "tokens": 9, "tokens_left": 9, "keep": True} for number in range(3)
    ]
    rows[1] |= {"cut": [{"begin": 0, "end": len(line), "owner": "far"}]}
    table = {"data/00000-of-00001.arrow": _table(rows, "repeated_lines")}
    dataset_of(tmp_path / "layers" / "repeated_lines", DatasetSpec("repeated_lines", {}), table)
    pairs.run(documents, layers, str(tmp_path / "pairs"), RULE)
    told, _ = explain("test:00001", str(tmp_path))
    (text,) = told["repeated_lines"].texts
    assert [piece for piece in text.pieces if piece.text] == [(line, True), ("yes", False)]
    assert told["pairs"].facts["dropped"] == {"duplicate-answer": 1}, "but for the line they are the same"
    assert load_manifest(str(tmp_path / "pairs")).counts["candidates"] == {"duplicate-answer": 1}
    assert explain("test:00002", str(tmp_path))[0]["repeated_lines"].texts == ()


def test_a_layer_of_other_documents_is_told_to_be_one(tmp_path: Path) -> None:
    write_documents(tmp_path / "documents", [[post(1, "document", 1, "text")]])
    spec = DatasetSpec("split", {}, {"documents": "0" * 64})
    table = _table([{"doc_id": "test:00002", "split": "train"}], "split")
    dataset_of(tmp_path / "layers" / "split", spec, {"data/00000-of-00001.arrow": table})
    told, unknown = explain("test:00001", str(tmp_path))
    assert told["split"].says == "has no row of it"
    assert unknown[0] == "split: was made from another documents dataset than stands here"


def test_scores_and_rejects_are_told(tmp_path: Path) -> None:
    row = {"file": "Posts.xml", "offset": 9, "record_id": "x:1", "reason": "orphan", "detail": "no question"}
    tables = {
        "data/00000-of-00001.arrow": _table([post(1, "document", 1, "text")], "documents"),
        "rejects/00000-of-00001.arrow": _of(REJECTS, [row]),
    }
    dataset_of(tmp_path / "documents", DatasetSpec("documents", {}), tables, None)
    told, _ = explain("x:1", str(tmp_path))
    assert told["documents"].says == "orphan: dropped where it was parsed"
    assert told["documents"].facts == row
    scores = _of(SCORES, [{"group_id": "g", "post_id": "test:00001", "reward": 0.25}])
    dataset_of(tmp_path / "evaluation", DatasetSpec("evaluation", {}), {"data/scores.arrow": scores}, None)
    assert explain("test:00001", str(tmp_path))[0]["evaluation"].says == "reward 0.250"


def _of(schema: Any, rows: list[Row]) -> Any:
    return pa.Table.from_pylist(rows, schema=schema)


def _table(rows: list[Row], kind: str) -> Any:
    return _of(DOCUMENTS if kind == "documents" else kinds.LAYERS[kind].schema, rows)


def test_no_document_steers_a_terminal_or_fills_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J\u202e\x00\n"
    texts = [hostile * 20 + "one " * 5_000, hostile * 20 + "two " * 5_000]
    rows = [post(1, "document", 1, texts[0]), post(2, "document", 2, texts[1])]
    for row in rows:
        row["doc_id"] += hostile
    write_documents(tmp_path / "documents", [rows])
    write_layers(tmp_path / "layers", tmp_path / "documents", duplicate_of={rows[0]["doc_id"]: rows[1]["doc_id"]})
    (layer,) = [read_file(tmp_path / "layers" / "duplicates", "data/00000-of-00001.arrow").to_pylist()]
    layer[0] |= {"kept": rows[1]["doc_id"], "rule": "\x1b[2J", "reason": "\x9b1m"}
    dataset_of(
        tmp_path / "other", DatasetSpec("duplicates", {}), {"data/00000-of-00001.arrow": _table(layer, "duplicates")}
    )
    for name in ("manifest.json", "data/00000-of-00001.arrow"):
        (tmp_path / "layers" / "duplicates" / name).write_bytes((tmp_path / "other" / name).read_bytes())
    why.command(rows[0]["doc_id"], str(tmp_path))
    out = capsys.readouterr().out
    assert "[-one one" in out
    assert len(out) < 12_000
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", out)
    why.command(rows[0]["doc_id"], str(tmp_path), as_json=True)
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert json.loads(line)["datasets"]["documents"]["facts"]["text"] == texts[0]


def test_an_id_that_is_no_utf8_is_refused_by_its_bytes(tmp_path: Path) -> None:
    write_documents(tmp_path / "documents", [[post(1, "document", 1, "text")]])
    with pytest.raises(ValueError, match=r"no document has the id '\\udcff': ids are UTF-8"):
        explain("\udcff", str(tmp_path))
