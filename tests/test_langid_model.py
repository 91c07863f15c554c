"""Our own model: its file, what its groups add up, what it guesses, and what is shipped."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import LID_MODEL, ROOT
from tests.small_languages import SETTINGS, lines, write
from tokenizer.languages import LANGUAGES
from transforms.classifiers import fasttext_file
from transforms.datasets import places
from transforms.langid import bundle
from transforms.langid.bundle import Bundle
from transforms.langid.calibrate import floor
from transforms.langid.corpus import read_corpus
from transforms.langid.grams import gram_ids
from transforms.langid.groups import GROUPS, Group
from transforms.langid.linear import fit as fit_linear
from transforms.langid.model import DEFAULT, ModelHandle, places_of
from transforms.langid.own import CODES, OTHER, Calibration, OwnModel, mix, with_fewer
from transforms.langid.scripts import possible
from transforms.langid.train import fit

BITS = 12


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Not calibrated."""
    data = write(tmp_path_factory.mktemp("langid") / "data")
    return fit(read_corpus(str(data), 0), SETTINGS, lambda line: None)


# ------------------------------------------------------------------------------------- n-grams


def grams(text: str) -> list[Counter[str]]:
    """The n-grams of a line, a counter a kind, as the head of grams.py says."""
    padded = f" {text.lower()} "
    words = [f"{word} " for word in padded.split()]
    return [
        *(Counter(padded[at : at + size] for at in range(len(padded) - size + 1)) for size in range(1, 6)),
        Counter(words),
        Counter(one + other for one, other in pairwise(words)),
    ]


def ids(texts: list[str]) -> list[list[Counter[int]]]:
    found: list[list[Counter[int]]] = [[] for _ in texts]
    for rows, starts in gram_ids(texts, BITS):
        for line, (start, end) in zip(found, zip(starts, [*starts[1:], len(rows)], strict=True), strict=True):
            assert end > start
            line.append(Counter(row for row in rows[start:end].tolist() if row < 2**BITS))
    return found


def test_every_ngram_of_a_line_has_its_row_and_no_other() -> None:
    texts = ["Ab ab  c", "x", "请问", "one two three two three", "𝔘nd \ud800", " "]
    row_of: dict[tuple[int, str], int] = {}
    for text, kinds in zip(texts, ids(texts), strict=True):
        for kind, (wanted, found) in enumerate(zip(grams(text), kinds, strict=True)):
            assert wanted.total() == found.total(), (text, kind)
            assert sorted(wanted.values()) == sorted(found.values()), (text, kind)
        for kind, found in enumerate(ids([text])[0]):
            assert found == kinds[kind]  # whatever stands beside it
    for word in ("two", "three"):
        first, second = (ids([f"{before} {word} x"])[0][5] for before in ("a", "bcd"))
        assert (first & second).total() == 2  # word and x, wherever they stand
    assert not row_of


def test_the_same_ngram_in_two_kinds_is_two_rows() -> None:
    by_kind = ids(["a"])[0]
    assert by_kind[2] != by_kind[5]  # the characters " a ", the word "a "


# ------------------------------------------------------------------------------------- groups


def test_a_groups_score_is_the_softmax_of_the_sum_of_its_rows() -> None:
    chance = np.random.default_rng(0)
    weights = chance.normal(size=(2**BITS, 3))
    group = Group.of(("dan_Latn", "nno_Latn", "nob_Latn"), BITS, weights)
    assert group.weights.shape == (2**BITS + 1, 3)
    assert not group.weights[-1].any()
    texts = ["Ab ab c", "x", "请问", "one two"]
    for text, found in zip(texts, group.scores(texts), strict=True):
        counts = [item for kind in ids([text])[0] for item in kind.items()]
        total = sum(group.weights[row].astype(np.float64) * times for row, times in counts) * group.scale
        logits = total / np.sqrt(sum(times for _, times in counts))
        assert found == pytest.approx(logits - np.log(np.exp(logits).sum()), abs=1e-5)
        exact = sum(weights[row] * times for row, times in counts) / np.sqrt(sum(times for _, times in counts))
        assert logits == pytest.approx(exact, abs=0.3)  # 8 bits


