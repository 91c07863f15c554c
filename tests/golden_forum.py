"""The fixed input of the goldens, small and with something to do for every step, and the datasets made of it.

The first questions of the embedded sample, those with planted faults, rows that no source should keep, and a few rows
of the other sources.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines import annotate, curriculum, ingest, pairs, tokenize, tokenizer
from pipelines.ingest_plan import IngestSettings
from tests import goldens
from tests.conftest import ROOT, forum_rows
from tests.goldens import Golden
from transforms.curriculum.mix import Recipe, Stage
from transforms.datasets.standing import Existing
from transforms.layers import kinds
from transforms.pairs.rule import PairRule
from transforms.sources.inputs import Input

FORUM = ROOT / "examples" / "forum"
QUESTIONS = 50
PLANTED = ("mojibake", "control_text", "planted_tie", "exact_duplicates", "near_duplicates")
PLANTED_EACH = 4
RULE = PairRule("golden", 1, "score_plus_accepted", max_pairs_per_thread=4)
RECIPE = Recipe(
    name="golden",
    version=1,
    max_repeats=8,
    stages=(
        Stage("one", sequence_length=128, share_of_pool=0.8, alpha=1.0, shards=2),
        Stage("two", sequence_length=256, share_of_pool=0.2, alpha=0.5, shards=1),
    ),
)
RICH = """<h2>Steps</h2><ol><li>Mix <b>flour</b></li></ol><pre><code>a &lt; b</code></pre>
<blockquote><p>says who</p></blockquote><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
<ul><li>one<ul><li>two <kbd>x</kbd></li></ul></li></ul><p>$x_1 * y_2$ H<sub>2</sub>O <a href="http://x.example/a_b">
link</a> <img src="i.png" alt="pic"><br><del>no</del><hr>1. not a list * at all</p><p>EDIT 2: schÃ¶n</p>"""
ODD_POSTS = (
    '<row Id="900001" PostTypeId="2" ParentId="999999" CreationDate="2020-01-01T00:00:00.000" Score="1" Body="?" />',
    '<row Id="900002" PostTypeId="1" CreationDate="2020-01-01T00:00:00.000" Score="1" Title="?" Body="a &nope; b" />',
    '<row Id="900003" PostTypeId="1" CreationDate="soon" Score="1" Title="When?" Body="&lt;p&gt;Soon.&lt;/p&gt;" />',
    '<row Id="900008" PostTypeId="1" LastEditDate="0000-00-00" Score="many" AcceptedAnswerId="?" Tags="a|b" '
    'CreationDate="2020-01-02 03:04:05 UTC" ContentLicense=" " Body="What oil is this?" />',
    '<row Id="900004" PostTypeId="1" CreationDate="2020-01-01T00:00:00.000" Score="1" Title="" Body=" " />',
    '<row Id="900005" PostTypeId="4" CreationDate="2020-01-01T00:00:00.000" Score="0" Body="A tag wiki." />',
    '<row Id="900007" PostTypeId="1" CreationDate="2020-01-01T00:00:00.000" Score="1" Title="T" Body="a &#x0E; b" />',
    '<row Id="900006" PostTypeId="1" CreationDate="2020-01-01T00:00:00.000" Score="-2" Title="Bread &amp;amp; oil" '
    f'Tags="&lt;bread&gt;&lt;oil&gt;" OwnerDisplayName="Ann" Body="{html.escape(RICH)}" />',
)
REDDIT = (
    {"id": "a", "title": "A &amp; B", "selftext": "What *malt*?\n\n    code", "score": 5, "author": "Ann"},
    {"id": "b", "title": "Gone", "selftext": "[deleted]", "score": 1, "author": "[deleted]"},
    {"id": "c1", "link_id": "t3_a", "parent_id": "t3_a", "body": "Pale malt, I think.", "score": 3, "author": "Ben"},
    {"id": "c2", "link_id": "t3_a", "parent_id": "t3_a", "body": "No, [dark](http://x.example).", "score": 9,
     "author": "Cy", "edited": 1_600_000_900},
    {"id": "c3", "link_id": "t3_a", "parent_id": "t1_c2", "body": "Thanks &gt;:)", "score": 1, "author": "Ann"},
    {"id": "c5", "link_id": "t3_a", "parent_id": "t3_a", "body": "Any malt will do.", "score": "7", "author": 12,
     "created_utc": 1_600_000_000_000},
    {"id": "c4", "link_id": "t3_zz", "parent_id": "t3_zz", "body": "Under nothing.", "score": 1, "author": "Ben"},
)  # fmt: skip
CORPUS = (
    {"id": 1, "text": "schÃ¶n \r\nund gut, so steht es hier geschrieben.", "title": "T", "created": "2020-01-02"},
    {"id": 4, "text": "Das ist schÃ¶n, ﬁne, ½ １２３ “so” e\u0301\u2028\x1b[1mfett\x1b[0m\x07 &lt;br&gt;"},
    {"id": 5, "text": "請問這個麵團應該發酵多久？廚房很冷，我們還沒有買到溫度計。", "url": "https://x.example/5"},
    {"text": "The bread rises slowly in a cold kitchen, and faster in a warm one.", "license": "CC0"},
    {"id": 3},
    {
        "id": 2**64 + 1,
        "text": "МОЛЯ, КАК ДА СПРА РЪЖДАТА ПО ВЕРИГАТА НА КОЛЕЛОТО ПРЕЗ ЗИМАТА?",
        "created": "0000-00-00",
    },
)

# An item as GSM8K has them, which stands in one of the documents above.
BENCHMARK = {
    "question": "請問，這個麵團應該發酵多久？廚房很冷；我們還沒有買到溫度計！",
    "answer": "Es ist schön.\n#### 3",
}

# Rows that state their language and are kept with attributes, as STATING says; one of them again, stated otherwise.
STATED = (
    {"id": 1, "text": "Le pain lève lentement dans une cuisine froide.", "meta": {"lang": "fr-CA", "host": "a.x"}},
    {"id": 2, "text": "廚房很冷，麵團應該發酵多久？", "meta": {"lang": "zh"}, "score": 0.5, "topic": " schÃ¶n "},
    {"id": 3, "text": "ⲡⲟⲉⲓⲕ", "meta": {"lang": "COP"}, "score": 7.0, "topic": True},
    {"id": 4, "text": "Bread.", "meta": {"lang": "english please!", "host": ["x"]}, "score": "x" * 1025},
    {"id": 5, "text": "Brot.", "meta": {"lang": 5}},
    {"id": 6, "text": "Pan.", "meta": {}},
    {"id": 1, "text": "Le pain lève lentement dans une cuisine froide.", "meta": {"lang": "de", "host": "b.x"}},
)  # fmt: skip
STATING = """
source: web
language: meta.lang
attributes: {host: meta.host, set: {value: golden}}
document: {id: id, text: text, attributes: {score: score, topic: topic}}
"""


def build(folder: Path, lid_model: Path) -> dict[str, Golden]:
    """Runs every step below a folder and returns what came out, by dataset, in the order of goldens.STEPS."""
    for run in steps(folder, lid_model).values():
        run()
    found: dict[str, Golden] = {}
    for name in goldens.STEPS:
        found[name] = goldens.golden_of(folder / name, found)
    return found


def steps(
    folder: Path, lid_model: Path, existing: Existing = Existing.REFUSE, into: Path | None = None
) -> dict[str, Callable[[], object]]:
    """Every step by the dataset that it makes of those below a folder, in order; "layers": all of them.

    into: where it is made; by default in the same folder.
    """
    at = {name: str(folder / name) for name in (*goldens.STEPS, "layers")}
    out = {name: str((into or folder) / name) for name in at}
    folder.mkdir(exist_ok=True)
    (folder / "benchmark.jsonl").write_text(json.dumps(BENCHMARK), "utf-8")
    told = {"language": str(lid_model), "contamination": str(folder / "benchmark.jsonl")}
    annotated = kinds.settings_of(dict.fromkeys(kinds.LAYERS) | told, "the goldens")
    words = tokenizer.TokenizerSettings(vocab_size=1600, sample_bytes=150_000, validation_bytes=5_000)
    ingested = IngestSettings(
        num_shards=3,
        author_secret=str(ROOT / "examples" / "author_secret.txt"),
        max_drop_rate=1.0,
        max_thread_posts=5,
        strip_edit_labels=True,
    )
    documents, layers = at["documents"], at["layers"]
    how: dict[str, Any] = {"existing": existing}
    return {
        "documents": lambda: ingest.run(inputs(folder / "dump"), out["documents"], ingested, **how),
        "layers": lambda: annotate.run(documents, out["layers"], annotated, **how),
        "pairs": lambda: pairs.run(documents, layers, out["pairs"], RULE, **how),
        "tokenizer": lambda: tokenizer.run(documents, layers, out["tokenizer"], words, **how),
        "tokens": lambda: tokenize.run(documents, at["tokenizer"], out["tokens"], layers, **how),
        "preference": lambda: tokenize.run(at["pairs"], at["tokenizer"], out["preference"], **how),
        "curriculum": lambda: curriculum.run(at["tokens"], layers, out["curriculum"], RECIPE, **how),
    }


def inputs(folder: Path) -> list[Input]:
    """A Stack Exchange dump of several tables, a Reddit month, two JSONL corpora; written when they are not there."""
    if not folder.exists():
        write_inputs(folder)
    return [
        Input(str(folder / "forum"), "stackexchange", "golden.example"),
        Input(str(folder / "RS_2020-09")),
        Input(str(folder / "RC_2020-09")),
        Input(str(folder / "corpus.jsonl"), "jsonl", "corpus"),
        Input(str(folder / "stated.jsonl"), "jsonl", "corpus", str(folder / "stating.yaml")),
    ]


def write_inputs(folder: Path) -> None:
    forum = folder / "forum"
    posts = posts_rows()
    ids = {match.group(1) for row in posts if (match := re.search(r'\bId="(\d+)"', row))}
    write_table(forum, "Posts", [*posts, *ODD_POSTS])
    for table in ("Votes", "Comments", "PostLinks"):
        write_table(forum, table, [row for row in rows_of(table) if (re.findall(r'PostId="(\d+)"', row)[0]) in ids])
    shared = {"subreddit": "Beer", "created_utc": 1_600_000_000}
    write_lines(folder / "RS_2020-09", [{**shared, **row} for row in REDDIT if "title" in row])
    write_lines(folder / "RC_2020-09", [{**shared, **row} for row in REDDIT if "body" in row])
    write_lines(folder / "corpus.jsonl", CORPUS)
    write_lines(folder / "stated.jsonl", STATED)
    (folder / "stating.yaml").write_text(STATING, "utf-8")


def posts_rows() -> list[str]:
    """The first threads of the sample, and those of the first posts that each planted fault was planted in."""
    truth = json.loads((ROOT / "examples" / "forum_truth.json").read_text("utf-8"))
    planted = [truth[kind][:PLANTED_EACH] for kind in PLANTED]
    ids = {str(post) for found in planted for item in found for post in (item if isinstance(item, list) else [item])}
    first = set(forum_rows(QUESTIONS))
    rows = rows_of("Posts")
    wanted = {thread_of(row) for row in rows if row in first or attribute(row, "Id") in ids}
    return [row for row in rows if thread_of(row) in wanted]


def thread_of(row: str) -> str:
    return attribute(row, "ParentId") or attribute(row, "Id")


def attribute(row: str, name: str) -> str:
    match = re.search(rf'\b{name}="(\d+)"', row)
    return match.group(1) if match else ""


def rows_of(table: str) -> list[str]:
    return re.findall(r"<row [^>]*/>", (FORUM / f"{table}.xml").read_text("utf-8-sig"))


def write_table(folder: Path, table: str, rows: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = table.lower()
    lines = ['<?xml version="1.0" encoding="utf-8"?>', f"<{name}>", *(f"  {row}" for row in rows), f"</{name}>"]
    (folder / f"{table}.xml").write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")


def write_lines(place: Path, rows: Sequence[object]) -> None:
    place.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8", newline="")
