"""Unicode repair: equal to ftfy, and it leaves alone what people meant."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import ftfy
import pytest
from ftfy.badness import MOJIBAKE_CATEGORIES
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.clean import CONFIG, repair

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


@given(st.lists(st.one_of(st.text(_SPECIAL, max_size=8), st.sampled_from(_MOJIBAKE), st.text(max_size=5)), max_size=8))
@settings(max_examples=2000, deadline=None)
def test_equals_ftfy(parts: list[str]) -> None:
    text = "".join(parts)
    assert repair(text) == ftfy.fix_text(text, CONFIG)


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
        if name not in ("kaomoji", "common"):
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
