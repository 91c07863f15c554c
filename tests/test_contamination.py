"""Contamination: three published rules at their bounds, planted items in other dress, and the layer that marks them."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import annotate, pairs
from pipelines.report import page
from pipelines.report.contamination import read_contamination
from pipelines.report.looking import Look
from tests import laws
from tests.conftest import ROOT
from tests.forum import post, write_documents, write_layers
from tests.small_dataset import read_file
from transforms.benchmarks.matching import RULES, Benchmarks, too_short
from transforms.benchmarks.nominate import UNKNOWN, ByRuns, ByTokens
from transforms.benchmarks.readers import Item, read
from transforms.benchmarks.tokens import GAPS, GLUED, placed, tokens
from transforms.layers.contamination import LAYER, ContaminationSettings, identity, notes, open_judge
from transforms.layers.kinds import settings_of
from transforms.pairs.rule import PairRule

DECONTAM = ROOT.parent / "shared" / "data" / "decontam"
WORDS = [f"w{number}" for number in range(200)]
OTHER = [f"x{number}" for number in range(2000)]


def found(item: Sequence[str], text: Sequence[str], rule: str = "qwen2") -> bool:
    return Benchmarks([Item("b", "1", " ".join(item))], rule).match(" ".join(text)) is not None


# ------------------------------------------------------------------------------------- the rules


@pytest.mark.parametrize(
    ("common", "item", "text", "goes"),
    [
        (12, 12, 40, False),  # too short to be found
        (12, 20, 40, False),
        (13, 20, 40, True),
        (13, 21, 40, True),  # 12.6 of 21
        (13, 22, 40, False),  # 13.2 of 22
        (24, 40, 60, True),
        (23, 40, 60, False),
        (13, 100, 20, True),  # of the shorter, which is the text
        (13, 100, 22, False),
    ],
)
def test_qwen2_needs_thirteen_tokens_in_order_and_six_tenths_of_the_shorter(
    common: int, item: int, text: int, goes: bool
) -> None:
    item_words = [*WORDS[:common], *OTHER[: item - common]]
    text_words = [*OTHER[1000 : 1000 + text - common], *WORDS[:common]]
    assert found(item_words, text_words) is goes
    backwards = [*OTHER[1000 : 1000 + text - common], *reversed(WORDS[:common])]
    assert not found(item_words, backwards), "a subsequence has an order"


def test_a_subsequence_may_have_gaps_and_a_run_may_not() -> None:
    gapped = [word for pair in zip(WORDS[:13], OTHER[:13], strict=True) for word in pair]
    assert found(WORDS[:13], gapped)
    assert not found(WORDS[:13], gapped, "math")
    assert not found(WORDS[:13], gapped, "coder")


@pytest.mark.parametrize(("run", "goes"), [(9, False), (10, True)])
def test_coder_needs_ten_words_in_a_row_alone(run: int, goes: bool) -> None:
    item = [*OTHER[:100], *WORDS[:run], *OTHER[100:200]]
    assert found(item, [*OTHER[500:600], *WORDS[:run], *OTHER[600:700]], "coder") is goes


@pytest.mark.parametrize(
    ("run", "item", "goes"), [(12, 12, False), (13, 21, True), (13, 22, False), (15, 25, False), (16, 25, True)]
)
def test_math_needs_thirteen_in_a_row_and_more_than_six_tenths(run: int, item: int, goes: bool) -> None:
    assert found([*WORDS[:run], *OTHER[: item - run]], [*WORDS[:run], *OTHER[500:550]], "math") is goes


def test_a_letter_of_a_script_without_spaces_is_a_token_and_half_a_word_of_a_run() -> None:
    letters = [chr(0x4E00 + number) for number in range(60)]
    for rule, needed in (("qwen2", 13), ("coder", 20), ("math", 26)):
        assert found(["".join(letters[:needed])], ["".join(letters[:needed])], rule), rule
        assert not found(["".join(letters[: needed - 1])], ["".join(letters[: needed - 1])], rule), rule


def test_a_copy_is_found_anywhere_in_a_long_text_and_scattered_words_are_not() -> None:
    draw = random.Random(5)
    for place in range(0, 300, 7):
        assert found(WORDS[:20], [*OTHER[:place], *WORDS[:20], *OTHER[place:400]])
        long = [*OTHER[: 9 * place], *WORDS[:20], *OTHER[9 * place : 1900]]
        assert found(WORDS[:20], long), "in any block of a long text"
    assert found(WORDS[:180], [*OTHER[:777], *WORDS[:180], *OTHER[777:1900]])
    scattered = list(OTHER[:1000])
    for number, place in enumerate(sorted(draw.sample(range(1000), 20))):
        scattered[place] = WORDS[number]
    assert not found(WORDS[:20], scattered)


def plain_lcs(one: Sequence[str], two: Sequence[str]) -> int:
    lengths = [[0] * (len(two) + 1) for _ in range(len(one) + 1)]
    for i, first in enumerate(one):
        for j, second in enumerate(two):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if first == second else max(lengths[i][j + 1], lengths[i + 1][j])
    return lengths[-1][-1]


@given(
    st.lists(st.sampled_from("abcdefg"), max_size=40),
    st.lists(st.sampled_from("abcdefgh"), max_size=40),
)
def test_nothing_that_the_rule_finds_is_missed_by_what_nominates(one: list[str], two: list[str]) -> None:
    lcs, shorter, longer = plain_lcs(one, two), *sorted((len(one), len(two)))
    match = Benchmarks([Item("b", "1", " ".join(one))], "qwen2").match(" ".join(two))
    goes = lcs >= 13 and 10 * lcs >= 6 * shorter
    if longer <= 2 * shorter:
        assert (match.lcs if match else None) == (lcs if goes else None)
    else:
        assert match is None or goes, "stretches find no more than the whole"


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=40), min_size=1, max_size=12),
    st.lists(st.integers(-1, 9), max_size=60),
    st.integers(1, 3),
    st.integers(0, 12),
)
def test_items_with_enough_common_tokens_are_found_and_no_others(
    items: list[list[int]], text: list[int], share: int, split: int
) -> None:
    items.sort(key=len, reverse=True)

    def needed(length: int) -> int:
        return max(4, length * share // 4)

    by_tokens = ByTokens(items, np.array([needed(len(item)) for item in items]), 10)
    shared = [sum((Counter(item) & Counter(token for token in text if token >= 0)).values()) for item in items]
    wanted = [
        number for number, item in enumerate(items) if shared[number] >= min(needed(len(item)), needed(len(text)))
    ]
    halves = [by_tokens.having(text, needed(len(text)), part) for part in (range(split), range(split, len(items)))]
    assert np.concatenate(halves).tolist() == wanted


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=20), min_size=1, max_size=8),
    st.lists(st.integers(-1, 5), max_size=40),
)
def test_items_with_a_run_of_a_text_are_found_and_no_others(items: list[list[int]], text: list[int]) -> None:
    weights = [1, 1, 1, 2, 2, 2]

    def runs(ids: list[int]) -> set[tuple[int, ...]]:
        """Every run of weight 6 or 7 that has less without its last token."""
        every = [tuple(ids[a:b]) for a in range(len(ids)) for b in range(a + 1, len(ids) + 1)]
        known = [run for run in every if UNKNOWN not in run]
        return {run for run in known if sum(weights[i] for i in run) >= 6 > sum(weights[i] for i in run[:-1])}

    wanted = {number for number, item in enumerate(items) if runs(item) & runs(text)}
    assert ByRuns(items, weights, 6).having(text) == wanted


def test_a_word_counts_as_often_as_both_have_it() -> None:
    assert found(["a", "b"] * 10, [*OTHER[:9], *["a", "b"] * 10])
    assert not found(["a", "b"] * 10, [*OTHER[:9], *["a", "b"] * 6])


def test_removed_symbols_may_end_a_word_or_not() -> None:
    item = "f(a_b-c) d.e+f g/h=i j,k;l m:n_o p*q-r"
    for text in (item.replace("_", " "), re.sub(r"[^\w\s]|_", "", f"{item} {item} {item}")):
        assert found([item] * 3, [text] * 3), text


def test_the_order_of_items_decides_nothing() -> None:
    items = [Item("b", str(number), " ".join(WORDS[number : number + 20])) for number in range(9)]
    text = " ".join(WORDS[:40])
    assert Benchmarks(items, "qwen2").match(text) == Benchmarks(items[::-1], "qwen2").match(text)
    match = Benchmarks(items, "qwen2").match(text)
    assert match is not None
    assert (match.item.item, match.lcs, text[match.begin : match.end]) == ("0", 20, " ".join(WORDS[:20]))


# ------------------------------------------------------------------------------------- tokens


def test_tokens_are_words_without_symbols_case_and_accents_of_any_form() -> None:
    assert tokens("Don\u2019t  SAY 16-3,\nfoo_bar(é)!", GAPS) == ["dont", "say", "16", "3", "foo", "bar", "e\u0301"]
    assert tokens("Don\u2019t  SAY 16-3,\nfoo_bar(é)!", GLUED) == ["dont", "say", "163", "foobare\u0301"]
    assert tokens("ｅ\u0301 Straße ½", GAPS) == ["e\u0301", "strasse", "1", "2"]
    assert tokens("abcนี้เป็น日本x", GAPS) == ["abc", "นี้", "เ", "ป็", "น", "日", "本", "x"]
    assert tokens("গুলি মఫిన్\u200cలు", GAPS) == ["গুলি", "মఫిన్లు"]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_places_are_those_of_the_tokens(text: str) -> None:
    for view in (GAPS, GLUED):
        at = placed(text, view)
        assert len(at.begins) == len(at.ends) == len(tokens(text, view))
        for begin, end, token in zip(at.begins, at.ends, tokens(text, view), strict=True):
            assert "".join(text[begin:end].translate(view)).strip().find(token) >= 0


# ------------------------------------------------------------------------------------- planted items, clean texts

DRESS = {
    "other signs": lambda text: re.sub(r"[.,!?]", " ;", text).upper(),
    "no signs": lambda text: re.sub(r"[.,;:!?'\"。、？]", "", text),
    "other spacing": lambda text: text.swapcase().replace(" ", "\n\t "),
}


@pytest.mark.skipif(not DECONTAM.exists(), reason="no real benchmarks at ../shared/data/decontam")
@pytest.mark.parametrize("rule", RULES)
def test_planted_items_of_every_benchmark_are_found_in_other_dress(rule: str) -> None:
    items = [item for file in read([str(DECONTAM)]) for item in file.items]
    benchmarks = Benchmarks(items, rule)
    asked = [item for item in items if " " not in item.item and not too_short([item], rule)][::23]
    assert {item.benchmark for item in asked} == {item.benchmark for item in items}
    for item in asked:
        for dress in DRESS.values():
            match = benchmarks.match(f"I wonder how to do this one:\n\n{dress(item.text)}\n\nAny help, please?")
            assert match is not None, item


@pytest.mark.skipif(not DECONTAM.exists(), reason="no real benchmarks at ../shared/data/decontam")
@pytest.mark.parametrize("rule", RULES)
def test_a_clean_forum_loses_nothing(rule: str) -> None:
    benchmarks = Benchmarks([item for file in read([str(DECONTAM)]) for item in file.items], rule)
    posts = re.findall(r' Body="([^"]*)"', (ROOT / "examples" / "forum" / "Posts.xml").read_text("utf-8"))
    assert len(posts) > 1000
    assert [text for text in posts[::5] if benchmarks.match(text)] == []


# ------------------------------------------------------------------------------------- the layer

ASKED = "A robe takes 2 bolts of blue fiber and half that much white fiber. How many bolts in total does it take?"
SOLVED = "It takes half of two bolts, one bolt, of white fiber, so the total amount of fabric is three bolts. #### 3"
CLEAN = "bread rises slowly in a cold kitchen and faster in a warm one and then it is baked and eaten"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three threads of a question and three answers: the item is the question of one, an answer of another."""
    rows = []
    for thread in (0, 4, 8):
        for place, kind in enumerate(("question", "answer", "answer", "answer")):
            text = f"{CLEAN} {thread + place}"
            if (thread, place) == (0, 0):
                text = f"Help, please!\n\n{ASKED.upper()}"
            if (thread, place) == (4, 2):
                text = SOLVED.replace(",", "")
            rows.append(post(thread + place, kind, thread, text, score=place))
    write_documents(tmp_path / "documents", [rows[:4], rows[4:]])
    write_layers(tmp_path / "layers", tmp_path / "documents")
    (tmp_path / "test.jsonl").write_text(json.dumps({"question": ASKED, "answer": SOLVED}))
    return tmp_path


