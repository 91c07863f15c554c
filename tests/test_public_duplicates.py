"""What users of other deduplications and decontaminations have complained of in public, as small inputs.

Each is named by project and issue.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.test_annotate import write_documents
from tests.test_dedup import deduplicate, edited, search_for, text
from transforms.benchmarks.matching import Benchmarks
from transforms.benchmarks.readers import Item, read


def kept_of(tmp_path: Path, texts: list[str], num_shards: int = 2) -> list[str | None]:
    """For each text, the id (its place) of the one that it is removed for."""
    rows: list[dict[str, Any]] = [
        {"doc_id": str(place), "thread_id": str(place), "text": said} for place, said in enumerate(texts)
    ]
    found = deduplicate(search_for(tmp_path, write_documents(tmp_path / "documents", rows, num_shards)))
    return [found[str(place)]["kept"] for place in range(len(texts))]


@pytest.mark.parametrize(
    ("complaint", "texts", "kept"),
    [
        ("data-juicer#1051: a text without tokens ends the run", ["", " \n", "...", "cat"], [None] * 4),
        ("text-dedup#77: of all texts shorter than a shingle one is left", ["ja", "nee", "misschien"], [None] * 3),
        ("DataFlow#526: different short texts are one", ["cat", "dog", "cat", "猫", "犬"], ["", "", "0", "", ""]),
        ("NeMo Curator#511: a chain of likenesses is one cluster", "chain", [None, "0", None]),
        ("text-dedup#28: the same, but another one is left each time", ["same words"] * 5, ["", "0", "0", "0", "0"]),
    ],
)  # fmt: skip
def test_texts_stay_or_go_for_the_right_one(
    tmp_path: Path, complaint: str, texts: list[str] | str, kept: list[str | None]
) -> None:
    if texts == "chain":  # 8 words of 70 are changed from each to the next: .89 by LCS, .77 from end to end
        first = text(1, 70)
        second = " ".join(f"a{at}" if at < 8 else word for at, word in enumerate(first.split()))
        third = " ".join(f"b{at}" if at >= 62 else word for at, word in enumerate(second.split()))
        texts = [first, second, third]
    assert kept_of(tmp_path, list(texts)) == [place or None for place in kept], complaint


def test_the_number_of_workers_of_a_job_changes_nothing(tmp_path: Path) -> None:
    """text-dedup#71 and #88: with Spark 15% more is removed than in one process, or next to nothing."""
    texts = [text(seed % 40) if seed % 3 else edited(text(seed % 40), seed % 120) for seed in range(120)]
    alone, many = (kept_of(tmp_path / str(number), texts, number) for number in (1, 16))
    assert alone == many
    assert sum(kept is not None for kept in alone) == 80


def items(tmp_path: Path, *rows: dict[str, Any]) -> list[Item]:
    file = tmp_path / "items.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(read([str(file)], ("text",))[0].items)


FORMULA = r"\frac{11 \times 10 \times 9 \times 8 \times 7}{5 \times 4 \times 3 \times 2 \times 1}"
HOW_MANY = (
    "In how many ways can five prizes be given to eleven guests of a village fair when no guest is given more than "
    "one? The answer is "
)
TEAM = (
    "A trainer picks a team of five out of the eleven players who came by bus this morning; count all teams that she "
    "could pick if order is of no interest. We get "
)


def test_a_formula_that_two_problems_share_is_no_contamination(tmp_path: Path) -> None:
    """marin#6852: of six flags six were instructions, identities and arithmetic that many texts have."""
    matcher = Benchmarks(items(tmp_path, {"text": HOW_MANY + FORMULA}), "qwen2")
    assert matcher.match(TEAM + FORMULA) is None
    assert matcher.match(HOW_MANY + FORMULA) is not None


def test_an_item_within_one_paragraph_of_a_long_page_is_found(tmp_path: Path) -> None:
    """marin#6852: items that are embedded in a longer paragraph, or broken into short lines, are missed."""
    matcher = Benchmarks(items(tmp_path, {"text": HOW_MANY}), "qwen2")
    page = f"{text(1, 400)} {HOW_MANY} {text(2, 400)}"
    assert matcher.match(page) is not None
    assert matcher.match(f"{text(1, 400)}\n" + HOW_MANY.replace(" ", "\n")) is not None


def test_a_match_says_what_matched_where(tmp_path: Path) -> None:
    """dolma#264: spans with values less than 1, and nobody can say of what."""
    matcher = Benchmarks(items(tmp_path, {"text": HOW_MANY}), "qwen2")
    page = f"{text(1, 40)} {HOW_MANY}{text(2, 40)}"
    match = matcher.match(page)
    assert match is not None
    assert page[match.begin : match.end] == HOW_MANY.strip()
    assert match.item.benchmark == "items"