def test_a_linear_model_learns_what_it_is_shown_and_how_much_it_counts() -> None:
    shown = ["aa", "ab", "ba", "bb", "same", "same"]
    classes = [0, 0, 1, 1, 0, 1]
    options = {"bits": BITS, "looseness": 100.0, "iterations": 50}
    for importance, told in (([1, 1, 1, 1, 9, 1], 0), ([1, 1, 1, 1, 1, 9], 1)):
        weights = fit_linear(shown, classes, importance, **options)  # type: ignore[arg-type]
        scores = Group.of(("ind_Latn", "zsm_Latn"), BITS, weights).scores(shown)
        assert scores.argmax(axis=1).tolist() == [0, 0, 1, 1, told, told]


def test_groups_are_of_listed_languages_each_in_one() -> None:
    codes = [code for group in GROUPS.values() for code in group]
    assert len(codes) == len(set(codes))
    assert set(codes) <= set(LANGUAGES)


# ------------------------------------------------------------------------------------- the file


def test_a_file_holds_all_of_a_model(small: Bundle) -> None:
    given = replace(small, calibration=Calibration((3, 9, 20, 50), *[(0.1, 0.2, 0.3, 0.4, 0.5)] * 4))
    data = bundle.write(given)
    read = bundle.read(data, "x")
    assert bundle.write(read) == data
    assert read.calibration == given.calibration
    assert read.thresholds == floor()
    texts = [line for label in ("eng_Latn", "zsm_Latn") for line in lines(label, 20, "unseen")]
    assert read.model().predict(texts) == given.model().predict(texts)


def test_a_damaged_file_is_refused(small: Bundle, tmp_path: Path) -> None:
    data = bundle.write(small)
    place = tmp_path / "any.name"
    for damaged in (
        data[: len(data) // 2],
        data[:100],
        b"PK\x03\x04",
        data.replace(b'"format": 1', b'"format": 9', 1),
        data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
    ):
        place.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"any\.name"):
            ModelHandle.of(str(place)).load()


