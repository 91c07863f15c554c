"""A new forum format is its file and a line in the list: ingest follows its value (docs/adding_a_source.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.ingest import run
from pipelines.ingest_plan import IngestSettings
from tests import laws, village
from tests.conftest import ROOT
from tests.test_ingest import conserved, rejects
from transforms.datasets.fates import Reason
from transforms.datasets.manifest import Manifest
from transforms.ingest.removal import normal_urls
from transforms.sources import kinds
from transforms.sources.inputs import Input, find_files
from transforms.sources.source import Found, InputFile, Source
from transforms.sources.streams.unpack import DamageError


def item(number: int, parent: int | None = None, **more: object) -> dict[str, object]:
    row: dict[str, object] = {"item": number, "kind": "topic" if parent is None else "reply", "points": number % 5}
    return {**row, "when": 1_600_000_000 + number, "by": f"user{number % 3}", "words": f"Words {number}.",
            "parent": parent, **more}  # fmt: skip


ITEMS = [
    item(1, words="Which bread?"), item(2, 1, points=7), item(3, 1), item(4, 2), item(5, 4), item(6, 5, gone=True),
    item(7, 6), item(8), item(9, 8, words=" "), item(10, 9), item(11, 99), item(12, gone=True), item(13, 12),
    item(14, 15), item(15, 14), item(16, kind="vote"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {village.NAME: village.SOURCE, **kinds.SOURCES}  # before JSON lines of any kind
    monkeypatch.setattr(kinds, "SOURCES", first)
    ours = ("transforms.sources.inputs", "transforms.ingest.parse", "pipelines.ingest_plan", "pipelines.ingest")
    for module in (*ours, "pipelines.headless"):
        monkeypatch.setattr(f"{module}.SOURCES", first)
    monkeypatch.setattr("transforms.ingest.removal._FORUMS", [source.addresses for source in first.values()])


def write(place: Path, rows: list[dict[str, Any]]) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def ingest(output: Path, *places: Path, **more: Any) -> Manifest:
    settings = IngestSettings(**{"num_shards": 2, "max_drop_rate": 1, "range_bytes": 200, **more})
    return run([Input(str(place)) for place in places], str(output), settings)


def test_threads_are_found_and_every_item_is_accounted_for(tmp_path: Path) -> None:
    manifest = ingest(tmp_path / "out", write(tmp_path / "village-2020.jsonl", ITEMS))
    assert manifest.inputs[0]["source"] == "village"
    found = {post["doc_id"].rpartition(":")[2]: post for post in laws.all_rows(tmp_path / "out")}
    stands = {number: (post["thread_id"].rpartition(":")[2], post["kind"]) for number, post in found.items()}
    assert stands == {
        "1": ("1", "question"), "2": ("1", "answer"), "3": ("1", "answer"), "4": ("1", "comment"),
        "5": ("1", "comment"), "7": ("1", "comment"), "8": ("8", "question"), "10": ("8", "comment"),
    }  # fmt: skip
    assert manifest.counts["note"] == {"missing-parent": 2}
    drops = {
        drop["record_id"] and drop["record_id"].rpartition(":")[2]: drop["reason"] for drop in rejects(tmp_path / "out")
    }
    assert drops == {
        "6": "deleted", "9": "empty", "11": "orphan", "12": "deleted", "13": "question-removed", "14": "cycle",
        "15": "cycle", "16": "not-a-post",
    }  # fmt: skip
    conserved(tmp_path / "out")


def test_same_bytes_for_any_order_cut_and_cache(tmp_path: Path) -> None:
    rows = [item(number, number // 3 if number > 2 else None) for number in range(1, 80)]
    whole = write(tmp_path / "a" / "village-2020.jsonl", rows)
    halves = [
        write(tmp_path / "b" / f"village-{year}.jsonl", part) for year, part in ((2021, rows[::2]), (2020, rows[1::2]))
    ]
    one = ingest(tmp_path / "one", whole)
    assert one.rows == 79
    for name, more in (("two", {"reuse": str(tmp_path / "cache")}),
                       ("again", {"reuse": str(tmp_path / "cache"), "memory": "1GB"})):  # fmt: skip
        ingest(tmp_path / name, *(halves[::-1] if name == "two" else halves), **more)
        laws.assert_same_bytes(tmp_path / "one", tmp_path / name, ignore=("manifest.json",))


def test_a_remove_list_knows_its_addresses_and_its_authors(tmp_path: Path) -> None:
    assert normal_urls("https://www.village.example/i/4?from=mail") == ["village.example/item/4"]
    place = write(tmp_path / "village-2020.jsonl", ITEMS[:5])
    asked = tmp_path / "remove.txt"
    asked.write_text("https://village.example/i/4/title\n")
    ingest(tmp_path / "out", place, remove_list=str(asked))
    found = {post["doc_id"].rpartition(":")[2]: post["thread_id"] for post in laws.all_rows(tmp_path / "out")}
    assert found == dict.fromkeys("1235", "village:village.example:1")  # what replied to it still finds its thread
    asked.write_text("4\n")  # which has no words, either
    wordless = write(tmp_path / "more" / "village-2020.jsonl", [*ITEMS[:3], item(4, 2, words=" "), ITEMS[4]])
    ingest(tmp_path / "out1", wordless, remove_list=str(asked))
    assert {post["doc_id"].rpartition(":")[2] for post in laws.all_rows(tmp_path / "out1")} == set("1235")
    assert [(drop["reason"], drop["record_id"]) for drop in rejects(tmp_path / "out1")] == [
        ("removed-on-request", None)
    ]
    asked.write_text("author:user2\n")
    ingest(tmp_path / "out2", place, remove_list=str(asked))
    assert {post["doc_id"].rpartition(":")[2] for post in laws.all_rows(tmp_path / "out2")} == {"1", "3", "4"}


def test_what_is_not_the_village_is_not_taken_for_it(tmp_path: Path) -> None:
    plain = write(tmp_path / "x.jsonl", [{"text": "words"}])
    named = write(tmp_path / "village-2020.jsonl", [{"text": "words"}])
    assert [file.source for file in find_files([Input(str(plain)), Input(str(named))])] == ["jsonl", "jsonl"]


def test_the_docs_show_this_very_file_and_every_field_of_a_source() -> None:
    text = (ROOT / "docs" / "adding_a_source.md").read_text("utf-8")
    assert "tests/village.py" in text
    for field in fields(Source):
        assert f"`{field.name}`" in text, field.name


def test_damage_that_a_source_meets_in_describing_is_the_outcome_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe(found: Found) -> Sequence[InputFile]:
        raise DamageError("ends in its header")

    monkeypatch.setitem(kinds.SOURCES, village.NAME, replace(village.SOURCE, describe=describe))  # type: ignore[misc]
    place = write(tmp_path / "village-2020.jsonl", ITEMS)
    (file,) = find_files([Input(str(place))])
    assert (file.source, file.problem) == ("village", (Reason.TRUNCATED_FILE, "ends in its header"))
