"""HTML to Markdown by five libraries and us: what of a body survives, and at what speed.

    python -m benchmarks.markup [--megabytes 4]

Every converter gets the same bodies. What it wrote is read back by a CommonMark reader (markdown-it) and compared with
what stands in the HTML: a code block counts when a fenced or indented block has its very text, a link when its address
is there, a list item, table or quote when the reader finds as many, mathematics and alternative texts when their text
is in the output as it was written. So a converter is judged by what a reader gets, not by what its output looks like.
"""

from __future__ import annotations

import argparse
import html
import itertools
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from markdown_it import MarkdownIt

from benchmarks.generate import enlarge, read_rows, source_files
from benchmarks.harness import Contender, alternate, announce, comparison, run_once, timed, write_result
from benchmarks.peers import peer_python, peer_version
from transforms.sources.stackexchange.xml_rows import read_row
from transforms.text.markup import to_markdown
from transforms.text.math_spans import find_math

_OURS = "Agora"
_PEERS = ("html-to-markdown", "resiliparse", "selectolax", "markdownify", "html2text")
_READER = MarkdownIt("commonmark").enable("table")
_KINDS = ("code blocks", "code languages", "links", "list items", "tables", "quotes", "images", "mathematics", "text")

_CODE = re.compile(r"<pre([^<>]*)><code([^<>]*)>([^<]*)</code></pre>")
_LINK = re.compile(r'<a [^<>]*href="([^"]+)"')
_IMAGE = re.compile(r'<img [^<>]*alt="([^"]+)"')
_LANGUAGE = re.compile(r"lang(?:uage)?-([\w+#-]+)")
_WORD = re.compile(r"\w{3,}")
# Bodies that dumps of other sites are full of; the dumps at hand have little code and no mathematics.
_SAMPLES = [
    '<pre class="lang-py prettyprint-override"><code>def f(x):\n    return `x` ** 2  # &lt;b&gt; &amp;amp;\n\n\n'
    "x_y = 1\n</code></pre>",
    "<ul>\n<li><p>one</p>\n\n<pre><code>a  b\n    c\n</code></pre></li>\n<li>two</li>\n</ul>",
    "<blockquote>\n<p>said</p>\n<pre><code>```\n*x*\n```\n</code></pre>\n</blockquote>",
    r"<p>Let $a_{1} \\ b_{2}$ and $$\begin{pmatrix} a &amp; b \\ c &lt; d \end{pmatrix}$$ then \(x_1 \* y\).</p>",
    r"<p>\begin{align} a_1 &amp;= b \\ &amp;= c*d*e \end{align}</p>",
    "<table><thead><tr><th>a</th><th>b</th></tr></thead>"
    "<tbody><tr><td>1</td><td><code>x|y</code></td></tr></tbody></table>",
    "<ol>\n<li>one\n\n<ul>\n<li>two</li>\n<li>three</li>\n</ul></li>\n<li>four</li>\n</ol>",
    '<p><a href="https://x.example/a_(b)?c=1&amp;d=2">t</a> <img src="https://x.example/i.png" alt="a graph"></p>',
]


def _wanted(body: str) -> Counter[tuple[str, str]]:
    """What stands in the HTML, as (kind, text) with how often."""
    found: Counter[tuple[str, str]] = Counter()
    for pre, code, text in _CODE.findall(body):
        found["code blocks", html.unescape(text).rstrip("\n")] += 1
        if language := _LANGUAGE.search(pre + code):
            found["code languages", language[1]] += 1
    prose = _CODE.sub("", body)
    prose = re.sub("<code>.*?</code>", "", prose, flags=re.DOTALL)
    found.update(("links", html.unescape(url)) for url in _LINK.findall(prose))
    found.update(("images", html.unescape(alt)) for alt in _IMAGE.findall(prose))
    found.update(
        ("mathematics", html.unescape(prose[start:end])) for start, end in find_math(prose) if "\\" in prose[start:end]
    )
    for kind, tag in (("list items", "<li>"), ("tables", "<table"), ("quotes", "<blockquote>")):
        if number := body.count(tag):
            found[kind, ""] = number
    return found


def _kept(markdown: str) -> Counter[tuple[str, str]]:
    """The same of Markdown, as a reader finds it (mathematics is looked for in the text itself)."""
    found: Counter[tuple[str, str]] = Counter()
    tokens = _READER.parse(markdown)
    for token in [*tokens, *itertools.chain.from_iterable(token.children or [] for token in tokens)]:
        if token.type in ("fence", "code_block"):
            found["code blocks", token.content.rstrip("\n")] += 1
            found["code languages", token.info.strip()] += 1
        elif token.type == "link_open":
            found["links", str(token.attrs.get("href"))] += 1
        elif token.type == "image":
            found["images", token.content] += 1
        elif token.type in ("list_item_open", "table_open", "blockquote_open"):
            names = {"list_item_open": "list items", "table_open": "tables", "blockquote_open": "quotes"}
            found[names[token.type], ""] += 1
    return found


