"""Reddit as a source: monthly dumps of one JSON object a line, recognised by their fields whatever they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from transforms.datasets import shown
from transforms.sources.reddit.addresses import ADDRESSES
from transforms.sources.reddit.posts import NAME, is_reddit, read_posts
from transforms.sources.rows.json_rows import check_head
from transforms.sources.sites import SiteRule
from transforms.sources.source import Found, InputFile, Source

_COMMENTS = re.compile(r"(?<![A-Za-z])RC_")


def _describe(found: Found) -> Sequence[InputFile]:
    SiteRule.IN_ROWS.check(found.site, found.place)
    return [found.file(NAME, None, check_head(found.head))]


def _submissions_of(file: str) -> str:
    """Reddit's own dumps are RC_ and RS_ of a month; others have the words in their names."""
    name = _COMMENTS.sub("RS_", file).replace("comments", "submissions")
    return f"the submissions of the same time{f', such as {shown.name(name)}' if name != file else ' (RS_…)'}"


SOURCE = Source(
    name=NAME,
    says="Reddit's RS_* and RC_*",
    recognise=is_reddit,
    names=re.compile("(?!)"),  # those of JSON lines: what is in a file of theirs, its content says
    describe=_describe,
    read=read_posts,
    arrow_share=1 / 3,  # 0.43 of its bytes in JSON, over what memory.py adds for ids
    addresses=ADDRESSES,
    questions_of=_submissions_of,
)
