"""A classifier of good and bad texts: what it is made of, that it finds what was planted, and how it is judged."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.planted import write_dataset
from transforms.classifiers import fasttext_file
from transforms.datasets.settings import SettingError
from transforms.quality import inputs
from transforms.quality.classifier import QualityHandle, QualityModel, readable
from transforms.quality.examples import Examples, choose
from transforms.quality.judged import judge
from transforms.quality.train import TrainSettings, train

GOOD = "theorem proof integral limit function continuous suppose converge prime".split()  # noqa: SIM905
BAD = "buy cheap click now offer discount sale shipping deal".split()  # noqa: SIM905
COMMON = "the a of and is in to it that for with on as are this be was".split()  # noqa: SIM905


def texts(words: Sequence[str], number: int, seed: int = 0) -> list[str]:
    """Texts of which every third word tells their class."""
    chance = random.Random(f"{words[0]} {seed}")
    return [
        " ".join(chance.choice(words if chance.random() < 0.3 else COMMON) for _ in range(chance.randint(10, 30)))
        for _ in range(number)
    ]


def write(path: Path, lines: Sequence[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def some(examples: Examples, name: str) -> set[str]:
    return {line for its, line in examples.training if its == name} | set(examples.held_out[name])


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("The Cat, it SAT!\n\nHere", "the cat , it sat ! here"),
        ("see `x_1` at https://a.b/c", "see ` x _ 1 ` at https : / / a . b / c"),
        ("a</s>b __label__positive", "a < / s > b _ _ label _ _ positive"),
        ("我们有 3 本书。", "我 们 有 3 本 书 。"),
        ("これはペンです", "こ れ は ペ ン で す"),
        ("ภาษาไทย", " ".join("ภาษาไทย")),
        ("हिन्दी में लिखा।", "हिन्दी में लिखा ।"),
        ("한국어 문장", "한국어 문장"),
        ("don’t «stop»", "don ’ t « stop »"),
        (" \n\t ", ""),
    ],
)
def test_words_and_punctuation_are_read_apart(text: str, read: str) -> None:
    assert readable(text) == read
    assert readable(read) == read


def test_what_is_planted_is_found(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good", texts(GOOD, 300)), write(tmp_path / "bad", texts(BAD, 500))
    trained = train([good], [bad], TrainSettings())
    assert trained.judged["accuracy"] > 0.98
    assert trained.judged["auc"] > 0.99
    model = QualityModel(fasttext_file.read(trained.model, "here"), "here")
    scores = model.score([*texts(GOOD, 50, 1), *texts(BAD, 50, 1)])
    assert scores.dtype == np.float32
    assert (scores[:50] > 0.5).mean() > 0.95
    assert (scores[50:] < 0.5).mean() > 0.95
    assert trained.counts["positive"] | {"training": 0, "held out": 0} == {
        "read": 300,
        "empty": 0,
        "repeated": 0,
        "shared": 0,
        "left out": 0,
        "training": 0,
        "held out": 0,
    }
    assert trained.counts["negative"]["left out"] == 200


def test_a_score_is_of_its_text_alone(tmp_path: Path) -> None:
    trained = train(
        [write(tmp_path / "good", texts(GOOD, 120))], [write(tmp_path / "bad", texts(BAD, 120))], TrainSettings()
    )
    model = QualityModel(fasttext_file.read(trained.model, "here"), "here")
    found = model.score([*texts(GOOD, 9), "", " \n", "unknown words alone"])
    assert [model.score([text])[0] for text in texts(GOOD, 9)] == found[:9].tolist()
    assert found[9:11].tolist() == [0.0, 0.0]
    assert 0 <= found[11] <= 1
    assert model.score([]).shape == (0,)


def test_neither_order_nor_files_matter_and_the_seed_does(tmp_path: Path) -> None:
    good, bad = texts(GOOD, 200), texts(BAD, 300)
    whole = train([write(tmp_path / "good", good)], [write(tmp_path / "bad", bad)], TrainSettings(epochs=2))
    turned = list(reversed(good))
    parts = [write(tmp_path / "good1", turned[:50]), write(tmp_path / "good2", turned[50:])]
    other = train(parts, [write(tmp_path / "bad2", sorted(bad))], TrainSettings(epochs=2))
    assert other.model == whole.model
    assert other.counts == whole.counts
    assert train(parts, [str(tmp_path / "bad2")], TrainSettings(seed=1, epochs=2)).model != whole.model


def test_texts_that_differ_in_case_and_punctuation_are_one() -> None:
    good = texts(GOOD, 150)
    again = [text.upper().replace(" ", ", ") + "!" for text in good]
    examples = choose([*good, *again, "", "..."], texts(BAD, 150), 0, 1000)
    assert examples.counts["positive"]["repeated"] == 150
    assert examples.counts["positive"]["empty"] == 2
    assert some(examples, "positive") == {min(readable(a), readable(b)) for a, b in zip(good, again, strict=True)}
    assert choose([*again, *good], texts(BAD, 150), 0, 1000).training == examples.training


def test_every_text_has_a_fate_and_the_classes_are_as_large_as_each_other() -> None:
    good, bad = texts(GOOD, 150), texts(BAD, 400)
    examples = choose([*good, "", *good[:7]], [*bad, *good[:3], *bad[:9], good[0].upper()], 0, 300)
    for counts in examples.counts.values():
        assert counts["read"] == sum(counts.values()) - counts["read"]
    assert examples.counts["positive"]["shared"] == 3
    assert examples.counts["negative"]["shared"] == 4
    assert len(some(examples, "positive")) == len(some(examples, "negative")) == 147
    assert not some(examples, "positive") & {readable(text) for text in good[:3]}


def test_the_most_examples_are_a_sample_that_more_texts_do_not_move() -> None:
    good, bad = texts(GOOD, 900), texts(BAD, 900)
    examples = choose(good, bad, 0, 200)
    assert len(some(examples, "positive")) == len(some(examples, "negative")) == 200
    assert some(choose(reversed(good), bad, 0, 200), "positive") == some(examples, "positive")
    assert some(choose(good, bad, 0, 300), "positive") > some(examples, "positive")
    assert some(choose(good, bad, 1, 200), "positive") != some(examples, "positive")


def test_what_is_held_out_stays_held_out() -> None:
    good, bad = texts(GOOD, 600), texts(BAD, 600)
    few, many = choose(good[:300], bad[:300], 0, 1000), choose(good, bad, 3, 1000)
    assert set(few.held_out["positive"]) < set(many.held_out["positive"])
    assert not set(many.held_out["positive"]) & {line for _, line in many.training}
    assert 0.05 < len(many.held_out["positive"]) / 600 < 0.15
    names = [name for name, _ in many.training]
    assert 0.3 < names[: len(names) // 2].count("positive") / (len(names) // 2) < 0.7, "not shuffled"


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        (
            texts(GOOD, 99),
            texts(BAD, 300),
            r"too few positive examples: got 99 that differ, of 99 texts, wanted .* 100",
        ),
        (texts(GOOD, 300), texts(BAD, 50) * 9, r"too few negative examples: got 50 that differ, of 450 texts"),
        ([], texts(BAD, 300), "too few positive"),
        (texts(GOOD, 200), [*texts(GOOD, 21), *texts(BAD, 300)], r"21 texts are positive and negative .* got 10%"),
    ],
)
def test_examples_that_teach_nothing_are_refused(good: list[str], bad: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose(good, bad, 0, 1000)


def test_a_tenth_in_both_classes_is_left_out() -> None:
    good = texts(GOOD, 200)
    examples = choose(good, [*good[:20], *texts(BAD, 300)], 0, 1000)
    assert len(some(examples, "positive")) == 180


def test_the_same_input_on_both_sides_is_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "good", texts(GOOD, 120))
    copy = write(tmp_path / "copy", texts(GOOD, 120))
    with pytest.raises(ValueError, match="copy negative, and both hold the same"):
        train([good], [write(tmp_path / "bad", texts(BAD, 120)), copy], TrainSettings())
    with pytest.raises(ValueError, match="no file and no documents at"):
        train([good], [str(tmp_path / "absent")], TrainSettings())


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"ngram": 0}, {"epochs": 0}, {"most": 99}])
def test_settings_have_bounds(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingError, match=next(iter(wrong))):
        TrainSettings(**wrong)


def test_inputs_are_lines_json_or_documents(tmp_path: Path) -> None:
    lines = write(tmp_path / "lines", ["one", "", '{"text": "no JSON, since line 1 is none"}'])
    assert [text for text, _ in inputs.read(lines)] == ["one", "", '{"text": "no JSON, since line 1 is none"}']
    rows = write(tmp_path / "rows", ['\ufeff{"text": "one", "url": "u"}', "", '{"text": "two"}'])
    assert list(inputs.read(rows)) == [("one", {"text": "one", "url": "u"}), ("two", {"text": "two"})]
    write_dataset([("a", "first"), ("b", "second")], str(tmp_path / "docs"), num_shards=2)
    found = dict(inputs.read(str(tmp_path / "docs")))
    assert {text: row["doc_id"] for text, row in found.items()} == {"first": "a", "second": "b"}
    for line in ("not JSON", "[1]", '{"body": "no text"}', '{"text": 3}'):
        with pytest.raises(ValueError, match=r"bad, line 2: got .*, wanted a JSON object with a text"):
            list(inputs.read(write(tmp_path / "bad", ['{"text": "one"}', line])))


def test_another_model_or_a_changed_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no quality classifier at"):
        QualityHandle.of(str(tmp_path / "absent"))
    path = tmp_path / "model.bin"
    path.write_bytes(fasttext_file.train([(name, "a b c") for name in ("spam", "ham")] * 5, minCount=1))
    handle = QualityHandle.of(str(path))
    with pytest.raises(ValueError, match=r"its labels are __label__\w+, __label__\w+, wanted __label__negative and"):
        handle.load()
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"quality classifier .* changed"):
        handle.load()


def test_a_file_that_is_cut_off_is_no_model() -> None:
    samples = [(name, f"{name} words") for name in ("positive", "negative")] * 20
    model = fasttext_file.train(samples, dim=16, bucket=1000, epoch=1)
    assert fasttext_file.read(model, "whole").get_labels()
    for size in (len(model) // 2, len(model) - 200):
        with pytest.raises(ValueError, match="cut is no fastText model: "):
            fasttext_file.read(model[:size], "cut")


def test_scores_are_judged_by_hand() -> None:
    positive, negative = np.array([0.9, 0.6, 0.4, 0.5], np.float32), np.array([0.1, 0.4, 0.8], np.float32)
    judged = judge(positive, negative)
    assert judged["accuracy"] == round(5 / 7, 4)
    # above 0.1, 0.4, 0.8: 0.9 all, 0.6 two, 0.4 one and a half, 0.5 two
    assert judged["auc"] == round((3 + 2 + 1.5 + 2) / 12, 4)
    at = {each["score"]: (each["precision"], each["recall"]) for each in judged["at"]}
    assert at[0.1] == (round(4 / 7, 4), 1.0)
    assert at[0.5] == (0.75, 0.75)
    assert at[0.9] == (1.0, 0.25)
    assert at[0.95] == (None, 0.0)
