"""Mutates real rows and feeds them to the parsers: none may fail, hang, lose a row or give text that is not Unicode.

    python -m benchmarks.fuzz [--inputs 1000000] [--seed 1] [--target markup]
    python -m benchmarks.fuzz --coverage 60 --target markup     guided by coverage, where `atheris` is installed

An input is a real row (or two of them spliced) with some bytes deleted, doubled, moved or replaced by pieces that
parsers stumble over. Everything follows from the seed, so the number of a finding is enough to make it again. What was
found stands as cases in tests/test_fuzz.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import itertools
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import FunctionType

import ftfy

from benchmarks.generate import ROOT, read_rows, source_files
from transforms.datasets import strict_yaml
from transforms.datasets.fates import Drop
from transforms.sources.mapping import RowMapping
from transforms.sources.marks import Marks
from transforms.sources.records import FILE_REASONS, Record, to_table
from transforms.sources.reddit import posts as reddit
from transforms.sources.rows import jsonl
from transforms.sources.source import Holds, Reading
from transforms.sources.stackexchange import post_rows, vote_rows
from transforms.sources.stackexchange.xml_rows import MalformedError, read_plain, read_row
from transforms.text.clean import CONFIG, repair
from transforms.text.markup import to_markdown
from transforms.text.math_spans import find_math

_SLOW_S = 2.0  # for an input of some kilobytes
_LIMIT = 1 << 20
_PREFERENCES = strict_yaml.load(RowMapping, str(ROOT / "examples" / "mappings" / "stack-exchange-preferences.yaml"))

_HARD = [
    *(b"<", b">", b"&", b"&amp;", b"&#x", b"&#0;", b"&lt;", b'"', b"'", b"/>", b"<row ", b"</posts>", b"<!--", b"]]>"),
    *(
        b"<pre>",
        b"</pre>",
        b"<code>",
        b"</code>",
        b"&lt;pre&gt;",
        b"&lt;/code&gt;",
        b"&lt;blockquote&gt;",
        b"`",
        b"```",
    ),
    *(b"$", b"$$", b"\\(", b"\\]", b"\\begin{a}", b"\\end{a}", b"\\", b"|", b"\n", b"\r", b"\t", b"\x00", b"\xff"),
    *(
        b"\xef\xbf\xbe",
        b"\xed\xa0\x80",
        b"\xc3\x83\xc2\xa9",
        b"\xe2\x80\x8b",
        b"\xcc\x81",
        b"\x1b[0m",
        b"{",
        b"}",
        b"[",
    ),
    *(b"]", b":", b",", b"null", b"-1", b"1e999", b"NaN", b"\\ud800", b'"id":', b'"text":'),
    *(b"QXCODE0X0BQ", b"QXCODE0X"),
    *(b"<table>", b"<td>", b"<script>", b"<svg>", b"<ul><li>", b"</div>", b' title=""', b"99999999999999999999"),
]


def _mutated(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """One input: a seed, now and then spliced with another, with one to eight changes."""
    data = bytearray(chance.choice(seeds))
    if chance.random() < 0.2:
        other = chance.choice(seeds)
        data = data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]
    for _ in range(chance.randint(1, 8)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + int(2 ** (chance.random() * 7)))
        kind = chance.randrange(5)
        if kind == 0:
            del data[start:end]
        elif kind == 1:
            data[start:start] = chance.choice(_HARD) * int(2 ** (chance.random() * 5))
        elif kind == 2:
            data[start:end] = chance.choice(_HARD)
        elif kind == 3:
            data[start:start] = data[start:end]
        elif start < len(data):
            data[start] = chance.randrange(256)
    return bytes(data)


def _records_and_drops(found: Sequence[Record | Drop]) -> tuple[list[Record], list[Drop]]:
    return [item for item in found if isinstance(item, Record)], [item for item in found if isinstance(item, Drop)]


def _check_records(found: Sequence[Record | Drop], num_rows: int | None) -> None:
    """Every record can be stored, and there are as many outcomes as rows (None: not known)."""
    records, drops = _records_and_drops(found)
    to_table("fuzz", records, drops, 4)  # fails for text that is not Unicode and numbers beyond 64 bits
    if num_rows is not None:
        rows = len(records) + sum(drop.reason not in FILE_REASONS for drop in drops)
        assert rows == num_rows, f"{num_rows} rows gave {rows} outcomes"


def _fuzz_stackexchange(data: bytes) -> None:
    """Any bytes as a Posts.xml, whole and in two ranges: the same outcomes."""
    dump = Reading("fuzz", "fuzz.example.org", _LIMIT)
    text = b"<posts>" + data + b"</posts>"
    whole = list(post_rows.read_posts(io.BytesIO(text), 0, None, dump))
    _check_records(whole, None)
    cut = len(text) // 2
    parts = [
        *post_rows.read_posts(io.BytesIO(text), 0, cut, dump),
        *post_rows.read_posts(io.BytesIO(text), cut, None, dump),
    ]
    assert parts == whole, "two ranges gave other rows than the whole file"


def _fuzz_xml_rows(data: bytes) -> None:
    """Plain rows are read as the grammar reads them, or not at all."""
    rows = data.split(b"<")[1:]
    for row, plain in zip(rows, read_plain(rows), strict=True):
        try:
            exact = read_row(row)
        except (MalformedError, UnicodeDecodeError):
            exact = None
        assert plain is None or plain == exact, "a plain row differs from the grammar"


def _fuzz_jsonl(data: bytes) -> None:
    """Any bytes as lines of JSON: as many outcomes as lines that are not blank."""
    found = list(jsonl.read_rows(io.BytesIO(data), 0, None, Reading("fuzz", "fuzz", _LIMIT)))
    _check_records(found, sum(bool(line.strip()) for line in data.split(b"\n")))


def _fuzz_reddit(data: bytes) -> None:
    found = list(reddit.read_posts(io.BytesIO(data), 0, None, Reading("fuzz", None, _LIMIT)))
    _check_records(found, sum(bool(line.strip()) for line in data.split(b"\n")))


def _fuzz_marks(data: bytes) -> None:
    """Any bytes as a Votes.xml: the fast way through it gives what the strict one gives, and two ranges the whole."""
    dump = Reading("fuzz", "fuzz.example.org", _LIMIT, holds=Holds.VOTES)
    text = b"<votes>" + data + b"</votes>"
    cut = len(text) // 2
    strict = _marks(vote_rows._strictly(vote_rows._Bytes(text), None, dump, 0))
    assert _marks(vote_rows.read_marks(io.BytesIO(text), 0, None, dump)) == strict, "not what the strict way gives"
    halves = (vote_rows.read_marks(io.BytesIO(text), start, end, dump) for start, end in ((0, cut), (cut, None)))
    assert _marks(itertools.chain(*halves)) == strict, "two ranges gave other votes than the whole file"


def _marks(items: Iterable[Marks | Drop]) -> tuple[list[tuple[int, ...]], list[Drop]]:
    found = list(items)
    rows = [tuple(map(int, row)) for item in found if not isinstance(item, Drop) for row in zip(*item, strict=True)]
    return rows, [item for item in found if isinstance(item, Drop)]


def _fuzz_mapping(data: bytes) -> None:
    """Any bytes as rows with nested answers: every outcome can be stored."""
    rows = Reading("fuzz", "fuzz", _LIMIT, b"key", mapping=_PREFERENCES)
    _check_records(list(jsonl.read_rows(io.BytesIO(data), 0, None, rows)), None)


def _fuzz_markup(data: bytes) -> None:
    """Any HTML gives text of bounded length; mathematics is found once and in order."""
    body = data.decode(errors="replace")
    spans = find_math(body)
    assert all(left.end <= right.start for left, right in itertools.pairwise(spans))
    text = to_markdown(body, repair, strip_edit_labels=len(body) % 2 == 0).text
    text.encode()
    assert len(text) <= 40 * len(body) + 1000, f"{len(body)} characters became {len(text)}"


def _fuzz_clean(data: bytes) -> None:
    """The quick repair gives what ftfy gives."""
    text = data.decode(errors="replace")
    repair(text).encode()
    assert repair(text) == ftfy.fix_text(text, CONFIG), "not what ftfy gives"


@dataclass(frozen=True)
class _Fuzzed:
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def _xml() -> list[bytes]:
    return [row.encode() for row in read_rows(source_files()[:2])[:400] if len(row) < 6000]


def _bodies() -> list[bytes]:
    bodies = (read_row(row[1:]).get("Body", "") for row in _xml())
    return [body.encode() for body in bodies if body]


def _votes() -> list[bytes]:
    text = (source_files()[0].parent / "Votes.xml").read_bytes()
    rows = re.findall(rb"<row [^<]*/>\s*", text)[:2000]
    return [b"".join(rows[start : start + 8]) for start in range(0, len(rows), 8)]


def _preferences() -> list[bytes]:
    texts = [body.decode() for body in _bodies()[:100]]
    rows = [
        {"qid": number, "question": text, "date": "2016/12/05", "metadata": ["https://a.b/questions/7", "https://a.b"],
         "answers": [{"answer_id": 8, "text": text[:200], "pm_score": 3, "selected": True, "author_id": 7}] * 2}
        for number, text in enumerate(texts)
    ]  # fmt: skip
    return [json.dumps(row).encode() for row in rows]


def _documents() -> list[bytes]:
    texts = [body.decode() for body in _bodies()[:200]]
    plain = [
        {"text": text, "id": number, "created": "2020-01-01", "url": "http://a.b/c"}
        for number, text in enumerate(texts)
    ]
    return [json.dumps(row, ensure_ascii=number % 2 == 0).encode() for number, row in enumerate(plain)]


def _reddit() -> list[bytes]:
    texts = [body.decode() for body in _bodies()[:100]]
    rows: list[dict[str, object]] = []
    for number, text in enumerate(texts):
        base = {
            "author": "a",
            "created_utc": 1500000000 + number,
            "score": number,
            "subreddit": "test",
            "edited": False,
        }
        rows.append({**base, "id": f"s{number}", "title": "t", "selftext": text, "num_comments": 1, "is_self": True})
        rows.append(
            {**base, "id": f"c{number}", "body": text, "link_id": f"t3_s{number}", "parent_id": f"t3_s{number}"}
        )
    return [json.dumps(row).encode() for row in rows]


TARGETS = {
    "stackexchange": _Fuzzed(_fuzz_stackexchange, _xml),
    "marks": _Fuzzed(_fuzz_marks, _votes),
    "mapping": _Fuzzed(_fuzz_mapping, _preferences),
    "xml-rows": _Fuzzed(_fuzz_xml_rows, _xml),
    "jsonl": _Fuzzed(_fuzz_jsonl, _documents),
    "reddit": _Fuzzed(_fuzz_reddit, _reddit),
    "markup": _Fuzzed(_fuzz_markup, _bodies),
    "clean": _Fuzzed(_fuzz_clean, _bodies),
}


def fuzz(name: str, num_inputs: int, seed: int) -> list[str]:
    """Runs the inputs of one target; returns what was found, one line each."""
    target = TARGETS[name]
    seeds = target.seeds()
    findings: list[str] = []
    kinds: Counter[str] = Counter()
    for number in range(num_inputs):
        data = _mutated(seeds, random.Random(f"{name}:{seed}:{number}"))
        started = time.process_time()
        try:
            target.run(data)
        except Exception as error:  # whatever escapes a parser is a finding
            kind = f"{type(error).__name__}: {str(error)[:120]}"
            kinds[kind] += 1
            if kinds[kind] <= 3:
                findings.append(f"{name} input {number} of seed {seed}: {kind}; {data[:2000]!r}")
        if (seconds := time.process_time() - started) > _SLOW_S:
            findings.append(f"{name} input {number} of seed {seed}: took {seconds:.1f} s for {len(data)} bytes")
    return findings


def _cover(name: str, seconds: int) -> None:
    """The same target, guided by coverage; needs `atheris`, which is no dependency of ours. Ends the process."""
    if importlib.util.find_spec("atheris") is None:
        raise SystemExit("--coverage needs atheris; install it into an environment of its own: pip install atheris")
    atheris = importlib.import_module("atheris")
    for module in [module for key, module in sys.modules.items() if key.startswith("transforms.")]:
        for function in vars(module).values():
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                atheris.instrument_func(function)
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=8192"], TARGETS[name].run)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="over all targets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=[*TARGETS])
    parser.add_argument("--coverage", type=int, help="seconds")
    arguments = parser.parse_args()
    if arguments.coverage:
        _cover(arguments.target or "markup", arguments.coverage)
        return
    names = [arguments.target] if arguments.target else [*TARGETS]
    found = 0
    for name in names:
        num_inputs = arguments.inputs // len(names)
        started = time.process_time()
        findings = fuzz(name, num_inputs, arguments.seed)
        found += len(findings)
        rate = num_inputs / (time.process_time() - started)
        print(f"{name}: {num_inputs:,} inputs, {rate:,.0f} a CPU second, {len(findings)} findings", flush=True)
        print(*findings, sep="\n", flush=True)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