def make(folder: Path, workers: int = 1, output: str = "layers", **settings: object) -> Any:
    chosen = settings_of({"contamination": {"benchmarks": str(folder / "test.jsonl")} | settings}, "here")
    return annotate.run(str(folder / "documents"), str(folder / output), chosen, workers)["contamination"]


def test_the_layer_names_benchmark_item_text_and_rule_and_leaves_its_documents_out(folder: Path) -> None:
    manifest = make(folder)
    place = folder / "layers" / "contamination"
    laws.assert_sound(place)
    laws.assert_idempotent(place, lambda: make(folder))
    assert manifest.counts["documents"] == {"in": 12, "kept": 10}
    assert manifest.counts["drop"] == {"contaminated": 2}
    assert manifest.counts["benchmark"] == {"gsm8k": 2}
    rows = [row for file in manifest.data_files for row in read_file(str(place), file.path).to_pylist()]
    asked, solved = (row for row in rows if not row["keep"])
    assert asked["matched"] == ASKED.upper().removesuffix("?")
    assert (asked["benchmark"], asked["item"], asked["rule"], asked["lcs"]) == ("gsm8k", "1", "qwen2", 22)
    assert (solved["item"], solved["reason"]) == ("1 answer", "contaminated")
    kept = next(row for row in rows if row["keep"])
    assert [kept[name] for name in ("benchmark", "item", "matched", "rule", "lcs", "reason")] == [None] * 6
    paired = pairs.run(
        str(folder / "documents"), str(folder / "layers"), str(folder / "pairs"), PairRule("any", 1, "score")
    )
    assert paired.counts["candidates"] == {"contaminated": 5, "kept": 4}, "a question's item is in all its pairs"