def _changed(data: bytes, name: str, change: object) -> bytes:
    """The archive, sound as such, with a member changed."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for member in old.namelist():
            content = old.read(member)
            new.writestr(member, change(content) if member == name else content)  # type: ignore[operator]
    return file.getvalue()


def _card(data: bytes, **values: object) -> bytes:
    return _changed(data, "card.json", lambda card: json.dumps({**json.loads(card), **values}))


def test_a_file_that_is_not_what_its_card_says_is_refused(small: Bundle) -> None:
    data = bundle.write(small)
    cases = {
        "first.ftz is not what its card says": _changed(data, "first.ftz", lambda content: content[:-1] + b"x"),
        "group/malay.i8 is not what": _changed(data, "group/malay.i8", lambda content: content[:-1] + b"x"),
        "of format 2; this version reads 1": _card(data, format=2),
        "no whole language model": _card(data, thresholds={}),
        "KeyError: 'calibration'": _changed(
            data,
            "card.json",
            lambda card: json.dumps({key: value for key, value in json.loads(card).items() if key != "calibration"}),
        ),
        "JSONDecodeError": _changed(data, "card.json", lambda card: b"{"),
    }
    for message, changed in cases.items():
        with pytest.raises(ValueError, match=message):
            bundle.read(changed, "x")


def _part(data: bytes, part: str, **values: object) -> bytes:
    """With values in a part of the card."""

    def change(card: bytes) -> str:
        whole = json.loads(card)
        into = whole[part]["malay"] if part == "groups" else whole[part]
        into.update(values)
        return json.dumps(whole)

    return _changed(data, "card.json", change)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        *[("groups", {"bits": bits}) for bits in (9, 11, -1, 10**9, "10", None)],
        *[("groups", {"scale": scale}) for scale in (0.0, -1.0, float("nan"), float("inf"), "x", None)],
        *[("groups", {"codes": codes}) for codes in (["ind_Latn"], ["a", "b", "c"], ["ind_Latn"] * 3, 3)],
        *[
            ("calibration", {kind: numbers})
            for kind in ("others", "sharpness")
            for numbers in ([], [1.0, 1.0], [0.0], [-1.0], [float("nan")], "x", 1, None)
        ],
        *[("calibration", {"lengths": lengths}) for lengths in ([15], [15, 15], ["x"], 3, None)],
        *[("thresholds", {"eng_Latn": least}) for least in (7, -0.1, float("nan"), None)],
    ],
)
def test_numbers_that_no_model_has_are_refused(part: str, values: dict[str, object], small: Bundle) -> None:
    with pytest.raises(ValueError, match="x is no whole language model"):
        bundle.read(_part(bundle.write(small), part, **values), "x")


def test_a_card_of_another_kind_and_a_packed_file_are_refused(small: Bundle) -> None:
    data = bundle.write(small)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.json", b" " * 10**6)
    whole = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in old.namelist():
            archive.writestr(member, old.read(member), compresslevel=0)
    for changed in (_card(data, groups=[1]), _card(data, members=None), packed.getvalue(), whole.getvalue()):
        with pytest.raises(ValueError, match="x is no whole language model"):
            bundle.read(changed, "x")
    with pytest.raises(ValueError, match="no language of the table"):
        replace(small, first=fasttext_file.train([("a", "b"), ("c", "d")] * 9, minCount=1)).model()


def test_a_file_that_is_exchanged_while_it_is_read_is_refused(
    small: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "model.lid"
    place.write_bytes(bundle.write(small))
    other = bundle.write(replace(small, about={"of": "another"}))
    handle = ModelHandle.of(str(place))
    monkeypatch.setattr(places, "read_bytes", lambda place: other)
    with pytest.raises(ValueError, match="changed"):
        handle.load()


def test_empty_lines_have_no_guess_and_others_are_ranked(small: Bundle) -> None:
    model = small.model()
    assert model.predict([]) == []
    assert model.predict(["", ""]) == [[], []]
    together = model.predict(["", "the house of people", "dour ti tud gant", ""])
    assert [model.predict([line])[0] for line in ("the house of people", "dour ti tud gant")] == together[1:3]
    for guess in together:
        values = [probability for _, probability in guess]
        assert values == sorted(values, reverse=True)
        assert sum(values) <= 1.0 + 1e-9


def plainly(model: OwnModel, texts: list[str]) -> list[list[tuple[str, float]]]:
    """What `predict` says, by the plain rule: every number of every language."""
    lengths = model._calibration.classes_of(texts)
    probabilities = with_fewer(model.first(texts), np.asarray(model._calibration.others)[lengths])
    for torn in model.second(texts, probabilities):
        mix(probabilities, torn, lengths, model._calibration)
    model._check_scripts(probabilities, texts)
    powers = np.asarray(model._calibration.sharpness)[lengths]
    rest = np.maximum(1 - probabilities.sum(axis=1, keepdims=True), 0) ** powers[:, None]
    raised = probabilities ** powers[:, None]
    values = raised / (raised.sum(axis=1, keepdims=True) + rest)
    order = np.argsort(-values, axis=1, kind="stable")[:, :30]
    return [
        [(CODES[column], float(numbers[column])) for column in columns if numbers[column] > 0]
        for columns, numbers in zip(order, values, strict=True)
    ]


def test_guesses_are_those_of_the_plain_rule_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModelHandle.of(DEFAULT).load()
    assert isinstance(model, OwnModel)
    texts = [line[:size] for line in SENTENCES.values() for size in (1, 5, 12, 25, 58, 200)]
    texts += ["", "اللغة العربية", "Han er her, og hun er der.", "आप कैसे हैं"]
    assert model.predict(texts) == plainly(model, texts)
    values = np.random.default_rng(0).integers(0, 4, (50, len(CODES))) / 1000.0  # many are equal, and zero
    monkeypatch.setattr(model, "first", lambda lines: values)
    texts = ["x" * (number + 1) * 4 for number in range(50)]
    found = model.predict(texts)
    assert found == plainly(model, texts)
    assert [len(guess) for guess in found] == [30] * 50


# ------------------------------------------------------------------------------------- scripts


def test_a_language_is_possible_where_a_letter_of_its_script_stands() -> None:
    texts = ["abc", "абв", "谢谢", "ありがとう", "감사", "a б", "12 !?", "", "धन्यवाद", "ขอบคุณ", "ﺷﻜﺮﺍ", "\ud800"]
    scripts = ["Latn", "Cyrl", "Hans Hant Jpan Hang", "Jpan", "Hang", "Latn Cyrl", "", "", "Deva", "Thai", "Arab", ""]
    for text, wanted, row in zip(texts, scripts, possible(texts), strict=True):
        found = {language.script for language, is_possible in zip(LANGUAGES.values(), row, strict=True) if is_possible}
        assert found == set(wanted.split()), text


def test_short_lines_are_told_in_no_language_of_another_script(lid_model: Path) -> None:
    model = ModelHandle.of(str(lid_model)).load()
    for text in ("abc", "Yes", "谢谢", "Спасибо", "धन्यवाद", "감사", "q q q q"):
        allowed = {code for code, is_possible in zip(LANGUAGES, possible([text])[0], strict=True) if is_possible}
        assert {code for code, _ in model.predict([text])[0]} <= allowed | {OTHER}, text


def test_chinese_is_in_the_writing_that_its_characters_say(lid_model: Path) -> None:
    model = ModelHandle.of(str(lid_model)).load()
    simplified, traditional, either = (dict(guess) for guess in model.predict(["今天天气很好", "今天天氣很好", "你好"]))
    assert simplified["zho_Hans"] > 1.5 * simplified["zho_Hant"]
    assert traditional["zho_Hant"] > 1.5 * traditional["zho_Hans"]
    assert either["zho_Hans"] == pytest.approx(either["zho_Hant"], abs=0.05)


# ------------------------------------------------------------------------------------- what is shipped

SENTENCES = {
    "eng_Latn": "How do I stop my bike chain from rusting in the winter?",
    "deu_Latn": "Wie verhindere ich, dass meine Fahrradkette im Winter rostet?",
    "rus_Cyrl": "Как остановить ржавчину на цепи велосипеда зимой?",
    "zho_Hans": "请问这个面团应该发酵多久？厨房很冷，我们还没有买到温度计。",
    "zho_Hant": "請問這個麵團應該發酵多久？廚房很冷，我們還沒有買到溫度計。",
    "yue_Hant": "唔該，呢個麵團要發酵幾耐㗎？廚房好凍，我哋仲未買到溫度計。",
    "als_Latn": "Si ta ndaloj ndryshkun e zinxhirit të biçikletës në dimër?",
    "tpi_Latn": "Mi laik save olsem wanem mi ken stopim ros long sen bilong wilwil.",
    "ydd_Hebr": "ווי אזוי קען איך אפהיטן די קייט פון מיין וועלאסיפעד?",
}


def test_the_shipped_model_is_the_default_and_small() -> None:
    handle = ModelHandle.of(DEFAULT)
    assert handle.sha256 == ModelHandle.of(str(LID_MODEL)).sha256
    assert LID_MODEL.stat().st_size <= 10_000_000
    assert places_of(DEFAULT) == []
    assert places_of("x.ftz") == ["x.ftz"]
    model = handle.load()
    assert set(model.labels) == set(LANGUAGES)
    assert model.thresholds.keys() == LANGUAGES.keys()
    assert all(0.3 <= threshold <= 0.9 for threshold in model.thresholds.values())
    found = [guess[0][0] for guess in model.predict(list(SENTENCES.values()))]
    assert found == list(SENTENCES)
    unlisted = ["Demat d'an holl, penaos emañ kont ganeoc'h hiziv?", "Saluton, kiel vi fartas hodiaŭ, mia kara amiko?"]
    assert {guess[0][0] for guess in model.predict(unlisted)} == {"other"}


def test_every_source_of_the_shipped_model_is_named_with_its_licence() -> None:
    about = bundle.read(LID_MODEL.read_bytes(), "shipped").about
    card = LID_MODEL.with_name("MODEL_CARD.md").read_text("utf-8")
    notice = (ROOT / "NOTICE").read_text("utf-8")
    sources = about["sources"]
    assert isinstance(sources, list)
    for source in sources:
        for text in (card, notice):
            assert source["attribution"] in text
            assert source["licence"] in text
    assert "FLORES-200 devtest" in card