def _judge(pairs: Sequence[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """(kept, wanted) by kind, over pairs of a body and what it became."""
    totals = {kind: [0, 0] for kind in _KINDS}
    for body, markdown in pairs:
        there = _kept(markdown)
        addresses = {_plain_address(address) for kind, address in there if kind == "links"}
        for (kind, text), number in _wanted(body).items():
            if kind == "mathematics":
                got = min(number, markdown.count(text))
            elif kind == "links":
                got = number if _plain_address(text) in addresses else 0
            else:
                got = min(number, there[kind, text])
            totals[kind][0] += got
            totals[kind][1] += number
        words = Counter(_WORD.findall(html.unescape(re.sub("<[^<>]*>", " ", body))))
        totals["text"][0] += (words & Counter(_WORD.findall(markdown))).total()
        totals["text"][1] += words.total()
    return {kind: (got, number) for kind, (got, number) in totals.items()}


def _plain_address(address: str) -> str:
    """An address without what readers and writers escape differently."""
    return re.sub(r"%[0-9A-Fa-f]{2}|[^\w/.:?=&#-]", "", address)


def _convert_ours(source: Path, output: Path) -> None:
    """Converts every body of a JSONL file to a line of Markdown; `peer_markup.py` does it for the peers."""
    bodies = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    with timed() as timer:
        texts = [to_markdown(body).text for body in bodies]
    output.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    announce(timer, sum(len(body.encode()) for body in bodies), len(bodies))


def _contender(name: str, source: Path, output: Path) -> Contender:
    files = ["--source", str(source), "--output", str(output)]
    if name == _OURS:
        return Contender(name, [sys.executable, "-m", "benchmarks.markup", *files])
    return Contender(name, [peer_python(), "-m", "benchmarks.peer_markup", "--converter", name, *files])


def _compare(megabytes: float, rounds: int, folder: Path) -> Path:
    enlarge(folder / "Posts.xml", int(megabytes * 1e6))
    sources = {name: folder / f"{name}.jsonl" for name in ("real", "samples", "large")}
    real = [row["Body"] for row in map(_attributes, read_rows(source_files())) if row.get("Body")]
    for name, bodies in (("real", real), ("samples", _SAMPLES), ("large", _bodies(folder / "Posts.xml"))):
        sources[name].write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
    judged: dict[str, dict[str, dict[str, tuple[int, int]]]] = {}
    for name in (_OURS, *_PEERS):
        judged[name] = {}
        for source, bodies in (("real", real), ("samples", _SAMPLES)):
            output = folder / f"{source}-{name}.jsonl"
            run_once(_contender(name, sources[source], output))
            texts = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
            judged[name][source] = _judge(list(zip(bodies, texts, strict=True)))
    runs = alternate([_contender(name, sources["large"], folder / "out.jsonl") for name in (_OURS, *_PEERS)], rounds)
    body = [
        f"Fidelity over {len(real):,} bodies of the real dumps and {len(_SAMPLES)} written for what those lack (second",
        "figure); speed over generated ones. A share of what stands in the HTML that a CommonMark reader finds in what",
        "the converter wrote. Neither conversion repairs Unicode here.",
        "",
        *_table(judged),
        "",
        *comparison(runs, _OURS),
    ]
    return write_result("markup", "HTML to Markdown", body, ["html-to-markdown", "markdown-it-py"], _versions())


def _attributes(row: str) -> dict[str, str]:
    return read_row(row[1:].encode())


def _bodies(posts: Path) -> Iterator[str]:
    return (row["Body"] for row in map(_attributes, read_rows([posts])) if row.get("Body"))


def _table(judged: Mapping[str, Mapping[str, Mapping[str, tuple[int, int]]]]) -> list[str]:
    lines = [f"| | {' | '.join(judged)} |", f"| --- |{' ---: |' * len(judged)}"]
    for kind in _KINDS:
        cells = []
        for name in judged:
            shares = [judged[name][source][kind] for source in ("real", "samples")]
            cells.append(" / ".join(f"{got / number:.1%}" if number else "-" for got, number in shares))
        numbers = " + ".join(str(judged[_OURS][source][kind][1]) for source in ("real", "samples"))
        lines.append(f"| {kind} ({numbers}) | {' | '.join(cells)} |")
    return lines


def _versions() -> list[str]:
    return [f"{name} {peer_version(name.removesuffix(' (default)'))}" for name in _PEERS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.source:
        _convert_ours(arguments.source, arguments.output)
        return
    with tempfile.TemporaryDirectory(prefix="agora-bench-") as folder:
        _compare(arguments.megabytes, arguments.rounds, Path(folder))


if __name__ == "__main__":
    main()
