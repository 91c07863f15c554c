"""Writes the made-up forum as a Stack Exchange dump: the tables, attributes, their order and escaping of the real ones.

Attributes as described in "Database schema documentation for the public data dump", meta.stackexchange.com/q/2677, and
as seen in real dumps: a byte order mark, CRLF, two spaces before each row, `&#xA;` for a line break in an attribute.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from sample_forum import Forum
from sample_plants import COMMUNITY, NUM_USERS
from sample_posts import Comment, Post
from sample_text import Dice

Row = dict[str, object]
SYLLABLES = ("bo", "dri", "fen", "gal", "hu", "jor", "ki", "lum", "mar", "nix", "oz", "pel", "qua", "rim", "sto", "tav",
             "ulf", "vex", "wim", "yor", "zap")  # fmt: skip
NUM_COMMENTS = 220
BADGES = ("Student", "Teacher", "Editor", "Supporter", "Scholar")
LICENCES = ((datetime(2018, 5, 2), "CC BY-SA 3.0"), (datetime.max, "CC BY-SA 4.0"))  # by the time of writing


def tables(forum: Forum, seed: str) -> dict[str, bytes]:
    """Every table of the dump by file name."""
    comments = forum.comments(NUM_COMMENTS)
    num_comments = Counter(comment.post.id for comment in comments)
    posts = _posts(forum, num_comments, Dice(seed, "rows"))
    return {
        "Posts.xml": _table("posts", posts),
        "Votes.xml": _table("votes", _votes(forum, Dice(seed, "votes"))),
        "Users.xml": _table("users", _users(Dice(seed, "users"))),
        "Comments.xml": _table("comments", _comments(comments)),
        "Tags.xml": _table("tags", _tags(forum)),
        "PostLinks.xml": _table("postlinks", _links(forum)),
        "Badges.xml": _table("badges", _badges(Dice(seed, "badges"))),
    }


def odd_rows(forum: Forum) -> dict[str, int]:
    """Ids of the rows that are neither question nor answer, or hang in the air."""
    last = len(forum.posts)
    return {"tag_wiki_excerpt": last + 1, "tag_wiki": last + 2, "unknown_type": last + 3, "orphan": last + 4}


def _table(name: str, rows: list[Row]) -> bytes:
    lines = ['\ufeff<?xml version="1.0" encoding="utf-8"?>', f"<{name}>"]
    for row in rows:
        attributes = " ".join(f'{key}="{_escaped(value)}"' for key, value in row.items() if value is not None)
        lines.append(f"  <row {attributes} />")
    return "\r\n".join([*lines, f"</{name}>", ""]).encode("utf-8")


def _escaped(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return text.replace("\r", "&#xD;").replace("\n", "&#xA;").replace("\t", "&#x9;")


def _licence(when: datetime) -> str:
    return next(name for end, name in LICENCES if when < end)


def _posts(forum: Forum, num_comments: Counter[int], dice: Dice) -> list[Row]:
    num_answers = Counter(post.parent_id for post in forum.posts if post.kind == 2)
    rows = [_post(post, num_answers[post.id], num_comments[post.id], dice) for post in forum.posts]
    odd = odd_rows(forum)
    last = forum.posts[-1].created + timedelta(days=1)
    excerpt = "Everything about spokes, chains and brakes.\r\nNot for motor bikes."
    extra = (
        ("tag_wiki_excerpt", 4, excerpt),
        ("tag_wiki", 5, "<p>Use this tag for <em>bicycles</em> &amp; their repair.</p>\n"),
        ("unknown_type", 17, "<p>A kind of post that nobody has documented.</p>\n"),
        ("orphan", 2, "<p>An answer whose question was removed long ago; nobody knows what it was about.</p>\n"),
    )
    for name, kind, body in extra:
        row: Row = {"Id": odd[name], "PostTypeId": kind, "ParentId": 999999 if name == "orphan" else None}
        row |= {"CreationDate": last, "Score": 0, "Body": body, "OwnerUserId": COMMUNITY, "LastEditorUserId": COMMUNITY}
        row |= {"LastEditDate": last, "LastActivityDate": last, "CommentCount": 0, "ContentLicense": _licence(last)}
        rows.append(row)
    return rows


def _post(post: Post, num_answers: int, num_comments: int, dice: Dice) -> Row:
    question = post.kind == 1
    edited = post.created + timedelta(minutes=dice.below(5000)) if dice.chance(20) else None
    return {
        "Id": post.id,
        "PostTypeId": post.kind,
        "ParentId": post.parent_id,
        "AcceptedAnswerId": post.accepted.id if post.accepted else None,
        "CreationDate": post.created,
        "Score": post.score,
        "ViewCount": 20 + dice.below(900) if question else None,
        "Body": post.body,
        "OwnerUserId": post.owner,
        "OwnerDisplayName": post.owner_name,
        "LastEditorUserId": (post.owner or COMMUNITY) if edited else None,
        "LastEditDate": edited,
        "LastActivityDate": edited or post.created,
        "Title": post.title,
        "Tags": "".join(f"<{tag}>" for tag in post.tags) if question else None,
        "AnswerCount": num_answers if question else None,
        "CommentCount": num_comments,
        "FavoriteCount": 1 + dice.below(5) if question and dice.chance(10) else None,
        "ClosedDate": post.closed,
        "CommunityOwnedDate": post.created if post.community else None,
        "ContentLicense": _licence(post.created),
    }


def _votes(forum: Forum, dice: Dice) -> list[Row]:
    """Up (2) minus down (3) votes of a post are its score; 1 is an acceptance, 5 a bookmark. Days only."""
    cast: list[tuple[datetime, int, int, int | None]] = []
    accepted = {id(post.accepted) for post in forum.posts if post.accepted}
    for post in forum.posts:
        day = post.created.replace(hour=0, minute=0, second=0, microsecond=0)
        downs = max(post.downs, -post.score)
        kinds = [2] * (post.score + downs) + [3] * downs + [1] * (id(post) in accepted)
        cast += [(day + timedelta(days=dice.below(3) * dice.below(12)), post.id, kind, None) for kind in kinds]
        if post.kind == 1 and dice.chance(3):
            cast.append((day, post.id, 5, 2 + dice.below(NUM_USERS)))
    cast.sort(key=lambda vote: vote[:3])
    return [
        {"Id": number, "PostId": post, "VoteTypeId": kind, "UserId": user, "CreationDate": day}
        for number, (day, post, kind, user) in enumerate(cast, start=1)
    ]


def _users(dice: Dice) -> list[Row]:
    start = datetime(2016, 1, 1)
    rows: list[Row] = [_user(COMMUNITY, "Community", start, dice)]
    for number in range(2, NUM_USERS + 2):
        name = "".join(dice.pick(SYLLABLES) for _ in range(2 + dice.below(2))).capitalize()
        joined = start + timedelta(days=dice.below(3), seconds=dice.below(86400))
        rows.append(_user(number, f"{name}-{number}", joined, dice))
    return rows


def _user(number: int, name: str, joined: datetime, dice: Dice) -> Row:
    row: Row = {"Id": number, "Reputation": 1 + dice.below(2000), "CreationDate": joined, "DisplayName": name}
    row |= {"LastAccessDate": joined + timedelta(days=2900), "Views": dice.below(90)}
    return row | {"UpVotes": dice.below(300), "DownVotes": dice.below(30), "AccountId": 900000 + number}


def _comments(comments: list[Comment]) -> list[Row]:
    rows: list[Row] = []
    for number, comment in enumerate(comments, start=1):
        row: Row = {"Id": number, "PostId": comment.post.id, "Score": comment.score, "Text": comment.text}
        row |= {"CreationDate": comment.created, "UserDisplayName": "user77" if comment.user is None else None}
        rows.append(row | {"UserId": comment.user, "ContentLicense": _licence(comment.created)})
    return rows


def _tags(forum: Forum) -> list[Row]:
    counts, odd = Counter(tag for post in forum.posts for tag in post.tags), odd_rows(forum)
    rows: list[Row] = []
    for number, tag in enumerate(sorted(counts), start=1):
        row: Row = {"Id": number, "TagName": tag, "Count": counts[tag]}
        if tag == "bike":
            row |= {"ExcerptPostId": odd["tag_wiki_excerpt"], "WikiPostId": odd["tag_wiki"]}
        rows.append(row)
    return rows


def _links(forum: Forum) -> list[Row]:
    """Each question that was asked twice is linked as a duplicate (3)."""
    pairs = [pair for pair in forum.pairs_planted["exact_duplicates"] if pair[0].kind == 1]
    return [
        {"Id": number, "CreationDate": copy.created, "PostId": copy.id, "RelatedPostId": first.id, "LinkTypeId": 3}
        for number, (first, copy) in enumerate(pairs, start=1)
    ]


def _badges(dice: Dice) -> list[Row]:
    rows: list[Row] = []
    for number in range(1, 121):
        day = datetime(2016, 2, 1) + timedelta(days=20 * number, seconds=dice.below(86400))
        row: Row = {"Id": number, "UserId": 2 + dice.below(NUM_USERS), "Name": dice.pick(BADGES), "Date": day}
        rows.append(row | {"Class": 3, "TagBased": "False"})
    return rows
