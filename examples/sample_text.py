"""Authored fragments to posts: reads `core/*.txt`, fills their slots and composes questions and answers.

Notation of a fragment: `{5-9}` a number from 5 to 9, `{20-60/10}` in steps of 10, `[a|b]` one of them, `{m}` a made-up
model, `{t}` the topic, `{s}` the symptom and `{c}` its cause; `@csv` at the end adds that code block of CODE. The n-th
cause explains the n-th symptom of its topic.
Standard library only. All chance comes from Dice, a keyed hash: the same on every machine and Python version.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
OF_QUESTIONS = ("title", "intro", "tried", "ask", "neutral")
GOOD = ("frame", "check", "close")
BAD = ("dismiss", "vague", "metoo", "offtopic", "wrong")  # `wrong` has one section a topic
OF_TOPIC = ("name", "symptom", "cause", "step", "wrong")
LEVELS = 5  # an answer of level n has about n/4 useful sentences
LENGTHS = (1.2, 1.6, 1.9, 2.2, 2.6, 3.0, 3.5, 4.2)  # of an answer, in sentences of its language
# Useless sentences are shorter. An answer aims at this much more length a level below 2, so that length tells nothing.
SHORTFALL = 0.065
MAKES = ("Vellox", "Brumtal", "Okarin", "Tessavio", "Quorpa", "Lundomir", "Zephanto", "Mirqua", "Pallibo", "Drovask",
         "Ennuvia", "Fostrel", "Gantimo", "Hyprolo", "Jastora", "Kelumbi")  # fmt: skip
CODE = {
    "encoding": 'with open("{w}.txt", encoding="{e}") as {w}:\n    print({w}.buffer.read({n}))',
    "csv": 'with open("{w}.csv", newline="") as {w}:\n    print(len(list(csv.DictReader({w}))) < {n})',
    "loop": "{w} = path.read_text()\nprint(timeit(lambda: count({w}), number={n}))",
    "cents": 'cents = sum(round(100 * {w}) for {w} in amounts)\nprint(f"{cents / 100:.2f} & {n}")',
    "ignore": "try:\n    {w}()\nexcept:\n    for _ in range({n}): pass",
}
WORDS = ("prices", "orders", "rows", "notes", "plants", "members", "songs", "trips", "letters", "meters")
SPACELESS = {"zho_Hans", "jpn_Jpan", "tha_Thai"}
STOPS = {"zho_Hans": "。", "jpn_Jpan": "。", "hin_Deva": "।", "ben_Beng": "।", "tha_Thai": ""}
_SLOT = re.compile(r"\{(\d+)-(\d+)(?:/(\d+))?\}|\{([mtsc])\}|\[([^\]|]*(?:\|[^\]|]*)+)\]")
_TOKEN = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]|[^\W\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]+")


class Dice:
    """A stream of chance, wholly determined by its key."""

    def __init__(self, *key: object) -> None:
        self._key = "/".join(str(part) for part in key)
        self._rolls = 0

    def below(self, limit: int) -> int:
        """A whole number in [0, limit)."""
        self._rolls += 1
        digest = blake2b(f"{self._key}#{self._rolls}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % limit

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def pick(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in items]

    def bell(self) -> float:
        """About normal, mean 0, standard deviation 1; a sum of whole numbers, so exact everywhere."""
        return (sum(self.below(1001) for _ in range(12)) - 6000) / 1000


@dataclass(frozen=True)
class Language:
    """The fragments of one language: {section: fragments}; sections of a topic are `topic.section`."""

    code: str
    sections: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        wanted = {*OF_QUESTIONS, *GOOD, *BAD[:-1]} | {f"{topic}.{name}" for topic in self.topics for name in OF_TOPIC}
        if wrong := sorted(wanted ^ set(self.sections)):
            raise ValueError(f"core/{self.code}.txt: sections missing or unknown: {wrong}")
        for topic in self.topics:
            if len(self.sections[f"{topic}.symptom"]) != len(self.sections[f"{topic}.cause"]):
                raise ValueError(f"core/{self.code}.txt: {topic} needs one cause for each symptom")

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(name.split(".")[0] for name in self.sections if name.endswith(".name"))

    @property
    def sentence_chars(self) -> int:
        """Mean length of the sentences that answers are made of."""
        lengths = [
            len(line)
            for name, lines in self.sections.items()
            if name.split(".")[-1] in ("check", "step", *BAD)
            for line in lines
        ]
        return sum(lengths) // len(lengths)


@dataclass(frozen=True)
class Subject:
    """What one thread is about."""

    topic: str
    number: int  # of the symptom, and of the cause that explains it
    symptom: str
    cause: str
    model: str


@dataclass(frozen=True)
class Text:
    """A composed post: its HTML, and how much of it is useful (0 to 1; answers only)."""

    body: str
    quality: float = 0.0
    title: str | None = None


def read_core(folder: Path) -> list[Language]:
    """Every language of the core, by code. Raises ValueError for a file that lacks a section."""
    return [_read_language(path) for path in sorted(folder.glob("*.txt"))]


def _read_language(path: Path) -> Language:
    sections: dict[str, list[str]] = {}
    name = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("[") and line.endswith("]") and "|" not in line:
            name = line[1:-1]
            sections[name] = []
        elif line and not line.startswith("#"):
            sections[name].append(line)
    return Language(path.stem, {name: tuple(lines) for name, lines in sections.items()})


def make_subject(language: Language, dice: Dice) -> Subject:
    topic = dice.pick(language.topics)
    symptoms = language.sections[f"{topic}.symptom"]
    number = dice.below(len(symptoms))
    model = f"{dice.pick(MAKES)} {dice.pick('ABCDEGHKLMRST')}{5 * (2 + dice.below(18))}"
    subject = Subject(topic, number, "", "", model)
    symptom = fill(symptoms[number], language, subject, dice)
    cause = fill(language.sections[f"{topic}.cause"][number], language, subject, dice)
    return replace(subject, symptom=symptom, cause=cause)


def fill(fragment: str, language: Language, subject: Subject, dice: Dice) -> str:
    """The fragment with its slots filled."""

    def value(slot: re.Match[str]) -> str:
        low, high, step, field, options = slot.groups()
        if low:
            width = int(step or 1)
            return str(int(low) + width * dice.below((int(high) - int(low)) // width + 1))
        if options:
            choices: list[str] = options.split("|")
            return dice.pick(choices)
        name = language.sections[f"{subject.topic}.name"][0]
        values = {"m": subject.model, "t": name, "s": subject.symptom, "c": subject.cause}
        return values[field]

    return _SLOT.sub(value, fragment)


def sentence(fragment: str, language: Language, subject: Subject, dice: Dice) -> str:
    """One filled sentence as HTML; its code block, if it has one, follows it."""
    text, _, code = fragment.partition(" @")
    filled = html.escape(capital(fill(text, language, subject, dice)), quote=False)
    filled = re.sub(r"http://[\w./]+\w", r'<a href="\g<0>" rel="nofollow noreferrer">\g<0></a>', filled)
    if not code:
        return filled
    listing = CODE[code].replace("{w}", dice.pick(WORDS)).replace("{n}", str(2 + dice.below(900)))
    listing = listing.replace("{e}", dice.pick(("utf-8", "cp1252", "latin-1", "utf-16", "shift_jis", "koi8-r")))
    return f'{filled}</p>\n\n<pre class="lang-py"><code>{html.escape(listing, quote=False)}\n</code></pre>\n\n<p>'


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def compose_question(language: Language, subject: Subject, dice: Dice) -> Text:
    """A question about the subject: circumstances, the symptom, what was tried, what is asked."""
    parts = language.sections
    stop = STOPS.get(language.code, ".")
    seen = capital(subject.symptom) + stop
    middle = [seen, *dice.shuffled(parts["tried"])[: 1 + dice.below(2)]]
    if dice.chance(75):
        middle.insert(dice.below(2), dice.pick(parts["intro"]))
    if dice.chance(25):
        middle.append(dice.pick(parts["neutral"]))
    lines = [*middle, *dice.shuffled(parts["ask"])[: 1 + dice.below(2)]]
    title = capital(fill(dice.pick(parts["title"]), language, subject, dice))
    return Text(_paragraphs([sentence(line, language, subject, dice) for line in lines], language, dice), title=title)


def compose_answer(language: Language, subject: Subject, level: int, longer: float, dice: Dice) -> Text:
    """An answer with about level / 4 of its sentences useful.

    How long it is does not depend on how useful it is: sentences are added until a drawn length (times `longer`) is
    met.
    """
    target = dice.pick(LENGTHS) * longer * language.sentence_chars * (1 + SHORTFALL * (2 - level))
    useful, useless = _useful(language, subject, dice), _useless(language, subject, dice)
    chosen: list[tuple[bool, str]] = []
    num_useful, length = 0, 0
    while useful and useless:
        wanted = level * (len(chosen) + 1) / (LEVELS - 1)
        good = dice.below(100) < 100 * (wanted - num_useful)
        line = sentence((useful if good else useless)[0], language, subject, dice)
        size = len(re.sub("<[^>]*>", "", line))
        if chosen and abs(length + size - target) >= abs(length - target):
            break
        (useful if good else useless).pop(0)
        chosen.append((good, line))
        num_useful += good
        length += size
    lines = _interleaved(chosen, dice)
    if dice.chance(20):
        aside = sentence(dice.pick(language.sections["neutral"]), language, subject, dice)
        lines.insert(dice.below(2) * len(lines), aside)
    return Text(_paragraphs(lines, language, dice), num_useful / len(chosen))


def _useful(language: Language, subject: Subject, dice: Dice) -> list[str]:
    """Useful fragments in the order of a good answer; the step that fits the symptom comes before the others."""
    parts = language.sections
    steps = list(parts[f"{subject.topic}.step"])
    first = steps.pop(min(subject.number, len(steps) - 1))
    steps = [first, *dice.shuffled(steps)]
    checks, closes = dice.shuffled(parts["check"]), dice.shuffled(parts["close"])
    opening = [dice.pick(parts["frame"])] if dice.chance(80) else []
    second = [steps[1], checks[0]] if dice.chance(50) else [checks[0], steps[1]]
    return [*opening, steps[0], *second, closes[0], steps[2], *checks[1:], *closes[1:]]


def _useless(language: Language, subject: Subject, dice: Dice) -> list[str]:
    """Useless fragments, at most two of a kind at the front; now and then a step that belongs to another topic."""
    parts = language.sections
    kinds = [dice.shuffled(parts[f"{subject.topic}.wrong" if kind == "wrong" else kind]) for kind in BAD]
    lines = dice.shuffled([line for kind in kinds for line in kind[:2]])
    others = [topic for topic in language.topics if topic != subject.topic]
    if dice.chance(15):
        lines.insert(dice.below(3), dice.pick(parts[f"{dice.pick(others)}.step"]))
    return lines + dice.shuffled([line for kind in kinds for line in kind[2:]])


def _interleaved(chosen: list[tuple[bool, str]], dice: Dice) -> list[str]:
    """Useful sentences in their order, useless ones anywhere among them."""
    lines = [line for good, line in chosen if good]
    for good, line in chosen:
        if not good:
            lines.insert(dice.below(len(lines) + 1), line)
    return lines


def _paragraphs(lines: list[str], language: Language, dice: Dice) -> str:
    gap = "" if language.code in SPACELESS and language.code != "tha_Thai" else " "
    cut = 1 + dice.below(len(lines))
    blocks = [gap.join(lines[:cut]), gap.join(lines[cut:])]
    if len(lines) >= 3 and dice.chance(12) and not any("<pre" in line for line in lines):
        items = "\n".join(f"<li>{line}</li>" for line in lines[1:])
        return f"<p>{lines[0]}</p>\n\n<ul>\n{items}\n</ul>\n"
    body = "\n\n".join(f"<p>{block}</p>" for block in blocks if block) + "\n"
    return re.sub(r"<p>\s*</p>\n*", "", body).replace("<p> ", "<p>")


def bare(markup: str) -> str:
    """The text of a post without its HTML."""
    return html.unescape(re.sub("<[^>]*>", "", markup))


def shingles(text: str) -> frozenset[str]:
    """Runs of five words of a post (characters in scripts without spaces); the whole text where it is shorter."""
    words = _TOKEN.findall(html.unescape(re.sub("<[^>]*>", " ", text)).casefold())
    return frozenset(" ".join(words[at : at + 5]) for at in range(max(1, len(words) - 4)))
