"""A post and a comment of the made-up forum, before they are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Post:
    """A post before it is written. `id` and `parent_id` are set when all posts are put in the order of time."""

    kind: int  # PostTypeId
    body: str
    created: datetime
    parent: Post | None = None
    title: str | None = None
    tags: tuple[str, ...] = ()
    score: int = 0
    downs: int = 0
    quality: float = 0.0
    owner: int | None = None
    owner_name: str | None = None
    accepted: Post | None = None
    closed: datetime | None = None
    community: bool = False
    code_language: str | None = None  # of its text
    id: int = 0
    parent_id: int | None = None
    marks: set[str] = field(default_factory=set)  # what is planted in it


@dataclass(frozen=True)
class Comment:
    post: Post
    text: str
    created: datetime
    user: int | None
    score: int
