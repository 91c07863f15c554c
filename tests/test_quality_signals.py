"""Signals: right values by hand in four scripts, and that each text's are its own, whatever stands beside it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.quality import signals as module
from transforms.quality.lexicon import BOILERPLATE, Lexicon, _letters
from transforms.quality.signals import SIGNALS, signals

ENGLISH, CHINESE, THAI, HINDI = "eng_Latn", "zho_Hans", "tha_Thai", "hin_Deva"
LEXICON = Lexicon({ENGLISH: ["the", "on"], CHINESE: ["我"], HINDI: []})


def of(text: str, language: str | None = ENGLISH) -> dict[str, float | None]:
    """The signals of a text; None for one that it does not have."""
    found = signals([text], [language], LEXICON)
    return {name: None if math.isnan(found[name][0]) else float(found[name][0]) for name in SIGNALS}


def check(found: dict[str, float | None], **wanted: float | None) -> None:
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)


# ------------------------------------------------------------------------------------- by hand


def test_english() -> None:
    text = "The cat sat on the mat. The cat slept.\nThe dog sat!"  # 37 letters in 12 words, 3 marks of punctuation
    check(
        of(text),
        characters=len(text),
        prose=40,
        words=12,
        mean_word_length=37 / 12,
        letter_share=37 / 40,
        script_share=1,
        symbol_share=0,
        url_share=0,
        code_share=0,
        encoded_share=0,
        duplicate_line_share=0,
        duplicate_paragraph_share=0,
        top_ngram_share=2 / 11,  # "the cat"
        duplicate_ngram_share=0,
        sentence_end_share=1,
        stop_word_share=5 / 12,
        boilerplate_share=0,
    )


def test_chinese_has_no_words_and_its_letters_are_its_tokens() -> None:
    check(
        of("我喜欢猫。我喜欢狗！", CHINESE),
        characters=10,
        prose=10,
        words=None,
        mean_word_length=None,
        letter_share=0.8,
        script_share=1,
        top_ngram_share=0,  # five different runs of four letters
        duplicate_ngram_share=None,  # eight letters are no run of ten
        sentence_end_share=1,
        stop_word_share=2 / 8,
    )
    check(of("我喜欢猫我喜欢猫", CHINESE), top_ngram_share=2 / 5)
    twice = of("一二三四五六七八九十" * 2, CHINESE)
    check(twice, duplicate_ngram_share=1 / 11)


def test_thai_marks_are_part_of_their_letters() -> None:
    text = "น้ำดี น้ำดี"  # per word three letters, of which two carry a mark
    check(
        of(text, THAI),
        characters=11,
        prose=10,
        words=None,
        letter_share=1,
        script_share=1,
        top_ngram_share=0,  # six letters: three different runs of four
        stop_word_share=None,  # no list
        sentence_end_share=None if not module.LANGUAGES[THAI].sentence_enders else 0,
    )
    check(of(f"{text} น้ำ", THAI), top_ngram_share=2 / 5)


def test_hindi_vowel_signs_count_as_letters_and_its_sentences_end_with_a_danda() -> None:
    check(
        of("हिन्दी हिन्दी।\nहिन्दी", HINDI),
        prose=19,
        words=3,
        mean_word_length=6,
        letter_share=18 / 19,
        script_share=1,
        duplicate_line_share=0,
        top_ngram_share=1,
        sentence_end_share=0.5,
        stop_word_share=0,
    )


def test_code_formulas_and_urls_are_measured_for_themselves() -> None:
    text = "See `x = {1}` at https://example.com/a or $x^2$ now."
    found = of(text)
    check(found, code_share=14 / len(text), url_share=21 / (len(text) - 14), symbol_share=0, words=4, prose=11)
    block = "```python\nfor x in y: z[x] += {x: 1}\n```"
    text = f"Try this:\n\n{block}\n\nIt works."
    check(of(text), words=4, symbol_share=0, prose=16, code_share=len(block) / len(text))
    check(of("only $5 and $10 left"), words=5, code_share=0)


def test_lines_and_paragraphs_that_stood_before() -> None:
    check(of("aaa bb\naaa bb\nccc"), duplicate_line_share=6 / 15, duplicate_paragraph_share=0)
    check(of("aaa bb\n\naaa bb\n \nccc"), duplicate_line_share=6 / 15, duplicate_paragraph_share=6 / 15)
    check(of("aaa bb\n  aaa bb \nAAA BB"), duplicate_line_share=12 / 18)


def test_five_words_that_come_again() -> None:
    check(of("one two three four five " * 2), duplicate_ngram_share=1 / 6, top_ngram_share=2 / 9)


def test_sentences_end_before_quotes_brackets_and_emphasis() -> None:
    check(of('He said "no." \n(It **was**.)\n- a list\n1. first'), sentence_end_share=0.5)
    check(of("他说：“好。”", CHINESE), sentence_end_share=1)


def test_encoded_text_is_letters_and_digits_without_a_break() -> None:
    encoded = "QWdvcmEgdHVybnMgZm9ydW1zIGludG8gcHJlZmVyZW5jZSBwYWlycyA0Mg"  # 58
    check(of(f"look: {encoded}"), encoded_share=58 / 63)
    check(of(f"look: {encoded[:49]}"), encoded_share=0)
    check(of("a" * 70), encoded_share=0)
    check(of("1" * 70), encoded_share=0)
    path = "/usr/local/lib/python3/site/packages/numpy/core/include/numpy2"
    check(of(f"It is in {path} there."), encoded_share=0)
    check(of("Donaudampfschifffahrtselektrizitatenhauptbetriebswerk1"), encoded_share=0)
    check(of(f"look: {encoded[:40]}/{encoded[40:]}"), encoded_share=59 / 64)


def test_indented_lines_are_code_where_marks_say_so() -> None:
    block = "    for (i = 0; i < n; ++i) {\n\n        a[i] += 2;\n    }"
    for text in (f"Try:\n\n{block}\n\nIt works.", f"{block}\n\nTry: It works."):
        check(of(text), words=3, symbol_share=0, prose=12, code_share=(len(block) - 2) / len(text))
    check(of("- Bread\n\n    It rises because of the yeast, as said above."), words=10, code_share=0)
    check(of("Try:\n    x = y[0]"), words=4, code_share=0)  # of the paragraph


def test_words_are_the_same_with_and_without_vowel_points() -> None:
    lexicon = Lexicon({"arb_Arab": ["من", "جداً"], "heb_Hebr": ["של"]})

    def stop_words(text: str, language: str) -> list[float]:
        return signals([text, "کتاب", text], [language] * 3, lexicon)["stop_word_share"].tolist()

    assert stop_words("مِنْ الكتاب", "arb_Arab") == [1 / 2, 0, 1 / 2]
    assert stop_words("جدا جِدًّا", "arb_Arab") == [1, 0, 1]
    assert stop_words("שֶׁל ילד", "heb_Hebr") == [1 / 2, 0, 1 / 2]


def test_boilerplate_is_three_phrases_or_more() -> None:
    check(of("Privacy policy. Terms of use."), boilerplate_share=0)
    check(of("Privacy policy. Privacy policy. Privacy policy."), boilerplate_share=0)
    check(of("Privacy policy. Terms of use. Log in."), boilerplate_share=3 / 6)
    check(of("版权所有隐私政策联系我们", CHINESE), boilerplate_share=3 / 9)
    two = "Privacy policy. Terms of use."
    found = signals([two, "Log in.", f"{two} Log in.", "Sign up, sign up"], [ENGLISH] * 4, LEXICON)
    assert found["boilerplate_share"].tolist() == [0, 0, 3 / 6, 0], "each text's phrases are its own"


def test_phrases_of_many_short_texts_are_counted_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    unique = np.unique
    monkeypatch.setattr(np, "unique", lambda values, **options: calls.append(len(values)) or unique(values, **options))
    work = []
    for size in (10, 100):
        calls.clear()
        signals(["log in or sign up"] * size, [ENGLISH] * size, LEXICON)
        work.append(len(calls))
    assert work[0] == work[1]


def test_the_script_is_the_languages_and_only_letters_count() -> None:
    check(of("Το ψωμί 12, bread", "ell_Grek"), script_share=6 / 11)
    check(of("これはパンです漢字", "jpn_Jpan"), script_share=1)
    check(of("한국어 漢字", "kor_Hang"), script_share=1)
    check(of("ＡＢＣ abc", ENGLISH), script_share=1)
    check(of("1 2 3!", ENGLISH), script_share=None)


def test_of_no_language_nothing_is_said_that_needs_one() -> None:
    nothing = {"script_share": None, "sentence_end_share": None, "stop_word_share": None}
    check(of("Bread and butter.", None), words=3, **nothing)
    check(of("面包和黄油。", None), words=None, letter_share=5 / 6, **nothing)


def test_phrases_are_two_words_or_four_letters() -> None:
    lines = [line for line in BOILERPLATE.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines))
    for line in lines:
        assert line == line.lower()
        assert len(line.split(" ")) == 2 or len(_letters(line)) == 4, line


# ------------------------------------------------------------------------------------- laws

TEXTS = st.lists(
    st.tuples(
        st.text(alphabet=st.sampled_from("ab z.\n\n`$\\2\0一二น้हि😀?&"), max_size=60) | st.text(max_size=30),
        st.sampled_from([None, ENGLISH, CHINESE, THAI, HINDI]),
    ),
    max_size=6,
)


@given(TEXTS)
@settings(deadline=None)
def test_a_texts_signals_are_its_own_and_shares_are_shares(rows: list[tuple[str, str | None]]) -> None:
    found = signals([text for text, _ in rows], [language for _, language in rows], LEXICON)
    for number, (text, language) in enumerate(rows):
        alone = signals([text], [language], LEXICON)
        for name in SIGNALS:
            value = found[name][number]
            assert value == alone[name][0] or (math.isnan(value) and math.isnan(alone[name][0])), name
            if name.endswith("_share") and not math.isnan(value):
                assert -1e-12 <= value <= 1, name
        assert found["characters"][number] == len(text)


def test_no_texts_have_no_signals() -> None:
    assert all(len(values) == 0 for values in signals([], [], LEXICON).values())


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n\n",
        "\0" * 100,
        "`" * 5000,
        "$" * 5001,
        "\\" * 3000,
        "a" * 1_000_000,
        "- " * 500_000,
        "\u0301" * 999,
    ],
)
def test_hostile_texts_have_signals(text: str) -> None:
    found = of(text)
    check(found, characters=len(text))
    assert found["prose"] is not None


def test_so_much_of_a_text_is_read_and_no_more() -> None:
    text = "word " * 200_000
    assert of(text)["words"] == pytest.approx(module._READ / 5, abs=1)
    assert of(text)["characters"] == len(text)
