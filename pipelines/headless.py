"""Answers whose questions are not in the inputs: they give no pairs, and so the user is told which file to add."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from transforms.datasets import shown
from transforms.datasets.fates import Reason
from transforms.datasets.manifest import Manifest
from transforms.datasets.schema import PostKind
from transforms.ingest.threads import MISSING_QUESTION
from transforms.sources.kinds import SOURCES

_MOST = 0.5  # of a file's posts: a month's comments stand under submissions of earlier months as well


def of_files(documents: Manifest) -> Iterator[str]:
    """A line on each input file most of whose posts are answers and comments without their question."""
    names = {str(file["name"]) for file in documents.inputs}
    for file in documents.inputs:
        dropped, kept, posts = _without_question(file)
        if dropped + kept > _MOST * posts:
            fate = "give no pairs" if kept else "were dropped"
            yield (
                f"{dropped + kept:,} of the {posts:,} posts of {shown.name(str(file['name']))} {fate}, since their "
                f"questions are not in the inputs: add {_questions_of(file, names)}"
            )


def of_pairs(pairs: Manifest, documents: Manifest) -> Iterator[str]:
    """Why there are few pairs or none, where that is for want of questions."""
    lost = pairs.counts.get("candidates", {}).get(Reason.NO_PROMPT.value, 0)
    questions = documents.counts.get("kind", {}).get(PostKind.QUESTION.value, 0)
    if not lost and (pairs.rows or questions):
        return
    many = f"{lost:,} candidate pair{' has' if lost == 1 else 's have'}"
    what = many if lost else "there are no pairs, since the documents have"
    yield f"{what} no question to be their prompt"
    yield from of_files(documents)


def _without_question(file: Mapping[str, Any]) -> tuple[int, int, int]:
    """(posts that were dropped for want of their question, posts that were kept all the same, all posts)."""
    dropped = file.get("dropped", {})
    return (
        dropped.get(Reason.ORPHAN.value, 0),
        file.get("noted", {}).get(MISSING_QUESTION, 0),
        file.get("kept", 0) + sum(dropped.values()),
    )


def _questions_of(file: Mapping[str, Any], names: Collection[str]) -> str:
    where = SOURCES[file["source"]].questions_of(str(file["name"]))
    is_there = any(name in where for name in names if name != file["name"])
    return f"{where} (which is there, and holds other threads)" if is_there else where
