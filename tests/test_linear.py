"""Time grows with the length of a text, not with its square: every regular expression, and what is made of them.

Each is driven over texts that repeat what its own expression speaks of, and single characters that mean something
somewhere, in the way in which its module uses it.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import itertools
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from re import _parser  # type: ignore[attr-defined]
from types import FrameType
from typing import Any, NamedTuple

import pytest

from tests.test_layout import PACKAGES, ROOT, sources
from transforms.dedup.compared import compared
from transforms.ingest.removal import normal_urls, parse
from transforms.langid.paragraphs import paragraphs
from transforms.langid.readable import in_place, readable, stripped_all
from transforms.sources.reddit.posts import _text
from transforms.sources.stackexchange.xml_rows import MalformedError, read_plain, read_row, without_illegal
from transforms.text.clean import is_blank, repair
from transforms.text.markup import to_markdown
from transforms.text.math_spans import find_math

SHORT, LONG = 20_000, 80_000
# Linear ones take 8 ms at most; 20,000 squared is 200 ms if a step takes a nanosecond only.
FLOOR_S, LIMIT_S = 0.03, 5.0
MOST_GROWTH = 8.0  # of four times the text
COMMON = [
    *" \n\t<>&;\"'\\$`~*#|/.-1aA_:=",
    "\u0301",
    "\u0301\u0323",
    "<a ",
    "&#",
    "\\(",
    "> ",
    "- ",
    "<p>",
    "a\n",
    "\n>",
]
METHODS = "search|match|fullmatch|findall|finditer|subn|sub"
NUM_SAMPLES = 12


class Pattern(NamedTuple):
    module: str
    name: str
    regex: re.Pattern[Any]
    methods: tuple[str, ...]  # with which its module uses it

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


def patterns() -> Iterator[Pattern]:
    """Every compiled expression of our modules, also in tuples and dictionaries."""
    for path in itertools.chain.from_iterable(map(sources, PACKAGES)):
        text = path.read_text(encoding="utf-8")
        if "import re\n" not in text:
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name, value in vars(importlib.import_module(module)).items():
            if f"{name} = " in text or f"{name}: " in text:  # and is not imported
                used = re.findall(rf"\b{name}\.({METHODS}|split)\(", text)
                used = used or re.findall(rf"(?:\bpattern|[)\]])\.({METHODS})\(", text)
                yield from (Pattern(module, name, regex, tuple(sorted(set(used)))) for regex in inside(value))


def inside(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from inside(item)


def test_no_expression_is_written_where_this_does_not_find_it() -> None:
    """But those that hold a value of the run, which the functions below are driven with."""
    for path in itertools.chain.from_iterable(map(sources, PACKAGES)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_call and isinstance(node.func.value, ast.Name) and node.func.value.id == "re":
                assert node.func.attr in ("compile", "escape"), f"{path}:{node.lineno}: compile it at the module's top"


def sample(tree: Any, chance: random.Random) -> str:
    """A text much like those that the expression matches."""
    written = []
    for kind, value in tree:
        match str(kind):
            case "LITERAL":
                written.append(chr(value))
            case "IN":
                written.append(member(value, chance))
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inner = value
                times = min(most, least + chance.choice((0, 1, 2)))
                written += [sample(inner, chance) for _ in range(min(times, 40))]
            case "SUBPATTERN":
                written.append(sample(value[3], chance))
            case "ATOMIC_GROUP":
                written.append(sample(value, chance))
            case "BRANCH":
                written.append(sample(chance.choice(value[1]), chance))
            case "ASSERT":
                written.append(sample(value[1], chance) if value[0] == 1 else "")
            case "NOT_LITERAL" | "ANY" | "GROUPREF":
                written.append("x")
    return "".join(written)


def member(items: Any, chance: random.Random) -> str:
    kind, value = chance.choice(items)
    match str(kind):
        case "LITERAL":
            return chr(value)
        case "RANGE":
            return chr(chance.choice(value))
        case "CATEGORY":
            return {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": chance.choice(" \n\t")}.get(str(value), "a")
    return "x"


def texts(pattern: re.Pattern[Any], num_chars: int) -> Iterator[str]:
    chance = random.Random(0)
    tree = _parser.parse(pattern.pattern, pattern.flags)
    found = list(dict.fromkeys(sample(tree, chance)[:40] for _ in range(NUM_SAMPLES)))
    cut = {text[:end] for text in found for end in (1, len(text) // 2, len(text) - 1, len(text))}
    for unit in sorted({*COMMON, *cut, *"".join(found)} - {""}):
        for before in ("", *chance.sample(found, min(2, len(found)))):
            yield f"{before[:-1]}{unit * (num_chars // len(unit))}\0"


def seconds(call: Callable[[], object]) -> float:
    """Of the CPU; LIMIT_S for what took longer, which is given up."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
    started = time.process_time()
    try:
        call()
    except TimeoutError:
        return LIMIT_S
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return time.process_time() - started


