"""Presets and thresholds: what is kept, what is marked and why, for clean and for planted texts of many languages."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tokenizer.languages import LANGUAGES
from transforms.datasets import strict_yaml
from transforms.datasets.fates import Reason
from transforms.quality.lexicon import Lexicon
from transforms.quality.presets import Preset, Rule
from transforms.quality.signals import MEASURED, SIGNALS, signals
from transforms.quality.thresholds import SHIPPED, TAILS, Usual, load, make, read_texts, to_tsv

# The Universal Declaration of Human Rights, article 1.
CLEAN = {
    "eng_Latn": "All human beings are born free and equal in dignity and rights. They are endowed with reason and "
    "conscience and should act towards one another in a spirit of brotherhood.",
    "ell_Grek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι "
    "προικισμένοι με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης.",
    "arb_Arab": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا "
    "بروح الإخاء.",
    "hin_Deva": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और "
    "अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
    "tha_Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม "
    "และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ",
    "zho_Hans": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
}
MENUS = {
    "eng_Latn": "Home – Privacy policy – Terms of use – Cookie policy – All rights reserved",
    "ell_Grek": "Αρχική – Όροι χρήσης – Πολιτική απορρήτου – Διαβάστε περισσότερα",
    "arb_Arab": "جميع الحقوق محفوظة – سياسة الخصوصية – اقرأ المزيد",
    "hin_Deva": "सर्वाधिकार सुरक्षित – गोपनीयता नीति – अधिक पढ़ें",
    "tha_Thai": "สงวนลิขสิทธิ์ – นโยบายความเป็นส่วนตัว – ข้อตกลง",
    "zho_Hans": "关于我们 – 联系我们 – 使用条款 – 隐私政策 – 版权所有",
}
KEYWORDS = {  # Thai has no list of stop words: its letters are not words
    "eng_Latn": "cheap shoes, discount sneakers, running boots, leather sandals, women heels, kids trainers, "
    "sale outlet, hiking gear, winter coats, summer dresses, designer handbags, sunglasses, luxury watches, coupons",
    "ell_Grek": "φθηνά παπούτσια, έκπτωση αθλητικά, δερμάτινα πέδιλα, γυναικείες μπότες, παιδικά σανδάλια, προσφορές, "
    "χειμωνιάτικα μπουφάν, καλοκαιρινά φορέματα, τσάντες, γυαλιά ηλίου, ρολόγια χειρός, δωρεάν αποστολή, κουπόνια",
    "arb_Arab": "أحذية رخيصة، تخفيضات ملابس، حقائب جلدية، ساعات رجالية، عطور نسائية، نظارات شمسية، هدايا أطفال، تسوق، "
    "معاطف شتوية، فساتين صيفية، مجوهرات فضية، أجهزة منزلية، هواتف ذكية، شواحن سريعة، سماعات رأس، توصيل مجاني، قسائم",
    "hin_Deva": "सस्ते जूते, छूट कपड़े, चमड़े सैंडल, महिला घड़ी, बच्चे खिलौने, धूप चश्मा, मोबाइल कवर, ऑनलाइन खरीदारी, बैग, "
    "सर्दी जैकेट, गर्मी पोशाक, चांदी गहने, घरेलू सामान, स्मार्ट फोन, तेज़ चार्जर, हेडफोन, मुफ़्त डिलीवरी, कूपन, सेल",
    "zho_Hans": "手机，电脑，平板，相机，耳机，键盘，鼠标，音箱，冰箱，空调，洗衣机，微波炉，吸尘器，净化器，投影仪，"
    "路由器，充电宝，数据线，保护壳，贴膜，支架，背包，皮鞋，衬衫，牛仔裤，连衣裙，羽绒服，围巾，手套，帽子，袜子，雨伞，"
    "沙发，茶几，床垫，枕头，毛巾，牙刷，香皂，洗发水，护肤品，口红，眼影，香水，项链，戒指，手链，耳环，钢笔，铅笔，橡皮，尺子，剪刀",
}

THRESHOLDS = load(str(SHIPPED))
LEXICON = Lexicon({code: usual.stop_words for code, usual in THRESHOLDS.items() if usual.stop_words})
FORUM, WEB = Preset.load("forum"), Preset.load("web")


def judged(texts: list[str], languages: list[str | None], preset: Preset = FORUM) -> list[Reason | None]:
    return preset.judge(signals(texts, languages, LEXICON), languages, THRESHOLDS)


def planted(code: str, number: int) -> list[tuple[str, Reason]]:
    """Bad texts of a language, with the reason that each is to be marked for. number: makes them differ."""
    clean, other = CLEAN[code], CLEAN["ell_Grek" if code == "eng_Latn" else "eng_Latn"]
    noise = base64.b64encode(hashlib.sha512(f"{code} {number}".encode()).digest()).decode()
    bad = [
        (f"{number} {clean}\n" * 4, Reason.QUALITY_REPETITION),
        (f"{clean[: 30 + number]} " * 12, Reason.QUALITY_REPETITION),
        (f"{other} {number}", Reason.QUALITY_SCRIPT),
        (f"{clean[:20]} {number}\n{noise}\n{noise[::-1]}", Reason.QUALITY_ENCODED),
        (f"{MENUS[code]} – {number}", Reason.QUALITY_BOILERPLATE),
        (f"== {number} ==\n" + "=+-#@%*~|" * 8, Reason.QUALITY_SYMBOLS),
        (f"https://example.com/{number}", Reason.QUALITY_SYMBOLS),
    ]
    return bad + ([(f"{KEYWORDS[code]} {number}", Reason.QUALITY_WORDS)] if code in KEYWORDS else [])


# ------------------------------------------------------------------------------------- what is marked


def test_planted_texts_are_marked_for_their_reason_and_clean_ones_kept() -> None:
    rows: list[tuple[str, str | None, Reason | None]] = []
    for code, clean in CLEAN.items():
        for number in range(10):
            rows.append((f"{clean} ({number})", code, None))
            rows += [(text, code, reason) for text, reason in planted(code, number)]
    rows.sort(key=lambda row: hashlib.sha256(row[0].encode()).digest())
    found = judged([text for text, _, _ in rows], [code for _, code, _ in rows])
    wrong = [(code, text, wanted, is_) for (text, code, wanted), is_ in zip(rows, found, strict=True) if wanted != is_]
    assert not wrong
    assert Counter(found) == {
        None: 60,
        Reason.QUALITY_REPETITION: 120,
        Reason.QUALITY_SCRIPT: 60,
        Reason.QUALITY_ENCODED: 60,
        Reason.QUALITY_BOILERPLATE: 60,
        Reason.QUALITY_SYMBOLS: 120,
        Reason.QUALITY_WORDS: 50,
    }


@pytest.mark.parametrize(
    "text",
    [
        "Thanks!",
        "+1",
        "?",
        "2 + 2 = 4",
        "Yes, yes, yes!",
        "😀😀😀",
        "`git rebase -i`",
        "```\nif (a) { return {b: [1, 2, 3]}; }\n```",
        "Use `x = {1: 2}`:\n\n```python\nfor y in x: print(y[0] + 1)\n```",
        "while (a == b && c == d) { total += step; }",  # code that nobody marked up
        "SELECT name FROM users WHERE age >= 18 AND city = 'Oslo';",
        "for (i = 0; i < n; i++) { x[i] += (y[i] - z) / 2; }",
        "$\\int_0^1 x^2 dx = 1/3$ by the power rule.",
        "- bread\n- butter\n- a sharp knife\n- and patience",
        "Read the privacy policy before you agree.",
        "See [the manual](https://example.com/manual/chapter/7#section-3) for that.",
        "> Why does it rise?\n\nBecause of the yeast.",
        "Edit: see my answer here: https://example.com/questions/123456/why-does-bread-rise-in-the-oven",
    ],
)
def test_what_people_write_in_forums_is_kept(text: str) -> None:
    assert judged([text], ["eng_Latn"]) == [None]


def test_a_text_of_no_known_language_is_judged_by_what_needs_none() -> None:
    assert judged([CLEAN["eng_Latn"], "=+-#@%*~|" * 9], [None, None]) == [None, Reason.QUALITY_SYMBOLS]


def test_the_web_wants_running_text_and_the_forum_does_not() -> None:
    short, menu = (
        CLEAN["eng_Latn"],
        "\n".join(f"{word} is what we sell here" for word in CLEAN["eng_Latn"].split()[:20]),
    )
    assert judged([short, menu], ["eng_Latn"] * 2) == [None, None]
    long = " ".join(f"{short} {number} of us said so." for number in (1, 22, 333))
    assert judged([short, menu, CLEAN["zho_Hans"]], ["eng_Latn", "eng_Latn", "zho_Hans"], WEB) == [
        Reason.QUALITY_LENGTH,
        Reason.QUALITY_REPETITION,
        Reason.QUALITY_LENGTH,
    ]
    assert judged([long], ["eng_Latn"], WEB) in ([None], [Reason.QUALITY_REPETITION])


@pytest.mark.parametrize("code", LANGUAGES)
def test_clean_sentences_of_every_language_are_kept(code: str, shared_data: Path) -> None:
    """Those that the shipped thresholds are not made of: every second line."""
    lines = (shared_data / "lid" / "flores-part-A" / f"{code}.txt").read_text("utf-8").splitlines()[1::2]
    assert sum(map(bool, judged(lines, [code] * len(lines)))) <= 0.01 * len(lines)
    posts = [" ".join(lines[first : first + 3]) for first in range(0, len(lines), 3)]
    assert sum(map(bool, judged(posts, [code] * len(posts)))) <= 1


# ------------------------------------------------------------------------------------- rules


def values(name: str, *numbers: float) -> dict[str, np.ndarray]:
    return {"prose": np.full(len(numbers), 100.0), name: np.array(numbers)}


def test_a_bound_is_of_its_own_side_and_itself_allowed() -> None:
    rule = Rule("letter_share", Reason.QUALITY_SYMBOLS, least=0.25, most=0.75)
    found = values("letter_share", 0.2, 0.25, 0.5, 0.75, 0.8, float("nan"))
    assert rule.broken(found, [None] * 6, {}).tolist() == [True, False, False, False, True, False]


def test_a_bound_gives_way_to_what_is_usual_and_only_then() -> None:
    usual = {"eng_Latn": Usual(99, {"letter_share": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]}, ())}
    found, codes = values("letter_share", 0.15, 0.25, 0.93, 0.97), ["eng_Latn"] * 4

    def broken(tail: float | None, least: float, most: float, code: str = "eng_Latn") -> list[bool]:
        rule = Rule("letter_share", Reason.QUALITY_SYMBOLS, least, most, tail)
        return rule.broken(found, [code] * len(codes), usual).tolist()

    assert broken(None, 0.5, 0.8) == [True, True, True, True]
    assert broken(0.001, 0.5, 0.8) == [False, False, False, True]
    assert broken(0.005, 0.5, 0.8) == [True, False, True, True]
    assert broken(0.001, 0.05, 0.99) == [False, False, False, False], "a bound is never stricter than it says"
    assert broken(0.001, 0.5, 0.8, "fra_Latn") == [True, True, True, True], "nothing is known of French"


def test_short_texts_are_judged_from_so_many_characters_on() -> None:
    rule = Rule("letter_share", Reason.QUALITY_SYMBOLS, least=0.5, from_characters=30)
    found = {"prose": np.array([29.0, 30.0]), "letter_share": np.zeros(2)}
    assert rule.broken(found, [None, None], {}).tolist() == [False, True]


def test_the_first_rule_that_is_broken_is_the_reason() -> None:
    rules = [Rule("words", Reason.QUALITY_LENGTH, least=2), Rule("letter_share", Reason.QUALITY_SYMBOLS, least=0.5)]
    found = values("words", 1, 1, 3) | {"letter_share": np.array([0, 1, 0])}
    assert Preset(rules).judge(found, [None] * 3, {}) == [
        Reason.QUALITY_LENGTH,
        Reason.QUALITY_LENGTH,
        Reason.QUALITY_SYMBOLS,
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{signal: word, reason: quality-words, least: 1}", "signal is no signal: 'word'; one of characters, "),
        ("{signal: words, reason: tie, least: 1}", "reason must be one of quality-length, "),
        ("{signal: words, reason: quality-words}", "least or `most` must be given"),
        (
            "{signal: letter_share, reason: quality-words, least: 1, tail: 0.02}",
            "tail must be one of 0.001, 0.005, 0.01",
        ),
        (
            "{signal: letter_share, reason: quality-words, least: 1, tail: 0.999}",
            "tail must be one of 0.001, 0.005, 0.01",
        ),
        ("{signal: words, reason: quality-words, least: 1, tail: 0.01}", "tail has no reference for words, but for "),
        ("{signal: words, reason: quality-words, least: .nan}", "least must be a number that bounds; got nan"),
        ("{signal: words, reason: quality-words, most: .inf}", "most must be a number that bounds; got inf"),
        ("{signal: words, reason: quality-words, least: 2, most: 1}", "least is above `most`: no text would be kept"),
        (
            "{signal: words, reason: quality-words, least: 1, from_characters: -1}",
            "from_characters must not be negative; got -1",
        ),
        ("{signal: words, reason: quality-words, lest: 1}", r"unknown key 'lest' \(did you mean 'least'"),
    ],
)
def test_a_wrong_rule_is_named(rule: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strict_yaml.parse(Preset, f"rules:\n  - {rule}\n", "mine.yaml")


@pytest.mark.parametrize("preset", [FORUM, WEB])
def test_a_preset_is_what_its_file_says_wherever_it_is_carried(preset: Preset) -> None:
    assert strict_yaml.convert(Preset, {"rules": preset.plain()}, "here") == preset


def test_the_forum_has_no_least_number_of_words_and_no_rule_of_line_ends_or_code() -> None:
    assert not {"words", "characters", "prose", "sentence_end_share", "code_share"} & {r.signal for r in FORUM.rules}


# ------------------------------------------------------------------------------------- thresholds


def folder(place: Path) -> Path:
    for source in ("news", "talk"):
        (place / source).mkdir(parents=True)
        for code in ("eng_Latn", "tha_Thai", "zho_Hans"):
            lines = [f"{CLEAN[code]} {_others(source, number)}" for number in range(60)]
            (place / source / f"{code}.txt").write_text("\n".join(lines), "utf-8")
    return place


def _others(*names: object) -> str:
    """Words that stand nowhere else."""
    return " ".join(hashlib.sha256(f"{names} {number}".encode()).hexdigest() for number in range(20))


def test_thresholds_are_the_same_from_the_same_texts_and_come_back_from_their_file(tmp_path: Path) -> None:
    data = folder(tmp_path / "data")
    made = make(read_texts(str(data)))
    assert list(made) == ["eng_Latn", "tha_Thai", "zho_Hans"]
    assert made["eng_Latn"].texts == 120
    text = to_tsv(made)
    assert text == to_tsv(make(read_texts(str(data))))
    (tmp_path / "mine.tsv").write_text(text, "utf-8")
    assert to_tsv(load(str(tmp_path / "mine.tsv"))) == text
    assert {"and", "in", "of"} <= set(made["eng_Latn"].stop_words)
    assert "人" in made["zho_Hans"].stop_words
    assert "mean_word_length" not in made["zho_Hans"].values


def test_percentiles_are_of_the_texts_and_short_lines_are_joined(tmp_path: Path) -> None:
    words = ["a" * 60 + " " + "b" * 40 for _ in range(99)] + ["c" * 10 + " " + "d" * 80 + " " + "e" * 30]
    (tmp_path / "eng_Latn.txt").write_text("\n".join(words), "utf-8")
    (usual,) = make(read_texts(str(tmp_path))).values()
    assert usual.values["mean_word_length"] == [40.0] * 2 + [50.0] * (len(TAILS) - 2)
    assert usual.values["letter_share"] == [1.0] * len(TAILS)
    (tmp_path / "eng_Latn.txt").write_text("\n".join(["short"] * 1700), "utf-8")
    assert make(read_texts(str(tmp_path)))["eng_Latn"].texts == 100, "17 words and 16 spaces are 101 characters"


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("en.txt", ["x" * 100] * 60, "'en' is no code of the language table; files are named CODE.txt"),
        ("eng_Latn.txt", ["x" * 100] * 49, "eng_Latn has 49 texts; to say what is usual takes 50 or more"),
        ("eng_Latn.csv", ["x"], "has no text: wanted files CODE.txt or SOURCE/CODE.txt"),
    ],
)
def test_texts_that_make_no_thresholds_are_named(tmp_path: Path, name: str, lines: list[str], message: str) -> None:
    (tmp_path / name).write_text("\n".join(lines), "utf-8")
    with pytest.raises(ValueError, match=message):
        make(read_texts(str(tmp_path)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("language\t", "code\t"), "is no file of thresholds: wanted a table with the columns language, texts, "),
        (("eng_Latn", "eng"), "'eng' is no code of the language table"),
        (("\t0.", "\tx."), "is no file of thresholds: "),
        (("0.7252", "nan"), "acm_Arab has 'nan 0.8333 .* not 10 rising numbers"),
        (("0.7252", "-inf"), "acm_Arab has '-inf 0.8333 .* not 10 rising numbers"),
        (("\nacq_Arab", "\nacm_Arab"), "acm_Arab is there twice, in line 3 again"),
        (("acm_Arab\t", "acm_Arab\t\t"), "line 2 has 11 columns, not 10"),
        ((SHIPPED.read_text("utf-8")[-9:], ""), "it ends in the middle of line 120"),
        (("\nacq_Arab", "\n\nacq_Arab"), "line 3 has 1 columns, not 10"),
        ((SHIPPED.read_text("utf-8"), ""), "wanted a table with the columns language"),
        (("acm_Arab", "\udcff"), "is no file of thresholds: 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_a_file_that_holds_no_thresholds_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    place = tmp_path / "mine.tsv"
    place.write_text(SHIPPED.read_text("utf-8").replace(*change), "utf-8", "surrogateescape")
    with pytest.raises(ValueError, match=message):
        load(str(place))
    with pytest.raises(ValueError, match=r"no thresholds at .*nowhere; `agora quality thresholds` makes a file"):
        load(str(tmp_path / "nowhere"))


def test_every_language_has_thresholds_as_we_ship_them() -> None:
    assert list(THRESHOLDS) == sorted(LANGUAGES)
    for code, usual in THRESHOLDS.items():
        spaced = LANGUAGES[code].word_split == "space"
        assert set(MEASURED) - set(usual.values) <= {"mean_word_length", "stop_word_share"}
        assert ("mean_word_length" in usual.values) is spaced
        assert bool(usual.stop_words) is ("stop_word_share" in usual.values)
    without = [code for code, usual in THRESHOLDS.items() if not usual.stop_words]
    assert without == ["lao_Laoo", "tha_Thai"], "letters say nothing there"
    assert set(MEASURED) < set(SIGNALS)
