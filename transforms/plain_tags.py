"""What HTML tags write in Markdown, for the constructs of `plain_html`.

A state says which elements are open and what came before. `step` gives what a run of tags, such as `</p>\\n\\n<p>`,
writes there, and the state behind it: a pure function with few different arguments, some hundreds in a dump, so it is
remembered.

None is anything that is not written as Stack Exchange's renderer writes it, or whose Markdown depends on more than
this: bad nesting, a list in a list, items with and without paragraphs in one list, spaces at the edge of a mark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
LONGEST_RUN = 80  # characters

_TAG = re.compile(r'<(/?)([a-z]+[1-6]?)(?: start="([1-9][0-9]{0,2})")?( ?/)?>([\n ]*+)')
_MARKS = {"em": "*", "i": "*", "strong": "**", "b": "**", "s": "~~", "strike": "~~", "a": "[", "sub": "", "sup": ""}
_LISTS = ("ul", "ol")
_HOLD_TEXT = {"p", *HEADINGS, *_MARKS}
_BLOCKS_IN = {  # by container; "" is the body
    "": {"p", "hr", "pre", "blockquote", *_LISTS, *HEADINGS},
    "blockquote": {"p", "hr", "pre", *_LISTS, *HEADINGS},
    "li": {"p", "pre"},
}

# What stands directly before: text or the end of a block; the start of a line or container; the start or the end of a
# mark, or a space behind one; code; an image; a line break; the edge of raised or lowered text. Bits, since it may be
# several: a mark behind a line break is at a line's start for one of the converter's two ways.
TEXT, LINE, OPENED, CLOSED, SPACE, CODE, IMAGE, BREAK, RAISED = 1, 2, 4, 8, 16, 32, 64, 128, 256
_NOTHING_YET = LINE | OPENED
_NOT_LINE = TEXT | OPENED | CLOSED | SPACE | CODE | IMAGE
# What the converter's two ways write differently, and what its quick way leaves to the other: not both in one body.
DIFFERS, SLOW = 1, 2
LINK_ENDS, NUMBERED = 4, 8  # a link ends; a numbered list begins, and the quick way leaves the second to the other
STRIPS, BARS = 1, 2  # the space falls away; there may be none


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """Where in a body we are. Compared by identity, which is fast; `_state` makes equal ones the same."""

    stack: tuple[str, ...]  # open elements, outermost first
    last: str  # the block before, in the same container
    number: int  # of the list's item
    loose: bool | None  # whether the list's items hold paragraphs; None: not known yet
    margin: str  # what the containers write before a line
    line: str  # what a line end in text becomes; empty where no text may stand


class Step(NamedTuple):
    """What a run does."""

    state: State
    out: str  # \0: the address of the link that ends here
    edge: int  # what stands before that which follows
    not_behind: int = 0  # the edges where the run is not known
    space: int = 0  # what is done to a space before the run: STRIPS, BARS
    notes: int = 0  # DIFFERS, SLOW, LINK_ENDS


class _OtherError(Exception):
    """A tag that is not known here."""


@lru_cache(maxsize=1 << 12)
def _state(stack: tuple[str, ...] = (), last: str = "", number: int = 0, loose: bool | None = None) -> State:
    quote = "> " if "blockquote" in stack else ""
    indent = "" if "li" not in stack else "  " if "ul" in stack else " " * len(f"{number}. ")
    top = stack[-1] if stack else ""
    line = ""
    if top in _HOLD_TEXT or (top == "li" and not last):
        line = " " if "a" in stack or not HEADINGS.keys().isdisjoint(stack) else f"\n{quote}{indent}"
    return State(stack, last, number, loose, quote + indent, line)


START = _state()


@lru_cache(maxsize=1 << 12)
def step(state: State, run: str) -> Step | None:
    """What the run does; None when it is not known here. "a" is a tag that opens a link, "pre" a whole code block."""
    try:
        if run == "a" or run == "pre":
            return _open_mark(state, run) if run == "a" else _open(state, run)
        done: Step | None = None
        end = 0
        for tag in _TAG.finditer(run):
            _check(tag.start() == end)
            done = _both(done, _one(done.state, done.edge, tag)) if done else _one(state, 0, tag)
            end = tag.end()
        _check(end == len(run))
        return done
    except _OtherError:
        return None


def _check(known: object) -> None:
    if not known:
        raise _OtherError


def _both(first: Step, second: Step) -> Step:
    """What two runs do, one behind the other."""
    _check(not first.edge & second.not_behind)
    out, space = first.out, first.space
    if second.space == STRIPS:
        out = out.removesuffix(" ")
    _check(second.space != BARS or not out.endswith(" "))
    if not out:  # the second reaches what stands before the first, and a block's end strips it whatever the first bars
        space = STRIPS if second.space == STRIPS else max(space, second.space)
    notes = first.notes | second.notes
    return Step(second.state, out + second.out, second.edge, first.not_behind, space, notes)


def _one(state: State, edge: int, tag: re.Match[str]) -> Step:
    """What one tag does. edge: what stands before it in the run, 0 for its first tag."""
    closing, name, start, slash, space = tag.groups()
    _check(name != "pre" and (closing or name != "a"))
    _check(not slash or (not closing and name in ("br", "hr")))
    _check(not start or (not closing and name == "ol"))
    if name in _MARKS:
        done = _close_mark(state, name, space) if closing else _open_mark(state, name, space, edge)
    elif closing:
        done = _close(state, name)
    elif name == "br":
        _check(state.line and state.line != " " and "li" not in state.stack)
        done = Step(state, "  \n" + state.margin, LINE | BREAK, _NOTHING_YET, STRIPS)
    else:
        done = _open_item(state) if name == "li" else _open(state, name, int(start or 1))
    _check(not done.state.line or "\n\n" not in space.replace(" ", ""))  # blank lines in text
    return done


def _open_mark(state: State, name: str, space: str = "", edge: int = 0) -> Step:
    mark = _MARKS[name]
    _check(state.line)
    _check(not mark or all(_MARKS.get(other) != mark for other in state.stack))
    after = _state((*state.stack, name), state.last, state.number, state.loose)
    at_line = edge & LINE and not edge & OPENED
    if mark:
        _check(not space)
        return Step(
            after, mark, OPENED | edge & (LINE | BREAK) if edge & BREAK else OPENED, 0 if name == "a" else CLOSED
        )
    if not space or at_line:  # what is only raised or lowered may still be at a line's start
        return Step(after, "", edge if at_line else LINE | OPENED | RAISED | edge & BREAK)
    return Step(after, " ", SPACE, _NOTHING_YET, STRIPS)


def _close_mark(state: State, name: str, space: str) -> Step:
    _check(state.stack and state.stack[-1] == name)
    after = _state(state.stack[:-1], state.last, state.number, state.loose)
    mark = "\0" if name == "a" else _MARKS[name]
    out, edge = (mark + " ", SPACE) if space else (mark, CLOSED if mark else CLOSED | RAISED)
    return Step(after, out, edge, _NOTHING_YET, BARS, LINK_ENDS if name == "a" else 0)


def _close(state: State, name: str) -> Step:
    _check(state.stack and state.stack[-1] == name)
    number, loose = state.number, state.loose
    if name == "li" and not state.last:
        _check(not loose)
        loose = False
    elif name in _LISTS:
        number, loose = 0, None
    after = _state(state.stack[:-1], name, number, loose)
    return Step(after, "", TEXT, _NOTHING_YET, STRIPS)


def _open_item(state: State) -> Step:
    _check(state.stack and state.stack[-1] in _LISTS)
    number = state.number + 1
    marker = "- " if state.stack[-1] == "ul" else f"{number}. "
    if state.last:
        blank = f"\n{state.margin.rstrip()}" if state.loose else ""
        marker = f"{blank}\n{state.margin}{marker}"
    return Step(_state((*state.stack, "li"), "", number, state.loose), marker, LINE)


def _open(state: State, name: str, start: int = 1) -> Step:
    container = state.stack[-1] if state.stack else ""
    _check(name in _BLOCKS_IN.get(container, ()))
    _check(name not in _LISTS or state.last not in _LISTS)  # the second gets markers of another kind
    number, loose, not_behind, notes = state.number, state.loose, 0, 0
    if container == "li":
        if state.last:
            notes = SLOW
        else:  # text may have come, which would make another list of this one
            _check(name == "p" and loose is not False)
            not_behind = _NOT_LINE
        loose = True
    elif state.last in ("hr", *_LISTS, *HEADINGS) if container else name == "hr" and state.last == "blockquote":
        notes = DIFFERS
    out = f"\n{state.margin.rstrip()}\n{state.margin}" if state.last else ""
    if name == "hr" or name == "pre":
        after = _state(state.stack, name, number, loose)
        return Step(after, out + "---" * (name == "hr"), TEXT, not_behind, notes=notes)
    notes |= NUMBERED * (name == "ol")
    last = state.last
    if name == "blockquote" or name in _LISTS:
        last, number = "", start - 1
    out += "> " if name == "blockquote" else HEADINGS.get(name, "")
    edge = OPENED if name in HEADINGS else LINE  # list markers are not escaped in headings
    return Step(_state((*state.stack, name), last, number, loose), out, edge, not_behind, notes=notes)
