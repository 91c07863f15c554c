"""Paragraphs and their languages: texts of two languages are told, and where they are in which."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from tokenizer.languages import LANGUAGES
from transforms.langid.detect import Detector, Span
from transforms.langid.labels import Guess
from transforms.langid.paragraphs import are_mixed, paragraphs, together

GERMAN = "Der Hund schläft vor dem großen Haus, und niemand weckt ihn bis zum Abend."
FRENCH = "Le chien dort devant la grande maison, et personne ne le réveille avant le soir."
DUTCH = "De hond slaapt voor het grote huis, en niemand maakt hem wakker voor de avond."
SHORT = "Na so was!"


class Reader:
    """A model that knows three languages by a word, and takes Dutch for German at times. It counts its lines."""

    labels: Sequence[str] = ("deu_Latn", "fra_Latn", "nld_Latn")
    thresholds: Mapping[str, float] = dict.fromkeys(LANGUAGES, 0.5)

    def __init__(self) -> None:
        self.lines: list[str] = []

    def predict(self, lines: Sequence[str]) -> list[Guess]:
        self.lines += lines
        return [self._guess(line) for line in lines]

    def _guess(self, line: str) -> Guess:
        words = {"deu_Latn": line.count("Hund"), "fra_Latn": line.count("chien"), "nld_Latn": line.count("hond")}
        total = sum(words.values())
        found = [(code, number / total) for code, number in words.items() if number]
        if words["nld_Latn"]:
            return [("nld_Latn", 0.9), ("deu_Latn", 0.1)]
        return sorted(found, key=lambda item: -item[1])


def test_paragraphs_stand_between_blank_lines_and_short_ones_with_the_next() -> None:
    text = f"{SHORT}\n\n{GERMAN}\n \t\n{FRENCH}\nla nuit\n\n{SHORT}"
    assert [text[start:end] for start, end in paragraphs(text)] == [
        f"{SHORT}\n\n{GERMAN}",
        f"{FRENCH}\nla nuit\n\n{SHORT}",
    ]
    assert paragraphs(GERMAN) == [(0, len(GERMAN))]
    assert paragraphs("") == [(0, 0)]
    assert paragraphs("a\n\n" * 20) == [(0, 60)], "20 letters"
    assert len(paragraphs("a\n\n" * 120)) == 2, "120 letters, the last 20 with those before"


@pytest.mark.parametrize(
    ("text", "language", "mixed"),
    [
        (f"{GERMAN}\n\n{GERMAN}\n\n{FRENCH}", "deu_Latn", True),
        (f"{GERMAN}\n\n" * 5 + FRENCH, "deu_Latn", False),  # less than a fifth
        (f"{GERMAN}\n\n" * 4 + FRENCH, "deu_Latn", True),
        (f"{GERMAN}\n\n{GERMAN}\n\n{DUTCH}", "deu_Latn", False),  # it might be German, too
        (f"{GERMAN}\n\n{GERMAN}", "deu_Latn", False),
        (f"{GERMAN}\n{FRENCH}", "deu_Latn", False),  # one paragraph
        (f"{GERMAN}\n\n> {FRENCH}\n\n{GERMAN}", "deu_Latn", False),  # another's words
        (f"{GERMAN}\n\n{'1234567890 ' * 10}\n\n{GERMAN}", "deu_Latn", False),
        (GERMAN, "deu_Latn", False),
    ],
)
def test_a_text_with_a_fifth_in_another_language_is_mixed(text: str, language: str, mixed: bool) -> None:
    model = Reader()
    seen = Detector(model).look([text, FRENCH])
    assert seen.mixed == [mixed, False]
    assert [guess[0][0] for guess in seen.guesses] == [language, "fra_Latn"]


def test_the_model_is_asked_once_for_the_beginning_of_each_paragraph() -> None:
    model = Reader()
    text = f"{GERMAN}\n\n{GERMAN}"
    assert Detector(model).look([text]).guesses == [[("deu_Latn", pytest.approx(1.0, abs=1e-3))]]
    assert model.lines == [GERMAN, GERMAN]
    model.lines = []
    long = " ".join([FRENCH] * 5)
    assert Detector(model).look([f"{GERMAN}\n\n{long}", long]).guesses[0][0][0] == "fra_Latn"
    assert model.lines == [GERMAN, long[:200], long]


def test_what_paragraphs_say_together_is_their_geometric_mean_by_size() -> None:
    guesses: list[Guess] = [(("deu_Latn", 0.9), ("nld_Latn", 0.1)), (("deu_Latn", 0.6), ("swe_Latn", 0.4))]
    german, dutch, swedish, rest = (
        first**0.75 * second**0.25 for first, second in ((0.9, 0.6), (0.1, 0.0005), (0.0005, 0.4), (0.0005, 0.0005))
    )
    total = german + dutch + swedish + rest
    wanted = [("deu_Latn", german / total), ("nld_Latn", dutch / total), ("swe_Latn", swedish / total)]
    found = together(guesses, [300, 100])
    assert [code for code, _ in found] == [code for code, _ in wanted]
    assert [value for _, value in found] == pytest.approx([value for _, value in wanted])
    assert together([*guesses, ()], [300, 100, 500]) == found, "one without words says nothing"
    assert together([(), ()], [1, 1]) == []
    (only,) = together([(("deu_Latn", 0.5),)] * 2, [1, 1])
    assert only == ("deu_Latn", pytest.approx(0.5)), "as unsure as they are"
    assert together([(("nld_Latn", 1.0),), (("deu_Latn", 1.0),)], [1, 1])[0][0] == "deu_Latn", "equal ones in order"


def test_paragraphs_together_are_what_a_linear_model_says_of_all_of_them() -> None:
    codes, logits, sizes = ("deu_Latn", "fra_Latn", "nld_Latn"), ((2.0, 0.0, 1.0), (0.5, 1.0, -1.0)), (60, 140)

    def softmax(values: Sequence[float]) -> Guess:
        total = sum(map(math.exp, values))
        ranked = zip(codes, (math.exp(value) / total for value in values), strict=True)
        return sorted(ranked, key=lambda item: -item[1])

    whole = softmax([(60 * one + 140 * other) / 200 for one, other in zip(*logits, strict=True)])
    found = together([softmax(values) for values in logits], sizes)
    assert [code for code, _ in found] == [code for code, _ in whole]
    assert [value for _, value in found] == pytest.approx([value for _, value in whole], abs=2e-3)


def test_paragraphs_without_words_are_of_no_language() -> None:
    assert not are_mixed([(), ()], [100, 100])
    assert not are_mixed([(("deu_Latn", 0.9),), ()], [100, 100])
    assert are_mixed([(("deu_Latn", 0.9),), (("fra_Latn", 0.8),)], [400, 100])
    assert not are_mixed([(("deu_Latn", 0.9),), (("fra_Latn", 0.79),)], [400, 100])


def test_spans_are_characters_of_the_text() -> None:
    code = "```\nHund\n\nHund\n```"
    text = f"  {GERMAN}\n\n{code}\n\n{GERMAN}\n\n{FRENCH}\n\n{'12 ' * 40}\n\n{FRENCH} \n"
    spans = Detector(Reader()).spans([text, "", GERMAN, "..."])
    german, french = text.index("Der"), text.index("Le")
    again = text.index("Le", french + 1)
    assert spans == [
        [
            Span(german, text.index(FRENCH) - 2, "deu_Latn"),
            Span(french, french + len(FRENCH), "fra_Latn"),
            Span(again, again + len(FRENCH), "fra_Latn"),
        ],
        [],
        [Span(0, len(GERMAN), "deu_Latn")],
        [],
    ]
