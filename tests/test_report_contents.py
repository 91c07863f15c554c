"""What the report counts in shards: as the plain rule counts it, however rows lie in shards and batches."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.report.calibration import calibration_figure, read_calibration
from pipelines.report.counting import LENGTHS, SMALL, Counted, Share, wilson
from pipelines.report.cuts import LENGTHS as CUT_LENGTHS
from pipelines.report.cuts import cuts_table, read_cuts
from pipelines.report.html import percent
from pipelines.report.looking import Look
from pipelines.report.paired import bias_table, pairs_figures, read_pairs
from pipelines.report.posts import posts_figures, read_posts
from pipelines.report.reading import Trouble
from tests.small_build import YEAR_2020, Page, drawn, row_of
from tests.small_dataset import dataset_of
from transforms.datasets import shards
from transforms.datasets.manifest import DatasetSpec
from transforms.datasets.schema import DOCUMENTS, PAIRS, SCORES, preference_schema

PREFERENCE = preference_schema(pa.uint16())
Rows = dict[str, list[dict[str, Any]]]  # by shard


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BATCH_ROWS", 3)


def look(folder: Path, kind: str, schema: pa.Schema, rows: Rows, troubles: list[Trouble] | None = None) -> Look:
    """A dataset of these rows, as a report looks at it. Without a list for troubles there may be none."""
    tables = {path: pa.Table.from_pylist(of_path, schema=schema) for path, of_path in rows.items()}
    dataset_of(folder / kind, DatasetSpec(kind, {}), tables, None)
    return Look(str(folder / kind), kind, kind, [schema], [] if troubles is None else troubles)


def at(index: int, number: int, name: str = "") -> str:
    return f"data/{name}{'-' if name else ''}{index:05d}-of-{number:05d}.arrow"


# ---------------------------------------------------------------------------------------------- counting


def test_numbers_are_counted_between_edges() -> None:
    counted = Counted([0.5, 1.5, 3.5])
    counted.add(np.array([1, 2, 3, 3, 0, -5, 4, 9]), missing=2)
    counted.add(np.array([], np.int64))
    assert (counted.counts, counted.below, counted.above, counted.missing, counted.total) == ([1, 3], 2, 2, 2, 8)
    assert counted.left_out("post", "below", "without") == (
        " Not shown: 2 posts below, 2 posts above 4, 2 posts without."
    )
    assert Counted([0, 1]).left_out("post", "below") == ""


@pytest.mark.parametrize("edges", [SMALL, LENGTHS])
def test_edges_ascend_between_whole_numbers(edges: list[float]) -> None:
    assert edges[0] == 0.5
    assert list(edges) == sorted(set(edges))
    assert all(edge % 1 == 0.5 for edge in edges)


def test_a_share_has_the_interval_of_its_prompts() -> None:
    share = Share()
    share.add(np.array([0, 0, 1]), np.array([1, 0.5, 1]))
    share.add(np.array([1, 1, 4]), np.array([0, 0, 0]))  # prompt 1 goes on
    assert (share.pairs, share.prompts) == (6, 3)
    assert share.estimate == wilson(2.5 / 6, 3)
    assert Share().estimate is None


# ---------------------------------------------------------------------------------------------- posts


def forum(draw: random.Random, threads: int) -> list[dict[str, Any]]:
    rows = []
    for thread in range(threads):
        plain = draw.random() < 0.2
        kinds = ["document"] if plain else ["question"] * draw.randrange(2) + ["answer"] * draw.randrange(5)
        for kind in kinds:
            post = {"doc_id": f"{len(rows):04}", "thread_id": f"{thread:03}", "kind": kind}
            post |= {"score": draw.choice([None, -20, -1, 0, 1, 4, 200]), "text": "é" * draw.randrange(30)}
            post |= {"created": draw.choice([None, YEAR_2020, YEAR_2020 - 1, 0])}
            rows.append(row_of("documents", "", 0) | post)
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_posts_are_counted_as_the_plain_rule_counts_them(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    rows = [forum(draw, draw.randrange(12)) for _ in range(2)]
    found = read_posts(look(tmp_path, "documents", DOCUMENTS, {at(n, 2): rows[n] for n in range(2)}))
    every = [*rows[0], *rows[1]]
    answers: Counter[int] = Counter()
    for of_shard in rows:
        for _, group in groupby(of_shard, key=lambda row: row["thread_id"]):
            kinds = [row["kind"] for row in group]
            if kinds != ["document"]:
                answers[kinds.count("answer")] += 1
    assert found.answers.below == answers.pop(0, 0)
    assert found.answers.counts[:3] == [answers[1], answers[2], answers[3]]
    assert found.answers.total == sum(answers.values()) + found.answers.below
    for kind in {row["kind"] for row in every}:
        of_kind = [row for row in every if row["kind"] == kind]
        assert found.score[kind].missing == sum(row["score"] is None for row in of_kind)
        assert found.score[kind].counts[4] == sum(row["score"] == 0 for row in of_kind)
        assert (found.score[kind].below, found.score[kind].above) == (
            sum(row["score"] == -20 for row in of_kind), sum(row["score"] == 200 for row in of_kind),
        )  # fmt: skip
        assert found.length[kind].below == sum(row["text"] == "" for row in of_kind)
        assert found.length[kind].counts[0] == sum(row["text"] == "é" for row in of_kind)
    assert found.years.missing == sum(row["created"] is None for row in every)
    assert found.years.counts[2019 - 1990 : 2021 - 1990] == [
        sum(row["created"] == time for row in every) for time in (YEAR_2020 - 1, YEAR_2020)
    ]
    assert found.years.below == sum(row["created"] == 0 for row in every)


def test_figures_of_posts_name_what_they_leave_out(tmp_path: Path) -> None:
    posts = [("question", "1", None, None, ""), ("answer", "1", 5, YEAR_2020, "abc"), ("question", "2", 1, 0, "a")]
    rows = [
        row_of("documents", "", 0)
        | {"kind": kind, "thread_id": thread, "score": score, "created": created, "text": text}
        for kind, thread, score, created, text in posts
    ]
    figures = posts_figures(read_posts(look(tmp_path, "documents", DOCUMENTS, {at(0, 1): rows})))
    text = Page("".join(drawn("figure", figure) for figure in figures)).text
    for says in ("1 post has no score.", "Not shown: 1 thread without an answer.", "1 question without text.",
                 "Not shown: 1 post before 1990, 1 post without a time."):  # fmt: skip
        assert says in text
    (lengths,) = (figure for figure in figures if figure.title == "Length of a post")
    paths = [mark.path for panel in lengths.panels for mark in panel.marks if mark.kind == "bar"]
    one, three = (100 - min(float(y) for y in re.findall(r",([0-9.]+)", path)) for path in paths)
    assert three / one == pytest.approx(np.log(1.5 / 0.5) / np.log(3.5 / 2.5), rel=1e-3)  # all of a kind, per doubling
    assert "share of the kind per doubling of the length" in text
    assert posts_figures(None) == []
    assert posts_figures(read_posts(look(tmp_path / "empty", "documents", DOCUMENTS, {at(0, 1): []}))) == []


# ---------------------------------------------------------------------------------------------- pairs


def pair(group: str, margin: int, chars: tuple[int, int], times: tuple[Any, Any], **more: Any) -> dict[str, Any]:
    values = {"group_id": group, "margin": margin, "chosen_chars": chars[0], "rejected_chars": chars[1]}
    values |= {"chosen_created": times[0], "rejected_created": times[1]}
    return row_of("pairs", "", 0) | values | more


def random_pairs(draw: random.Random, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for group in range(draw.randrange(1, 9)):
        for _ in range(draw.randrange(1, 6)):
            chars = draw.randrange(4), draw.randrange(4)
            times = draw.choice([None, 1, 2]), draw.choice([None, 1, 2])
            found = pair(f"{name}{group}", draw.choice([1, 2, 4, 150]), chars, times, pair_id=f"{name}:{len(rows)}")
            rows.append(found | {"site": draw.choice(["a.example", "b.example"])})
    return rows


def half(first: int, second: int) -> float:
    return 1.0 if first > second else 0.5 if first == second else 0.0


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_counted_as_the_plain_rule_counts_them(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    rows = {at(n, 2, name): random_pairs(draw, f"{name}{n}") for name in ("train", "holdout") for n in range(2)}
    found = read_pairs(look(tmp_path, "pairs", PAIRS, rows))
    every = [row for of_shard in rows.values() for row in of_shard]
    assert found.sites == Counter(row["site"] for row in every)
    assert sum(found.sources.values()) == found.margin.total == len(every)
    parts = [(found.by_split[name], [row for path in rows if name in path for row in rows[path]])
             for name in ("train", "holdout")]  # fmt: skip
    parts += [
        (bias, [row for row in every if low <= row["margin"] <= high])
        for bias, low, high in zip(found.by_margin, (1, 2, 3, 6, 11, 21, 51, 101), (1, 2, 5, 10, 20, 50, 100, 999),
                                   strict=True)
    ]  # fmt: skip
    for bias, part in parts:
        timed = [row for row in part if row["chosen_created"] and row["rejected_created"]]
        longer = [half(row["chosen_chars"], row["rejected_chars"]) for row in part]
        earlier = [half(row["rejected_created"], row["chosen_created"]) for row in timed]
        for share, hits, of in ((bias.longer, longer, part), (bias.earlier, earlier, timed)):
            prompts = len({row["group_id"] for row in of})
            assert (share.pairs, share.prompts) == (len(hits), prompts)
            if hits:
                assert share.estimate is not None
                assert share.estimate.value == pytest.approx(sum(hits) / len(hits))
    assert [row[0] for row in bias_table(found).rows] == ["train", "holdout"]
    margins, by_margin = pairs_figures(found)
    assert margins.y_title == "share of pairs per vote"
    ends = {key.name: key.end for key in by_margin.keys if key.tone is not None}
    timed = [row for row in every if row["chosen_created"] and row["rejected_created"]]
    longer = [half(row["chosen_chars"], row["rejected_chars"]) for row in every]
    earlier = [half(row["rejected_created"], row["chosen_created"]) for row in timed]
    assert ends == {
        f"chosen is {name}": f"overall {percent(sum(hits) / len(hits))}"
        for name, hits in (("longer", longer), ("earlier", earlier))
    }


def test_the_same_three_pairs_whatever_shards_they_are_in(tmp_path: Path) -> None:
    rows = [row_of("pairs", "p", index) for index in range(30)]
    one = read_pairs(look(tmp_path / "one", "pairs", PAIRS, {at(0, 1, "train"): rows}))
    many = {at(n, 4, "train"): rows[n::4] for n in range(4)}
    assert list(read_pairs(look(tmp_path / "many", "pairs", PAIRS, many)).examples) == list(one.examples)
    assert len(one.examples) == 3
    first = one.examples[0]
    number = first.prompt.split()[-1]
    assert (first.prompt, first.chosen, first.rejected) == (f"why {number}", f"because {number}", f"no {number}")


def test_an_example_is_clipped_and_says_how_long_it_is(tmp_path: Path) -> None:
    prompt = [{"role": "user", "content": "x" * 5_000}]
    rows = [row_of("pairs", "", 0) | {"prompt": prompt, "language": None, "license": None, "url": None}]
    (example,) = read_pairs(look(tmp_path, "pairs", PAIRS, {at(0, 1, "train"): rows})).examples
    assert example.prompt == f"{'x' * 700} … (5,000 characters)"
    assert (example.facts, example.url) == ("x · no sure language", "")


# ---------------------------------------------------------------------------------------------- tokens


def group(prompt: int, responses: list[int], pairs: list[tuple[int, int]] | None = None) -> dict[str, Any]:
    found = row_of("preference", "", 0)
    response = found["responses"][0]
    found["prompt_tokens"] = [1] * prompt
    found["responses"] = [
        response | {"tokens": [1] * size, "post_id": f"{place}"} for place, size in enumerate(responses)
    ]
    indices = [{"chosen": chosen, "rejected": rejected} for chosen, rejected in (pairs or [])]
    found["pairs"] = [found["pairs"][0] | entry for entry in indices]
    return found


def test_shares_of_what_is_cut(tmp_path: Path) -> None:
    rows = {at(0, 1, "train"): [group(300, [500, 10]), group(0, []), group(5, [5])],
            at(0, 1, "holdout"): [group(10, [600])]}  # fmt: skip
    found = read_cuts(look(tmp_path, "preference", PREFERENCE, rows), [256])
    cut = found.by_length[512]
    # 300 + 500: the prompt keeps a quarter of 512, the answer the rest; 300 + 10, the same prompt: both keep all;
    # 10 + 600: the prompt keeps all, the answer 502
    assert (cut.tokens, cut.prompts, cut.responses) == ([172 + 116 + 98, 1730], [1, 4], [2, 4])
    assert list(found.by_length) == [256, *CUT_LENGTHS]
    table = cuts_table(found, 256)
    assert [row[0] for row in table.rows][:2] == ["256, as the model of this build", "512"]
    assert table.rows[1][1:] == ("386", "22.31%", "1", "25.00%", "2", "50.00%")


# ---------------------------------------------------------------------------------------------- calibration


def scored(folder: Path, rewards: list[float], ids: str, troubles: list[Trouble]) -> tuple[Look, Look]:
    groups = [
        group(1, [1, 1], [(0, 1)]),
        group(1, []),
        group(1, [1, 1, 1], [(0, 1), (2, 1)]),
        group(1, [1, 1], [(1, 0)]),
    ]
    shards_of = {at(0, 2, "holdout"): groups[:3], at(1, 2, "holdout"): groups[3:], at(0, 1, "train"): groups}
    preference = look(folder, "preference", PREFERENCE, shards_of, troubles)
    rows = [{"group_id": "g", "post_id": post, "reward": reward} for post, reward in zip(ids, rewards, strict=True)]
    return look(folder, "evaluation", SCORES, {"data/scores.arrow": rows}, troubles), preference


def test_a_model_is_as_sure_as_its_rewards_are_apart(tmp_path: Path) -> None:
    troubles: list[Trouble] = []
    scores, preference = scored(tmp_path, [1.0, 0.0, 5.0, 4.9, -3.0, 0.0, 0.0], "0101201", troubles)
    found = read_calibration(scores, preference, "holdout")
    assert found is not None
    assert (troubles, found.pairs, found.whole) == ([], 4, True)
    bins = [
        (part.right.pairs, part.right.estimate and part.right.estimate.value) for part in found.bins if part.right.pairs
    ]
    # gaps 0.1 and 0 (a tie: half right), 1.0, -7.9 (wrong, and sure)
    assert bins == [(2, 0.75), (1, 1.0), (1, 0.0)]
    confidence = [1 / (1 + np.exp(-gap)) for gap in (1.0, 7.9, 0.1, 0.0)]
    assert sum(part.confidence for part in found.bins) == pytest.approx(sum(confidence), rel=1e-6)
    error = (abs(confidence[0] - 1) + confidence[1] + abs(confidence[2] + confidence[3] - 1.5)) / 4
    figure = calibration_figure(found)
    assert figure is not None
    assert f"(expected calibration error): {100 * error:.1f}%" in figure.notes[0]
    assert calibration_figure(None) is None


@pytest.mark.parametrize("ids", ["0101200", "0101"])
def test_rewards_of_other_answers_are_told(tmp_path: Path, ids: str) -> None:
    troubles: list[Trouble] = []
    scores, preference = scored(tmp_path, [0.0] * len(ids), ids, troubles)
    assert read_calibration(scores, preference, "holdout") is None
    assert troubles == [Trouble("evaluation/data/scores.arrow", "has not the responses of preference in their order")]


def test_pairs_of_answers_that_are_not_there_are_told(tmp_path: Path) -> None:
    troubles: list[Trouble] = []
    preference = look(tmp_path, "preference", PREFERENCE, {at(0, 1, "holdout"): [group(1, [1], [(0, 7)])]}, troubles)
    rows = [{"group_id": "g", "post_id": "0", "reward": 1.0}]
    scores = look(tmp_path, "evaluation", SCORES, {"data/scores.arrow": rows}, troubles)
    assert read_calibration(scores, preference, "holdout") is None
    assert [trouble.says for trouble in troubles] == ["has pairs of responses that it has not"]
