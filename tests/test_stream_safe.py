"""Stream-safe text: runs of marks are bounded, all other text stays, and no normal form undoes it."""

from __future__ import annotations

import sys
import unicodedata
from itertools import groupby

import ftfy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.ingest.removal import parse
from transforms.text.clean import CONFIG, repair
from transforms.text.stream_safe import _JOINER, _MAYBE, stream_safe

_MOST = 30  # as UAX #15 says
MARKS = "\u0301\u0323\u0344\u0f73\u0f75\u0f81\uff9e\u0345\U0001d165\U0001e94a"
_marks = st.text(MARKS, max_size=40)
_texts = st.lists(st.one_of(_marks, st.sampled_from([*"ae가\u1f82\u0390😀𝒥\n", _JOINER])), max_size=6).map("".join)


def longest_run(text: str) -> int:
    """Of characters that are no starters, once the text is decomposed: as UAX #15 defines what is stream-safe."""
    kinds = [unicodedata.combining(character) > 0 for character in unicodedata.normalize("NFKD", text)]
    return max((len(list(run)) for is_mark, run in groupby(kinds) if is_mark), default=0)


@given(_texts)
def test_runs_are_bounded_and_nothing_but_joiners_is_added(text: str) -> None:
    safe = stream_safe(text)
    assert longest_run(safe) <= _MOST
    assert safe.replace(_JOINER, "") == text.replace(_JOINER, "")
    assert (safe == text) is (longest_run(text) <= _MOST)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@given(text=_texts)
def test_what_is_safe_stays_so_in_each_normal_form(form: str, text: str) -> None:
    normal = unicodedata.normalize(form, stream_safe(text))
    assert stream_safe(normal) == normal


@pytest.mark.parametrize("before", ["", "e", "\u1f82"])
@pytest.mark.parametrize("mark", ["\u0301", "\u0344"])
def test_the_longest_that_stays_and_the_shortest_that_is_cut(mark: str, before: str) -> None:
    each, brought = longest_run(mark), longest_run(before)
    stays = before + mark * ((_MOST - brought) // each)
    for shift in range(7):  # wherever in the text it begins
        assert stream_safe("x" * shift + stays) == "x" * shift + stays
        assert stream_safe("x" * shift + stays + mark) == "x" * shift + stays + _JOINER + mark


def test_every_mark_is_known() -> None:
    for code in range(sys.maxunicode + 1):
        parts = unicodedata.normalize("NFKD", chr(code))
        first = unicodedata.combining(parts[0])
        assert not first or all(map(unicodedata.combining, parts)), f"U+{code:04X} begins with a mark and goes on"
        if first:
            assert stream_safe(chr(code) * (_MOST + 1)) != chr(code) * (_MOST + 1), f"U+{code:04X} {_MAYBE!r}"


@pytest.mark.parametrize("between", ["", "\0", "\x1b[m", "\r\n"])
def test_repair_bounds_what_its_own_fixes_join(between: str) -> None:
    text = ("\u0301\u0323" * 14 + between) * 3
    assert longest_run(repair(text)) <= _MOST
    assert repair(repair(text)) == repair(text)


@pytest.mark.parametrize("damaged", ["Ì\x81Ì£", "I\u0300\x81I\u0300\xa3"])
def test_repair_bounds_what_is_decoded_to_marks(damaged: str) -> None:
    assert set(ftfy.fix_text(damaged * 20, CONFIG)) == {"\u0301", "\u0323"}
    assert longest_run(repair(damaged * 20)) <= _MOST


def test_other_normal_forms_are_bounded_too() -> None:
    run = "\u0301\u0323" * 50
    removed = parse([f"author:a{run}"])
    assert removed.author("x", f"A{stream_safe(run)}") is not None
    assert removed.author("x", f"a{run}") is not None
