"""What near-duplicates are, written out plainly: Python's sets and a table of subproblems. Shares no code with ours."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

# Words of spaced scripts; Han and Thai a letter at a time.
_TOKEN = re.compile(r"[\u4e00-\u9fff]|[\u0e00-\u0e7f]|[^\W\u4e00-\u9fff\u0e00-\u0e7f]+")

ENGLISH = """
the train leaves at nine and whoever comes late has to wait until the next one because nobody holds the doors open for
people who run down the stairs with coffee in one hand and a phone in the other so take your time and read the news of
the day while you sit on the long green bench beside the old clock that has been wrong since last winter
"""
FINNISH = """
juna lähtee yhdeksältä ja joka myöhästyy joutuu odottamaan seuraavaa koska kukaan ei pidä ovia auki niille jotka
juoksevat portaita alas kahvi toisessa kädessä ja puhelin toisessa joten ota aikasi ja lue päivän uutiset istuessasi
pitkällä vihreällä penkillä vanhan kellon vieressä joka on ollut väärässä viime talvesta asti eikä sitä korjata
"""
THAI = """
รถไฟออกเวลาเก้าโมงเช้าใครมาสายต้องรอขบวนถัดไปเพราะไม่มีใครเปิดประตูรอคนที่วิ่งลงบันไดมาพร้อมกาแฟในมือข้างหนึ่ง
"""
CHINESE = """
火车九点开，来晚的人只好等下一班，因为没有人会为那些一手拿着咖啡一手拿着手机从楼梯上跑下来的人开着门，
所以请慢慢来，坐在旧钟旁边的绿色长椅上看看今天的新闻吧
"""
LANGUAGES = {"english": ENGLISH, "finnish": FINNISH, "thai": THAI, "chinese": CHINESE}


def tokens_of(text: str) -> list[str]:
    """The tokens of a text, in small letters."""
    return _TOKEN.findall(text.lower())


def lcs_length(left: Sequence[object], right: Sequence[object]) -> int:
    """Of a longest common subsequence: the textbook's table, row by row."""
    row = [0] * (len(right) + 1)
    for item in left:
        before = row
        row = [0]
        for at, other in enumerate(right):
            row.append(before[at] + 1 if item == other else max(before[at + 1], row[at]))
    return row[-1]


def runs(tokens: Sequence[str], length: int) -> set[tuple[str, ...]]:
    """Every run of so many tokens."""
    return {tuple(tokens[at : at + length]) for at in range(len(tokens) - length + 1)}


def measures(removed: Sequence[str], kept: Sequence[str]) -> tuple[float, float, float]:
    """Jaccard similarity, LCS ratio, containment of the first text in the second; both have ten tokens or more."""
    shorter = min(len(removed), len(kept))
    length = 2 if shorter < 20 else 3 if shorter < 50 else 5
    mine, theirs = runs(removed, length), runs(kept, length)
    jaccard = len(mine & theirs) / len(mine | theirs)
    ratio = 2 * lcs_length(removed, kept) / (len(removed) + len(kept))
    fives = runs(removed, 5)
    return jaccard, ratio, len(fives & runs(kept, 5)) / len(fives)


def right_rule(removed: Sequence[str], kept: Sequence[str], bounds: tuple[float, float, float]) -> str | None:
    """The name of the first rule by which a text may go that is not equal to the other."""
    if min(len(removed), len(kept)) < 10:
        return None
    jaccard, ratio, contained = measures(removed, kept)
    if jaccard >= bounds[0]:
        return "jaccard"
    if ratio >= bounds[1]:
        return "lcs"
    return "contained" if contained >= bounds[2] and len(removed) <= len(kept) else None


Edit = Callable[[list[str], random.Random], list[str]]


def substituted(share: float) -> Edit:
    """This share of the tokens exchanged for new ones, spread by chance."""

    def edit(tokens: list[str], chance: random.Random) -> list[str]:
        places = set(chance.sample(range(len(tokens)), round(share * len(tokens))))
        return [f"new{chance.random()}" if at in places else token for at, token in enumerate(tokens)]

    return edit


def truncated(share: float) -> Edit:
    """The last part of this share cut off."""
    return lambda tokens, chance: tokens[: round(len(tokens) * (1 - share))]


def signed(number: int) -> Edit:
    """So many tokens of a signature below it."""
    return lambda tokens, chance: [*tokens, *(f"signature{at}" for at in range(number))]


EDITS: dict[str, Edit] = {
    "one word": lambda tokens, chance: substituted(1 / len(tokens))(tokens, chance),
    "a word in ten": substituted(0.1),
    "a word in four": substituted(0.25),
    "a tenth cut off": truncated(0.1),
    "half cut off": truncated(0.5),
    "a signature": signed(4),
    "halves exchanged": lambda tokens, chance: tokens[len(tokens) // 2 :] + tokens[: len(tokens) // 2],
    "said twice": lambda tokens, chance: tokens * 2,
    "another text": lambda tokens, chance: [f"other{at}" for at in range(len(tokens))],
    "in another order": lambda tokens, chance: chance.sample(tokens, len(tokens)),
}