def is_linear(call: Callable[[str], object], short: str, text: str) -> bool:
    """Looks twice, so that a pause of the machine is no fault."""
    for _ in range(2):
        first = seconds(lambda: call(short))
        if first < FLOOR_S or (first < LIMIT_S and seconds(lambda: call(text)) < MOST_GROWTH * first):
            return True
    return False


def used(pattern: Pattern, method: str, text: str) -> None:
    value: str | bytes = text.encode("utf-8", "replace") if isinstance(pattern.regex.pattern, bytes) else text
    if method in ("sub", "subn"):
        getattr(pattern.regex, method)(value[:0], value)
    elif method == "finditer":
        for _ in pattern.regex.finditer(value):
            pass
    else:
        getattr(pattern.regex, method)(value)


@pytest.mark.parametrize("pattern", patterns(), ids=str)
def test_an_expression_takes_linear_time(pattern: Pattern) -> None:
    assert pattern.methods, f"nobody uses {pattern}"
    for short, text in zip(texts(pattern.regex, SHORT), texts(pattern.regex, LONG), strict=True):
        for method in pattern.methods:
            assert is_linear(functools.partial(used, pattern, method), short, text), (method, short[:80])


def read_rows(text: str) -> None:
    for row in (f'row Id="1" Body="{text}" />', f"row {text}", f"row{text} />"):
        data = row.encode("utf-8", "replace")
        read_plain([data])
        without_illegal(data)
        with contextlib.suppress(MalformedError):
            read_row(data)


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "repair": repair,
    "is_blank": is_blank,
    "markdown": lambda text: to_markdown(text, repair, strip_edit_labels=True),
    "markdown-of-code": lambda text: to_markdown(f"<pre><code>{text}</code></pre> $x$ `{text}", repair),
    "mathematics": find_math,
    "reddit": lambda text: _text({"body": f"&amp;nbsp; {text}"}, "body"),
    "readable": readable,
    "readable-in-a-batch": lambda text: stripped_all([text]),
    "readable-in-place": in_place,
    "paragraphs": paragraphs,
    "compared": lambda text: compared([text]),
    "url": lambda text: normal_urls(f"https://a.com/questions/1/{text}"),
    "remove-list": lambda text: parse([text, f"author:{text}", f"https://reddit.com/user/{text}"]),
    "row": read_rows,
}
UNITS = [
    *COMMON,
    *("Ã©", "Ì\x81Ì£", "I\u0300\x81I\u0300\xa3", "\u0301\u0323" * 14 + "\0", "\x1b[1;", "\r\n", "é", "中", "ß"),
    *("<pre>", "<code>", "</code>", "<pre><code>x</code></pre>", "<blockquote>", "</blockquote><blockquote>", "<li>"),
    *("<table><td>", "<td colspan=9>x", "<ol start=2>", "<script>math/tex", "<!--", "&amp;", "&lt", "&#9", "&nbsp;"),
    *("QXCODE1X", "QXCODE0X1MQ", "$a$", "$$", "\\begin{a}", "\\end{a}", "```\n", "~~~\n", "``a`", "\n\n\n", "> >\n"),
    *(
        "EDIT: ",
        "https://a",
        "www.",
        "/questions/1",
        "/u/a",
        "AB\n",
        " x=''",
        " x='",
        "&x;",
        "[",
        "](",
        "![](",
        "| a |\n",
    ),
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_linear_time(name: str) -> None:
    call = FUNCTIONS[name]
    for unit in UNITS:
        assert is_linear(call, unit * (SHORT // len(unit)), unit * (LONG // len(unit))), unit
