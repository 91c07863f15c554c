"""Shingles and MinHash: equal to datasketch's values, and to the theory on planted similarities."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.dedup.compared import compared
from transforms.dedup.minhash import band_digests, signatures
from transforms.dedup.shingles import Shingles, shingles
from transforms.dedup.spec import MinHashSpec

FLORES = Path(__file__).parents[2] / "shared" / "data" / "lid" / "flores-part-A"
SPEC = MinHashSpec(ngram=5)


def of_hashes(hashes: np.ndarray) -> Shingles:
    """The shingles of one text, given as hashes."""
    return Shingles(
        hashes.astype(np.uint32), np.array([0, len(hashes)]), np.zeros(1, np.uint64), np.zeros(1, dtype=np.bool_)
    )


def datasketch_signature(hashes: np.ndarray, spec: MinHashSpec) -> list[int]:
    sketch = MinHash(num_perm=spec.num_perm, seed=spec.seed, hashfunc=lambda data: int.from_bytes(data, "big"))
    for value in hashes.tolist():
        sketch.update(value.to_bytes(4, "big"))
    return [int(value) for value in sketch.hashvalues]


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50), st.integers(0, 3), st.sampled_from([(14, 8), (3, 2), (1, 1)]))
@settings(max_examples=60, deadline=None)
def test_signatures_equal_datasketch(values: list[int], seed: int, shape: tuple[int, int]) -> None:
    spec = MinHashSpec(bands=shape[0], rows=shape[1], seed=seed)
    hashes = np.array(values, dtype=np.uint32)
    assert signatures(of_hashes(hashes), spec)[0].tolist() == datasketch_signature(hashes, spec)


def test_signatures_of_real_text_equal_datasketch_in_any_batch() -> None:
    if not FLORES.exists():
        pytest.skip("the shared FLORES sentences are not here")
    texts = [line for path in sorted(FLORES.glob("*.txt")) for line in path.read_text("utf-8").splitlines()[:3]]
    texts[5:5] = ["", "short", " ", "mid " * 30_000]
    together = shingles(compared(texts), SPEC.ngram)
    minima = signatures(together, SPEC)
    assert len(minima) == len(texts) == len(together.counts)
    for index in range(0, len(texts), 7):
        hashes = together.hashes[together.starts[index] : together.starts[index + 1]]
        assert minima[index].tolist() == datasketch_signature(hashes, SPEC)
        alone = shingles(compared(texts[index : index + 1]), SPEC.ngram)
        assert alone.hashes.tolist() == hashes.tolist()
        assert signatures(alone, SPEC)[0].tolist() == minima[index].tolist()


WORDS = st.text(st.sampled_from("abÄßé_9+# .,!\n\u0300ก็ข中文字ひ　"), max_size=60)

UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff]")


def plain_tokens(text: str) -> list[str]:
    """Tokens of prose character by character, the slow way: a letter joins a letter or mark before it, a mark joins
    anything but a gap, a symbol stands alone."""
    clean = unicodedata.normalize("NFC", text).casefold()
    tokens: list[str] = []
    before = "outside"
    for place, character in enumerate(clean):
        unspaced = bool(UNSPACED.match(character))
        behind = clean[place + 1 : place + 2]
        if unicodedata.category(character)[0] == "M":
            here = "unspaced mark" if unspaced else "mark"
        elif character.isalnum():
            here = "unspaced" if unspaced else "letter"
        elif character in "_+#" or (character == "!" and is_operator(clean[:place], behind, before)):
            here = "symbol"
        else:
            here = "outside"
        joins = (here == "letter" and before in ("letter", "mark")) or ("mark" in here and before != "outside")
        if joins:
            tokens[-1] += character
        elif here != "outside":
            tokens.append(character)
        before = here
    return tokens


def is_operator(text: str, behind: str, before: str) -> bool:
    """Whether a `!` is one: after a digit, or before a word and not behind one."""
    is_word = behind.isalnum() and not UNSPACED.match(behind)
    return text.endswith("9") or (is_word and before not in ("letter", "mark"))


@given(WORDS, WORDS)
@settings(max_examples=300, deadline=None)
def test_shingle_sets_are_those_of_the_tokens(first: str, second: str) -> None:
    """Equal n-grams of tokens have equal hashes, others have not: compared through the sizes of sets."""
    both = shingles(compared([first, second]), 2)
    hashed = [set(both.hashes[both.starts[i] : both.starts[i + 1]].tolist()) for i in range(2)]
    grams = [set(pairwise(tokens)) for tokens in map(plain_tokens, (first, second))]
    if both.whole.any() or not all(grams):
        assert (len(plain_tokens(first)) < 2) == (bool(both.whole[0]) or not first.strip())
        return
    assert [len(found) for found in hashed] == [len(found) for found in grams]
    assert len(hashed[0] & hashed[1]) == len(grams[0] & grams[1])


def digests_of(texts: list[str], spec: MinHashSpec = SPEC) -> list[set[int]]:
    hashed = shingles(compared(texts), spec.ngram)
    digests, owners = band_digests(signatures(hashed, spec), hashed, spec)
    found: list[set[int]] = [set() for _ in texts]
    for digest, owner in zip(digests.tolist(), owners.tolist(), strict=True):
        found[owner].add(digest)
    return found


def test_short_texts_meet_their_equals_only() -> None:
    equal = ["Thanks!", "thanks!", " Thanks.\n", "Thanks"]
    others = ["C++", "C#", "C", "👍", "👍👍", "谢谢", "-5", "5", "5!"]
    found = digests_of([*equal, *others, "", "  \n", "> Thanks!"])
    assert found[0] == found[1] == found[2] == found[3]
    assert [len(digests) for digests in found] == [1] * 13 + [0, 0, 0]
    assert len(set.union(*found)) == 10


def test_long_texts_have_a_digest_per_band_and_equal_bands_differ() -> None:
    found = digests_of(["one two three four five six", "ONE two three\nfour, five six!", "six five four three two one"])
    assert len(found[0]) == SPEC.bands
    assert found[0] == found[1]
    assert not found[0] & found[2]
    repeated = digests_of(["a a a a a a a a"])  # one shingle: every minimum is of the same value
    assert len(repeated[0]) == SPEC.bands


def test_equal_minima_in_different_bands_are_no_match() -> None:
    minima = np.full((1, SPEC.num_perm), 7, dtype=np.uint32)
    digests, _ = band_digests(minima, of_hashes(np.array([1])), SPEC)
    assert len(set(digests.tolist())) == SPEC.bands


def test_unspaced_scripts_are_cut_into_characters() -> None:
    chinese = "如何在啤酒酿造过程中控制发酵温度以获得更好的风味"
    edited = chinese.replace("控制", "掌握")
    hashed = shingles(compared([chinese, edited]), 5)
    sets = [set(hashed.hashes[hashed.starts[i] : hashed.starts[i + 1]].tolist()) for i in range(2)]
    assert hashed.counts.tolist() == [len(chinese) - 4, len(chinese) - 4]
    assert len(sets[0] & sets[1]) == len(chinese) - 4 - 6  # six windows of five see one of two characters


@pytest.mark.parametrize(
    "letters",
    [
        "กขคงจฉชซ",
        "ກຂຄງຈຊຍດ",
        "ཀཁགངཅཆཇཉ",
        "ကခဂဃငစဆဇ",
        "កខគឃងចឆជ",
        "あいうえおかきく",
        "アイウエオカキク",
        "中文字符没有空格",
    ],
)
def test_a_letter_is_a_token_in_every_script_without_spaces(letters: str) -> None:
    assert shingles(compared([letters]), 5).counts.tolist() == [len(letters) - 4]
    assert not shingles(compared([letters]), 5).whole.any()


def test_p_candidate_is_the_published_curve() -> None:
    assert [round(SPEC.p_candidate(s / 10), 3) for s in (5, 6, 7, 8, 9)] == [0.053, 0.211, 0.565, 0.924, 1.0]


@pytest.mark.parametrize("shared_of_100", [50, 60, 70, 80, 90])
def test_candidates_come_as_often_as_theory_says(shared_of_100: int) -> None:
    """4,000 pairs of sets of planted similarity; the share that meets lies within five standard errors."""
    pairs, spec = 4_000, MinHashSpec()
    random = np.random.default_rng(shared_of_100)
    union = random.integers(0, 2**32, (pairs, 100), dtype=np.uint32)
    own = (100 - shared_of_100) // 2
    first = union[:, : 100 - own]
    second = np.concatenate([union[:, :shared_of_100], union[:, 100 - own :]], axis=1)
    rows = np.stack([first, second], axis=1).reshape(2 * pairs, -1)
    starts = np.arange(2 * pairs + 1) * rows.shape[1]
    texts = Shingles(rows.reshape(-1), starts, np.zeros(2 * pairs, np.uint64), np.zeros(2 * pairs, dtype=np.bool_))
    digests, owners = band_digests(signatures(texts, spec), texts, spec)
    banded = digests[np.argsort(owners, kind="stable")].reshape(pairs, 2, spec.bands)
    met = float((banded[:, 0] == banded[:, 1]).any(axis=1).mean())
    expected = spec.p_candidate(shared_of_100 / 100)
    assert abs(met - expected) < 5 * (expected * (1 - expected) / pairs) ** 0.5 + 1e-3


@pytest.mark.parametrize("wrong", [{"ngram": 0}, {"bands": 0}, {"rows": 1.5}, {"seed": -1}, {"bands": True}])
def test_a_wrong_setting_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MinHashSpec(**wrong)  # type: ignore[arg-type]