def test_any_number_of_workers_gives_the_same_bytes(folder: Path) -> None:
    assert make(folder).digest == make(folder, 2, "others").digest


def test_the_files_bytes_decide_the_layer_and_not_their_place(folder: Path) -> None:
    manifest = make(folder)
    (folder / "moved").mkdir()
    (folder / "test.jsonl").rename(folder / "moved" / "renamed.jsonl")
    (folder / "test.jsonl").write_bytes((folder / "moved" / "renamed.jsonl").read_bytes())
    assert make(folder, benchmarks=[str(folder / "moved"), str(folder / "test.jsonl")]).digest == manifest.digest
    laws.assert_refuses_other(lambda: make(folder, rule="coder"), "differs in rule")
    (folder / "test.jsonl").write_text(json.dumps({"question": ASKED, "answer": "#### 4"}))
    laws.assert_refuses_other(lambda: make(folder), "differs in benchmarks")


def test_benchmarks_that_change_while_they_are_used_are_refused(folder: Path) -> None:
    settings = ContaminationSettings(str(folder / "test.jsonl"))
    before = identity(settings)
    (folder / "test.jsonl").write_text(json.dumps({"question": ASKED, "answer": "#### 4"}))
    with pytest.raises(ValueError, match="changed while they were used"):
        open_judge(settings, before)


