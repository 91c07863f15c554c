"""What is planted in the made-up forum on purpose: faults that real dumps have, each marked on its posts."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import timedelta

from sample_posts import Post
from sample_text import Dice, shingles

NUM_USERS = 260
COMMUNITY = -1  # the user that owns what nobody owns
NUM_COPIES = 16  # exact, and as many near copies
LEAST_COPIED = 42  # shingles of an answer that is copied: an ending of two words leaves a similarity above 0.9
MOJIBAKE = ("deu_Latn", "fra_Latn", "por_Latn", "spa_Latn")
NUM_MOJIBAKE = 10
Threads = list[list[Post]]  # question first
Copies = list[tuple[Post, Post]]  # (original, copy)


def plant(threads: Threads, dice: Dice) -> dict[str, Copies]:
    """Changes posts in place and adds copies of some. Returns the copies by kind."""
    answers = dice.shuffled([post for thread in threads for post in thread[1:]])
    long = [post for post in answers if len(shingles(post.body)) >= LEAST_COPIED and "<pre" not in post.body]
    exact, near = long[:NUM_COPIES], long[NUM_COPIES : 2 * NUM_COPIES]
    copies = {
        "exact_duplicates": [_copy_answer(post, threads, dice, "") for post in exact],
        "near_duplicates": [
            _copy_answer(post, threads, dice, f" ({_two_digits(dice)}/{_two_digits(dice)})") for post in near
        ],
    }
    copies["exact_duplicates"] += _copy_questions(threads, dice)
    copied = {id(post) for post in exact + near}
    free = [post for post in answers if id(post) not in copied]
    _quote_control_text([post for post in free if "<pre" not in post.body][:3], dice)
    _damage_encoding([post for post in free if "control_text" not in post.marks])
    _tie(dice.shuffled(threads)[:60])
    _disown(dice.shuffled([post for thread in threads for post in thread]), dice)
    return copies


def person(dice: Dice) -> int:
    """A user: some write much more than others."""
    return 2 + min(dice.below(NUM_USERS), dice.below(NUM_USERS))


def _two_digits(dice: Dice) -> int:
    return 11 + dice.below(88)


def _copy_answer(original: Post, threads: Threads, dice: Dice, ending: str) -> tuple[Post, Post]:
    """Puts a copy of an answer into another thread of its language."""
    alike = [thread for thread in threads if thread[0].code_language == original.code_language]
    thread = dice.pick([thread for thread in alike if thread[0] is not original.parent])
    body = re.sub(r"(</\w+>(?:\s*</\w+>)*\s*)$", rf"{ending}\1", original.body)
    when = thread[0].created + timedelta(days=3 + dice.below(30), seconds=dice.below(86400))
    copy = Post(2, body, when, thread[0], quality=original.quality, code_language=original.code_language)
    copy.owner, copy.score, copy.downs = person(dice), original.score, max(0, -original.score)
    thread.append(copy)
    return original, copy


def _copy_questions(threads: Threads, dice: Dice) -> Copies:
    """Four questions that were asked a second time, word for word, with other answers."""
    by_topic: dict[tuple[str | None, str], list[Post]] = defaultdict(list)
    for thread in dice.shuffled(threads):
        by_topic[thread[0].code_language, thread[0].tags[0]].append(thread[0])
    copies = []
    for alike in [posts for posts in by_topic.values() if len(posts) >= 2][:4]:
        first, second = sorted(alike[:2], key=lambda post: post.created)
        second.title, second.body = first.title, first.body
        copies.append((first, second))
    return copies


def _quote_control_text(posts: list[Post], dice: Dice) -> None:
    """A language model's control tokens as somebody pasted them."""
    for post in posts:
        chat = (
            f"&lt;|im_start|&gt;user\n{_two_digits(dice)} + {_two_digits(dice)}?&lt;|im_end|&gt;\n&lt;|endoftext|&gt;"
        )
        post.body += f"\n<pre><code>{chat}\n</code></pre>\n"
        post.marks.add("control_text")


def _damage_encoding(posts: list[Post]) -> None:
    """Some posts as they look when their UTF-8 is read as Windows-1252, where that can be and changes a few letters."""
    num_damaged = 0
    for post in posts:
        if post.code_language not in MOJIBAKE or num_damaged == NUM_MOJIBAKE:
            continue
        try:
            damaged = post.body.encode("utf-8").decode("cp1252")
        except UnicodeDecodeError:
            continue
        if len(damaged) >= len(post.body) + 6:
            post.body = damaged
            post.marks.add("mojibake")
            num_damaged += 1


def _tie(threads: Threads) -> None:
    for thread in threads:
        if len(thread) == 3 and not thread[0].accepted:
            thread[2].score, thread[2].downs = thread[1].score, thread[1].downs
            thread[2].marks.add("planted_tie")


def _disown(posts: list[Post], dice: Dice) -> None:
    """Deleted authors (with and without a name left), community wikis and closed questions."""
    for post in posts[:240]:
        post.owner, post.owner_name = None, f"user{1000 + dice.below(9000)}"
    for post in posts[240:250]:
        post.owner = None
    for post in posts[250:270]:
        post.community = True
    for post in [post for post in posts[270:] if post.kind == 1][:12]:
        post.closed = post.created + timedelta(days=1 + dice.below(200), seconds=dice.below(86400))
