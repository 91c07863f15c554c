"""Answers without their questions give no pairs: ingest and pairs say so, and which file to add."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines import headless, ingest, pairs
from pipelines.ingest_plan import IngestSettings
from tests.conftest import write_posts
from tests.forum import write_layers
from transforms.datasets.manifest import Manifest, load_manifest
from transforms.pairs.rule import PairRule
from transforms.sources.inputs import Input
from transforms.sources.kinds import SOURCES

KEPT, DROPPED = IngestSettings(num_shards=1, headless_threads="keep"), IngestSettings(num_shards=1, max_drop_rate=1.0)
COMMENTS = [
    {"id": f"c{number}", "link_id": "t3_a", "parent_id": "t3_a", "body": f"Malt number {number}.", "score": number}
    for number in range(3)
]
OTHER = {"id": "b", "title": "What malt?", "selftext": "For a stout.", "score": 5, "author": "Ann"}
ANSWER = (
    '<row Id="{0}" PostTypeId="2" ParentId="1" CreationDate="2020-01-01T00:00:00.000" Score="{0}" Body="Malt {0}." />'
)
MAPPING = """
source: mine
question: {text: q, id: id}
answer: {text: a, id: id, question: to, score: score}
"""


def lines(place: Path, rows: Sequence[dict[str, object]]) -> Path:
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def reddit(folder: Path) -> list[Input]:
    return [Input(str(lines(folder / "RC_2024-01.jsonl", COMMENTS)), source="reddit")]


def posts(folder: Path) -> list[Input]:
    return [Input(str(write_posts(folder / "Posts.xml", [ANSWER.format(n) for n in (2, 3, 4)])), site="tiny.example")]


def mapped(folder: Path) -> list[Input]:
    (folder / "m.yaml").write_text(MAPPING)
    rows = [{"a": f"Malt {number}.", "id": number, "to": 1, "score": number} for number in (2, 3, 4)]
    return [Input(str(lines(folder / "rows.jsonl", rows)), mapping=str(folder / "m.yaml"))]


CASES = {
    reddit: "add the submissions of the same time, such as RS_2024-01.jsonl",
    posts: "add the site's whole Posts.xml, in which the questions are as well",
    mapped: "add the rows that the mapping reads as questions",
}


def paired(folder: Path) -> list[str]:
    """What is told of the pairs of the folder's documents."""
    docs, layers = folder / "docs", folder / "layers"
    write_layers(layers, docs)
    made = pairs.run(str(docs), str(layers), str(folder / "pairs"), PairRule("r", 1, "score"))
    return list(headless.of_pairs(made, load_manifest(str(docs))))


@pytest.mark.parametrize("inputs", CASES)
def test_answers_kept_without_questions_are_told_at_both_steps_with_the_file_to_add(inputs, tmp_path: Path) -> None:
    made = ingest.run(inputs(tmp_path), str(tmp_path / "docs"), KEPT)
    assert made.rows == 3
    (told,) = ingest.notes(made, str(tmp_path / "docs"), KEPT)
    assert told.startswith("3 of the 3 posts of ")
    assert f"give no pairs, since their questions are not in the inputs: {CASES[inputs]}" in told
    assert paired(tmp_path) == ["3 candidate pairs have no question to be their prompt", told]


@pytest.mark.parametrize("inputs", CASES)
def test_a_refusal_says_which_file_to_add(inputs, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing could be read from the inputs") as refused:
        ingest.run(inputs(tmp_path), str(tmp_path / "docs"))
    assert f"    give {CASES[inputs].removeprefix('add ')} too, or keep answers without one" in str(refused.value)


def test_comments_dropped_beside_submissions_of_other_threads_are_told(tmp_path: Path) -> None:
    inputs = [*reddit(tmp_path), Input(str(lines(tmp_path / "RS_2024-01.jsonl", [OTHER])), source="reddit")]
    made = ingest.run(inputs, str(tmp_path / "docs"), DROPPED)
    (told,) = ingest.notes(made, str(tmp_path / "docs"), DROPPED)
    assert told.startswith("3 of the 3 posts of RC_2024-01.jsonl were dropped, since their questions")
    assert told.endswith("such as RS_2024-01.jsonl (which is there, and holds other threads)")
    assert paired(tmp_path) == [], "there is a question, and nothing that could be paired"


def test_whole_threads_are_told_nothing(tmp_path: Path) -> None:
    inputs = [*reddit(tmp_path), Input(str(lines(tmp_path / "RS.jsonl", [OTHER | {"id": "a"}])), source="reddit")]
    for settings in (KEPT, DROPPED):
        made: Manifest = ingest.run(inputs, str(tmp_path / settings.headless_threads), settings)
        assert not list(ingest.notes(made, str(tmp_path / settings.headless_threads), settings))


@pytest.mark.parametrize(
    ("file", "questions"),
    [
        ("RC_2024-01.zst", "RS_2024-01.zst"),
        ("beer_comments.zst", "beer_submissions.zst"),
        ("2024/RC_2024-01-3.jsonl", "2024/RS_2024-01-3.jsonl"),
        ("rows.jsonl", "(RS_…)"),
    ],
)
def test_the_name_of_the_submissions_follows_that_of_the_comments(file: str, questions: str) -> None:
    assert SOURCES["reddit"].questions_of(file).endswith(questions)
