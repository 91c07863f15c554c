"""What a thread says of its short posts: those who answer each other mostly write one language.

A short post is weak evidence of its language; the posts around it are more. The languages of a thread are a mixture
whose shares are not known. A post's probability of a language is what its own words say, tempered since a model is too
sure of few words, times the share that the other posts of its thread give the language (collapsed variational Bayes,
its first-order form: Asuncion et al. 2009, "On smoothing and inference for topic models"):

    P(language | post) ∝ P(language | words) ** 0.5 * ((1 - EVEN) * (n + PSEUDO / K) / (N + PSEUDO) + EVEN / K)

n: the posts of the thread but this one, each counted by its probability of the language; N: all of them; K: the
languages of the table. Long posts that are sure count as they are and are not changed. EVEN is what keeps another
language in a thread of one. Sums are of a thread alone, in the order of its posts, and nothing but IEEE's exact
operations is used: which threads are looked at together, and where, changes no bit.

The constants are chosen by benchmarks/thread_languages.py on half of the languages and hold on the other half.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tokenizer.languages import LANGUAGES
from transforms.langid.labels import Guess

_PSEUDO = 1.0  # of a post, spread evenly over all languages
_EVEN = 0.2  # of a thread may be in any language
_ROUNDS = 4

_Floats = npt.NDArray[np.float64]


def by_thread(guesses: Sequence[Guess], threads: Sequence[int], is_open: Sequence[bool]) -> list[Guess]:
    """The guesses, with those of open posts seen in their threads.

    guesses: [N] of whole threads, each by itself. threads: [N] the number of each one's thread, from 0. is_open: [N]
    whether a post takes what its thread says; the others only give. A post whose thread says nothing stays as it is.
    """
    posts = np.repeat(np.arange(len(guesses)), [len(guess) for guess in guesses])
    entries = [entry for guess in guesses for entry in guess]
    number_of: dict[str, int] = {}
    languages = np.array([number_of.setdefault(code, len(number_of)) for code, _ in entries], np.int64)
    words = np.array([probability for _, probability in entries], np.float64)
    thread = np.asarray(threads, np.int64)[posts]
    takes = np.asarray(is_open, np.bool_)[posts]
    slots = np.unique(thread * len(number_of) + languages, return_inverse=True)[1].reshape(-1)

    tempered = np.sqrt(words)
    probabilities = np.where(takes, _shares(tempered, posts), words)
    for _ in range(_ROUNDS):
        others = np.maximum(np.bincount(slots, probabilities)[slots] - probabilities, 0.0)
        own = np.bincount(posts, probabilities)[posts]
        all_others = np.maximum(np.bincount(thread, probabilities)[thread] - own, 0.0)
        prior = (1 - _EVEN) * (others + _PSEUDO / len(LANGUAGES)) / (all_others + _PSEUDO) + _EVEN / len(LANGUAGES)
        probabilities = np.where(takes, _shares(tempered * prior, posts), probabilities)

    seen = list(guesses)
    if entries:
        has_others = _has_others(posts, thread)
        starts = np.searchsorted(posts, np.arange(len(guesses) + 1))
        values = probabilities.tolist()
        for post in np.unique(posts[takes & has_others]).tolist():
            start, end = starts[post], starts[post + 1]
            ranked = zip((code for code, _ in guesses[post]), values[start:end], strict=True)
            seen[post] = sorted(ranked, key=lambda item: (-item[1], item[0]))
    return seen


def _shares(values: _Floats, posts: npt.NDArray[np.int64]) -> _Floats:
    """The values of each post as shares of their sum."""
    shares: _Floats = values / np.bincount(posts, values)[posts]
    return shares


def _has_others(posts: npt.NDArray[np.int64], thread: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """[entries] whether another post of the thread has entries."""
    first = np.diff(posts, prepend=-1) > 0  # the first entry of each post that has any
    has: npt.NDArray[np.bool_] = np.bincount(thread, first)[thread] > 1
    return has
