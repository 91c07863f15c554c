"""Near-duplicates of real texts: each removal by plain definitions, and what must stay apart or go together."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks import planted
from benchmarks.plain_similarity import right_rule, tokens_of, without_quotes
from benchmarks.precision import removals
from benchmarks.real_sets import attributes, real_sets


def survivor(gone: dict[int, tuple[int, str]], number: int) -> int:
    return gone[number][0] if number in gone else number


@pytest.mark.parametrize("name", ["conlang-meta/Posts", "conlang-meta/PostHistory", "genai/Posts", "preference/llmbar"])
def test_what_is_removed_is_like_what_is_kept(shared_data: Path, tmp_path: Path, name: str) -> None:
    texts = list(real_sets()[name]())
    gone = removals(texts, tmp_path)
    assert [
        (texts[row], texts[kept]) for row, (kept, _) in gone.items() if not planted.is_right(texts[row], texts[kept])
    ] == []
    assert not {kept for kept, _ in gone.values()} & set(gone)


def test_revisions_go_with_their_post(shared_data: Path, tmp_path: Path) -> None:
    """Of the revisions of a post that are like its last one, nearly all go, or the last one goes for them."""
    versions: dict[str, list[str]] = defaultdict(list)
    for row in attributes(shared_data / "forums" / "stackexchange" / "conlang-meta" / "PostHistory.xml"):
        if row.get("PostHistoryTypeId") in ("2", "5") and row.get("Text"):
            versions[row["PostId"]].append(row["Text"])
    texts = [text for bodies in versions.values() for text in bodies]
    gone = removals(texts, tmp_path)
    found = alike = at = 0
    for bodies in versions.values():
        last = at + len(bodies) - 1
        for number in range(at, last):
            if planted.is_right(texts[number], texts[last]) or planted.is_right(texts[last], texts[number]):
                alike += 1
                found += number in gone or last in gone
        at += len(bodies)
    assert alike > 50
    assert found >= 0.95 * alike


def test_declared_duplicates_stay_apart_unless_their_texts_are_alike(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "forums" / "stackexchange" / "french-meta"
    said = {row["Id"]: row["Body"] for row in attributes(folder / "Posts.xml") if row.get("Body")}
    declared = [
        (row["PostId"], row["RelatedPostId"])
        for row in attributes(folder / "PostLinks.xml")
        if row["LinkTypeId"] == "3" and {row["PostId"], row["RelatedPostId"]} <= set(said)
    ]
    ids = sorted(said)
    gone = removals([re.sub("<[^>]*>", " ", said[doc_id]) for doc_id in ids], tmp_path)
    assert declared
    for pair in declared:
        first, second = (survivor(gone, ids.index(doc_id)) for doc_id in pair)
        texts = [tokens_of(without_quotes(re.sub("<[^>]*>", " ", said[doc_id]))) for doc_id in pair]
        assert (first == second) == any(right_rule(*texts[::step], planted.RIGHT_FROM) for step in (1, -1))


def test_answers_that_contradict_each_other_stay(tmp_path: Path) -> None:
    cases = Path(__file__).parents[2] / "shared" / "cases" / "operators" / "rows.jsonl"
    if not cases.exists():
        pytest.skip(f"no cases at {cases}")
    texts = [row["body"] for row in map(json.loads, cases.read_text("utf-8").splitlines())]
    assert len(texts) == 9
    assert removals(texts, tmp_path) == {}
