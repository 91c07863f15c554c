"""Texts in four scripts, and edits of them that a near-duplicate search meets."""

from __future__ import annotations

import random
from collections.abc import Callable

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
