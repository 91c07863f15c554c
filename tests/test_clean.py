"""Unicode repair: equal to ftfy, and it leaves alone what people meant."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import ftfy
import pytest
from ftfy.badness import BADNESS_RE, MOJIBAKE_CATEGORIES
from ftfy.chardata import CHARMAP_ENCODINGS
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.text.clean import _AROUND, _HARMLESS, _SUSPECT, CONFIG, is_blank, repair

DATA = Path(__file__).parents[2] / "shared" / "data"

# Characters that ftfy's rules speak of, beside ordinary ones, so that its sequences come up often.
_SPECIAL = (
    "".join(
        chr(code) for code in [*range(0x20, 0x180), *range(0x391, 0x3CF), *range(0x401, 0x460), *range(0x2013, 0x2040)]
    )
    + "\t\n\r\x00\x1b[mŸŠ€™√≈‚∂††Ä°×²³ØÙ╔█│─  ￼﻿́̀अत中文한ｆＡﬁ\ud800\udc00"
)
_MOJIBAKE = [
    "schÃ¶n",
    "â€œquotedâ€\x9d",
    "Ã ",
    "\nÂ x",
    "вЂ”",
    "l’été",
    "“déjà vu”",
    "naïve café",
    "œuf",
    "cœur »",
    "e\u0301",
    "à la",
]


# Correct text; read as another encoding than UTF-8, it becomes every kind of damage.
_CORRECT = """\
déjà vu, l’été
“quoted” – and — more…
naïve café, «mot»
à la carte
œuf, cœur
¿Qué? ¡Sí! 10 €, £5
schön, Straße
příliš žluťoučký kůň
zażółć gęślą jaźń
Việt Nam, tiếng Đức
İstanbul’da çağrı
Ærø, å
Привет, «мир»
Ελληνικά, άλφα
שלום
السلام عليكم
हिन्दी, क़लम
தமிழ்
ไทย
中文，好
日本語、です。
한국어
x² ± ½ µm, ≤ ≠ √2
™ ® © §
😀 ❤️
e\u0301te\u0301
─┐│
\u00a0«\u00a0x\u00a0»
°C ﬁn""".splitlines()
_EVERY = "".join(map(chr, range(0x10000))) + "😀𝒥"
_damaged = st.builds(
    lambda text, encodings, start, length: damaged(text, encodings)[start : start + length],
    st.sampled_from(_CORRECT),
    st.lists(st.sampled_from(CHARMAP_ENCODINGS), max_size=2),
    st.integers(0, 6),
    st.integers(1, 12),
)
_plain = st.sampled_from([*"aZ5 .\n\t", "the word", ", and ", "a\nb", "x\r\ny", "\n\n", "k" * 20])
# One character of a category: a run of them is a row of categories, each as likely as the next.
_member = st.one_of([st.sampled_from(re.findall(f"[{members}]", _EVERY)) for members in MOJIBAKE_CATEGORIES.values()])


def damaged(text: str, encodings: list[str]) -> str:
    for encoding in encodings:
        text = text.encode().decode(encoding, "replace")
    return text


@given(st.lists(st.one_of(st.text(_SPECIAL, max_size=8), st.sampled_from(_MOJIBAKE), st.text(max_size=5)), max_size=8))
@settings(max_examples=1000, deadline=None)
def test_equals_ftfy(parts: list[str]) -> None:
    text = "".join(parts)
    assert repair(text) == ftfy.fix_text(text, CONFIG)


@given(st.lists(st.one_of(_damaged, _plain, _member), max_size=12))
@settings(max_examples=2000, deadline=None)
def test_equals_ftfy_on_damage_in_plain_text(parts: list[str]) -> None:
    text = "".join(parts)
    assert repair(text) == ftfy.fix_text(text, CONFIG)


def alternatives() -> Iterator[list[str]]:
    """ftfy's expression for suspicious sequences: of each alternative, the expressions of its single characters."""
    for alternative in re.sub("#.*", "", BADNESS_RE.pattern).split("|"):
        items = re.findall(r"\[[^\]]*\]|\\.\??|\S", alternative)
        assert "".join("".join(items).split()) == "".join(alternative.split()), "more than a row of characters"
        yield items


