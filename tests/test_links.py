"""Which texts that share a digest become candidates: those whose marks agree, whatever their order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest

from transforms.dedup.compared import Compared
from transforms.dedup.components import components
from transforms.dedup.links import differences, joined, linked, marks, most_different, num_words
from transforms.dedup.minhash import signatures
from transforms.dedup.shingles import shingles
from transforms.dedup.spec import MinHashSpec

SPECS = {"most": MinHashSpec(), "dense": MinHashSpec().of_dense_texts, "short": MinHashSpec(bands=3, rows=3)}


def marks_of(texts: Sequence[Sequence[int]], spec: MinHashSpec) -> np.ndarray:
    offsets = np.cumsum([0, *map(len, texts)])
    read = Compared(
        np.array([token for text in texts for token in text], np.uint64), offsets, np.ones(len(texts), np.uint64)
    )
    return marks(signatures(shingles(read, spec.ngram), spec), num_words(spec))


def twins(number: int, changed: float, seed: int) -> tuple[list[list[int]], list[list[int]]]:
    """Texts of 100 tokens, and others with a share of the tokens exchanged for new ones."""
    chance = random.Random(seed)
    texts = [[chance.getrandbits(63) for _ in range(100)] for _ in range(number)]
    others = [list(text) for text in texts]
    for other in others:
        for at in chance.sample(range(100), int(100 * changed)):
            other[at] = chance.getrandbits(63)
    return texts, others


@pytest.mark.parametrize("name", SPECS)
def test_texts_at_the_bound_are_not_missed(name: str) -> None:
    spec = SPECS[name]
    left, right = (marks_of(texts, spec) for texts in twins(4_000, 1 - spec.lcs, 1))
    assert (differences(left, right) > most_different(spec)).mean() <= 0.001


@pytest.mark.parametrize(("name", "changed"), [("most", 0.6), ("dense", 0.4)])
def test_texts_far_from_it_are_told(name: str, changed: float) -> None:
    """Of 100 tokens 40 are common, of runs of three a fifth: both are Jaccard similarities of about 0.2."""
    left, right = (marks_of(texts, SPECS[name]) for texts in twins(4_000, changed, 2))
    assert (differences(left, right) <= most_different(SPECS[name])).mean() <= (0.001 if name == "most" else 0.2)


def test_too_few_values_tell_nothing() -> None:
    assert most_different(MinHashSpec(bands=1, rows=2)) == 2


def test_differences_are_counted_one_by_one() -> None:
    chance = random.Random(3)
    minima = np.array([[chance.choice((5, 16 + 5, 9)) for _ in range(37)] for _ in range(200)], np.uint32)
    left, right = minima[:100], minima[100:]
    plain = ((left & 15) != (right & 15)).sum(axis=1)
    assert differences(marks(left, 3), marks(right, 3)).tolist() == plain.tolist()


def groups(chance: random.Random) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of six digests, of one to 60 texts each, of marks that are near to one of four or far from all."""
    centres = [[chance.randrange(16) for _ in range(48)] for _ in range(4)]
    digests, values = [], []
    for digest in range(6):
        for _ in range(chance.choice((1, 2, 5, 60))):
            value = list(chance.choice(centres)) if chance.random() < 0.8 else [chance.randrange(16) for _ in range(48)]
            for at in chance.sample(range(48), chance.randrange(6)):
                value[at] = chance.randrange(16)
            digests.append(digest)
            values.append(value)
    return np.array(digests, np.uint64), np.arange(len(digests)), marks(np.array(values, np.uint32), 3)


def component_of(digests: np.ndarray, nodes: np.ndarray, marked: np.ndarray, most: int) -> dict[int, int]:
    edges, first = joined(digests, nodes, marked)
    further = linked(digests[first], nodes[first], marked[first], np.full(int(first.sum()), most))
    found = components(np.concatenate([edges, further]))
    return dict(zip(*(some.tolist() for some in found), strict=True))


@pytest.mark.parametrize("seed", range(10))
def test_components_are_those_of_all_that_agree_in_any_order(seed: int) -> None:
    chance = random.Random(seed)
    digests, nodes, marked = groups(chance)
    found = component_of(digests, nodes, marked, 20)
    order = np.array(chance.sample(range(len(digests)), len(digests)))
    assert component_of(digests[order], nodes[order], marked[order], 20) == found
    every = [
        (left, right)
        for left in range(len(digests))
        for right in range(left)
        if digests[left] == digests[right] and differences(marked[[left]], marked[[right]])[0] <= 20
    ]
    whole = components(np.array(every, np.int64).reshape(-1, 2))
    assert found == dict(zip(*(some.tolist() for some in whole), strict=True))


def test_what_agrees_with_two_that_do_not_agree_joins_them() -> None:
    """Whichever comes first in order of marks."""
    ends = [[0] * 48, [0] * 24 + [9] * 24, [9] * 48]
    for values in itertools.permutations(ends):
        marked = marks(np.array(values, np.uint32), 3)
        assert set(component_of(np.zeros(3, np.uint64), np.arange(3), marked, 24).values()) == {0}
        assert component_of(np.zeros(3, np.uint64), np.arange(3), marked, 23) == {}
    shifted = [[3] * 24 + [0] * 24, [5] * 48, [3] * 24 + [5] * 24]  # the middle one agrees with both, the first leads
    marked = marks(np.array(shifted, np.uint32), 3)
    assert set(component_of(np.zeros(3, np.uint64), np.arange(3), marked, 24).values()) == {0}


def test_of_many_that_agree_with_none_the_others_are_joined_to_the_first() -> None:
    """All are compared, and memory and time do not grow with the square of them."""
    chance = random.Random(5)
    marked = marks(np.array([[chance.randrange(16) for _ in range(48)] for _ in range(500)], np.uint32), 3)
    digests, nodes = np.zeros(500, np.uint64), np.arange(500)
    edges = linked(digests, nodes, marked, np.zeros(500, np.int64))
    assert len(edges) == 500 - 32
    assert len(set(component_of(digests, nodes, marked, 0).values())) == 1
    few = linked(digests[:30], nodes[:30], marked[:30], np.zeros(30, np.int64))
    assert len(few) == 0


def test_a_digest_of_another_is_no_candidate() -> None:
    same = np.zeros((4, 1), np.uint64)
    assert component_of(np.array([1, 1, 2, 3], np.uint64), np.arange(4), same, 0) == {0: 0, 1: 0}
    assert component_of(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros((0, 1), np.uint64), 0) == {}
