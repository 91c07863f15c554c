"""The embedded sample: made again it is the same, and what its truth says stands in its files."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH

from tokenizer.languages import LANGUAGES
from transforms.dedup.compared import compared
from transforms.dedup.shingles import shingles

EXAMPLES = Path(__file__).parents[1] / "examples"
FORUM = EXAMPLES / "forum"
TABLES = ("Badges", "Comments", "PostLinks", "Posts", "Tags", "Users", "Votes")
Row = dict[str, str]


@cache
def table(name: str) -> tuple[Row, ...]:
    return tuple(dict(row.attrib) for row in ElementTree.parse(FORUM / f"{name}.xml").getroot())


@cache
def posts() -> dict[int, Row]:
    return {int(row["Id"]): row for row in table("Posts")}


@cache
def truth() -> dict[str, list]:
    return json.loads((EXAMPLES / "forum_truth.json").read_text("utf-8"))


def text(row: Row) -> str:
    return html.unescape(re.sub("<[^>]*>", " ", f"{row.get('Title', '')}\n{row['Body']}")).strip()


@cache
def threads() -> dict[int, list[Row]]:
    """Question id to its answers in the order of time."""
    found: dict[int, list[Row]] = {int(row["Id"]): [] for row in table("Posts") if row["PostTypeId"] == "1"}
    for row in table("Posts"):
        if row["PostTypeId"] == "2" and int(row["ParentId"]) in found:
            found[int(row["ParentId"])].append(row)
    return found


@cache
def pairs() -> list[tuple[Row, Row]]:
    """(chosen, rejected) by score plus acceptance, at most ten a thread."""
    accepted = {row["AcceptedAnswerId"] for row in table("Posts") if "AcceptedAnswerId" in row}
    found = []
    for answers in threads().values():
        ranked = [(int(row["Score"]) + (row["Id"] in accepted), row) for row in answers]
        unequal = [(a, b) if a[0] > b[0] else (b, a) for a, b in combinations(ranked, 2) if a[0] != b[0]]
        found += [(chosen[1], rejected[1]) for chosen, rejected in unequal[:10]]
    return found


@cache
def shingle_sets() -> dict[int, frozenset[int]]:
    ids = [number for number, row in posts().items() if row["PostTypeId"] in "12"]
    made = shingles(compared([text(posts()[number]) for number in ids]), 5)
    return {
        number: frozenset(made.hashes[a:b].tolist())
        for number, a, b in zip(ids, made.starts, made.starts[1:], strict=False)
    }


def jaccard(first: int, second: int) -> float:
    a, b = shingle_sets()[first], shingle_sets()[second]
    return len(a & b) / len(a | b)


def test_made_again_it_is_the_same(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(EXAMPLES / "make_sample.py"), str(tmp_path)], check=True, timeout=120)
    for path in [*(f"forum/{name}.xml" for name in TABLES), "forum_truth.json"]:
        assert (tmp_path / path).read_bytes() == (EXAMPLES / path).read_bytes(), f"{path}: run examples/make_sample.py"


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_written_as_in_a_dump(name: str) -> None:
    data = (FORUM / f"{name}.xml").read_bytes()
    assert data.startswith(
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n<%s>\r\n  <row ' % name.lower().encode()
    )
    assert data.endswith(b" />\r\n</%s>\r\n" % name.lower().encode())
    assert data.count(b"\n") == data.count(b"\r\n") == len(table(name)) + 3
    assert len({row["Id"] for row in table(name)}) == len(table(name))


def test_languages_and_size() -> None:
    languages = truth()["language"]
    assert sum(map(len, languages.values())) == len(threads()) == 2000
    assert len(languages) >= 15
    assert len({LANGUAGES[code].script for code in languages}) >= 6
    assert min(map(len, languages.values())) >= 0.025 * 2000
    assert sum(path.stat().st_size for path in FORUM.iterdir()) < 6_300_000


def test_scores_are_the_votes() -> None:
    votes = Counter((row["PostId"], row["VoteTypeId"]) for row in table("Votes"))
    for row in table("Posts"):
        assert int(row["Score"]) == votes[row["Id"], "2"] - votes[row["Id"], "3"]
    accepted = {row["AcceptedAnswerId"] for row in table("Posts") if "AcceptedAnswerId" in row}
    assert {post for post, kind in votes if kind == "1"} == accepted
    assert 0.4 < len(accepted) / len(threads()) < 0.5


def test_times_follow_their_posts() -> None:
    for question, answers in threads().items():
        asked = posts()[question]["CreationDate"]
        assert all(asked < answer["CreationDate"] for answer in answers)
    created = {row["Id"]: row["CreationDate"] for row in table("Posts")}
    assert all(created[row["PostId"]][:10] <= row["CreationDate"][:10] for row in table("Votes"))
    assert "2016" <= min(created.values()) < max(created.values()) < "2024"


def test_neither_length_nor_time_tells_the_better_answer() -> None:
    assert len(pairs()) >= 3500
    longer = np.mean([len(text(chosen)) > len(text(rejected)) for chosen, rejected in pairs()])
    earlier = np.mean([chosen["CreationDate"] < rejected["CreationDate"] for chosen, rejected in pairs()])
    assert 0.45 < longer < 0.55
    assert 0.45 < earlier < 0.55


def test_planted_copies() -> None:
    for original, copy in truth()["exact_duplicates"]:
        assert text(posts()[original]) == text(posts()[copy])
    for original, copy in truth()["near_duplicates"]:
        assert text(posts()[original]) != text(posts()[copy])
        assert jaccard(original, copy) >= 0.85
    for original, copy in truth()["exact_duplicates"] + truth()["near_duplicates"]:
        assert posts()[original].get("ParentId", original) != posts()[copy].get("ParentId", copy)
    assert (len(truth()["exact_duplicates"]), len(truth()["near_duplicates"])) == (20, 16)


def test_planted_faults() -> None:
    for number in truth()["mojibake"]:
        body = posts()[number]["Body"]
        assert body.encode("cp1252").decode("utf-8") != body
    for number in truth()["control_text"]:
        assert "<|endoftext|>" in text(posts()[number])
        assert "<|im_start|>" in text(posts()[number])
    for number in truth()["planted_tie"]:
        first, second = threads()[int(posts()[number]["ParentId"])]
        assert first["Score"] == second["Score"]
    for number in truth()["accepted_not_top"]:
        siblings = threads()[int(posts()[number]["ParentId"])]
        assert int(posts()[number]["Score"]) < max(int(row["Score"]) for row in siblings)
    assert all("OwnerUserId" not in posts()[number] for number in truth()["deleted_authors"])
    assert all(int(posts()[number]["Score"]) < 0 for number in truth()["negative"])
    assert all("<pre" in posts()[number]["Body"] for number in truth()["code"])
    least = {"mojibake": 10, "control_text": 3, "planted_tie": 10, "accepted_not_top": 30, "negative": 100, "code": 100}
    assert {name: len(truth()[name]) for name in least if len(truth()[name]) < least[name]} == {}


def test_odd_rows() -> None:
    odd = {name: posts()[number] for name, number in truth()["odd_rows"].items()}  # type: ignore[attr-defined]
    assert [odd[name]["PostTypeId"] for name in ("tag_wiki_excerpt", "tag_wiki", "unknown_type")] == ["4", "5", "17"]
    assert int(odd["orphan"]["ParentId"]) not in posts()
    for attribute in ("ClosedDate", "CommunityOwnedDate", "OwnerDisplayName"):
        assert any(attribute in row for row in table("Posts"))


def test_nothing_else_is_alike() -> None:
    """No two posts share half their five-word shingles, but for the planted copies; every pair found is verified."""
    planted = {frozenset(pair) for pair in truth()["exact_duplicates"] + truth()["near_duplicates"]}
    index = MinHashLSH(num_perm=64, params=(16, 4))  # finds a similarity of 0.5 with probability 0.64, of 0.7 with 0.99
    alike = set()
    for number, found in shingle_sets().items():
        signature = MinHash(num_perm=64, hashfunc=int)
        signature.update_batch(found)
        for other in index.query(signature):
            if jaccard(number, other) >= 0.5:
                alike.add(frozenset((number, other)))
        index.insert(number, signature)
    assert alike == planted