def all_are_suspects(items: list[str]) -> bool:
    members = [re.findall(item, _EVERY) for item in items]
    return all(_SUSPECT.search("".join(characters)) for characters in itertools.product(*members))


def test_every_sequence_of_ftfy_has_a_suspect_in_it() -> None:
    """By trying all: the proof that passing over text without suspects is exact."""
    for items in alternatives():
        neighbours = [list(pair) for pair in itertools.pairwise(items) if "^" not in pair and r"\s?" not in pair]
        assert any(map(all_are_suspects, neighbours or [items])), items
        assert len(items) <= _AROUND + 1, items


def test_harmless_characters_stay_between_any_two_ascii_characters() -> None:
    printable = "".join(map(chr, range(0x20, 0x7F)))
    for character in sorted(_HARMLESS):
        text = character.decode().join(printable)
        assert ftfy.fix_text(text, CONFIG) == text, repr(text)


def test_equals_ftfy_for_each_pair_of_risky_characters() -> None:
    risky = sorted(
        {c for name in ("bad", "currency", "law", "numeric", "box") for c in MOJIBAKE_CATEGORIES[name]}
        | set("ÂÃàéЂŒœ’“")
    )
    others = [*"aA1 .,\n", *risky]
    for first in risky:
        for second in others:
            for text in (first + second, "x " + second + first + "y"):
                assert repair(text) == ftfy.fix_text(text, CONFIG), repr(text)


def test_the_classes_that_the_short_way_relies_on_hold_no_ascii() -> None:
    for name, characters in MOJIBAKE_CATEGORIES.items():
        pattern = re.compile(f"[{characters}]")
        assert not [chr(code) for code in range(128) if pattern.match(chr(code))], name


@pytest.mark.parametrize("site", ["french-meta", "conlang-meta", "genai"])
def test_equals_ftfy_on_real_posts(site: str) -> None:
    dump = DATA / "forums" / "stackexchange" / site / "Posts.xml"
    if not dump.exists():
        pytest.skip("needs the real data in ../shared/data")
    for row in ElementTree.parse(dump).getroot():
        body = row.get("Body") or ""
        assert repair(body) == ftfy.fix_text(body, CONFIG)


def test_equals_ftfy_in_every_language() -> None:
    folder = DATA / "lid" / "flores-part-A"
    if not folder.exists():
        pytest.skip("needs the real data in ../shared/data")
    for path in sorted(folder.iterdir()):
        text = "\n".join(path.read_text(encoding="utf-8").splitlines()[:40])
        assert repair(text) == ftfy.fix_text(text, CONFIG), path.name


@pytest.mark.parametrize(
    ("damaged", "mended"),
    [
        ("schÃ¶n", "schön"),
        ("fine\nschÃ¶n\nfine", "fine\nschön\nfine"),
        ("e\u0301te\u0301", "été"),
        ("a\r\nb", "a\nb"),
        ("bell\x07", "bell"),
    ],
)
def test_mends_damage(damaged: str, mended: str) -> None:
    assert repair(damaged) == mended


@pytest.mark.parametrize(
    "text", ["“curly” ‘quotes’", "ＦＵＬＬ　ｗｉｄｔｈ", "ﬁ ligature", "&lt;p&gt; &amp;", "日本語、です。", "«mot»"]
)
def test_leaves_style_alone(text: str) -> None:
    assert repair(text) == text


@pytest.mark.parametrize(
    "text",
    ["", " \n\t", "\u200b", "\u00a0\u2003\u3000", "\ufeff\u200d\u2060", "\u3164", "\u2800\u2800", "\u00ad\u034f"],
)
def test_what_nobody_can_see_is_blank(text: str) -> None:
    assert is_blank(text)
    assert not is_blank(f"{text}a{text}")


@pytest.mark.parametrize("text", ["a", "।", "👍", "́", "$", "\u200b.", "中", "\ufffd"])
def test_what_shows_is_not(text: str) -> None:
    assert not is_blank(text)
