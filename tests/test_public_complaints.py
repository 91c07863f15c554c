"""What users of other language identifiers have complained of in public, as small inputs to the shipped model.

A row says what is required, which is not always the right answer: of few words "unsure" is allowed, another language
that annotate would keep is not.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines import langid
from tests.test_langid import SENTENCES, train
from transforms.langid.detect import Detector
from transforms.langid.model import DEFAULT, ModelHandle

GERMAN_LIST = (
    "Matrikelnummer:\nMail: fake@mail.de\nTISS:{}\nTUWEL:\nPropädeutikum\n\n"
    "Lehrveranstaltungen - Übersicht\nStudienplan:"
)
ARABIC = "صباح الخير يا أصدقاء، كيف حالكم اليوم؟"
FRENCH = "Recevez 2 000 éclats de super cristal héroïque, 250 éclats de cristal de héros 3 étoiles"
LINES = ["Where is the house?", "", "Wo ist\u2028das Haus?", "a\x0bb\x0cc\x85d\x1ce", " ", "Où est la maison ?"]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(ModelHandle.of(DEFAULT).load())


def kept(detector: Detector, text: str) -> str | None:
    """The language that annotate would keep a text in, or None."""
    (found,) = detector.detect([text])
    return found.language if found.reason is None else None


SURE = [
    ("elasticsearch-langdetect#17", f"RT @ahmed: {ARABIC} https://example.org/posts/6756894325", "arb_Arab"),
    ("langdetect#105", "I love you", "eng_Latn"),
    ("spacy-langdetect#7", "Let's talk somewhere else", "eng_Latn"),
    ("langid.py#83", "hello China you are great", "eng_Latn"),
    ("lingua#43", FRENCH, "fra_Latn"),
    ("lingua#43, as it is typeset", FRENCH.replace("2 000", "2\u202f000"), "fra_Latn"),
    ("polyglot#245", "all the major languages of the world! 🎉👏🏽", "eng_Latn"),
]
SURE_OF_NO_OTHER = [
    ("mastodon#2704: one word of English, which is told to be of no listed language", "@Shutsumon Indeed! :)", "eng"),
    ("languagetool#3569: words of a form, of which the model is unsure", GERMAN_LIST.format(""), "deu_Latn"),
    ("franc#91: three words, near to Catalan and Galician", "Hola! Cómo estás ?", "spa_Latn"),
]
NOTHING_TO_READ = [
    ("mastodon#2704", "@tcql >:3 https://cybre.space/media/R9rNlCAUWWtq2bBDGw8"),
    ("polyglot#245", "🎉👏🏽❤️"),
    ("empty", ""),
]
SAME = [
    ("languagetool#3569: a URL", GERMAN_LIST.format(" https://tiss.tuwien.ac.at"), GERMAN_LIST.format("")),
    ("elasticsearch-langdetect#17: a URL", f"{ARABIC} https://example.org/posts/6756894325", ARABIC),
    ("polyglot#245: emoji", "Bonjour tout le monde 😀👏🏽", "Bonjour tout le monde"),
    *(
        (f"{name}: lines", "Where is the house\nof my friend?\n", "Where is the house of my friend? ")
        for name in ("fastText#1079", "deepdoctection#80", "opik#8492")
    ),
]


@pytest.mark.parametrize(("text", "language"), [row[1:] for row in SURE], ids=[row[0] for row in SURE])
def test_the_language_is_told(text: str, language: str, detector: Detector) -> None:
    assert kept(detector, text) == language


@pytest.mark.parametrize(
    ("text", "language"), [row[1:] for row in SURE_OF_NO_OTHER], ids=[row[0] for row in SURE_OF_NO_OTHER]
)
def test_a_text_of_few_words_is_kept_in_no_other_language(text: str, language: str, detector: Detector) -> None:
    assert kept(detector, text) in (None, language)


@pytest.mark.parametrize("text", [row[1] for row in NOTHING_TO_READ], ids=[row[0] for row in NOTHING_TO_READ])
def test_where_nothing_is_to_be_read_nothing_is_guessed(text: str, detector: Detector) -> None:
    (found,) = detector.detect([text])
    assert found[:4] == (None, 0.0, None, 0.0)
    assert found.reason == "language-unsure"


@pytest.mark.parametrize(("text", "without"), [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_what_says_nothing_of_a_language_changes_nothing(text: str, without: str, detector: Detector) -> None:
    assert detector.detect([text]) == detector.detect([without])


@pytest.mark.parametrize("end", ["", "\n"])
def test_predict_gives_a_line_for_each_line_whatever_is_in_it(
    end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], detector: Detector
) -> None:
    """fastText#344: lines were cut where Unicode or C ends them; fastText#435: the last line had to end."""
    (tmp_path / "lines.txt").write_bytes(("\n".join(LINES) + end).encode())
    langid.predict(str(tmp_path / "lines.txt"), text=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.split("\n")[:-1]]
    assert [row["text"] for row in rows] == LINES
    assert [row["language"] for row in rows] == [found.language for found in detector.detect(LINES)]
    assert [row["language"] for row in (rows[0], rows[2], rows[5])] == ["eng_Latn", "deu_Latn", "fra_Latn"]


@pytest.mark.parametrize("labels", [{"en": "en", "fr": "fr"}, {"en": "eng_Latn", "fr": "fra_Latn"}])
def test_labels_of_every_kind_of_model_become_our_codes(labels: dict[str, str], tmp_path: Path) -> None:
    """NeMo Curator#2281: eng_Latn was cut to TN; datatrove#388: where labels were en, a filter of eng kept nothing."""
    place = train(tmp_path, {key: key for key in SENTENCES} | labels)
    told = Detector(ModelHandle.of(str(place)).load()).detect([SENTENCES["en"][0], SENTENCES["fr"][0]])
    assert [(row.language, row.reason) for row in told] == [("eng_Latn", None), ("fra_Latn", None)]


def test_a_verdict_is_the_same_in_any_batch_and_run(detector: Detector) -> None:
    """langdetect draws by chance: the same text had other languages."""
    texts = [row[1] for row in (*SURE, *SURE_OF_NO_OTHER, *NOTHING_TO_READ)] * 3
    alone = [found for text in texts for found in detector.detect([text])]
    again = Detector(ModelHandle.of(DEFAULT).load())
    assert detector.detect(texts) == alone == again.detect(texts[::-1])[::-1]
