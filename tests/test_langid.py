"""Language identification: labels to codes, what text is read, and how well lid.176 does on FLORES sentences."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import fasttext
import pytest

from tokenizer.languages import LANGUAGES
from transforms.datasets.fates import Reason
from transforms.langid import verdict
from transforms.langid.detect import Detector
from transforms.langid.labels import Guess, codes_of, guess, unknown
from transforms.langid.model import FastTextModel, ModelHandle
from transforms.langid.readable import readable
from transforms.langid.verdict import Detected

FLORES = Path(__file__).parents[2] / "shared" / "data" / "lid" / "flores-part-A"


def choose(code_of: dict[str, str], labels: list[str], probabilities: list[float], line: str) -> Detected:
    return verdict.choose(guess(code_of, labels, probabilities, line), FastTextModel.thresholds, 0.0)


SENTENCES = {
    "en": ["the cat sat on the mat", "where is the house of my friend", "this is the answer to that question"],
    "fr": ["le chat est sur la table", "où est la maison de mon ami", "voici la réponse à cette question"],
    "ru": ["кошка сидит на столе", "где находится дом моего друга", "вот ответ на этот вопрос"],
    "zh": ["這是一個問題", "这是一个问题", "我們沒有時間了", "我们没有时间了"],
    "la": ["quo usque tandem abutere patientia nostra", "gallia est omnis divisa in partes tres"],
}


def train(folder: Path, labels: dict[str, str]) -> Path:
    """A tiny classifier over SENTENCES under other names of its labels. One thread: training is then repeatable."""
    text = folder / "train.txt"
    lines = [f"__label__{labels[key]} {line}" for _ in range(20) for key, lines in SENTENCES.items() for line in lines]
    text.write_text("\n".join(lines) + "\n", "utf-8")
    model = fasttext.train_supervised(
        str(text), minn=1, maxn=3, dim=16, epoch=20, lr=0.5, thread=1, bucket=20_000, verbose=0
    )
    path = folder / "tiny.bin"
    model.save_model(str(path))
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    folder = tmp_path_factory.mktemp("tiny")
    return Detector(ModelHandle.of(str(train(folder, {key: key for key in SENTENCES}))).load())


def test_lid176_labels_go_through_the_table() -> None:
    codes = codes_of(["als", "sq", "zh", "no", "bh", "ar", "yue", "en"])
    assert codes == {
        "__label__sq": "als_Latn",
        "__label__zh": "zho",
        "__label__no": "nob_Latn",
        "__label__ar": "arb_Arab",
        "__label__yue": "yue_Hant",
        "__label__en": "eng_Latn",
    }


def test_flores_labels_are_codes_already() -> None:
    codes = codes_of(["als_Latn", "gsw_Latn", "zho_Hant", "cmn_Hani", "ekk_Latn", "ajp_Arab", "srp_Latn"])
    assert codes == {
        "__label__als_Latn": "als_Latn",
        "__label__zho_Hant": "zho_Hant",
        "__label__cmn_Hani": "zho",
        "__label__ekk_Latn": "est_Latn",
        "__label__ajp_Arab": "apc_Arab",
    }


def test_labels_outside_the_table_are_told() -> None:
    assert list(unknown(["en", "fr", "zho_Hans"])) == []
    assert list(unknown(["en", "la", "bh"])) == ["2 of its 3 labels are not in the table of 119: bh, la"]
    assert list(unknown(["srp_Latn", "srp_Cyrl", "als", "gsw_Latn", "srpski"])) == [
        "4 of its 5 labels are not in the table of 119: als, gsw_Latn, srp_Latn, srpski",
        "not taken for a language of the table, though like one: als (als_Latn), srp_Latn (srp_Cyrl)",
    ]
    (many,) = unknown([f"x{number}" for number in range(10, 30)])
    assert many == "20 of its 20 labels are not in the table of 119: x10, x11, x12, x13, x14, x15, x16, x17 …"


def test_lid176_names_languages_outside_the_table_and_one_that_looks_like_ours(lid176: Path) -> None:
    labels = ModelHandle.of(str(lid176)).load().labels
    outside, near = unknown(labels)
    assert outside.startswith("79 of its 176 labels are not in the table of 119: als, am, ")
    assert near.endswith(": als (als_Latn)")


def test_a_model_of_something_else_is_refused(tmp_path: Path) -> None:
    path = train(tmp_path, {"en": "spam", "fr": "ham", "ru": "eggs", "zh": "toast", "la": "tea"})
    with pytest.raises(ValueError, match="none of its 5 labels"):
        ModelHandle.of(str(path)).load()


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"no model at all" * 100)
    with pytest.raises(ValueError, match=r"no fastText model"):
        ModelHandle.of(str(path)).load()
    with pytest.raises(ValueError, match="no language model at"):
        ModelHandle.of(str(tmp_path / "missing"))


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    path = train(tmp_path, {key: key for key in SENTENCES})
    handle = ModelHandle.of(str(path))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="changed"):
        handle.load()


def test_probabilities_of_one_language_are_added() -> None:
    codes = {"__label__a": "eng_Latn", "__label__b": "eng_Latn", "__label__c": "fra_Latn"}
    found = choose(codes, ["__label__c", "__label__a", "__label__b", "__label__x"], [0.4, 0.3, 0.25, 0.05], "text")
    assert found == ("eng_Latn", pytest.approx(0.55), "fra_Latn", 0.4, None)


def test_unlisted_unsure_and_empty_are_dropped_with_a_reason() -> None:
    codes = {"__label__en": "eng_Latn", "__label__fr": "fra_Latn"}
    unlisted = choose(codes, ["__label__la", "__label__en"], [0.8, 0.1], "text")
    assert unlisted == (None, 0.8, "eng_Latn", 0.1, Reason.LANGUAGE_UNLISTED)
    hardly = choose(codes, ["__label__la", "__label__en"], [0.29, 0.1], "text")
    assert hardly == (None, 0.29, "eng_Latn", 0.1, Reason.LANGUAGE_UNSURE)  # nobody can tell what it is
    low = LANGUAGES["eng_Latn"].lid_threshold - 0.01
    assert choose(codes, ["__label__en"], [low], "text") == ("eng_Latn", low, None, 0.0, Reason.LANGUAGE_UNSURE)
    assert choose(codes, [], [], "text") == (None, 0.0, None, 0.0, Reason.LANGUAGE_UNSURE)
    assert choose(codes, ["__label__en"], [1.00001], "text").confidence == 1.0


def test_the_threshold_itself_is_sure_enough() -> None:
    least = LANGUAGES["eng_Latn"].lid_threshold
    assert choose({"__label__en": "eng_Latn"}, ["__label__en"], [least], "text").reason is None


def test_the_runner_up_is_the_next_language_that_is_listed() -> None:
    codes = {"__label__en": "eng_Latn", "__label__fr": "fra_Latn"}
    found = choose(codes, ["__label__en", "__label__la", "__label__fr"], [0.6, 0.3, 0.1], "text")
    assert found[:4] == ("eng_Latn", 0.6, "fra_Latn", 0.1)


def test_ties_go_to_the_smaller_code() -> None:
    codes = {"__label__en": "eng_Latn", "__label__fr": "fra_Latn"}
    for labels in (["__label__en", "__label__fr"], ["__label__fr", "__label__en"]):
        assert choose(codes, labels, [0.5, 0.5], "text")[:3] == ("eng_Latn", 0.5, "fra_Latn")


def test_chinese_gets_its_writing_from_its_characters() -> None:
    codes = codes_of(["zh", "yue"])
    simplified = choose(codes, ["__label__zh"], [1.0], "我们没有时间了,这个问题很难")
    traditional = choose(codes, ["__label__zh", "__label__yue"], [0.9, 0.1], "我們沒有時間了,這個問題很難")
    assert simplified.language == "zho_Hans"
    assert simplified.confidence > 0.9
    assert (traditional.language, traditional.runner_up) == ("zho_Hant", "yue_Hant")
    nobody_knows = choose(codes, ["__label__zh"], [1.0], "你好")
    assert nobody_knows[:4] == ("zho_Hans", 0.5, "zho_Hant", 0.5)


def test_one_or_two_words_ask_for_more() -> None:
    assert [verdict.least_of(chars) for chars in (0, 20, 21, 500)] == [0.8, 0.8, 0.0, 0.0]
    for least, needed in ((0.8, 0.8), (0.0, 0.5)):
        for confidence, reason in ((needed, None), (needed - 0.01, Reason.LANGUAGE_UNSURE)):
            words: Guess = (("eng_Latn", confidence), ("fra_Latn", 0.1))
            assert verdict.choose(words, {"eng_Latn": 0.5}, least).reason is reason
            assert verdict.is_sure(words, {"eng_Latn": 0.5}, least) is (reason is None)
    assert verdict.choose((("other", 0.79),), {}, 0.8).reason is Reason.LANGUAGE_UNSURE
    assert verdict.choose((("other", 0.8),), {}, 0.8).reason is Reason.LANGUAGE_UNLISTED
    assert verdict.choose((("other", 0.3),), {}, 0.0).reason is Reason.LANGUAGE_UNLISTED
    assert not verdict.is_sure((), {"eng_Latn": 0.5}, 0.0)


def test_the_unlisted_script_of_a_language_is_unlisted() -> None:
    codes = codes_of(["sr", "uz"])
    assert choose(codes, ["__label__sr"], [0.9], "Ово је српски").language == "srp_Cyrl"
    assert choose(codes, ["__label__sr"], [0.9], "Ovo je srpski").reason is Reason.LANGUAGE_UNLISTED
    assert choose(codes, ["__label__uz"], [0.9], "Бу ўзбек тили").reason is Reason.LANGUAGE_UNLISTED


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Use this:\n\n```python\nimport os\n```\n\nand run", "Use this: and run"),
        ("> ~~~\n> code\n> ~~~\nquoted", "quoted"),
        ("- ```sh\n  ls\n  ```\n- a list", "- a list"),
        ("never closed\n```\nfor x in y", "never closed"),
        ("call `len(x)` or ``a`b`` now", "call or now"),
        ("see [docs](https://example.org/a_b(c)) here", "see [docs]( )) here"),
        ("www.example.org says", "says"),
        ("a</s>b", "a b"),
        ("12345 !!! 👍", ""),
        ("```\ncode only\n```", ""),
        ("https://example.org/words", ""),
        ("", ""),
    ],
)
def test_code_and_urls_do_not_count(text: str, wanted: str) -> None:
    line = readable(text)
    assert " ".join(line.split()) == wanted
    assert "\n" not in line


def test_an_endless_line_is_read_in_bounded_time() -> None:
    assert len(readable("word ` `` " * 1_000_000)) <= 4_000


def test_tiny_model_names_languages_in_any_batch(tiny: Detector) -> None:
    texts = [line for lines in SENTENCES.values() for line in lines]
    found = tiny.detect(texts)
    assert [row.language for row in found[:9]] == ["eng_Latn"] * 3 + ["fra_Latn"] * 3 + ["rus_Cyrl"] * 3
    assert [row.language for row in found[9:13]] == ["zho_Hant", "zho_Hans", "zho_Hant", "zho_Hans"]
    assert {row.reason for row in found[13:]} == {Reason.LANGUAGE_UNLISTED}
    assert [tiny.detect([text])[0] for text in texts] == found
    assert tiny.detect([]) == []


def test_lid176_on_flores(lid176: Path) -> None:
    """Sentences of news; every language that lid.176 has a label for, and the traps among them."""
    if not FLORES.exists():
        pytest.skip("the shared FLORES sentences are not here")
    detector = Detector(ModelHandle.of(str(lid176)).load())
    accuracy: dict[str, float] = {}
    answers: dict[str, Counter[str | None]] = {}
    for code, language in LANGUAGES.items():
        if language.lid176:
            lines = (FLORES / f"{code}.txt").read_text("utf-8").splitlines()[:100]
            answers[code] = Counter(row.language for row in detector.detect(lines))
            accuracy[code] = answers[code][code] / len(lines)
    assert len(accuracy) == 98
    assert sum(accuracy.values()) / len(accuracy) > 0.81
    assert sum(share > 0.9 for share in accuracy.values()) >= 69
    assert accuracy["als_Latn"] > 0.98  # label "sq"; lid.176's own "als" is another language
    assert accuracy["zho_Hans"] > 0.9
    assert accuracy["zho_Hant"] > 0.9
    assert answers["zho_Hans"]["zho_Hant"] + answers["zho_Hant"]["zho_Hans"] <= 1
    assert answers["nob_Latn"]["nob_Latn"] > 75  # label "no"
    unlisted = detector.detect((FLORES / "prs_Arab.txt").read_text("utf-8").splitlines()[:100])
    assert {row.language for row in unlisted} >= {"pes_Arab"}  # no label of its own: taken for its neighbour


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("HOW DO I STOP IT?", "how do i stop it?"),
        ("КАК ДА СПРА РЪЖДАТА", "как да спра ръждата"),
        ("KIŞIN BİSİKLET NASIL", "kışın bisiklet nasıl"),
        ("ΠΩΣ ΝΑ ΣΤΑΜΑΤΗΣΩ", "πως να σταματησω"),
        ("The NASA and the ESA met", "The NASA and the ESA met"),
        ("PLEASE HELP\nMy chain is made of XYZ steel", "please help My chain is made of XYZ steel"),
        ("How do I stop it?", "How do I stop it?"),
        ("日本語 ABC 123", "日本語 abc 123"),
        ("ABC def", "ABC def"),  # half of it is not most of it
    ],
)
def test_lines_that_are_mostly_capitals_are_read_in_small_letters(text: str, read: str) -> None:
    assert readable(text) == read


def test_capitals_are_read_as_the_same_language(lid_model: Path) -> None:
    detector = Detector(ModelHandle.of(str(lid_model)).load())
    texts = [
        "How do I stop my bike chain from rusting in winter? Please help, it is new",
        "Как да спра ръждата по веригата на колелото през зимата",
        "Как остановить ржавчину на цепи велосипеда зимой",
        "Kışın bisiklet zincirimin paslanmasını nasıl önlerim",
    ]
    for text, capitals in zip(detector.detect(texts), detector.detect([text.upper() for text in texts]), strict=True):
        assert capitals.language == text.language


def test_half_of_a_published_model_is_refused(tmp_path: Path, lid176: Path) -> None:
    """fastText would find other languages with it, hang or crash, by where it is cut."""
    data = lid176.read_bytes()
    for size in (0, 100, 900_000):
        (tmp_path / "lid.176.ftz").write_bytes(data[:size])
        with pytest.raises(ValueError, match="is not the model that is published under this name"):
            ModelHandle.of(str(tmp_path / "lid.176.ftz"))
    assert ModelHandle.of(str(lid176)).load()
