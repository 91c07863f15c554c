"""The made-up forum: threads, their scores and times. No XML here.

What is planted in it on purpose (sample_plants.py) is recorded in the truth: tests look for it in the finished files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sample_plants import person, plant
from sample_posts import Comment, Post
from sample_text import (
    LEVELS,
    Dice,
    Language,
    Subject,
    Text,
    bare,
    compose_answer,
    compose_question,
    make_subject,
    sentence,
    shingles,
)

NUM_THREADS = 2000
ENGLISH_PERCENT = 25
MOST_ALIKE = 0.4  # Jaccard similarity of word 5-grams that two composed posts may have at most
FIRST_DAY = datetime(2016, 1, 4)
NUM_DAYS = 2870  # to November 2023
ANSWERS = (1,) * 19 + (2,) * 38 + (3,) * 29 + (4,) * 9 + (5,) * 3 + (6,) * 2  # of a thread
SPREADS = (4, 4, 5, 5, 5, 5, 6, 6, 7, 7, 8, 10, 24)  # points between a useless and a useful answer of a thread


class TooAlikeError(Exception):
    """No text was found that differs enough from the others: the core needs more fragments."""


class Unlike:
    """The posts so far: refuses a text too similar to one of them."""

    def __init__(self) -> None:
        self._holders: dict[str, list[int]] = defaultdict(list)
        self._sizes: list[int] = []

    def admit(self, text: str) -> bool:
        """Whether the text is unlike all others; it is remembered then."""
        found = shingles(text)
        shared = Counter(holder for shingle in found for holder in self._holders.get(shingle, ()))
        for holder, common in shared.items():
            if common > MOST_ALIKE * (len(found) + self._sizes[holder] - common):
                return False
        for shingle in found:
            self._holders[shingle].append(len(self._sizes))
        self._sizes.append(len(found))
        return True


class Forum:
    """All posts of the forum, in the order of time."""

    def __init__(self, languages: list[Language], seed: str) -> None:
        self._seed = seed
        self._languages = {language.code: language for language in languages}
        self._unlike = Unlike()
        self.threads: list[list[Post]] = []
        for number, code in enumerate(self._plan()):
            self.threads.append(self._thread(number, self._languages[code]))
        self.pairs_planted = plant(self.threads, Dice(seed, "plant"))
        self.posts = sorted((p for thread in self.threads for p in thread), key=lambda p: (p.created, p.kind, p.body))
        for number, post in enumerate(self.posts, start=1):
            post.id = number
        for post in self.posts:
            post.parent_id = post.parent.id if post.parent else None

    def _plan(self) -> list[str]:
        """The language of each thread."""
        others = sorted(set(self._languages) - {"eng_Latn"})
        num_english = NUM_THREADS * ENGLISH_PERCENT // 100
        codes = ["eng_Latn"] * num_english + [others[n % len(others)] for n in range(NUM_THREADS - num_english)]
        return Dice(self._seed, "plan").shuffled(codes)

    def _thread(self, number: int, language: Language) -> list[Post]:
        key = (self._seed, "thread", number)
        subject, asked = self._question(language, key)
        dice = Dice(*key, "facts")
        question = Post(1, asked.body, _moment(dice), title=asked.title, code_language=language.code)
        question.tags = (subject.topic, language.code[:3]) if dice.chance(80) else (subject.topic,)
        question.owner = person(dice)
        question.score = max(-2, dice.below(4) + dice.below(4) - 2)
        levels = _levels(dice.pick(ANSWERS), dice)
        answers = []
        for place, level in enumerate(levels):
            compose = partial(compose_answer, language, subject, level)
            text = self._distinct(compose, (*key, "answer", place))
            when = question.created + timedelta(minutes=7 + dice.below(60 * 24 * (1 if dice.chance(60) else 40)))
            answer = Post(2, text.body, when, question, quality=text.quality, code_language=language.code)
            answer.created += timedelta(seconds=dice.below(60), milliseconds=10 * dice.below(100))
            answer.owner = person(dice)
            answers.append(answer)
        _judge(question, answers, dice)
        return [question, *answers]

    def _question(self, language: Language, key: tuple[object, ...]) -> tuple[Subject, Text]:
        for attempt in range(200):
            dice = Dice(*key, "question", attempt)
            subject = make_subject(language, dice)
            text = compose_question(language, subject, dice)
            if self._unlike.admit(f"{text.title} {text.body}"):
                return subject, text
        raise TooAlikeError(f"core/{language.code}.txt has too few fragments for questions: add some")

    def _distinct(self, compose: Callable[[float, Dice], Text], key: tuple[object, ...]) -> Text:
        for attempt in range(200):
            text = compose(1.0 if attempt < 10 else 1.5, Dice(*key, attempt))
            if self._unlike.admit(text.body):
                return text
        raise TooAlikeError(f"no further {key} unlike the others: add fragments to the core")

    def comments(self, number: int) -> list[Comment]:
        """At most so many new comments, in the order of time; unlike all posts and each other."""
        found = []
        for place in range(number):
            for attempt in range(400):
                dice = Dice(self._seed, "comment", place, attempt)
                post = dice.pick(self.posts)
                language = self._languages[post.code_language or "eng_Latn"]
                subject = make_subject(language, dice)
                kinds = dice.pick((("neutral",), ("neutral", "ask"), ("ask", "tried"), ("tried", "neutral")))
                lines = [sentence(dice.pick(language.sections[kind]), language, subject, dice) for kind in kinds]
                text = bare(" ".join(lines))
                if self._unlike.admit(text):
                    when = post.created + timedelta(minutes=3 + dice.below(9000), milliseconds=10 * dice.below(100))
                    user = None if dice.chance(4) else person(dice)
                    found.append(Comment(post, text, when, user, dice.below(3) * dice.below(2)))
                    break
        return sorted(found, key=lambda comment: (comment.created, comment.text))

    def truth(self) -> dict[str, object]:
        """What is planted, by post id. Pairs are [original, copy]."""
        answers = [post for post in self.posts if post.kind == 2]
        questions = [post for post in self.posts if post.kind == 1]
        accepted = [post.accepted for post in self.posts if post.accepted]
        best = {id(t[0]): max(post.score for post in t[1:]) for t in self.threads}
        marked = {
            name: [post.id for post in self.posts if name in post.marks]
            for name in ("control_text", "mojibake", "planted_tie")
        }
        return {
            **{name: sorted([a.id, b.id] for a, b in pairs) for name, pairs in self.pairs_planted.items()},
            **marked,
            "accepted_not_top": [post.id for post in accepted if post.score < best[id(post.parent)]],
            "code": [post.id for post in self.posts if "<pre" in post.body],
            "deleted_authors": [post.id for post in self.posts if post.owner is None],
            "negative": [post.id for post in answers if post.score < 0],
            "language": {code: [q.id for q in questions if q.code_language == code] for code in self._languages},
        }


def _moment(dice: Dice) -> datetime:
    day = FIRST_DAY + timedelta(days=dice.below(NUM_DAYS))
    return day + timedelta(seconds=dice.below(86400), milliseconds=10 * dice.below(100))


def _levels(number: int, dice: Dice) -> list[int]:
    """How useful the answers of a thread are: two answers mostly differ by two levels or more, so that one can tell."""
    while True:
        levels = (dice.shuffled(range(LEVELS)) + dice.shuffled(range(LEVELS)))[:number]
        if number != 2 or abs(levels[0] - levels[1]) >= 2 or dice.chance(20):
            return levels


def _judge(question: Post, answers: list[Post], dice: Dice) -> None:
    """Scores follow usefulness, with noise; now and then the crowd, or the asker, is wrong."""
    spread = dice.pick(SPREADS)
    for answer in answers:
        worth = answer.quality if not dice.chance(5) else dice.below(101) / 100
        points = spread * (worth - 0.2) + dice.bell() * (0.5 + spread / 13)
        answer.score = max(-4, min(27, round(points)))
        answer.downs = max(0, -answer.score) + (dice.below(2) if abs(answer.score) > 3 else 0)
    if dice.chance(45):
        best = max(answers, key=lambda answer: answer.score)
        question.accepted = best if dice.chance(82) else dice.pick(answers)