def test_items_that_are_too_short_are_told(folder: Path) -> None:
    (folder / "test.jsonl").write_text(json.dumps({"question": "How many?", "answer": f"{SOLVED}"}))
    settings = ContaminationSettings(str(folder / "test.jsonl"))
    assert list(notes(settings, [])) == ["gsm8k, 2 texts; 1 have fewer than 13 tokens and match nothing"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"benchmarks": ""}, "contamination.benchmarks is empty"),
        ({"benchmarks": []}, "contamination.benchmarks is empty"),
        ({"benchmarks": "a", "rule": "qwen"}, "contamination.rule must be one of qwen2, coder, math; got 'qwen'"),
        ({}, "the key 'benchmarks' is missing"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings_of({"contamination": settings}, "here")


def test_it_is_made_only_where_benchmarks_are_named() -> None:
    assert "contamination" not in annotate.DEFAULT_LAYERS.split(",")
    with pytest.raises(ValueError, match=r"has to be told its benchmarks: --set contamination=…, .*decontamination.md"):
        annotate.chosen_settings(["contamination"], [])


def test_the_report_names_three_matches_of_each_benchmark(folder: Path) -> None:
    make(folder)
    look = Look(str(folder / "layers" / "contamination"), "layers/contamination", "contamination", [LAYER.schema], [])
    report = read_contamination(look)
    assert report.items == {"gsm8k": 2}
    assert {(row.benchmark, row.item, row.rule) for row in report.examples} == {
        ("gsm8k", "1", "qwen2"),
        ("gsm8k", "1 answer", "qwen2"),
    }
    page.run(str(folder), str(folder / "report.html"))
    html = (folder / "report.html").read_text("utf-8")
    for told in ("A ROBE TAKES 2 BOLTS", "gsm8k", "qwen2", "10 of 12 documents are free of items of the benchmarks"):
        assert told in html
